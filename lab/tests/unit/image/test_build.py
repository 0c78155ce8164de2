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
import shutil
import tempfile
import unittest
from unittest import mock

from lab import image
from lab.image import initramfs


class TestBuild(unittest.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name, 'work')
        self.target = pathlib.Path(folder.name, 'out', 'guest.qcow2')
        self.mocks = {}
        unpacked = initramfs.Kernel(self.work / 'vmlinuz', self.work / '6.1')
        for owner, name, result in (
                (initramfs, 'download_kernel', self.work / 'kernel.deb'),
                (initramfs, 'unpack_kernel', unpacked),
                (initramfs, 'stage', None), (initramfs, 'pack', None),
                (image, 'write_disk', None), (image, 'convert', None)):
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
        self._fail('write_disk', image.ImageError('no'))

    def test_failed_conversion_leaves_no_temporary_file(self):
        self._fail('convert', image.ImageError('no'))

    def test_full_disk(self):
        self.assertIn('disk is full', self._fail(
            'pack', OSError(errno.ENOSPC, 'No space left on device')))

    def test_missing_module(self):
        self.assertIn('lacks button', self._fail(
            'stage', initramfs.MissingModule('lacks button')))


class TestDisk(unittest.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.raw = pathlib.Path(folder.name, 'disk.raw')
        self.mbr = pathlib.Path(folder.name, 'mbr.bin')

    def _make(self):
        with mock.patch.object(image, 'MBR', self.mbr), \
                mock.patch.object(initramfs, 'run') as run:
            image.write_disk(self.raw, pathlib.Path('k'), pathlib.Path('i'))
        return run.mock_calls

    def test_make(self):
        self.mbr.write_bytes(b'x' * 500)
        self.assertEqual(['sfdisk', 'mkfs.vfat', 'mke2fs', 'mcopy', 'mcopy',
                          'mcopy', 'syslinux'],
                         [call.args[0] for call in self._make()])
        self.assertEqual(image.DISK_BYTES, self.raw.stat().st_size)
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
        initramfs.run(*command)
        with open(self.raw, 'rb') as opened:
            opened.seek(image.HOME_START)
            home = opened.read()
        # Modified in 1980, as everything in the image.
        self.assertEqual(int(initramfs.EPOCH), int.from_bytes(
            home[1024 + 0x30:1024 + 0x34], 'little'))
        alone = self.raw.with_name('home')
        alone.write_bytes(home)
        initramfs.run('e2fsck', '-f', '-n', alone)

    def test_without_boot_code(self):
        with self.assertRaisesRegex(initramfs.ImageError, 'PACKAGES'):
            self._make()

    def test_serial_console_comes_last(self):
        consoles = [word for word in image.KERNEL_PARAMETERS.split()
                    if word.startswith('console=')]
        self.assertTrue(consoles[-1].startswith('console=ttyS0'))


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
                (initramfs, 'run', self._run),
                (initramfs, 'find_kernel', self._resolve)):
            patch = mock.patch.object(owner, name, new)
            patch.start()
            self.addCleanup(patch.stop)
        self.before = image.fingerprint()

    def _run(self, program, *_):
        # All that is asked for is there without a network.
        self.assertEqual('dpkg-query', program)
        return self.versions

    def _resolve(self, name):
        # Package lists, which may be missing, name the kernel.
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
