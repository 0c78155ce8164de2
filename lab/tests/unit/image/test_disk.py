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
from lab.image import disk


class TestDisk(unittest.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.raw = pathlib.Path(folder.name, 'disk.raw')
        self.mbr = pathlib.Path(folder.name, 'mbr.bin')

    def _make(self):
        with mock.patch.object(disk, 'MBR', self.mbr), \
                mock.patch.object(commands, 'run') as run:
            disk.make(self.raw, pathlib.Path('k'), pathlib.Path('i'))
        return [call.args[0] for call in run.mock_calls]

    def test_make(self):
        self.mbr.write_bytes(b'x' * 500)
        self.assertEqual(['sfdisk', 'mkfs.vfat', 'mcopy', 'mcopy', 'mcopy',
                          'syslinux'], self._make())
        self.assertEqual(disk.DISK_BYTES, self.raw.stat().st_size)
        # The boot code must not reach the partition table behind it.
        start = self.raw.read_bytes()[:512]
        self.assertEqual(b'x' * 440 + bytes(72), start)

    def test_without_boot_code(self):
        with self.assertRaisesRegex(commands.ImageError, 'PACKAGES'):
            self._make()

    def test_serial_console_comes_last(self):
        consoles = [word for word in disk.KERNEL_PARAMETERS.split()
                    if word.startswith('console=')]
        self.assertTrue(consoles[-1].startswith('console=ttyS0'))
