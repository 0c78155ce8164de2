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

import hashlib
import os
import pathlib
import shutil
import subprocess

import fixtures

from lm_tempest_plugin.guests.workloads import disk
from lm_tempest_plugin.tests.unit import base

# Tempest's prologue with as much of it as the shell knows: sh may be a dash
# without pipefail, as Debian 12's is.
SHELLS = {
    'sh': ('sh', 'set -eu; '),
    'bash': ('bash', 'set -eu -o pipefail; '),
    'busybox': ('busybox ash', 'set -eu -o pipefail; '),
}
MIB = 1024 * 1024
SUDO = """\
#!/bin/sh
[ "$1" = -n ] || exit 2
shift
mkdir "${DROPPED%/*}"
exec "$@"
"""


class DiskTest(base.TestCase):
    """The commands themselves, in every shell that is installed here."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(os.path.realpath(
            self.useFixture(fixtures.TempDir()).path))
        self.mounts = folder / 'mounts'
        self.programs = folder / 'programs'
        self.programs.mkdir()
        self.home = folder / 'home'
        self.home.mkdir()
        self.file = self.home / 'lm-disk'
        # Where it is not there, it cannot be written without sudo.
        self.dropped = folder / 'vm' / 'drop_caches'
        self.mount('/dev/vda1 / ext4 rw 0 0')

    def mount(self, *lines):
        self.mounts.write_text(''.join(line + '\n' for line in lines))

    def allow_to_drop(self):
        self.dropped.parent.mkdir()
        self.dropped.touch()

    def provide_sudo(self, script):
        program = self.programs / 'sudo'
        program.write_text(script)
        program.chmod(0o755)

    def start(self, command, shell='sh'):
        """Run a command as Tempest does, with files of the test's own."""
        program, prologue = SHELLS[shell]
        for path, replacement in (
                ('/proc/mounts', self.mounts),
                ('/proc/sys/vm/drop_caches', self.dropped)):
            command = command.replace(path, str(replacement))
        return subprocess.run(
            [*program.split(), '-c',
             prologue + 'PATH=$PATH:/sbin; ' + command],
            env={'HOME': str(self.home), 'DROPPED': str(self.dropped),
                 'PATH': '%s:%s' % (self.programs, os.environ['PATH'])},
            capture_output=True, text=True)

    def succeed(self, command, shell='sh'):
        done = self.start(command, shell)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def fail_to(self, command, shell='sh'):
        done = self.start(command, shell)
        self.assertNotEqual(0, done.returncode)
        self.assertEqual('', done.stdout)
        return done.stderr

    def each_shell(self):
        for shell, (program, _) in SHELLS.items():
            if shutil.which(program.split()[0]):
                yield shell

    def sum(self):
        return hashlib.sha256(self.file.read_bytes()).hexdigest() + '\n'


class LocateTest(DiskTest):

    def place(self, *lines):
        """Return the output of locate(), which is the same in all shells."""
        self.mount(*lines)
        told = set()
        for shell in self.each_shell():
            done = self.start(disk.locate(), shell)
            self.assertEqual(
                (not done.returncode, not done.returncode),
                (bool(done.stdout), not done.stderr), shell)
            told.add((done.stdout + done.stderr).strip())
        self.assertEqual(1, len(told), told)
        return told.pop()

    def test_root_file_system(self):
        self.assertEqual('ext4', self.place(
            'proc /proc proc rw 0 0', '/dev/vda1 / ext4 rw 0 0',
            'tmpfs /run tmpfs rw 0 0'))

    def test_longest_path_counts(self):
        home = '/dev/vda2 %s xfs rw 0 0' % self.home
        root = 'none / rootfs rw 0 0'
        self.assertEqual('xfs', self.place(root, home))
        self.assertEqual('xfs', self.place(home, root))
        self.assertEqual('xfs', self.place(
            root, '/dev/vda2 %s xfs rw 0 0' % self.home.parent))

    def test_part_of_a_name_is_no_parent(self):
        self.assertEqual('ext4', self.place(
            '/dev/vda1 / ext4 rw 0 0',
            'tmpfs %s tmpfs rw 0 0' % str(self.home)[:-1],
            'tmpfs %s-2 tmpfs rw 0 0' % self.home,
            'tmpfs %s/x tmpfs rw 0 0' % self.home))

    def test_last_mount_at_a_place_counts(self):
        lines = ('rootfs / rootfs rw 0 0', '/dev/vda1 / ext3 rw 0 0')
        self.assertEqual('ext3', self.place(*lines))
        self.assertIn('not on a disk: rootfs', self.place(*lines[::-1]))

    def test_home_is_a_link(self):
        real = self.home.with_name('real')
        real.mkdir()
        self.home.rmdir()
        self.home.symlink_to(real)
        self.assertEqual('HOME is not on a disk: tmpfs', self.place(
            '/dev/vda1 / ext4 rw 0 0', 'tmpfs %s tmpfs rw 0 0' % real))

    def test_memory(self):
        for source, kind in (('tmpfs', 'tmpfs'), ('none', 'ramfs'),
                             ('rootfs', 'rootfs'), ('/dev/ram0', 'ext2'),
                             ('/dev/zram0', 'ext4')):
            self.assertEqual('HOME is not on a disk: %s' % kind, self.place(
                '%s / %s rw 0 0' % (source, kind)))

    def test_network_is_no_disk(self):
        self.assertEqual('HOME is not on a disk: nfs4', self.place(
            'server:/home / nfs4 rw 0 0'))

    def test_nothing_is_mounted(self):
        self.assertEqual('HOME is not on a disk: nothing', self.place())

    def test_overlay(self):
        overlay = 'overlay / overlay rw,lowerdir=/l,upperdir=/rw/u,workdir=/w'
        for line, told in (
                ('/dev/vda2 /rw ext4 rw 0 0', 'overlay on ext4'),
                ('tmpfs /rw tmpfs rw 0 0',
                 'HOME is not on a disk: overlay on tmpfs'),
                # Mounted before / was, and covered by it since.
                ('proc /proc proc rw 0 0',
                 'HOME is not on a disk: overlay on overlay')):
            self.assertEqual(told, self.place(overlay + ' 0 0', line))

    def test_overlay_that_takes_no_writes(self):
        self.assertEqual('HOME is not on a disk: overlay', self.place(
            'overlay / overlay ro,lowerdir=/l 0 0'))

    def test_this_machine(self):
        # Whatever it is, each shell reads it.
        self.place(*pathlib.Path('/proc/mounts').read_text().splitlines())


