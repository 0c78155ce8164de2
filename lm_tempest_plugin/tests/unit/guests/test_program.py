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
import signal
import subprocess
import time

from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import disk
from lm_tempest_plugin.guests.workloads import keeper
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.guests.workloads import wordcount
from lm_tempest_plugin.guests.workloads import writes
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.guests import programs

S = 1_000_000_000
PROGRAMS = (memory.MemoryWorkload(16, 16), keeper.KeeperWorkload(2, 16),
            writes.WritesWorkload(4),
            wordcount.WordcountWorkload(100, '127.0.0.1'))


class ThroughputTest(base.TestCase):

    def test_between_two_times(self):
        done = [program.Work(at_s * S, total) for at_s, total in (
            (10, 0), (12, 20), (14, 20), (20, 80))]
        for begin_s, end_s, expected in (
                (10, 12, 10.0), (11, 13, 5.0), (12, 14, 0.0), (14, 20, 10.0),
                # The rest is not known.
                (0, 12, 10.0), (17, 99, 10.0), (0, 99, 8.0)):
            self.assertEqual(expected, program.throughput(
                done, begin_s * S, end_s * S), (begin_s, end_s))

    def test_it_is_not_known(self):
        one = program.Work(10 * S, 5)
        for done in ((), (one,), (one, program.Work(10 * S, 9)),
                     (one, program.Work(10 * S + S // 2, 9))):
            self.assertIsNone(program.throughput(done, 0, 99 * S))
        self.assertIsNone(program.throughput(
            (one, program.Work(20 * S, 9)), 30 * S, 40 * S))


class ProgramTest(programs.ProgramTestCase):

    def skipped(self, workload, shell='sh'):
        self.shell = shell
        return str(self.assertRaises(
            workloads.Skipped, workload.start, self.run_here))

    def test_negative_figures(self):
        for asked in ((-1, 1), (1, -1)):
            self.assertRaises(ValueError, keeper.KeeperWorkload, *asked)

    def test_dropbear_accepts_the_commands(self):
        for each in PROGRAMS:
            commands = []

            def run(command, commands=commands):
                commands.append(command)
                return 'skipped: enough'

            self.assertRaises(workloads.Skipped, each.start, run)
            self.assertLess(len(commands[0]), 8900, each.name)

    def test_too_little_memory(self):
        self.available.write_text('MemAvailable:  32767 kB\n')
        for shell in self.each_shell():
            self.assertEqual(
                'the guest has 31 MiB of memory available, and needs 16 MiB '
                'and 16 MiB to spare',
                self.skipped(memory.MemoryWorkload(16, 1), shell))

    def test_an_old_kernel_does_not_tell_its_memory(self):
        self.available.write_text('MemTotal:  32767 kB\n')
        self.start(memory.MemoryWorkload(1, 1))

    def test_no_tmpfs(self):
        self.mounts.write_text('/dev/vda1 / ext4 rw 0 0\n')
        for shell in self.each_shell():
            self.assertIn('the guest has no tmpfs with room for 16 MiB that ',
                          self.skipped(memory.MemoryWorkload(16, 1), shell))

    def test_a_tool_that_is_missing(self):
        workload = keeper.KeeperWorkload(1, 1)
        workload.needs = ('awk', 'lm-no-such-tool', 'setsid')
        for shell in self.each_shell():
            self.assertEqual('the guest has no lm-no-such-tool',
                             self.skipped(workload, shell))

    def test_home_is_not_on_a_disk(self):
        self.mounts.write_text(f'tmpfs {self.home} tmpfs rw 0 0\n')
        for shell in self.each_shell():
            self.assertEqual('HOME is not on a disk: tmpfs',
                             self.skipped(writes.WritesWorkload(1), shell))
        # The check is that of the file.
        self.assertIn('HOME is not on a disk', disk.locate())

    def test_a_program_that_cannot_start(self):
        (self.programs / 'dd').write_text('#!/bin/sh\necho no dd >&2\nexit 1')
        (self.programs / 'dd').chmod(0o755)
        self.assertEqual('no dd', self.skipped(memory.MemoryWorkload(1, 1)))

    def test_a_program_that_has_ended(self):
        workload = self.start(memory.MemoryWorkload(1, 1))
        self.assertEqual('', workload.verify(self.run_here))
        pid = self.memory.joinpath('lm-memory', 'pid').read_text().strip()
        subprocess.run(['kill', f'-{signal.SIGKILL}', '--', f'-{pid}'],
                       check=True)
        self.wait_for(lambda: workload.verify(self.run_here))
        self.assertIn('its program ended:', workload.verify(self.run_here))

    def test_stop_ends_all_its_processes(self):
        for shell in self.each_shell():
            workload = self.start(memory.MemoryWorkload(1, 1))
            folder = self.memory / 'lm-memory'
            pid = int(folder.joinpath('pid').read_text())
            workload.stop(self.run_here)
            self.wait_for(lambda pid=pid: not pathlib.Path(
                f'/proc/{pid}').exists())
            self.assertFalse(folder.exists(), shell)
            # Nothing to stop any more.
            workload.stop(self.run_here)

    def test_a_second_start_replaces_the_first(self):
        self.start(memory.MemoryWorkload(1, 1))
        pid = int(self.memory.joinpath('lm-memory', 'pid').read_text())
        self.start(memory.MemoryWorkload(1, 1))
        self.wait_for(lambda: not pathlib.Path(f'/proc/{pid}').exists())

    def test_progress(self):
        """Return figures by our clock, whatever the guest's uptime is."""
        workload = memory.MemoryWorkload(16, 16)
        now_ns = time.monotonic_ns()
        # From 110 s before until now, first 16 MiB each second, then 8.
        lines = [f'{cs} {total}' for cs, total in (
            *((40000 + 100 * each, each * 256) for each in range(100)),
            *((50000 + 100 * each, 25600 + each * 128)
              for each in range(11)))]
        figures = workload.progress(
            lambda command: '\n'.join(['510.00', *lines]),
            now_ns - 20 * S, now_ns - 10 * S)
        self.assertEqual('MiB', figures.unit)
        for expected, found in ((16.0, figures.before_per_s),
                                (16.0, figures.during_per_s),
                                (8.0, figures.after_per_s)):
            self.assertAlmostEqual(expected, found, delta=0.5)
        self.assertEqual(schema.WorkloadFigures().skipped, figures.skipped)

    def test_progress_in_every_shell(self):
        for shell in self.each_shell():
            workload = self.start(memory.MemoryWorkload(1, 4))
            begin_ns = time.monotonic_ns()
            self.wait_for(lambda: len(self.log()) > 8)
            figures = workload.progress(
                self.run_here, begin_ns, time.monotonic_ns())
            self.assertGreater(figures.during_per_s, 0.5, shell)
