# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

import pathlib
import tempfile
import unittest
from unittest import mock

from lab.image import commands
from lab.image import kernel

DEPENDS = """\
linux-image-cloud-amd64
  Depends: linux-image-6.1.0-9-cloud-amd64
"""
POLICY = """\
linux-image-6.1.0-9-cloud-amd64:
  Installed: (none)
  Candidate: 1:6.1.9-2
"""


class TestKernel(unittest.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        self.deb = (self.work /
                    'linux-image-6.1.0-9-cloud-amd64_1%3a6.1.9-2_amd64.deb')
        self.downloads = 0
        patch = mock.patch.object(commands, 'run', self._run)
        patch.start()
        self.addCleanup(patch.stop)

    def _run(self, *command, **_options):
        if command[0] == 'apt-cache':
            return DEPENDS if command[1] == 'depends' else POLICY
        self.downloads += 1
        self.deb.touch()
        return ''

    def test_resolve(self):
        self.assertEqual(
            ('linux-image-6.1.0-9-cloud-amd64', '1:6.1.9-2'),
            kernel.resolve('linux-image-cloud-amd64'))

    def test_resolve_without_package_lists(self):
        with mock.patch.object(commands, 'run', return_value=''):
            with self.assertRaisesRegex(commands.ImageError,
                                        'apt-get update'):
                kernel.resolve('linux-image-cloud-amd64')

    def test_download_once(self):
        for _ in range(2):
            self.assertEqual(self.deb, kernel.download(
                'linux-image-cloud-amd64', self.work))
        self.assertEqual(1, self.downloads)

    def test_unpack_without_kernel(self):
        with self.assertRaisesRegex(commands.ImageError, 'holds no kernel'):
            kernel.unpack(pathlib.Path('some.deb'), self.work)
