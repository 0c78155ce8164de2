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
import pathlib
import re
import shutil
import subprocess
import time

import fixtures

from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.tests.unit import base

SHELLS = {'sh': 'set -eu; ', 'bash': 'set -eu -o pipefail; ',
          'busybox ash': 'set -eu -o pipefail; '}
S = 10 ** 9
MIB = 2 ** 20
# Programs of a guest where everything works, as shell scripts.
PROGRAMS = {
    # All that needs another user.
    'sudo': 'exit 1',
    'curl': 'echo \'{"name": "x", "uuid": "server-0", "keys": []}\'',
    'ip': 'echo "2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global"',
    'udhcpc': 'echo "udhcpc: lease of 192.0.2.1 obtained, lease time 9" >&2',
    'df': 'echo "Filesystem 1 2 3 4%% x\n/dev/vda2 1 2 3 4%% /root"',
    'dmesg': 'cat @/log',
}
LOG = """\
[    1.0] clocksource: timekeeping watchdog: Marking clocksource 'tsc' as \
unstable because the skew is too large:
[    2.0] blk_update_request: I/O error, dev fd0, sector 0
[    3.0] EXT4-fs (vda2): mounted filesystem with ordered data mode
[    4.0] wget[1]: segfault at 0 ip 0 sp 0 error 4 in busybox
"""


class CommandTest(base.TestCase):

    def test_dropbear_accepts_it(self):
        # With Tempest's prologue.
        self.assertLess(len(inspection.command(inspection.PARTS)), 8900)

    def test_shells_can_read_it(self):
        for shell in SHELLS:
            if shutil.which(shell.split()[0]):
                subprocess.run([*shell.split(), '-n', '-c',
                                inspection.command(inspection.PARTS)],
                               check=True)