class WriteTest(DiskTest):

    def test_sum_of_what_was_written(self):
        for shell in self.each_shell():
            told = self.succeed(disk.write(2), shell)
            self.assertEqual(2 * MIB, self.file.stat().st_size)
            self.assertEqual(self.sum(), told)

    def test_what_is_written_is_random(self):
        first = self.succeed(disk.write(2))
        self.assertNotEqual(first, self.succeed(disk.write(1)))
        self.assertEqual(MIB, self.file.stat().st_size)

    def test_not_on_a_disk(self):
        self.mount('/dev/vda1 / ext4 rw 0 0',
                   'tmpfs %s tmpfs rw 0 0' % self.home)
        for shell in self.each_shell():
            self.assertEqual('HOME is not on a disk: tmpfs\n',
                             self.fail_to(disk.write(1), shell))
            self.assertFalse(self.file.exists())

    def test_cannot_be_written(self):
        self.file.mkdir()
        for shell in self.each_shell():
            self.assertIn('lm-disk', self.fail_to(disk.write(1), shell))

    def test_cannot_be_summed_up(self):
        # (busybox's ash has one of its own.)
        program = self.programs / 'sha256sum'
        program.write_text('#!/bin/sh\nexit 3\n')
        program.chmod(0o755)
        self.fail_to(disk.write(1), 'sh')

    def test_nothing_to_write(self):
        for mib in (0, -1):
            self.assertRaises(ValueError, disk.write, mib)


class ReadTest(DiskTest):

    def setUp(self):
        super().setUp()
        self.file.write_bytes(os.urandom(3 * MIB))

    def test_as_root(self):
        self.allow_to_drop()
        self.provide_sudo('#!/bin/sh\nexit 9\n')
        for shell in self.each_shell():
            self.dropped.write_text('')
            self.assertEqual(self.sum(), self.succeed(disk.read(), shell))
            self.assertEqual('3\n', self.dropped.read_text())

    def test_through_sudo(self):
        self.provide_sudo(SUDO)
        for shell in self.each_shell():
            self.assertEqual(self.sum(), self.succeed(disk.read(), shell))
            self.assertEqual('3\n', self.dropped.read_text())
            shutil.rmtree(self.dropped.parent)

    def _test_neither(self):
        for shell in self.each_shell():
            self.assertIn('The page cache cannot be dropped',
                          self.fail_to(disk.read(), shell))

    def test_sudo_asks_for_a_password(self):
        self.provide_sudo('#!/bin/sh\nexit 1\n')
        self._test_neither()

    def test_sudo_may_not_either(self):
        self.provide_sudo('#!/bin/sh\nshift\nexec "$@"\n')
        self._test_neither()

    def test_the_kernel_refuses(self):
        # Writable by its mode, as it seems to root where it is not.
        self.dropped.mkdir(parents=True)
        self.provide_sudo('#!/bin/sh\nexit 1\n')
        self._test_neither()

    def test_file_is_lost(self):
        self.allow_to_drop()
        self.file.unlink()
        for shell in self.each_shell():
            self.assertIn('lm-disk', self.fail_to(disk.read(), shell))

    def test_file_has_changed(self):
        self.allow_to_drop()
        before = self.succeed(disk.write(1))
        self.assertEqual(before, self.succeed(disk.read()))
        with self.file.open('r+b') as opened:
            first = opened.read(1)
            opened.seek(0)
            opened.write(bytes([first[0] ^ 1]))
        self.assertNotEqual(before, self.succeed(disk.read()))
