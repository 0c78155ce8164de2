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
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.tests.live_migration_ha import test_drain
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import simulation


class DrainTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        options = self.conf.live_migration_ha
        options.drain_servers, options.round_trips = 6, 1
        options.batch_sizes, options.window_size = [1, 4], 3

    def drain(self, name):
        """Run a test that has to pass; return strategies and hosts."""
        self.passes(self.new(test_drain.DrainTest, f'test_drain_in_{name}'))
        return [(str(plan.strategy), plan.destination)
                for plan in self.plans]

    def test_batches_of_each_size_there_and_back(self):
        made = self.drain('batches')
        self.assertEqual(['beta', 'alpha'] * 2, [host for _, host in made])
        self.assertEqual({'batch of 1', 'batch of 4'},
                         {strategy for strategy, _ in made})
        self.builder.build.assert_called_once_with(6, 'alpha')
        self.builder.write_disks.assert_called_once_with(*self.guests)
        self.probes.finish.assert_called_once_with(
            self.conf.live_migration_ha.drain_timeout)
        for plan in self.plans:
            self.assertEqual([each.server_id for each in self.guests],
                             [each.server_id for each in plan.servers])

    def test_an_existing_stack(self):
        options = self.conf.live_migration_ha
        options.stack_id = 'uuid'
        guests = self.build(3, 'beta')
        stacked = mock.Mock()
        stacked.adopt_stack.return_value = mock.Mock(), guests
        self.passes(self.new(test_drain.DrainTest, 'test_drain_in_window',
                             build_stacks=lambda test: stacked))
        self.assertEqual(['alpha', 'beta'],
                         [plan.destination for plan in self.plans])
        self.assertEqual({3}, {len(plan.servers) for plan in self.plans})
        self.builder.build.assert_not_called()

    def test_round_trips(self):
        self.conf.live_migration_ha.round_trips = 2
        self.assertEqual([('window of 3', 'beta'),
                          ('window of 3', 'alpha')] * 2,
                         self.drain('window'))
        self.assertEqual([1, 1, 2, 2], [
            plan.round_trip for plan in self.plans])

    def test_each_round_trip_has_all_sizes_in_an_order_of_its_own(self):
        options = self.conf.live_migration_ha
        options.batch_sizes, options.round_trips = [1, 2, 3, 4], 5
        there = [strategy for strategy, host in self.drain('batches')
                 if host == 'beta']
        orders = [tuple(there[number:number + 4])
                  for number in range(0, 20, 4)]
        self.assertEqual({tuple(sorted(orders[0]))},
                         {tuple(sorted(order)) for order in orders})
        self.assertGreater(len(set(orders)), 1)

    def test_a_configured_source(self):
        self.conf.compute.migration_source_host = 'beta'
        made = self.drain('window')
        self.builder.build.assert_called_once_with(6, 'beta')
        self.assertEqual(['alpha', 'beta'], [host for _, host in made])

    def test_a_configured_destination(self):
        self.conf.compute.migration_dest_host = 'alpha'
        self.assertEqual(['alpha', 'beta'], [
            host for _, host in self.drain('window')])

    def test_as_many_servers_as_there_is_room_for(self):
        self.builder.room.side_effect = lambda *_: 3
        self.drain('window')
        self.builder.room.assert_called_once_with(6, 2, 'alpha', 'beta')
        self.builder.build.assert_called_once_with(3, 'alpha')

    def test_not_even_two(self):
        self.builder.room.side_effect = placement.NoRoom('no room for 2')
        outcome, _ = self.run_test(self.new(
            test_drain.DrainTest, 'test_drain_in_window'))
        self.assertEqual('addError', outcome)
        self.builder.build.assert_not_called()

    def test_a_problem_ends_it(self):
        self.problems = [fakes.problem()]
        self.fails(self.new(test_drain.DrainTest, 'test_drain_in_batches'),
                   'the verdict is stuck')
        self.assertEqual(1, len(self.plans))

    def test_harm_between_two_drains(self):
        self.streams['192.0.2.5'] = fakes.stream(lost=1)
        self.fails(self.new(test_drain.DrainTest, 'test_drain_in_window'),
                   'server server-5: tcp-stream:')

    def test_time_enough(self):
        options = self.conf.live_migration_ha
        for sizes, number, trips, expected in (
                ([1], 2, 1, 2), ([1, 2, 3], 12, 2, 24)):
            options.batch_sizes, options.drain_servers = sizes, number
            options.round_trips = trips
            kind = type('DrainTest', (test_drain.DrainTest,), {})
            kind.skip_checks()
            self.assertEqual(expected, kind.TIMEOUT_SCALING_FACTOR)


