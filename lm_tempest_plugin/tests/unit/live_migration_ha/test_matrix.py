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

import testtools
import urllib3

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.hosts import nova_conf
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import undo_log
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import test_matrix
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes

Kind = verdict.Kind


class MatrixTestCase(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.conf.live_migration_ha_hosts.ssh_user = 'nova'
        self.conf.live_migration_ha.storage = 'shared'
        self.options = self.conf.live_migration_ha_matrix
        self.options.tunnelled = [False]
        # Programs of workloads print nothing.
        self.builder.run.return_value = ''
        self.kind = type('MatrixTest', (test_matrix.MatrixTest,), {})

    def new_test(self, **options):
        """Return a test with other options of the matrix."""
        for name, values in options.items():
            setattr(self.options, name, values)
        self.kind.skip_checks()
        self.changes = mock.create_autospec(
            nova_conf.NovaConfChanges, instance=True)
        # A result that is a mock would note that it is compared.
        self.changes.close.return_value = None
        self.changes.restore.return_value = None
        return self.new(self.kind, 'test_all_settings', hosts=mock.Mock(
            changes=lambda: self.changes))

    def set_values(self):
        return [{str(option): value for option, value in call.args[0].items()}
                for call in self.changes.set.mock_calls]

    def measured(self):
        return [plan for plan in self.plans if plan.measured]

    def assert_restored(self):
        names = [name for name, *_ in self.changes.mock_calls]
        self.assertEqual(['restore', 'close'], names[-2:])


class SkipTest(MatrixTestCase):

    def assert_skipped(self, *parts):
        exc = self.assertRaises(
            testtools.TestCase.skipException, self.kind.skip_checks)
        for part in ('MatrixTest skipped', *parts):
            self.assertIn(part, str(exc))

    def test_without_settings(self):
        self.options.tunnelled = []
        self.assert_skipped('no settings')

    def test_without_storage(self):
        self.conf.live_migration_ha.storage = ''
        self.assert_skipped('storage is not set')

    def test_time_for_all_settings(self):
        self.options.tunnelled = [False, True]
        self.options.flavors = ['1', '2', '3']
        self.kind.skip_checks()
        self.assertEqual(24, self.kind.TIMEOUT_SCALING_FACTOR)
        self.conf.live_migration_ha.round_trips = 3
        self.kind.skip_checks()
        self.assertEqual(64, self.kind.TIMEOUT_SCALING_FACTOR)
        self.options.workloads = ['idle', 'disk']
        self.kind.skip_checks()
        self.assertEqual(124, self.kind.TIMEOUT_SCALING_FACTOR)


class MatrixTest(MatrixTestCase):

    def test_all_settings_with_every_flavor_and_a_drain(self):
        test = self.new_test(tunnelled=[False, True], flavors=['1', '2'])
        self.passes(test)
        details = test.getDetails()
        self.assertEqual(
            {'False', 'True'},
            {values['[libvirt]live_migration_tunnelled']
             for values in self.set_values()})
        self.assertEqual(
            [mock.call(1, 'alpha'), mock.call(1, 'alpha', 'id-of-1'),
             mock.call(1, 'alpha', 'id-of-2'), mock.call(4, 'alpha')] * 2,
            self.builder.build.call_args_list)
        self.assertEqual(['beta', 'alpha'] * 8, [
            plan.destination for plan in self.plans])
        # One guest twice for each of two flavors, and four.
        rows = test.table.rows
        self.assertEqual(2 * 2 * (1 + 1 + 4), len(rows))
        self.assertEqual(f'{test.table}\n', fakes.text(details['matrix']))
        self.assertEqual('application', details['matrix'].content_type.type)
        self.assert_deleted_as_built()
        self.changes.check.assert_called_once_with()
        self.assert_restored()

    def test_round_trips(self):
        self.conf.live_migration_ha.round_trips = 3
        self.passes(self.new_test(drain_servers=0))
        self.assertEqual(
            [(number, host) for number in (1, 2, 3)
             for host in ('beta', 'alpha')],
            [(plan.round_trip, plan.destination)
             for plan in self.measured()])
        self.assertEqual(2, self.builder.delete.call_count)

    def test_a_guest_that_is_not_measured_goes_first(self):
        test = self.new_test(drain_servers=0)
        self.passes(test)
        self.assertEqual([False, False, True, True], [
            plan.measured for plan in self.plans])
        self.assertEqual(['beta', 'alpha'] * 2, [
            plan.destination for plan in self.plans])
        # It is not in the table.
        self.assertEqual(2, len(test.table.rows))
        self.assertEqual(
            plans.Bounds.forced(self.conf.live_migration_ha),
            self.plans[0].bounds)
        self.assertGreater(self.plans[0].bounds.max_outage_s,
                           self.plans[2].bounds.max_outage_s)
        self.assert_deleted_as_built()

    def test_settings_that_are_set_replace_declared_ones(self):
        test = self.new_test(tunnelled=[True])
        test.settings = schema.Settings(storage='shared', values={
            'max_concurrent_live_migrations': 2, 'tunnelled': False})
        self.passes(test)
        self.assertEqual([schema.Settings(storage='shared', values={
            'max_concurrent_live_migrations': 2, 'tunnelled': True})],
            list({str(plan.settings): plan.settings
                  for plan in self.plans}.values()))
        # Only those of the matrix are set.
        self.assertEqual([{'[libvirt]live_migration_tunnelled': 'True'}],
                         self.set_values())

    def test_each_workload_with_every_flavor_and_a_drain(self):
        self.passes(self.new_test(
            workloads=['idle', 'memory:4'], flavors=['1', '2']))
        idle, memory = 'idle', 'memory 4 MiB/s of 16 MiB'
        # A warm-up of an idle guest, two flavors alone, and a drain.
        self.assertEqual(
            [idle] * 2 + [idle] * 6 + [memory] * 6,
            [str(plan.workload) for plan in self.plans])
        self.assertEqual(1, self.changes.set.call_count)

    def test_the_other_workloads_are_tested_after_a_failure(self):
        self.problems = lambda plan: [fakes.problem(
            server_id=plan.servers[0].server_id)] if (
                plan.workload.per_s == 99) else ()
        self.fails(self.new_test(
            workloads=['memory:99', 'memory:4'], drain_servers=0),
            '1 of 1 combinations', 'memory 99 MiB/s of 16 MiB: ')
        # A warm-up, one that fails, and a round trip.
        self.assertEqual([0, 0, 99, 4, 4],
                         [plan.workload.per_s for plan in self.plans])

    def test_the_workload_of_all_tests(self):
        self.conf.live_migration_ha.workload = 'keeper:1'
        self.passes(self.new_test(drain_servers=0))
        self.assertEqual(['idle'] * 2 + ['keeper 1 MiB/s of 16 MiB'] * 2,
                         [str(plan.workload) for plan in self.plans])

    def test_a_window_that_keeps_the_host_busy(self):
        self.passes(self.new_test(max_concurrent_live_migrations=[3]))
        self.assertEqual(plans.window(4), self.plans[-1].strategy)

    def test_servers_that_have_to_stay(self):
        self.conf.live_migration_ha.storage = 'block'
        self.conf.live_migration_ha.round_trips = 3
        self.passes(self.new_test(tunnelled=[True]))
        plan, = self.plans
        self.assertEqual('beta', plan.destination)
        self.assertEqual({Kind.ROLLED_BACK, Kind.FAILED},
                         set(plan.expected))
        self.assertEqual('ACTIVE', plan.expected_status)
        self.builder.verify.assert_called_once_with(*self.guests)

    def test_a_nova_that_leaves_them_in_error(self):
        self.conf.live_migration_ha.storage = 'block'
        self.conf.live_migration_ha.recovers_from_failure = False
        self.passes(self.new_test(tunnelled=[True]))
        self.assertEqual(
            ((Kind.INCONSISTENT,), 'ERROR'),
            (self.plans[0].expected, self.plans[0].expected_status))

    def test_a_server_that_did_not_stay(self):
        self.conf.live_migration_ha.storage = 'block'
        self.problems = [fakes.problem(
            'server-stayed', "the server is ACTIVE on host 'beta'")]
        self.fails(self.new_test(tunnelled=[True]), "'beta'")

    def test_nova_compute_does_not_start_as_expected(self):
        test = self.new_test(tunnelled=[True], native_tls=[True])
        self.changes.set.side_effect = service.NotStarted('host alpha')
        self.passes(test)
        self.assertEqual([], self.plans)
        self.assert_restored()

    def test_nova_compute_starts_unexpectedly(self):
        self.fails(self.new_test(tunnelled=[True], native_tls=[True]),
                   'tunnelled on, native tls on')

    def test_bounds_of_a_setting(self):
        self.options.max_outage = {'tunnelled': 2.0}
        self.passes(self.new_test(tunnelled=[True]))
        self.assertEqual(
            plans.Bounds(2.0, self.conf.live_migration_ha.max_stall),
            self.measured()[0].bounds)

    def test_as_many_are_drained_as_there_is_room_for(self):
        test = self.new_test(max_concurrent_live_migrations=[2])
        self.builder.room.side_effect = lambda *_: 3
        self.passes(test)
        # One more than run at once, at least.
        self.builder.room.assert_called_once_with(4, 3, 'alpha', 'beta')
        self.assertEqual(
            [mock.call(1, 'alpha'), mock.call(1, 'alpha', ''),
             mock.call(3, 'alpha')], self.builder.build.call_args_list)


class FailuresTest(MatrixTestCase):

    def first_fails(self, test, *parts):
        """Run a test whose first of two combinations fails."""
        self.fails(test, '1 of 2 combinations of settings have problems',
                   *parts)
        # The second combination: a warm-up, there and back.
        self.assertEqual(2, self.changes.set.call_count)
        self.assertEqual(['beta', 'alpha'] * 2, [
            plan.destination for plan in self.plans[-4:]])
        self.assertEqual(2, len(test.table.rows))
        self.assert_deleted_as_built()
        self.assert_restored()

    def two(self):
        return self.new_test(tunnelled=[False, True], drain_servers=0)

    def test_a_host_that_refuses(self):
        for exc in (remote.HostError('host alpha: no'),
                    undo_log.UndoLogError('host alpha: no')):
            test = self.two()
            self.changes.set.side_effect = [exc, None]
            self.guests.clear()
            self.builder.delete.reset_mock()
            self.first_fails(test, 'host alpha: no')

    def test_a_migration_with_a_problem(self):
        test = self.two()
        first, _ = test.matrix
        self.problems = lambda plan: [
            fakes.problem(server_id=plan.servers[0].server_id)] if (
                plan.settings == first and plan.measured) else ()
        self.fails(test, '1 of 2 combinations of settings have problems',
                   f'{first}: ', 'the verdict is stuck')
        # The migration that fails is in the table as well.
        self.assertEqual(['1', '0', '0'],
                         [row[-1] for row in test.table.rows])
        # Two warm-ups, one migration that fails, and one round trip.
        self.assertEqual(2 + 1 + 2 + 2, len(self.plans))
        self.assert_deleted_as_built()
        self.assert_restored()

    def test_a_guest_that_is_harmed(self):
        self.streams['192.0.2.1'] = fakes.stream(lost=1)
        self.fails(self.two(), '1 of 2 combinations', 'server server-1')
        self.assert_deleted_as_built()

    def test_a_guest_that_does_not_answer(self):
        for exc in (errors.NotAnswering('192.0.2.1: silent'),
                    errors.BadEcho('192.0.2.1: no echo'),
                    ConnectionResetError('reset'),
                    urllib3.exceptions.HTTPError('no answer')):
            test = self.two()
            self.guests.clear()
            self.builder.delete.reset_mock()
            self.probes.await_answers.side_effect = [exc, *[None] * 9]
            self.probes.stop.reset_mock()
            self.first_fails(test, str(exc))
            # One guest that never answered, and two others.
            self.assertEqual(3, self.probes.stop.call_count)

    def test_many_failures_fit_on_a_terminal(self):
        test = self.new_test(
            tunnelled=[False, True], post_copy=[False, True],
            auto_converge=[False, True], drain_servers=0)
        self.changes.set.side_effect = remote.HostError('no ' * 999)
        lines = self.terminal(test)
        self.assertLessEqual(len(lines), 40)
        for each in test.matrix:
            self.assertEqual(1, sum(
                line.startswith(f'{each}: ') for line in lines), each)

    def test_too_little_room(self):
        test = self.new_test(max_concurrent_live_migrations=[2])
        self.builder.room.side_effect = placement.NoRoom('no room for 3')
        self.fails(test, '1 of 1 combinations', 'no room for 3')

    def test_probes_that_died(self):
        self.probes.stop.side_effect = errors.ProbeError('died')
        self.fails(self.new_test(drain_servers=0), 'died')
        self.assert_deleted_as_built()

    def test_hosts_that_are_not_restored_end_it(self):
        test = self.new_test(max_concurrent_live_migrations=[1, 2])
        self.changes.set.side_effect = nova_conf.NotRestored('host alpha: no')
        outcome, details = self.run_test(test)
        self.assertEqual('addError', outcome)
        self.assertIn('NotRestored', fakes.describe(details))
        self.assertEqual(1, self.changes.set.call_count)
        self.assertIn('matrix', details)
        self.assert_restored()

    def test_a_bug_of_ours_ends_it(self):
        test = self.two()
        self.builder.inspect.side_effect = TypeError('bug')
        outcome, details = self.run_test(test)
        self.assertEqual('addError', outcome)
        self.assertIn('TypeError: bug', fakes.describe(details))
        self.assertEqual(1, self.changes.set.call_count)
        self.assert_deleted_as_built()
        self.assert_restored()

    def test_hosts_that_cannot_be_changed(self):
        test = self.two()
        self.changes.check.side_effect = remote.HostError('no sudo')
        outcome, _ = self.run_test(test)
        self.assertEqual('addError', outcome)
        self.changes.set.assert_not_called()
        self.assert_restored()


class RowsTest(MatrixTestCase):

    def rows(self, problems=(), servers=1, **changes):
        plan = plans.MigrationPlan(
            servers=tuple(plans.PlannedServer(f'server-{number}')
                          for number in range(servers)),
            destination='beta', timeouts=None, bounds=None,
            settings=schema.Settings(
                storage='shared', values={'tunnelled': False}))
        return test_matrix.rows(fakes.run(plan, problems, **changes))

    def test_a_row(self):
        row, = self.rows()
        self.assertEqual(len(test_matrix.COLUMNS), len(row))
        found = dict(zip(test_matrix.COLUMNS, row))
        self.assertIn('tunnelled off', found['Settings'])
        self.assertEqual(
            ('1', 'completed', '9.0', '0.250', '0.400', '180', 'direct',
             '1', '0'),
            tuple(found[name] for name in (
                'Servers', 'Verdict', 'Duration (s)', 'Outage (s)',
                'Stall (s)', 'Downtime (ms)', 'Transport', 'At once',
                'Problems')))

    def test_one_for_each_server(self):
        self.assertEqual(3, len(self.rows(servers=3)))

    def test_problems_of_the_server_and_of_the_hosts(self):
        one, other = self.rows(servers=2, problems=[
            fakes.problem(server_id='server-0'),
            fakes.problem('transport', 'tunnelled', server_id=None)])
        self.assertEqual(('2', '1'), (one[-1], other[-1]))

    def test_without_measurement(self):
        row, = self.rows(continuity=None, job=None)
        self.assertEqual(3, row.count(''))
