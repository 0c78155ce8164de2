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

import errno
import pathlib
import tempfile
import unittest
from unittest import mock

from lab import image
from lab.image import disk
from lab.image import initramfs
from lab.image import kernel
from lab.image import modules


class TestBuild(unittest.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name, 'work')
        self.target = pathlib.Path(folder.name, 'out', 'guest.qcow2')
        self.mocks = {}
        unpacked = kernel.Kernel(self.work / 'vmlinuz', self.work / '6.1')
        for owner, name, result in (
                (kernel, 'download', self.work / 'kernel.deb'),
                (kernel, 'unpack', unpacked),
                (initramfs, 'stage', None), (initramfs, 'pack', None),
                (disk, 'make', None), (disk, 'convert', None)):
            patch = mock.patch.object(owner, name, return_value=result)
            self.mocks[name] = patch.start()
            self.addCleanup(patch.stop)
        self.mocks['convert'].side_effect = (
            lambda raw, target: target.write_text('new'))

    def _fail(self, step, error):
        self.target.parent.mkdir()
        self.target.write_text('old')
        self.mocks[step].side_effect = error
        with self.assertRaises(image.ImageError) as caught:
            image.build(self.target, self.work)
        self.assertEqual('old', self.target.read_text())
        self.assertEqual([self.target], list(self.target.parent.iterdir()))
        self.assertEqual([], list(self.work.iterdir()))
        return str(caught.exception)

    def test_success(self):
        image.build(self.target, self.work)
        self.assertEqual('new', self.target.read_text())
        self.assertEqual([self.target], list(self.target.parent.iterdir()))
        self.assertEqual([], list(self.work.iterdir()))

    def test_failed_tool_leaves_the_target(self):
        self._fail('make', image.ImageError('no'))

    def test_failed_conversion_leaves_no_temporary_file(self):
        self._fail('convert', image.ImageError('no'))

    def test_full_disk(self):
        self.assertIn('disk is full', self._fail(
            'pack', OSError(errno.ENOSPC, 'No space left on device')))

    def test_missing_module(self):
        self.assertIn('lacks button', self._fail(
            'stage', modules.MissingModule('lacks button')))