class RoomTest(fakes.LiveMigrationHaTestCase):
    """The room for a drain, with the clients that a drain has."""

    def setUp(self):
        super().setUp()
        self.cloud = simulation.Cloud(0)
        self.owner = mock.Mock()
        self.owner.flavors_client.show_flavor.return_value = {'flavor': {
            'name': 'small', 'vcpus': 2, 'ram': 2048, 'disk': 20,
            'OS-FLV-EXT-DATA:ephemeral': 4, 'swap': ''}}
        self.limits = {
            'maxTotalInstances': -1, 'totalInstancesUsed': 1,
            'maxTotalCores': -1, 'maxTotalRAMSize': -1}
        self.owner.limits_client.show_limits.side_effect = (
            lambda: {'limits': {'absolute': self.limits}})
        self.total = {'VCPU': 100, 'MEMORY_MB': 100000, 'DISK_GB': 1000}
        self.used = {}
        self.cloud.list_resource_provider_inventories = lambda uuid: {
            'inventories': {
                name: {'total': total, 'reserved': 0, 'allocation_ratio': 1}
                for name, total in self.total.items()}}
        self.cloud.list_resource_provider_usages = lambda uuid: {
            'usages': self.used.get(uuid, {})}
        self.lifted = self.useFixture(fixtures.MockPatchObject(
            placement, 'lift_quota', autospec=True)).mock

    def room(self, fewest=2):
        return builder.GuestBuilder(
            mock.Mock(), self.owner, self.cloud.clients,
            builder.GuestOptions.of(self.conf)).room(
                6, fewest, 'alpha', 'beta')

    def test_as_many_as_are_wanted(self):
        self.assertEqual(6, self.room())

    def test_as_many_as_both_hosts_can_take(self):
        for uuid in ('uuid-of-alpha', 'uuid-of-beta'):
            self.used = {uuid: {'MEMORY_MB': 100000 - 4 * 2048 - 1}}
            self.assertEqual(4, self.room())
            # With ephemeral disks.
            self.used = {uuid: {'DISK_GB': 1000 - 3 * 24}}
            self.assertEqual(3, self.room())

    def test_not_even_two(self):
        self.used = {'uuid-of-beta': {'VCPU': 97}}
        exc = self.assertRaises(placement.NoRoom, self.room)
        for part in ('2 servers of flavor small', 'host alpha has room for 41',
                     'host beta has room for 1'):
            self.assertIn(part, str(exc))

    def test_fewer_than_it_takes(self):
        self.used = {'uuid-of-beta': {'VCPU': 94}}
        self.assertEqual(3, self.room(3))
        exc = self.assertRaises(placement.NoRoom, self.room, 4)
        self.assertIn('4 servers of flavor small', str(exc))

    def test_as_many_as_the_project_may_have(self):
        self.limits['maxTotalInstances'] = 5
        self.conf.auth.use_dynamic_credentials = False
        self.assertEqual(4, self.room())
        # It is somebody else's project.
        self.lifted.assert_not_called()

    def test_the_quota_of_a_project_made_for_the_tests_is_lifted(self):
        self.conf.auth.use_dynamic_credentials = True
        self.assertEqual(6, self.room())
        self.assertEqual(self.owner.credentials.project_id,
                         self.lifted.call_args.args[1])

    def test_a_flavor_that_does_not_exist(self):
        self.owner.flavors_client.show_flavor.side_effect = (
            lib_exc.NotFound('42'))
        self.assertRaises(lib_exc.NotFound, self.room)
