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
import shutil
import tempfile
import unittest
from unittest import mock

from lab import image
from lab.image import commands
from lab.image import initramfs
from lab.image import kernel


class TestFingerprint(unittest.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.guest = pathlib.Path(folder.name, 'guest')
        shutil.copytree(initramfs.GUEST, self.guest)
        self.program = pathlib.Path(folder.name, 'program')
        self.program.write_text('one')
        self.versions = 'socat 1\n'
        for owner, name, new in (
                (initramfs, 'GUEST', self.guest),
                (initramfs, 'binaries',
                 lambda: {'/bin/program': str(self.program)}),
                (commands, 'run', self._run),
                (kernel, 'resolve', self._resolve)):
            patch = mock.patch.object(owner, name, new)
            patch.start()
            self.addCleanup(patch.stop)
        self.before = image.fingerprint()

    def _run(self, program, *_):
        # All that is asked for is there without a network.
        self.assertEqual('dpkg-query', program)
        return self.versions

    def _resolve(self, name):
        # The kernel is what package lists say, which may not be there.
        self.fail(f'package lists are asked for {name}')

    def test_is_stable(self):
        self.assertRegex(self.before, '^[0-9a-f]{64}$')
        self.assertEqual(self.before, image.fingerprint())

    def test_guest_file_changes(self):
        with open(self.guest / 'lab/echo', 'a') as opened:
            opened.write('# more\n')
        self.assertNotEqual(self.before, image.fingerprint())

    def test_guest_file_moves(self):
        (self.guest / 'lab/echo').rename(self.guest / 'lab/other')
        self.assertNotEqual(self.before, image.fingerprint())

    def test_program_changes(self):
        self.program.write_text('two')
        self.assertNotEqual(self.before, image.fingerprint())

    def test_package_changes(self):
        self.versions = 'socat 2\n'
        self.assertNotEqual(self.before, image.fingerprint())
