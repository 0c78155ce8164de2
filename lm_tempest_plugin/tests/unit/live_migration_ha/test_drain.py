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

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import test_drain
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class DrainTestCase(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.cloud = simulation.Cloud(0)
        self.owner = mock.Mock()
        self.flavor = {
            'name': 'small', 'vcpus': 2, 'ram': 2048, 'disk': 20,
            'OS-FLV-EXT-DATA:ephemeral': 4, 'swap': ''}
        self.limits = {
            'maxTotalInstances': -1, 'totalInstancesUsed': 1,
            'maxTotalCores': -1, 'maxTotalRAMSize': -1}
        self.owner.limits_client.show_limits.side_effect = (
            lambda: {'limits': {'absolute': self.limits}})
        self.owner.flavors_client.show_flavor.side_effect = (
            lambda ref: {'flavor': self.flavor})
        kind = type('DrainTest', (test_drain.DrainTest,), {
            'clients': self.cloud.clients, 'owner': self.owner,
            'os_admin': mock.Mock(),
            'microversion': '2.84'})
        self.test = kind('test_drain_in_batches')


class PlanTest(DrainTestCase):

    def setUp(self):
        super().setUp()
        self.trips, self.names = [], []
        self.test.create_guests = mock.Mock(
            return_value=[fakes.guest(), fakes.guest('server-1')])
        self.test.start_watch = mock.Mock()
        self.test.read_boot_ids = lambda *fleet: {'server-0': 'boot-1'}
        self.test.assert_unharmed = mock.Mock()
        self.test.write_disks = mock.Mock(return_value={'server-0': 'sum'})
        self.test.assert_disks = mock.Mock()
        self.test.travel = self.travel
        self.test.report = lambda arrival, name: self.names.append(name)
        options = self.conf.live_migration_ha
        options.drain_servers, options.round_trips = 6, 1
        options.batch_sizes, options.window_size = [1, 4], 3

    def travel(self, trip):
        self.trips.append((str(trip.strategy), trip.destination))
        return tempest_base.Arrival(
            drain.Drained([], [], 0, 0, 1, 0), [], [])

    def test_batches_of_each_size_to_and_fro(self):
        self.test.test_drain_in_batches()
        self.assertEqual(['beta', 'alpha'] * 2, [
            host for _, host in self.trips])
        self.assertEqual(
            {'batch of 1', 'batch of 4'},
            {strategy for strategy, _ in self.trips})
        self.test.create_guests.assert_called_once_with(6, 'alpha')
        self.test.assert_unharmed.assert_called_once_with(
            self.test.start_watch.return_value)
        fleet = self.test.create_guests.return_value
        self.test.write_disks.assert_called_once_with(*fleet)
        self.test.assert_disks.assert_called_once_with(
            {'server-0': 'sum'}, *fleet)

    def test_round_trips(self):
        self.conf.live_migration_ha.round_trips = 2
        self.test.test_drain_in_window()
        self.assertEqual([('window of 3', 'beta'),
                          ('window of 3', 'alpha')] * 2, self.trips)
        # Each has a name of its own, for the details of the result.
        self.assertEqual(4, len(set(self.names)))

    def test_each_round_trip_has_all_sizes_in_an_order_of_its_own(self):
        options = self.conf.live_migration_ha
        options.batch_sizes, options.round_trips = [1, 2, 3, 4], 5
        self.test.test_drain_in_batches()
        there = [strategy for strategy, host in self.trips if host == 'beta']
        trips = [tuple(there[number:number + 4])
                 for number in range(0, 20, 4)]
        self.assertEqual({tuple(sorted(trips[0]))},
                         {tuple(sorted(trip)) for trip in trips})
        self.assertGreater(len(set(trips)), 1)

    def test_the_hosts_that_are_wanted(self):
        self.conf.compute.migration_source_host = 'beta'
        self.test.test_drain_in_window()
        self.test.create_guests.assert_called_once_with(6, 'beta')
        self.assertEqual(['alpha', 'beta'], [
            destination for _, destination in self.trips])

    def test_the_destination_that_is_wanted(self):
        self.conf.compute.migration_dest_host = 'alpha'
        self.test.test_drain_in_window()
        self.assertEqual(['alpha', 'beta'], [
            destination for _, destination in self.trips])

    def test_time_enough_for_all_of_it(self):
        options = self.conf.live_migration_ha
        for sizes, number, trips, expected in (
                ([1], 2, 1, 2), ([1, 2, 3], 12, 2, 24)):
            options.batch_sizes, options.drain_servers = sizes, number
            options.round_trips = trips
            kind = type(self.test)
            kind.skip_checks()
            self.assertEqual(expected, kind.TIMEOUT_SCALING_FACTOR)


class FittingTest(DrainTestCase):

    def setUp(self):
        super().setUp()
        self.total = {'VCPU': 100, 'MEMORY_MB': 100000, 'DISK_GB': 1000}
        self.used = {}
        self.cloud.list_resource_provider_inventories = lambda uuid: {
            'inventories': {
                name: {'total': total, 'reserved': 0, 'allocation_ratio': 1}
                for name, total in self.total.items()}}
        self.cloud.list_resource_provider_usages = lambda uuid: {
            'usages': self.used.get(uuid, {})}

    def number(self, fewest=2):
        return self.test.fitting(6, fewest, 'alpha', 'beta')

    def test_as_many_as_are_wanted(self):
        self.assertEqual(6, self.number())

    def test_as_many_as_both_hosts_can_take(self):
        for uuid in ('uuid-of-alpha', 'uuid-of-beta'):
            self.used = {uuid: {'MEMORY_MB': 100000 - 4 * 2048 - 1}}
            self.assertEqual(4, self.number())
            # With ephemeral disks.
            self.used = {uuid: {'DISK_GB': 1000 - 3 * 24}}
            self.assertEqual(3, self.number())

    def test_not_even_two(self):
        self.used = {'uuid-of-beta': {'VCPU': 97}}
        exc = self.assertRaises(preflight.CannotMove, self.number)
        for part in ('2 servers of flavor small', 'host alpha has room for 41',
                     'host beta has room for 1'):
            self.assertIn(part, str(exc))

    def test_not_as_many_as_it_takes(self):
        self.used = {'uuid-of-beta': {'VCPU': 94}}
        self.assertEqual(3, self.number(3))
        exc = self.assertRaises(preflight.CannotMove, self.number, 4)
        self.assertIn('4 servers of flavor small', str(exc))

    def test_as_many_as_the_project_may_have(self):
        lifted = self.test.os_admin.quotas_client.update_quota_set
        self.limits['maxTotalInstances'] = 5
        self.conf.auth.use_dynamic_credentials = False
        self.assertEqual(4, self.number())
        # It is somebody else's project.
        lifted.assert_not_called()

    def test_a_project_of_our_own_gets_what_it_needs(self):
        self.conf.auth.use_dynamic_credentials = True
        self.assertEqual(6, self.number())
        lifted = self.test.os_admin.quotas_client.update_quota_set
        self.assertEqual(self.owner.credentials.project_id,
                         lifted.call_args.args[0])

    def test_a_flavor_that_is_unknown(self):
        self.owner.flavors_client.show_flavor.side_effect = (
            lib_exc.NotFound('42'))
        self.assertRaises(lib_exc.NotFound, self.number)


class LegTest(DrainTestCase):

    def test_what_is_moved_is_not_changed(self):
        trips = []
        self.test.travel = lambda trip: trips.append(trip) or mock.Mock(
            drained=mock.Mock(observed=[]))
        self.test.report = mock.Mock()
        trip = tempest_base.Trip(
            [fakes.guest()], 'beta', None, {}, builders.move(),
            strategies.batches(2))
        self.test._leg(trip, 'name')
        self.assertEqual([trip], trips)
        self.assertEqual('name', self.test.report.call_args.args[1])
