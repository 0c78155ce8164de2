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

from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.guests.workloads import writes
from lm_tempest_plugin.tests.unit.guests import programs

S = 1_000_000_000
BLOCK = 4096


class WritesTest(programs.ProgramTestCase):

    def begin(self):
        workload = self.start(writes.WritesWorkload(20))
        self.wait_for(lambda: len(self.log()) >= 4)
        return workload

    def test_numbered_blocks(self):
        for shell in self.each_shell():
            workload = self.begin()
            self.assertEqual('', workload.verify(self.run_here), shell)
            log = self.log()
            self.assertEqual(list(range(len(log))),
                             [number for _, number, _ in log])
            self.assertGreaterEqual(min(took for *_, took in log), 0)
            blocks = (self.home / 'lm-disk-writes').read_text().splitlines()
            self.assertEqual(['0', '1', '2'],
                             [each.strip() for each in blocks[:3]])
            workload.stop(self.run_here)

    def test_a_write_that_was_lost(self):
        workload = self.begin()
        with open(self.home / 'lm-disk-writes', 'r+b') as opened:
            opened.seek(BLOCK)
            opened.write(bytes(BLOCK - 1) + b'\n')
        self.assertRegex(
            workload.verify(self.run_here),
            r'block 1 on the disk holds write unreadable instead of 1, which '
            r'was on the disk before \(fsync\); the last write was [0-9]+')

    def test_which_write_a_block_has_to_hold(self):
        workload = writes.WritesWorkload(4)
        for last, found, expected in (
                (2, '0 1 2', ''),
                # One more meanwhile.
                (1, '0 1 2', ''),
                (257, '256 257 2', ''),
                (257, '256 1 2', 'block 1 on the disk holds write 1 instead '
                 'of 257'),
                (2, '0 1 unreadable', 'block 2 on the disk holds write '
                 'unreadable instead of 2')):
            answers = iter(['', f'{last}\n{found}'])
            self.assertIn(expected, workload.verify(
                lambda command, answers=answers: next(answers)))
            if not expected:
                answers = iter(['', f'{last}\n{found}'])
                self.assertEqual('', workload.verify(
                    lambda command, answers=answers: next(answers)))

    def test_a_disk_that_fails(self):
        workload = self.begin()
        (self.home / 'lm-disk-writes').unlink()
        (self.home / 'lm-disk-writes').mkdir()
        self.wait_for((self.memory / 'lm-disk' / 'problem').exists)
        self.assertRegex(workload.verify(self.run_here),
                         'write [0-9]+ failed: .*')

    def test_the_longest_write_of_the_migration(self):
        done = [program.Work(at_s * S, number, took_s)
                for number, (at_s, took_s) in enumerate(
                    ((10, 9.0), (12, 0.1), (15, 0.5), (21, 2.0), (25, 4.0)))]
        workload = writes.WritesWorkload(4)
        for begin_s, end_s, expected in (
                (11, 20, 2.0), (11, 18, 0.5), (11, 14, 0.1), (26, 30, None)):
            self.assertEqual(expected, workload.figures(
                done, begin_s * S, end_s * S).disk_stall_s, begin_s)
