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

import urllib3

from lm_tempest_plugin.hosts import change
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.migration import concurrency
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import test_cells
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders

OBSERVED = concurrency.Observed('alpha', 2, 1, 1.5, 9.0, 0.0, None)


class CellsTestCase(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.conf.live_migration_ha_hosts.ssh_user = 'nova'
        self.conf.live_migration_ha.storage = 'shared'
        self.options = self.conf.live_migration_ha_cells
        self.options.tunnelled = [False]
        self.evidence = None
        self.kind = type('CellsTest', (test_cells.CellsTest,), {
            'skipException': AssertionError})

    def prepare(self, **settings):
        """Return the test, with what it asks for noted."""
        for name, values in settings.items():
            setattr(self.options, name, values)
        self.kind.skip_checks()
        self.changed, self.trips, self.built = mock.Mock(), [], []
        test = self.kind('test_each_cell')
        test.reach = mock.Mock(changed=lambda: self.changed)
        test.choose_hosts = lambda: ('alpha', 'beta')
        test.create_guests = self.build
        test.start_watch = mock.Mock()
        test.read_boot_ids = lambda *fleet: {}
        test.write_disks = lambda *fleet: {'server-0': 'abc'}
        test.assert_disks = mock.Mock()
        test.flavor_id = lambda flavor: flavor and 'id-of-' + flavor
        test.new_move = mock.Mock(return_value=builders.move())
        test.assert_unharmed = mock.Mock()
        test.delete_guests = mock.Mock()
        test.fitting = mock.Mock(
            side_effect=lambda wanted, fewest, *hosts: wanted)
        test._warm_up = mock.Mock()
        test.travel = self.travel
        test.report = mock.Mock()
        self.test = test
        return test

    def build(self, number, host, flavor=''):
        self.built.append((number, host, flavor))
        return [fakes.guest()] * number

    def travel(self, trip):
        self.trips.append(trip)
        return tempest_base.Arrival(
            drain.Drained([], [OBSERVED], 0, 0, 1, 0),
            [builders.finding(self.evidence) for _ in trip.guests], [])

    def set_values(self):
        return [{str(option): value for option, value in call.args[0].items()}
                for call in self.changed.set.mock_calls]


class SkipTest(CellsTestCase):

    def test_without_settings(self):
        self.options.tunnelled = []
        self.skipped('no settings')

    def skipped(self, *parts):
        exc = self.assertRaises(AssertionError, self.kind.skip_checks)
        for part in parts:
            self.assertIn(part, str(exc))

    def test_without_storage(self):
        self.conf.live_migration_ha.storage = ''
        self.skipped('storage')

    def test_time_enough_for_all_cells(self):
        self.options.tunnelled = [False, True]
        self.options.flavors = ['1', '2', '3']
        self.kind.skip_checks()
        self.assertEqual(24, self.kind.TIMEOUT_SCALING_FACTOR)
        self.conf.live_migration_ha.round_trips = 3
        self.kind.skip_checks()
        self.assertEqual(64, self.kind.TIMEOUT_SCALING_FACTOR)


class EachCellTest(CellsTestCase):

    def test_every_cell_with_every_flavor_and_a_drain(self):
        test = self.prepare(tunnelled=[False, True], flavors=['1', '2'])
        test.test_each_cell()
        self.assertEqual(
            {'False', 'True'},
            {values['[libvirt]live_migration_tunnelled']
             for values in self.set_values()})
        self.assertEqual(
            [(1, 'alpha', 'id-of-1'), (1, 'alpha', 'id-of-2'),
             (4, 'alpha', '')] * 2,
            self.built)
        self.assertEqual(['beta', 'alpha'] * 6,
                         [trip.destination for trip in self.trips])
        self.assertEqual([mock.call('alpha', 'beta')] * 2,
                         test._warm_up.mock_calls)
        # One guest twice for each of two flavors, and four.
        self.assertEqual(2 * 2 * (1 + 1 + 4), len(test.rows))
        self.assertEqual(6, test.delete_guests.call_count)
        test.doCleanups()
        self.changed.restore.assert_called_once_with()
        self.changed.close.assert_called_once_with()

    def test_round_trips(self):
        self.conf.live_migration_ha.round_trips = 3
        test = self.prepare(tunnelled=[False], drain_servers=0)
        test.test_each_cell()
        self.assertEqual(
            [(number, host) for number in (1, 2, 3)
             for host in ('beta', 'alpha')],
            [(trip.number, trip.destination) for trip in self.trips])
        test.delete_guests.assert_called_once()

    def test_a_guest_that_is_not_measured_goes_first(self):
        test = self.prepare(tunnelled=[False], drain_servers=0)
        del test._warm_up
        test.test_each_cell()
        self.assertEqual(['beta', 'alpha'] * 2,
                         [trip.destination for trip in self.trips])
        self.assertEqual(2, len(test.rows))
        self.assertGreater(self.trips[0].bounds.max_outage_s,
                           self.trips[2].bounds.max_outage_s)
        self.assertEqual(2, test.delete_guests.call_count)

    def test_what_is_set_is_declared(self):
        self.conf.live_migration_ha.tunnelled = False
        test = self.prepare(tunnelled=[True])
        test.test_each_cell()
        self.assertEqual(cells.Cell(tunnelled=True), test.declared.cell)
        self.assertEqual(cells.Storage.SHARED, test.declared.storage)

    def test_a_window_that_keeps_the_host_busy(self):
        self.prepare(max_concurrent_live_migrations=[3]).test_each_cell()
        self.assertEqual('window of 4', str(self.trips[-1].strategy))

    def test_servers_that_have_to_stay(self):
        self.conf.live_migration_ha.storage = 'block'
        self.evidence = builders.evidence(server=builders.server())
        self.conf.live_migration_ha.round_trips = 3
        self.prepare(tunnelled=[True]).test_each_cell()
        trip, = self.trips
        self.assertEqual('beta', trip.destination)
        self.assertNotIn(verdicts.Kind.COMPLETED, trip.expected)
        self.test.assert_disks.assert_called_once()

    def test_a_nova_that_leaves_them_in_error(self):
        self.conf.live_migration_ha.storage = 'block'
        self.conf.live_migration_ha.recovers_from_failure = False
        self.evidence = builders.evidence(
            server=builders.server(status='ERROR'))
        self.prepare(tunnelled=[True]).test_each_cell()
        self.assertEqual((verdicts.Kind.INCONSISTENT,),
                         self.trips[0].expected)

    def test_nova_compute_does_not_start_as_it_should_not(self):
        test = self.prepare(tunnelled=[True], native_tls=[True])
        self.changed.set.side_effect = service.NotStarted('host alpha')
        test.test_each_cell()
        self.assertEqual([], self.trips)

    def test_nova_compute_starts_though_it_should_not(self):
        test = self.prepare(tunnelled=[True], native_tls=[True])
        exc = self.assertRaises(test.failureException, test.test_each_cell)
        self.assertIn('tunnelled on, native tls on', str(exc))

    def test_a_host_that_refuses_fails_its_cell_alone(self):
        test = self.prepare(max_concurrent_live_migrations=[1, 2])
        self.changed.set.side_effect = [remote.HostError('host alpha: no'),
                                        None]
        exc = self.assertRaises(test.failureException, test.test_each_cell)
        self.assertIn('1 of 2 cells', str(exc))
        self.assertIn('host alpha: no', str(exc))
        self.assertEqual(4, len(self.trips))

    def test_bounds_of_a_cell(self):
        self.options.max_outage = {'tunnelled': 2.0}
        self.prepare(tunnelled=[True]).test_each_cell()
        self.assertEqual(
            (2.0, self.conf.live_migration_ha.max_stall),
            (self.trips[0].bounds.max_outage_s,
             self.trips[0].bounds.max_stall_s))

    def test_hosts_that_are_not_put_back_end_it(self):
        test = self.prepare(max_concurrent_live_migrations=[1, 2])
        self.changed.set.side_effect = change.NotRestored('host alpha: no')
        self.assertRaises(change.NotRestored, test.test_each_cell)
        self.assertEqual(1, self.changed.set.call_count)

    def test_guests_of_a_cell_that_fails_are_deleted(self):
        test = self.prepare(tunnelled=[False], drain_servers=0)
        test.report.side_effect = test.failureException('bad')
        self.assertRaises(test.failureException, test.test_each_cell)
        test.delete_guests.assert_called_once()
        test.start_watch.return_value.stop.assert_called_once_with()

    def test_as_many_are_drained_as_there_is_room_for(self):
        test = self.prepare(max_concurrent_live_migrations=[2])
        test.fitting.side_effect = None
        test.fitting.return_value = 3
        test.test_each_cell()
        # One more than run at once, at least.
        test.fitting.assert_called_once_with(4, 3, 'alpha', 'beta')
        self.assertEqual([(1, 'alpha', ''), (3, 'alpha', '')], self.built)

    def fails_alone(self, exc):
        """Let a guest of the first cell not answer; test two cells."""
        test = self.prepare(tunnelled=[False, True], drain_servers=0)
        watched = mock.Mock()
        test.start_watch.side_effect = [exc, watched]
        said = str(self.assertRaises(
            test.failureException, test.test_each_cell))
        self.assertIn('1 of 2 cells', said)
        self.assertIn(str(exc), said)
        self.assertEqual(2, len(self.trips))
        # Also those that never answered.
        self.assertEqual([mock.call(fakes.guest())] * 2,
                         test.delete_guests.mock_calls)
        watched.stop.assert_called_once_with()

    def test_a_guest_that_does_not_answer_fails_its_cell_alone(self):
        for exc in (errors.NotAnswering('192.0.2.1: silent'),
                    errors.BadEcho('192.0.2.1: no echo'),
                    ConnectionResetError('reset'),
                    urllib3.exceptions.HTTPError('no answer')):
            self.fails_alone(exc)

    def test_a_mistake_of_ours_ends_it(self):
        test = self.prepare(tunnelled=[False, True])
        test.start_watch.side_effect = TypeError('what?')
        self.assertRaises(TypeError, test.test_each_cell)
        test.delete_guests.assert_called_once()

    def test_guests_go_though_their_watch_has_died(self):
        test = self.prepare(tunnelled=[False], drain_servers=0)
        test.start_watch.return_value.stop.side_effect = (
            errors.ProbeError('died'))
        exc = self.assertRaises(test.failureException, test.test_each_cell)
        self.assertIn('died', str(exc))
        test.delete_guests.assert_called_once()

    def test_a_server_that_did_not_stay(self):
        self.conf.live_migration_ha.storage = 'block'
        test = self.prepare(tunnelled=[True])
        self.evidence = builders.evidence(
            server=builders.server(host='beta'))
        exc = self.assertRaises(test.failureException, test.test_each_cell)
        self.assertIn("'beta'", str(exc))

    def test_a_row(self):
        test = self.prepare(tunnelled=[False], drain_servers=0)
        test.test_each_cell()
        table = test_cells.tabulate(test.rows)
        for part in ('Outage (s)', 'tunnelled off', ' completed ', ' good '):
            self.assertIn(part, table)
        self.assertEqual(2, table.count('tunnelled off'))

    def test_no_row(self):
        self.assertIsInstance(test_cells.tabulate([]), str)
