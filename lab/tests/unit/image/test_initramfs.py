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
import gzip
import pathlib
import stat
import subprocess
import tempfile
import unittest
from unittest import mock

from lab.image import initramfs

LDD = """\
\tlinux-vdso.so.1 (0x00007fff)
\tlibz.so.1 => /lib/x/libz.so.1 (0x00007f15)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f15)
"""


class TestLibraries(unittest.TestCase):

    def test_places(self):
        with mock.patch.object(initramfs, 'run', return_value=LDD):
            self.assertEqual(
                {'/lib/libz.so.1': '/lib/x/libz.so.1',
                 '/lib64/ld-linux-x86-64.so.2':
                     '/lib64/ld-linux-x86-64.so.2'},
                initramfs.libraries('/bin/some'))

    def test_missing(self):
        with mock.patch.object(initramfs, 'run',
                               return_value='\tlibq.so => not found\n'):
            with self.assertRaisesRegex(initramfs.ImageError, 'libq.so'):
                initramfs.libraries('/bin/some')

    def test_program_not_installed(self):
        with mock.patch.object(initramfs, 'PROGRAMS', ('/no/such',)):
            with self.assertRaisesRegex(initramfs.ImageError, '/no/such'):
                initramfs.binaries()


class TestTree(unittest.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.tree = self.folder / 'tree'
        program = self.folder / 'program'
        program.write_bytes(b'\x7fELF...')
        for owner, name, result in (
                (initramfs, 'binaries', {'/bin/busybox': str(program)}),
                (initramfs, 'install_modules', ['virtio', 'virtio_net'])):
            patch = mock.patch.object(owner, name, return_value=result)
            patch.start()
            self.addCleanup(patch.stop)
        (self.tree / 'lib/modules/6.1').mkdir(parents=True)
        initramfs.stage(self.tree, initramfs.Kernel(
            self.folder / 'vmlinuz', self.folder / '6.1'))

    def _mode(self, name):
        return stat.S_IMODE((self.tree / name).stat().st_mode)

    def test_members(self):
        names = initramfs.members(self.tree)
        for expected in ('init', 'bin/busybox', 'proc', 'dev', 'etc/inittab',
                         'etc/acpi/PWRF/00000080', 'lab/echo',
                         'lab/dhcp-event', 'usr/bin/sudo', 'etc/modules'):
            self.assertIn(expected, names)
        for name in names:
            parent = str(pathlib.PurePath(name).parent)
            if parent != '.':
                self.assertLess(names.index(parent), names.index(name))

    def test_modes_follow_from_content(self):
        for name in ('init', 'bin/busybox', 'lab/network', 'tmp'):
            self.assertEqual(0o755, self._mode(name), name)
        self.assertEqual(0o644, self._mode('etc/inittab'))
        self.assertEqual(0o700, self._mode('root'))
        self.assertEqual(0o600, self._mode('etc/shadow'))

    def test_modules_are_listed_for_the_guest(self):
        self.assertEqual('virtio\nvirtio_net\n',
                         (self.tree / 'etc/modules').read_text())

    def test_pack(self):
        def cpio(*command, stdin, folder):
            name = [word.removeprefix('--file=') for word in command
                    if word.startswith('--file=')][0]
            self.assertEqual(self.tree, folder)
            self.assertIn('--owner=+0:+0', command)
            pathlib.Path(name).write_bytes(stdin)

        target = self.folder / 'initrd'
        with mock.patch.object(initramfs, 'run', cpio):
            initramfs.pack(self.tree, target)
            first = target.read_bytes()
            initramfs.pack(self.tree, target)
        self.assertEqual(first, target.read_bytes())
        self.assertEqual(
            initramfs.members(self.tree),
            gzip.decompress(first).decode().rstrip('\0').split('\0'))
        self.assertEqual([], list(self.folder.glob('*.cpio')))


class TestGuestFiles(unittest.TestCase):

    def test_inittab_names_only_scripts_that_exist(self):
        inittab = (initramfs.GUEST / 'etc/inittab').read_text()
        scripts = [word for line in inittab.splitlines()
                   for word in line.rpartition(':')[2].split()
                   if word.startswith('/lab/') and not line.startswith('#')]
        self.assertIn('/lab/echo', scripts)
        for script in scripts:
            self.assertTrue((initramfs.GUEST / script[1:]).is_file(), script)

    def test_keys_are_where_ssh_looks_for_them(self):
        init = (initramfs.GUEST / 'init').read_text()
        # The disk is mounted before /root gets a link to /run, outside of it.
        self.assertLess(init.index('/dev/vda2 /root'),
                        init.index('/run/ssh /root/.ssh'))
        # Moved within one file system, so that none is seen half.
        self.assertIn('mv /run/metadata/keys /root/.ssh/authorized_keys',
                      (initramfs.GUEST / 'lab/metadata').read_text())


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
        patch = mock.patch.object(initramfs, 'run', self._run)
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
            initramfs.find_kernel('linux-image-cloud-amd64'))

    def test_resolve_without_package_lists(self):
        with mock.patch.object(initramfs, 'run', return_value=''):
            with self.assertRaisesRegex(initramfs.ImageError,
                                        'apt-get update'):
                initramfs.find_kernel('linux-image-cloud-amd64')

    def test_download_once(self):
        for _ in range(2):
            self.assertEqual(self.deb, initramfs.download_kernel(
                'linux-image-cloud-amd64', self.work))
        self.assertEqual(1, self.downloads)

    def test_unpack_without_kernel(self):
        with self.assertRaisesRegex(initramfs.ImageError, 'holds no kernel'):
            initramfs.unpack_kernel(pathlib.Path('some.deb'), self.work)


