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

from unittest import mock

import fixtures
import testtools

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.guests.workloads import choice
from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.tests.live_migration_ha import test_workloads
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes

TEST = 'test_all_workloads'


class WorkloadsTestCase(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.options = self.conf.live_migration_ha_matrix
        self.options.workloads = ['idle', 'memory:4']
        self.options.drain_servers = 3
        self.kind = type('WorkloadsTest', (test_workloads.WorkloadsTest,), {})
        self.program = mock.create_autospec(program.Program, instance=True)
        self.program.verify.return_value = ''
        self.useFixture(fixtures.MockPatchObject(
            choice, 'create', side_effect=lambda asked, address: (
                self.program if asked.unit else None)))

    def new_test(self):
        self.kind.skip_checks()
        return self.new(self.kind, TEST)


class SkipTest(WorkloadsTestCase):

    def test_without_workloads(self):
        self.options.workloads = []
        exc = self.assertRaises(
            testtools.TestCase.skipException, self.kind.skip_checks)
        self.assertIn('option workloads in group live_migration_ha_matrix '
                      'has no work', str(exc))

    def test_time_for_all(self):
        self.options.drain_servers = 12
        self.conf.live_migration_ha.round_trips = 3
        self.kind.skip_checks()
        self.assertEqual(48, self.kind.TIMEOUT_SCALING_FACTOR)


class WorkloadsTest(WorkloadsTestCase):

    def test_a_drain_and_back_with_each(self):
        self.conf.live_migration_ha.round_trips = 2
        test = self.new_test()
        self.passes(test)
        work = ['idle'] * 4 + ['memory 4 MiB/s of 16 MiB'] * 4
        self.assertEqual(work, [str(plan.workload) for plan in self.plans])
        self.assertEqual(
            [(number, host) for number in (1, 2)
             for host in ('beta', 'alpha')] * 2,
            [(plan.round_trip, plan.destination) for plan in self.plans])
        self.assertEqual(
            {(plans.window(4), 3)},
            {(plan.strategy, len(plan.servers)) for plan in self.plans})
        self.assertEqual([mock.call(3, 'alpha')] * 2,
                         self.builder.build.call_args_list)
        self.assertEqual(2, self.builder.delete.call_count)
        self.assertEqual(3, self.program.start.call_count)
        self.assertEqual(2 * 4 * 3, len(test.table.rows))
        self.assertEqual(f'{test.table}\n',
                         fakes.text(test.getDetails()['workloads']))

    def test_the_others_are_tested_after_a_failure(self):
        self.problems = lambda plan: [fakes.problem(
            'workload', 'memory: its program ended',
            server_id=plan.servers[0].server_id)] if (
                plan.workload.unit) else ()
        self.options.workloads = ['memory:4', 'idle']
        self.fails(self.new_test(), '1 of 2 workloads have problems',
                   'memory 4 MiB/s of 16 MiB: ', 'its program ended')
        # There only, and there and back.
        self.assertEqual(3, len(self.plans))
        self.assertEqual(2, self.builder.delete.call_count)

    def test_a_loss_after_the_last_migration(self):
        self.program.verify.return_value = 'chunk 7 was counted again'
        self.fails(self.new_test(), '1 of 2 workloads have problems',
                   'workload: memory: chunk 7 was counted again')

    def test_too_little_room(self):
        self.builder.room.side_effect = placement.NoRoom('no room for 1')
        self.fails(self.new_test(), '2 of 2 workloads', 'no room for 1')

    def test_one_guest(self):
        self.options.drain_servers = 0
        self.passes(self.new_test())
        self.assertEqual(mock.call(1, 'alpha'),
                         self.builder.build.call_args_list[0])