class ScriptTest(base.TestCase):
    """The script itself, on this machine in place of a guest."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        for name, lines in PROGRAMS.items():
            self.program(name, lines)
        self.file('log', LOG)
        self.file('mounts', '/dev/vda2 /root ext4 rw,noatime 0 0\n'
                  '/dev/vda1 /boot vfat ro 0 0\ntmpfs /tmp tmpfs ro 0 0\n')
        self.file('route', 'Iface\tDestination\nlo\t01\neth0\t00000000\t0\n')
        self.folder.joinpath('shm').mkdir()
        self.folder.joinpath('home').mkdir()
        self.disk('vda', vda1=(2048, 5 * MIB), vda2=(12288, MIB))

    def file(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)

    def program(self, name, lines):
        self.file(f'bin/{name}', f'#!/bin/sh\n{lines}\n'.replace(
            '@', str(self.folder)))
        (self.folder / 'bin' / name).chmod(0o755)

    def disk(self, name, size=8 * MIB, serial='', **partitions):
        """Give the guest a disk, whose content is its name.

        :param partitions: their first sectors and sizes in bytes
        """
        shutil.rmtree(self.folder / 'block' / name, ignore_errors=True)

        def device(path, size, written):
            self.file(f'{path}/size', f'{size // 512}\n')
            # The discarded sectors come after the written ones.
            self.file(f'{path}/stat',
                      f'1 0 2 3 4 5 {written} 7 0 8 9 1 0 1 0\n')
            self.file(f'dev/{path.rpartition("/")[2]}',
                      (name.encode() * size)[:size])

        device(f'block/{name}', size, 10)
        self.file(f'block/{name}/serial', serial)
        for part, (start, length) in partitions.items():
            device(f'block/{name}/{part}', length, 2)
            self.file(f'block/{name}/{part}/start', f'{start}\n')

    def inspect(self, *parts, within='sh', **values):
        """Run the script as Tempest does, with files of the test's own.

        :param within: the shell
        :param values: of the script's variables
        """
        command = inspection.command(parts or inspection.PARTS)
        for name, value in values.items():
            command = re.sub(f'^{name}=.*', f'{name}={value}', command,
                             flags=re.MULTILINE)
        for path, replacement in (
                ('/run /dev/shm /tmp', f'{self.folder}/shm'),
                ('/sys/block', f'{self.folder}/block'),
                ('"/dev/$', f'"{self.folder}/dev/$'),
                ('/proc/mounts', f'{self.folder}/mounts'),
                ('/proc/net/route', f'{self.folder}/route'),
                ('/boot/* /usr/bin/*', f'{self.folder}/bin/d*'),
                # The test's files may be where it does not work.
                ('iflag=direct', '')):
            command = command.replace(path, replacement)
        done = subprocess.run(
            [*within.split(), '-c', SHELLS[within] + command], text=True,
            env={'HOME': str(self.folder / 'home'),
                 'PATH': f'{self.folder}/bin:/usr/bin:/bin'},
            capture_output=True, timeout=60)
        self.assertEqual((0, ''), (done.returncode, done.stderr), within)
        for left in ('shm', 'home'):
            self.assertEqual([], list((self.folder / left).iterdir()))
        return inspection.parse(done.stdout, 0, 100 * S, 0.0)

    def assert_skipped(self, part, why):
        found = self.inspect(part)
        self.assertEqual(({part: why}, {}), (found.skipped, found.failed))

    def assert_failed(self, part, *parts, **values):
        found = self.inspect(part, **values)
        self.assertEqual({}, found.skipped)
        self.assertEqual([part], list(found.failed))
        for each in parts:
            self.assertIn(each, found.failed[part])

    def test_all_works(self):
        self.disk('vdb')
        for shell in filter(shutil.which, ('sh', 'bash')):
            found = self.inspect(within=shell)
            self.assertEqual(({}, {}), (found.skipped, found.failed), shell)
            self.assertEqual(
                ('server-0', '192.0.2.1', ('/root',), ('/boot',), ()),
                (found.metadata_server_id, found.leased_address,
                 found.read_write, found.read_only, found.kernel_lines))
            self.assertTrue(found.boot_id)
            self.assertIsNotNone(found.uptime_ahead_s)
            self.assertIsNotNone(found.wall_ahead_s)
            self.assertIsNotNone(found.disk_write_s)
            self.assert_disks(found)

    def test_busybox(self):
        if not shutil.which('busybox'):
            self.skipTest('busybox is not installed here')
        self.disk('vdb')
        # Of the other programs it may prefer its own.
        found = self.inspect('metadata', 'base-image', 'ephemeral-disks',
                             within='busybox ash')
        self.assertEqual(({}, {}), (found.skipped, found.failed))
        self.assertEqual('server-0', found.metadata_server_id)
        self.assert_disks(found)

    def assert_disks(self, found):
        self.assertEqual(
            ['vda1@0', 'vda1@4', 'vda@0'], sorted(found.base_image))
        self.assertEqual(['vdb@0', 'vdb@4'], sorted(found.ephemeral_disks))
        self.assertEqual({'vda': 5, 'vda1': 3, 'vda2': 3, 'vdb': 11},
                         found.written_sectors)

    def test_only_the_parts_that_are_asked_for(self):
        found = self.inspect('disk-write')
        self.assertIsNotNone(found.disk_write_s)
        self.assertEqual(('', '', {}), (
            found.metadata_server_id, found.leased_address,
            found.base_image))

    def test_metadata(self):
        self.program('curl', 'exit 22')
        self.assert_failed('metadata', 'HTTP 200', 'curl', METADATA_S=0)

    def test_dhcp(self):
        self.program('udhcpc', 'echo "udhcpc: no lease, failing"; exit 1')
        self.assert_failed('dhcp-lease', 'no answer', 'no lease, failing')
        self.program('ip', 'true')
        self.assert_skipped('dhcp-lease', 'the guest has no IPv4 address')

    def test_a_home_in_memory(self):
        self.program('df', 'echo "tmpfs 1 2 3 4%% /"')
        self.assert_skipped(
            'disk-write', 'the home directory is not on a disk')

    def test_a_file_that_cannot_be_written(self):
        self.program('dd', 'echo "dd: No space left" >&2; exit 1')
        self.assert_failed('disk-write', 'No space left')

    def test_a_log_that_cannot_be_read(self):
        self.program('dmesg', 'echo "Operation not permitted" >&2; exit 1')
        self.assert_skipped('kernel-log', 'Operation not permitted')

    def test_failures_in_the_log(self):
        lines = [
            '[120.0] INFO: task dd:7 blocked for more than 120 seconds.',
            '[121.0] watchdog: BUG: soft lockup - CPU#0 stuck for 23s!',
            '[122.0] rcu: INFO: rcu_sched self-detected stall on CPU',
            '[123.0] I/O error, dev vda, sector 8 op 0x1:(WRITE)',
            '[124.0] EXT4-fs (vda2): Remounting filesystem read-only',
            '[125.0] EXT4-fs error (device vda2): ext4_find_entry:1',
            '[126.0] BUG: unable to handle page fault for address: 0']
        self.file('log', LOG + ''.join(line + '\n' for line in lines))
        self.assertEqual(tuple(lines),
                         self.inspect('kernel-log').kernel_lines)

    def test_changed_disks(self):
        self.disk('vdb')
        before = self.inspect()
        for name in ('vda1', 'vdb'):
            path = self.folder / 'dev' / name
            path.write_bytes(path.read_bytes()[:-1] + b'?')
        after = self.inspect()
        self.assertEqual({'vda1@4', 'vdb@4'}, {
            place for found in ('base_image', 'ephemeral_disks')
            for place, value in getattr(after, found).items()
            if getattr(before, found)[place] != value})

    def test_files_of_a_root_on_a_disk(self):
        self.file('mounts', '/dev/vda2 / ext4 rw 0 0\n')
        files = {}
        for name in ('df', 'dmesg'):
            path = self.folder / 'bin' / name
            found = path.stat()
            files[f'{path}:{found.st_size}:{int(found.st_ctime)}'] = (
                hashlib.md5(path.read_bytes()).hexdigest())
        found = self.inspect('base-image').base_image
        self.assertEqual(files, {
            place: value for place, value in found.items()
            if place.startswith('/')})

    def test_a_disk_that_cannot_be_read(self):
        (self.folder / 'dev' / 'vda1').unlink()
        self.assert_failed('base-image', 'vda1@', 'cannot be read',
                           'No such file')

    def test_no_room_in_memory(self):
        self.program('dd', """case $* in
            *of=/dev/null*) exit ;;
        esac
        echo 'dd: No space left on device' >&2; exit 1""")
        found = self.inspect('base-image')
        self.assertEqual(
            ({'base-image': 'the guest has no room for temporary files'},
             {}, {}), (found.skipped, found.failed, found.base_image))

    def test_disks_of_root_only(self):
        (self.folder / 'dev' / 'vda').unlink()
        self.assert_skipped(
            'base-image', 'the disks can be read by root only')

    def test_volumes_are_left_alone(self):
        # But for one that the guest boots from.
        self.disk('vda', serial='5d0e2b7c-9f37-4c1a-a')
        self.assertEqual(['vda@0', 'vda@4'],
                         sorted(self.inspect('base-image').base_image))
        self.disk('vdb', serial='5d0e2b7c-9f37-4c1a-b')
        self.assert_skipped('ephemeral-disks', 'the guest has one disk')

    def test_a_part_that_hangs(self):
        self.program('dd', 'exec sleep 4')
        # It is killed, and nothing waits for what it has started.
        found = self.inspect('disk-write', 'kernel-log', DEADLINE_S=1)
        self.assertEqual({'disk-write': 'its commands did not end within 1 s'},
                         found.failed)


class ParseTest(base.TestCase):

    def parse(self, *lines, after_ns=12 * S):
        return inspection.parse(
            '\n'.join(['boot_id=b', 'started_s=1', 'ended_s=2', *lines]),
            10 * S, after_ns, 1000.0)

    def test_the_error_of_the_clocks_is_the_time_of_ssh(self):
        # 2 s in all and 1.5 s in the guest leave 0.25 s before or after.
        found = self.parse('started_s=5.00', 'wall_s=1003.25',
                           'ended_s=6.50')
        self.assertEqual(10.25, found.at_ns / S)
        self.assertEqual((-5.25, 0.25, 3.0, 0.25), (
            found.uptime_ahead_s, found.uptime_error_s,
            found.wall_ahead_s, found.wall_error_s))

    def test_a_wall_clock_of_whole_seconds(self):
        found = self.parse('started_s=5', 'wall_s=1003', 'ended_s=6.5')
        self.assertEqual((3.25, 0.75),
                         (found.wall_ahead_s, found.wall_error_s))

    def test_no_wall_clock(self):
        self.assertIsNone(self.parse('wall_s=').wall_ahead_s)

    def test_a_disk_that_was_written_meanwhile(self):
        found = self.parse('written:vda=1', 'written:vdb=5', 'written:vda=2',
                           'written:vdb=5', 'written:vdc=x')
        self.assertEqual({'vdb': 5}, found.written_sectors)

    def test_other_lines_are_ignored(self):
        found = self.parse('Welcome', '', 'skipped:metadata=no curl = no')
        self.assertEqual({'metadata': 'no curl = no'}, found.skipped)

    def test_other_output(self):
        for output in ('sh: not found', 'started_s=1\nboot_id=b'):
            exc = self.assertRaises(
                inspection.InspectionError, inspection.parse, output, 0, 1,
                0.0)
            self.assertIn(repr(output), str(exc))

    def test_inspect(self):
        commands = []

        def run(command):
            commands.append(command)
            return 'boot_id=b\nstarted_s=1\nended_s=2'

        self.assertEqual('b', inspection.inspect(run, ['metadata']).boot_id)
        self.assertEqual(
            [inspection.command(inspection.PARTS[1:])], commands)

    def test_a_step_of_our_own_wall_clock(self):
        """NTP may set it between two inspections."""
        now_s = time.time()
        found = []
        for step_s in (0, 3600):
            self.useFixture(fixtures.MockPatchObject(
                time, 'time', return_value=now_s + step_s))
            found.append(inspection.inspect(
                lambda command: 'boot_id=b\nstarted_s=1\nended_s=1\n'
                f'wall_s={now_s}').wall_ahead_s)
        self.assertAlmostEqual(*found, places=1)