DEPENDENCIES = """\
kernel/virtio/virtio_ring.ko:
kernel/virtio/virtio.ko: kernel/virtio/virtio_ring.ko
kernel/net/failover.ko:
kernel/net/net_failover.ko: kernel/net/failover.ko
kernel/net/virtio_net.ko.xz: kernel/net/net_failover.ko \
kernel/net/failover.ko kernel/virtio/virtio.ko kernel/virtio/virtio_ring.ko
kernel/char/virtio-rng.ko: kernel/virtio/virtio.ko \
kernel/virtio/virtio_ring.ko
"""
INSIDE = ('ext4', 'crc32c_generic')
BUILTIN = 'kernel/fs/ext4/ext4.ko\nkernel/crypto/crc32c_generic.ko\n'


class TestModules(unittest.TestCase):

    def test_module_name(self):
        for path in ('a/virtio-rng.ko', 'virtio_rng.ko.xz', 'virtio-rng'):
            self.assertEqual('virtio_rng', initramfs.module_name(path))

    def test_resolve_puts_needed_modules_first(self):
        self.assertEqual(
            ['kernel/virtio/virtio_ring.ko', 'kernel/virtio/virtio.ko',
             'kernel/net/failover.ko', 'kernel/net/net_failover.ko',
             'kernel/net/virtio_net.ko.xz', 'kernel/char/virtio-rng.ko'],
            initramfs.resolve_modules(
                DEPENDENCIES, BUILTIN, ('virtio_net', 'virtio_rng')))

    def test_resolve_skips_what_is_built_in(self):
        self.assertEqual([], initramfs.resolve_modules(
            DEPENDENCIES, BUILTIN, ('ext4',)))

    def test_resolve_names_what_is_missing(self):
        with self.assertRaisesRegex(initramfs.MissingModule, 'module button'):
            initramfs.resolve_modules(
                DEPENDENCIES, BUILTIN, ('ext4', 'button'))

    def test_reduced_dependencies(self):
        self.assertEqual(
            'kernel/net/failover.ko:\n'
            'kernel/net/net_failover.ko: kernel/net/failover.ko\n',
            initramfs.reduce_dependencies(
                DEPENDENCIES, ['kernel/net/failover.ko',
                               'kernel/net/net_failover.ko']))

    def test_install(self):
        with tempfile.TemporaryDirectory() as name:
            source = pathlib.Path(name, 'source')
            target = pathlib.Path(name, 'target')
            paths = [f'kernel/{module}.ko' for module in initramfs.MODULES
                     if module not in INSIDE]
            for path in [*paths, 'kernel/unwanted.ko']:
                (source / path).parent.mkdir(parents=True, exist_ok=True)
                (source / path).write_text(path)
            (source / 'modules.dep').write_text(
                ''.join(f'{path}:\n' for path in paths))
            (source / 'modules.builtin').write_text(BUILTIN)
            names = initramfs.install_modules(source, target)
            self.assertEqual(
                [module for module in initramfs.MODULES
                 if module not in INSIDE],
                names)
            self.assertEqual('kernel/evdev.ko',
                             (target / 'kernel/evdev.ko').read_text())
            self.assertFalse((target / 'kernel/unwanted.ko').exists())
            self.assertIn('kernel/virtio_net.ko:',
                          (target / 'modules.dep').read_text())


class TestRun(unittest.TestCase):

    def test_output(self):
        done = subprocess.CompletedProcess([], 0, b'out', b'')
        with mock.patch('subprocess.run', return_value=done) as run:
            self.assertEqual('out', initramfs.run('tool', 'x', stdin=b'in'))
        self.assertEqual(['tool', 'x'], run.call_args.args[0])
        self.assertEqual(b'in', run.call_args.kwargs['input'])
        self.assertEqual('C', run.call_args.kwargs['env']['LC_ALL'])

    def _message(self, failure):
        with mock.patch('subprocess.run', side_effect=failure):
            with self.assertRaises(initramfs.ImageError) as caught:
                initramfs.run('tool', 'x')
        return str(caught.exception)

    def test_failure_names_command_and_last_line(self):
        self.assertEqual(
            'The command "tool x" failed: the reason',
            self._message(subprocess.CalledProcessError(
                1, ['tool'], stderr=b'noise\nthe reason\nW: other\n\n')))

    def test_failure_without_a_word(self):
        self.assertEqual(
            'The command "tool x" failed: exit status 3',
            self._message(subprocess.CalledProcessError(3, ['tool'])))

    def test_missing_tool(self):
        self.assertIn('install the packages',
                      self._message(FileNotFoundError()))

    def test_full_disk_of_a_tool(self):
        message = self._message(subprocess.CalledProcessError(
            1, ['tool'], stderr=b'write: No space left on device\nbye\n'))
        self.assertEqual('The disk is full: tool failed (bye).', message)


class TestExplainOSError(unittest.TestCase):

    def test_full_disk(self):
        error = OSError(errno.ENOSPC, 'No space', 'some/file')
        self.assertEqual(
            'The disk is full under some/file: the image was not made.',
            initramfs.explain_os_error(error))

    def test_other(self):
        self.assertIn('denied', initramfs.explain_os_error(
            OSError(errno.EACCES, 'denied')))
