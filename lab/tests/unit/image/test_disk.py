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
        return run.mock_calls

    def test_make(self):
        self.mbr.write_bytes(b'x' * 500)
        self.assertEqual(['sfdisk', 'mkfs.vfat', 'mke2fs', 'mcopy', 'mcopy',
                          'mcopy', 'syslinux'],
                         [call.args[0] for call in self._make()])
        self.assertEqual(disk.DISK_BYTES, self.raw.stat().st_size)
        # The boot code must not reach the partition table behind it.
        start = self.raw.read_bytes()[:512]
        self.assertEqual(b'x' * 440 + bytes(72), start)

    def test_partitions_are_where_their_file_systems_are(self):
        self.mbr.write_bytes(b'x' * 440)
        table, boot, home = self._make()[:3]
        # In sectors of 512 bytes and in KiB.
        self.assertIn(b'start=2048, size=79872, type=6, bootable\n'
                      b'start=81920, type=83\n', table.kwargs['stdin'])
        self.assertEqual(('--offset', '2048', self.raw, '39936'),
                         boot.args[-4:])
        self.assertIn(f'offset={81920 * 512},', home.args[-3])
        self.assertEqual((self.raw, '65536k'), home.args[-2:])
        self.assertEqual(104 * 1024 * 1024, self.raw.stat().st_size)

    def test_home_is_a_file_system(self):
        # Made by mke2fs itself, and found where the table says.
        if not shutil.which('mke2fs') or not shutil.which('e2fsck'):
            self.skipTest('e2fsprogs is not installed here')
        self.mbr.write_bytes(b'x' * 440)
        command = self._make()[2].args
        commands.run(*command)
        with open(self.raw, 'rb') as opened:
            opened.seek(disk.HOME_START)
            home = opened.read()
        # Modified in 1980, as everything in the image.
        self.assertEqual(int(commands.EPOCH), int.from_bytes(
            home[1024 + 0x30:1024 + 0x34], 'little'))
        alone = self.raw.with_name('home')
        alone.write_bytes(home)
        commands.run('e2fsck', '-f', '-n', alone)

    def test_without_boot_code(self):
        with self.assertRaisesRegex(commands.ImageError, 'PACKAGES'):
            self._make()

    def test_serial_console_comes_last(self):
        consoles = [word for word in disk.KERNEL_PARAMETERS.split()
                    if word.startswith('console=')]
        self.assertTrue(consoles[-1].startswith('console=ttyS0'))
