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

import dataclasses
import types

from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

OPTIONS = types.SimpleNamespace(
    max_outage=1.0, max_stall=3.0, max_forced_outage=20.0,
    migration_timeout=300.0, migration_timeout_per_gib_ram=60.0,
    migration_timeout_per_gib_disk=30.0, settle_timeout=50.0,
    poll_interval=0.5, poll_error_timeout=70.0, return_timeout=330.0,
    grace_time=4.0)


class StrategyTest(base.TestCase):

    def test_a_batch_waits_for_all(self):
        found = plan.batches(3)
        self.assertEqual([3, 0, 0, 0], [found.room(n) for n in range(4)])
        self.assertEqual('batch of 3', str(found))

    def test_a_window_is_filled_up(self):
        found = plan.window(3)
        self.assertEqual([3, 2, 1, 0, 0], [found.room(n) for n in range(5)])
        self.assertEqual('window of 3', str(found))
        self.assertEqual('window of 3, 1 per host',
                         str(plan.window(3, per_host=1)))

    def test_one_at_a_time(self):
        self.assertEqual([1, 0], [
            plan.ONE_AT_A_TIME.room(n) for n in range(2)])

    def test_a_size_of_0_is_refused(self):
        for make, name in ((plan.batches, 'batch'), (plan.window, 'window')):
            exc = self.assertRaises(ValueError, make, 0)
            self.assertIn(f'size of a {name} is 0', str(exc))


class BoundsTest(base.TestCase):

    def test_bounds_of_a_configuration(self):
        self.assertEqual(plan.Bounds(1.0, 3.0), plan.Bounds.of(OPTIONS))

    def test_a_forced_migration_may_stall_twice_as_long_as_its_outage(self):
        self.assertEqual(plan.Bounds(20.0, 41.0),
                         plan.Bounds.forced(OPTIONS))


class TimeoutsTest(base.TestCase):

    def test_timeouts_of_a_configuration(self):
        self.assertEqual(
            plan.Timeouts(base_s=300.0, per_gib_ram_s=60.0,
                          per_gib_disk_s=30.0, settle_s=50.0,
                          poll_interval_s=0.5, poll_error_s=70.0,
                          return_s=330.0, grace_s=4.0),
            plan.Timeouts.of(OPTIONS))

    def test_by_size(self):
        timeouts = plan.Timeouts.of(OPTIONS)
        server = builders.server(ram_gib=2.0, disk_gib=20.0)
        self.assertEqual(420, timeouts.migration_s(server, False))
        self.assertEqual(1020, timeouts.migration_s(server, True))


class MigrationPlanTest(base.TestCase):

    def test_defaults(self):
        found = builders.new_plan()
        self.assertEqual(
            ((verdict.Kind.COMPLETED,), '', plan.ONE_AT_A_TIME, 1, True, {}),
            (found.expected, found.expected_status, found.strategy,
             found.round_trip, found.measured, found.leave_out))

    def test_a_planned_server_by_its_uuid(self):
        one, other = map(plan.PlannedServer, ('one', 'other'))
        self.assertIs(other, builders.new_plan(one, other).planned('other'))

    def test_a_plan_cannot_be_changed(self):
        self.assertRaises(dataclasses.FrozenInstanceError, setattr,
                          builders.new_plan(), 'destination', 'alpha')

    def test_destinations(self):
        found = builders.new_plan(
            plan.PlannedServer('one'),
            plan.PlannedServer('two', destination='gamma'),
            plan.PlannedServer('three', destination=''))
        self.assertEqual(
            ['beta', 'gamma', ''],
            list(map(found.destination_of, ('one', 'two', 'three'))))
