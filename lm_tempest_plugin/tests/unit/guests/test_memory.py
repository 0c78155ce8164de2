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

from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.tests.unit.guests import programs


class MemoryTest(programs.ProgramTestCase):

    def target(self):
        return (self.memory / 'lm-memory' / 'target').read_bytes()

    def test_no_memory(self):
        self.assertRaises(ValueError, memory.MemoryWorkload, 0)

    def test_all_memory_is_written_with_other_data_each_time(self):
        for _ in self.each_shell():
            workload = self.start(memory.MemoryWorkload(1, 0))
            self.wait_for(lambda: len(self.target()) == 2 ** 20)
            first = self.target()
            # libvirt compares samples of pages. Data come back after some
            # passes, so that two readings may be equal by chance.
            self.wait_for(lambda first=first:
                          self.target()[:4096] != first[:4096])
            workload.stop(self.run_here)

    def test_the_rate(self):
        self.start(memory.MemoryWorkload(2, 4))
        self.wait_for(lambda: len(self.log()) >= 9)
        log = self.log()
        # A turn is 1 MiB, each 0.25 s or later.
        self.assertEqual([16], list({after[1] - before[1] for before, after
                                     in zip(log, log[1:])}))
        self.assertGreaterEqual(log[8][0] - log[0][0], 190)

    def test_a_sleep_that_knows_whole_seconds_only(self):
        (self.programs / 'sleep').write_text(
            '#!/bin/sh\ncase $1 in (*.*) exit 1 ;; esac\n'
            'exec /bin/sleep "$1"\n')
        (self.programs / 'sleep').chmod(0o755)
        self.start(memory.MemoryWorkload(2, 4))
        self.wait_for(lambda: len(self.log()) >= 2)
        first, second, *_ = self.log()
        # One turn a second.
        self.assertEqual(64, second[1] - first[1])
