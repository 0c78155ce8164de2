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

from lm_tempest_plugin.guests.workloads import volume
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.guests import test_disk

VOLUME_ID = '0f3a7a52-6d6e-4a3c-9a52-1d1b0f4a9f10'
MIB = test_disk.MIB


class VolumeTest(base.TestCase):
    """The commands themselves, in every shell that is installed here."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(os.path.realpath(
            self.useFixture(fixtures.TempDir()).path))
        self.blocks = folder / 'block'
        self.devices = folder / 'devices'
        self.programs = folder / 'programs'
        for each in (self.blocks, self.devices, self.programs):
            each.mkdir()
        self.dropped = folder / 'vm' / 'drop_caches'
        self.device = self.add('vda', 'serial', 'of-the-root-disk')
        self.device = self.add('vdb', 'serial', VOLUME_ID[:20])

    def add(self, name, place, serial):
        """Add a disk of 4 MiB; return the file in place of its device."""
        shown = self.blocks / name / place
        shown.parent.mkdir(parents=True)
        shown.write_bytes(serial if isinstance(serial, bytes)
                          else serial.encode())
        device = self.devices / name
        device.write_bytes(bytes(4 * MIB))
        return device

    def become_root(self):
        self.dropped.parent.mkdir(exist_ok=True)
        self.dropped.touch()

    def provide_sudo(self, script=test_disk.SUDO):
        program = self.programs / 'sudo'
        program.write_text(script)
        program.chmod(0o755)

    def start(self, command, shell='sh'):
        """Run a command as Tempest does, with files of the test's own."""
        program, prologue = test_disk.SHELLS[shell]
        for path, replacement in (
                ('/sys/block', self.blocks), ('/dev/$', '%s/$' % self.devices),
                ('/proc/sys/vm/drop_caches', self.dropped)):
            command = command.replace(path, str(replacement))
        self.assertNotIn('/dev/$', command)
        return subprocess.run(
            [*program.split(), '-c',
             prologue + 'PATH=$PATH:/sbin; ' + command],
            env={'HOME': '/', 'DROPPED': str(self.dropped),
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
        for shell, (program, _) in test_disk.SHELLS.items():
            if shutil.which(program.split()[0]):
                yield shell

    def sum(self, mib):
        return hashlib.sha256(
            self.device.read_bytes()[:mib * MIB]).hexdigest() + '\n'


class WriteTest(VolumeTest):

    def setUp(self):
        super().setUp()
        self.become_root()
        self.provide_sudo('#!/bin/sh\nexit 9\n')

    def test_sum_of_what_was_written(self):
        told = set()
        for shell in self.each_shell():
            sum = self.succeed(volume.write(VOLUME_ID, 2), shell)
            self.assertEqual(self.sum(2), sum)
            told.add(sum)
            # The rest is as it was, and so is the other disk.
            content = self.device.read_bytes()
            self.assertEqual(4 * MIB, len(content))
            self.assertEqual(bytes(2 * MIB), content[2 * MIB:])
            self.assertEqual(bytes(4 * MIB),
                             (self.devices / 'vda').read_bytes())
        # Random data, each time.
        self.assertEqual(len(list(self.each_shell())), len(told))

    def test_each_kind_of_disk_is_found(self):
        other = 'ffffffff-ffff-4fff-8fff-ffffffffffff'
        page = b'\x00\x80\x00\x24' + other.encode()
        for name, place, serial in (
                ('sda', 'device/vpd_pg80', page),
                ('nvme0n1', 'device/serial', other + '\n'),
                ('vdc', 'serial', other[:20] + '\n')):
            self.device = self.add(name, place, serial)
            for shell in self.each_shell():
                self.assertEqual(
                    self.succeed(volume.write(other, 1), shell), self.sum(1))
            shutil.rmtree(self.blocks / name)

    def test_disk_that_is_late(self):
        shutil.rmtree(self.blocks / 'vdb')
        # The disk appears while it is waited for.
        appears = self.programs / 'sleep'
        appears.write_text(
            '#!/bin/sh\nmkdir %s/vdb; echo %s > %s/vdb/serial\n' % (
                self.blocks, VOLUME_ID[:20], self.blocks))
        appears.chmod(0o755)
        self.assertEqual(
            self.succeed(volume.write(VOLUME_ID, 1), 'sh'), self.sum(1))

    def test_disk_that_never_appears(self):
        shutil.rmtree(self.blocks / 'vdb')
        for shell in self.each_shell():
            self.assertEqual(
                'No disk has a serial number with 0f3a7a52-6d6e-4a3c-9\n',
                self.fail_to(volume.write(VOLUME_ID, 1, 0), shell))

    def test_no_disk_at_all(self):
        shutil.rmtree(self.blocks)
        for shell in self.each_shell():
            self.assertIn('No disk', self.fail_to(
                volume.write(VOLUME_ID, 1, 0), shell))

    def test_disk_that_cannot_be_opened(self):
        self.device.unlink()
        for shell in self.each_shell():
            self.assertIn('vdb', self.fail_to(
                volume.write(VOLUME_ID, 1), shell))

    def test_nothing_to_write(self):
        for mib in (0, -1):
            self.assertRaises(ValueError, volume.write, VOLUME_ID, mib)


class ReadTest(VolumeTest):

    def setUp(self):
        super().setUp()
        self.device.write_bytes(os.urandom(4 * MIB))

    def test_as_root(self):
        self.become_root()
        self.provide_sudo('#!/bin/sh\nexit 9\n')
        for shell in self.each_shell():
            self.dropped.write_text('')
            self.assertEqual(
                self.sum(3), self.succeed(volume.read(VOLUME_ID, 3), shell))
            self.assertEqual('3\n', self.dropped.read_text())

    def test_through_sudo(self):
        self.provide_sudo()
        for shell in self.each_shell():
            self.assertEqual(
                self.sum(3), self.succeed(volume.read(VOLUME_ID, 3), shell))
            self.assertEqual('3\n', self.dropped.read_text())
            shutil.rmtree(self.dropped.parent)

    def test_sudo_asks_for_a_password(self):
        self.provide_sudo('#!/bin/sh\necho a password >&2; exit 1\n')
        for shell in self.each_shell():
            self.assertIn('a password', self.fail_to(
                volume.read(VOLUME_ID, 1), shell))

    def test_cache_that_cannot_be_dropped(self):
        self.provide_sudo('#!/bin/sh\nshift\nexec "$@"\n')
        for shell in self.each_shell():
            self.assertIn('drop_caches', self.fail_to(
                volume.read(VOLUME_ID, 1), shell))

    def test_what_has_changed(self):
        self.become_root()
        before = self.succeed(volume.write(VOLUME_ID, 1))
        self.assertEqual(before, self.succeed(volume.read(VOLUME_ID, 1)))
        with self.device.open('r+b') as opened:
            first = opened.read(1)
            opened.seek(0)
            opened.write(bytes([first[0] ^ 1]))
        self.assertNotEqual(before, self.succeed(volume.read(VOLUME_ID, 1)))
