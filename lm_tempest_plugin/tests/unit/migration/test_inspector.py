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

import datetime
import threading
from unittest import mock

import fixtures
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation

ADDRESS = '192.0.2.1'


class InspectorTestCase(base.TestCase):
    """Gives an inspector a clock, and one migration to beta.

    :ivar silent_from_s: when the guest stopped to answer, by the clock
    :ivar silent_until_s: when it answers again
    :ivar domains: libvirt's state of the domain by the host
    """

    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()
        self.patch(inspector, 'time', self.clock)
        self.silent_from_s = self.silent_until_s = 0.0
        self.probes = mock.create_autospec(watch.Watch, instance=True)
        self.probes.silent_s.side_effect = self.silent_s
        self.probes.continuity.return_value = builders.continuity()
        self.probes.answered_after_ns.return_value = None
        self.server = builders.server(host='beta')
        self.servers = mock.Mock()
        self.servers.show_server.side_effect = lambda server_id: {
            'server': simulation.server_body(self.server)}
        self.domains = {'alpha': '', 'beta': 'running'}
        self.hosts = mock.create_autospec(access.HostAccess, instance=True)
        self.hosts.traces.side_effect = self.traces
        self.hosts.guest_state.return_value = 'libvirt on beta: hangs'
        self.guests = mock.create_autospec(
            inspector.GuestAccess, instance=True)
        self.guests.inspect.return_value = builders.INSPECTION
        self.guests.verify.return_value = {'disk': ''}
        self.guests.progress.return_value = None
        self.look = self.useFixture(fixtures.MockPatchObject(
            reachability, 'look', side_effect=lambda addresses, before: {
                each: schema.Reachability() for each in addresses})).mock
        self.migration = builders.completed()
        self.migration.ended_ns = self.clock.monotonic_ns()

    def silent_s(self, address):
        now_s = self.clock.monotonic()
        return (now_s - self.silent_from_s
                if self.silent_from_s < now_s < self.silent_until_s else 0.02)

    def traces(self, host, server_ids):
        if self.domains[host] is None:
            raise remote.HostError(f'{host}: no SSH')
        return {each: schema.HostTraces(host=host, state=self.domains[host])
                for each in server_ids}

    def inspector(self, *planned, probes=True, hosts=True, **changes):
        return inspector.Inspector(
            builders.new_plan(*planned or [plan.PlannedServer(
                fakes.SERVER_ID, ADDRESS, builders.INSPECTION)], **changes),
            simulation.clients(servers=self.servers),
            self.probes if probes else None, self.hosts if hosts else None,
            self.guests)


class AwaitGuestsTest(InspectorTestCase):

    def await_guest(self, *planned, **changes):
        """Wait, and return for how long."""
        begin_s = self.clock.monotonic()
        self.inspected = self.inspector(*planned, **changes)
        self.inspected.await_guests([self.migration])
        return self.clock.monotonic() - begin_s

    def silence(self, from_s, until_s):
        """Let the guest be silent, in seconds from now."""
        now_s = self.clock.monotonic()
        self.silent_from_s = now_s + from_s
        self.silent_until_s = now_s + until_s

    def test_a_good_migration_takes_no_time(self):
        self.assertEqual(0, self.await_guest())
        self.servers.show_server.assert_not_called()

    def test_a_guest_that_returns(self):
        self.silence(-9, 7)
        self.assertEqual(11.0, self.await_guest())
        # The window of its probes goes on until then, so that the outage has
        # an end.
        self.inspected.inspect([self.migration])
        self.assertEqual(self.clock.monotonic_ns(),
                         self.probes.continuity.call_args.args[2])

    def test_a_guest_that_stays_silent(self):
        self.silence(-9, 9999)
        self.assertEqual(
            builders.BOUNDS.max_outage_s + builders.TIMEOUTS.return_s,
            self.await_guest())

    def test_a_silence_that_has_just_begun(self):
        """Nobody knows yet whether it is longer than the bound."""
        self.silence(-0.7, 0.9)
        self.assertEqual(1.0, self.await_guest())
        self.silence(-0.7, 4)
        self.assertEqual(6.0, self.await_guest())

    def test_a_guest_that_cannot_return_is_not_awaited(self):
        for server, domains in (
                (builders.server(status='ERROR', host='beta'), {}),
                (builders.server(status='SHUTOFF', host='beta'), {}),
                (self.server, {'beta': 'shut off'}),
                (self.server, {'beta': ''})):
            self.server = server
            self.domains.update(domains)
            self.silence(-9, 9999)
            self.assertEqual(6.0, self.await_guest())
        self.servers.show_server.side_effect = lib_exc.NotFound('gone')
        self.assertEqual(6.0, self.await_guest())

    def test_a_guest_of_which_nobody_knows_is_awaited(self):
        """Its host cannot be asked, or nova does not answer."""
        self.silence(-9, 9999)
        self.domains = {'alpha': None, 'beta': None}
        self.assertEqual(31.0, self.await_guest())
        self.assertEqual(31.0, self.await_guest(hosts=False))
        self.servers.show_server.side_effect = lib_exc.ServerFault('no')
        self.assertEqual(31.0, self.await_guest())

    def test_a_guest_may_be_on_the_host_that_cannot_be_asked(self):
        self.silence(-9, 9999)
        self.domains = {'alpha': '', 'beta': None}
        self.assertEqual(31.0, self.await_guest())

    def test_guests_that_are_not_probed_are_not_awaited(self):
        self.silence(-9, 9999)
        self.assertEqual(0, self.await_guest(probes=False))
        self.assertEqual(0, self.await_guest(
            plan.PlannedServer(fakes.SERVER_ID)))


class InspectTest(InspectorTestCase):

    def inspect(self, *planned, **changes):
        tried = self.inspector(*planned, **changes)
        found, _ = tried.inspect([self.migration])
        return found[fakes.SERVER_ID]

    def silence(self, duration_s=50.0, **changes):
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(duration_s, still_open=True))
        return self.inspect(**changes)

    def test_a_silent_guest(self):
        found = self.silence()
        self.assertEqual(schema.GuestState(
            answers=False, boot_id_before='boot-1', silent_s=50.0,
            libvirt_state='libvirt on beta: hangs'), found.guest)
        # SSH would be tried for minutes.
        self.guests.inspect.assert_not_called()
        self.hosts.guest_state.assert_called_once_with(
            'beta', fakes.SERVER_ID)

    def test_libvirt_is_asked_where_the_guest_lives(self):
        self.domains = {'alpha': 'paused', 'beta': ''}
        self.silence()
        self.hosts.guest_state.assert_called_once_with(
            'alpha', fakes.SERVER_ID)
        self.domains['alpha'] = ''
        self.assertEqual('', self.silence().guest.libvirt_state)

    def test_an_open_outage_within_the_bound(self):
        self.assertTrue(self.silence(0.9).guest.answers)
        self.assertTrue(self.silence(
            8.0, bounds=plan.Bounds(9.0, 19.0)).guest.answers)

    def test_the_inside_of_a_guest_is_left_alone(self):
        found = self.inspect(plan.PlannedServer(
            fakes.SERVER_ID, ADDRESS))
        self.assertEqual((None, {}), (found.inspection, found.workloads))
        self.guests.inspect.assert_not_called()

    def test_what_was_read_in_a_guest(self):
        found = self.inspect()
        self.assertEqual(
            (builders.INSPECTION, {'disk': ''}, 'boot-1', ''),
            (found.inspection, found.workloads, found.guest.boot_id_after,
             found.guest.boot_id_error))

    def test_ssh_that_never_works_ends(self):
        def fail(server_id):
            self.clock.sleep(300)
            raise lib_exc.TempestException('no SSH')

        self.guests.inspect.side_effect = fail
        tried = self.inspector()
        errors = [
            tried.inspect([self.migration])[0][fakes.SERVER_ID]
            .guest.boot_id_error for _ in range(3)]
        self.assertEqual(2, self.guests.inspect.call_count)
        self.assertEqual(
            'not tried: SSH to other guests took 600 s in vain', errors[2])

    def test_guests_are_inspected_side_by_side(self):
        """Each of them waits until all are being read."""
        together = threading.Barrier(3)

        def read(*_):
            together.wait(timeout=5)
            return builders.INSPECTION

        self.guests.inspect.side_effect = read
        self.guests.seen_from_neighbour.side_effect = (
            lambda addresses: {} if read() else None)
        other = builders.completed()
        other.request = builders.new_request(
            server=builders.server(server_id='two'))
        other.ended_ns = self.migration.ended_ns
        found, reachable = self.inspector(
            plan.PlannedServer(fakes.SERVER_ID, ADDRESS, builders.INSPECTION),
            plan.PlannedServer('two', '192.0.2.2', builders.INSPECTION)
        ).inspect([self.migration, other])
        self.assertEqual({fakes.SERVER_ID, 'two'}, set(found))
        self.assertEqual({fakes.SERVER_ID}, set(reachable))

    def test_a_guest_that_returned_before_the_drain_ended(self):
        """Its outage began in the window of its migration."""
        end_ns = self.migration.ended_ns
        self.inspect()
        self.probes.answered_after_ns.assert_called_once_with(ADDRESS, end_ns)
        self.assertEqual(end_ns, self.probes.continuity.call_args.args[2])
        self.probes.answered_after_ns.return_value = end_ns + 60 * poll.NS
        self.inspect()
        self.assertEqual(end_ns + 60 * poll.NS + 1,
                         self.probes.continuity.call_args.args[2])


class ReachabilityTest(InspectorTestCase):

    def reachability(self, *planned, **changes):
        return self.inspector(*planned, **changes).reachability(
            [builders.server(addresses=('10.0.0.5', 'fd00::5'))])

    def test_all_addresses_and_the_probed_one(self):
        self.guests.seen_from_neighbour.return_value = {
            fakes.SERVER_ID: ('10.0.0.5',)}
        found = self.reachability()
        self.look.assert_called_once_with(
            {fakes.SERVER_ID: (ADDRESS, '10.0.0.5', 'fd00::5')}, {})
        self.guests.seen_from_neighbour.assert_called_once_with(
            {fakes.SERVER_ID: ('10.0.0.5', 'fd00::5')})
        self.assertEqual(('10.0.0.5',),
                         found[fakes.SERVER_ID].from_neighbour)

    def test_no_neighbour(self):
        self.guests.seen_from_neighbour.return_value = {}
        self.assertIsNone(
            self.reachability()[fakes.SERVER_ID].from_neighbour)

    def test_the_answers_before_are_compared(self):
        self.guests.seen_from_neighbour.return_value = {}
        tried = self.inspector()
        tried.before([builders.server()])
        tried.reachability([builders.server()])
        self.assertEqual(tried.reachable_before,
                         self.look.call_args.args[1])

    def test_the_hardware_before(self):
        found = schema.GuestHardware(machine='pc-i440fx-9.2')
        self.hosts.traces.side_effect = lambda host, server_ids: {
            server_id: schema.HostTraces(
                host=host, hardware=found if number else None)
            for number, server_id in enumerate(server_ids)}
        tried = self.inspector(probes=False)
        tried.before([
            builders.server(server_id=server_id, host=host)
            for server_id, host in (
                ('one', 'alpha'), ('two', 'beta'), ('three', 'alpha'))])
        # One command on each host; the first guest there does not run.
        self.assertEqual(
            [mock.call('alpha', ['one', 'three']), mock.call('beta', ['two'])],
            self.hosts.traces.call_args_list)
        self.assertEqual({'three': found}, tried.hardware_before)

    def test_the_hardware_before_of_a_host_that_does_not_answer(self):
        self.domains['alpha'] = None
        tried = self.inspector()
        tried.before([builders.server()])
        self.assertEqual({}, tried.hardware_before)
        self.assertEqual(['alpha: no SSH'], tried.host_errors)

    def test_nothing_is_sent_in_vain(self):
        for changes in (
                {'probes': False},
                {'leave_out': dict.fromkeys(
                    inspector.PACKET_CHECKS, 'option')}):
            self.assertEqual({}, self.reachability(**changes))
        self.look.assert_not_called()
        self.reachability(plan.PlannedServer(fakes.SERVER_ID))
        self.look.assert_called_once_with({}, {})
        self.guests.seen_from_neighbour.assert_not_called()


class HostsTest(InspectorTestCase):

    def test_traces(self):
        tried = self.inspector()
        self.assertEqual(
            {fakes.SERVER_ID: builders.traces()},
            tried.traces(['alpha', 'beta', 'alpha', ''], [fakes.SERVER_ID]))
        self.assertEqual([], tried.host_errors)

    def test_a_host_that_cannot_be_asked_is_missing(self):
        self.domains['alpha'] = None
        tried = self.inspector()
        self.assertEqual(
            {fakes.SERVER_ID: builders.traces(beta='running')},
            tried.traces(['alpha', 'beta'], [fakes.SERVER_ID]))
        self.assertEqual(['alpha: no SSH'], tried.host_errors)

    def test_no_access(self):
        self.hosts.has.side_effect = lambda host: host == 'beta'
        self.assertEqual(
            {fakes.SERVER_ID: builders.traces(beta='running')},
            self.inspector().traces(['alpha', 'beta'], [fakes.SERVER_ID]))
        self.assertEqual({}, self.inspector(hosts=False).traces(
            ['alpha'], [fakes.SERVER_ID]))

    def test_logs_of_both_hosts(self):
        self.hosts.logs.side_effect = lambda host, *_: [
            schema.HostLog(host=host, name='qemu')]
        since = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.assertEqual(['alpha', 'beta'], [
            each.host for each in self.inspector().logs(
                self.migration, since)])
        self.hosts.logs.assert_called_with(
            'beta', fakes.SERVER_ID, 'req-1', since - inspector.LOG_MARGIN)

    def test_logs_that_cannot_be_read(self):
        self.hosts.logs.side_effect = remote.HostError('alpha: no SSH')
        tried = self.inspector()
        self.assertEqual((), tried.logs(
            self.migration, datetime.datetime.now(datetime.UTC)))
        self.assertIn('alpha: no SSH', tried.host_errors)

    def test_hosts_of_a_migration(self):
        for expected, snapshots, changes in (
                (['alpha', 'beta'], [], {}),
                (['alpha'], [], {'destination': ''}),
                (['alpha', 'gamma'], [[builders.record(
                    'running', destination='gamma')]], {'destination': ''})):
            self.assertEqual(expected, inspector.hosts_of(
                builders.migration(
                    *(builders.snapshot(1, each) for each in snapshots),
                    **changes)))


class CopyTest(InspectorTestCase):

    def job(self, sent, remaining=500):
        return schema.LibvirtJob(
            memory_bytes_processed=sent, memory_bytes_remaining=remaining)

    def test_two_readings(self):
        self.hosts.running_job.side_effect = [self.job(100), self.job(100)]
        found = self.inspector().copy(self.migration)
        self.assertEqual(copying.Pace.STANDS_STILL, found.pace)
        self.assertEqual([inspector.COPY_INTERVAL_S], self.clock.slept_s)
        self.hosts.running_job.assert_called_with('alpha', fakes.SERVER_ID)

    def copying(self, status='running'):
        """Return a migration of which nova shows a standstill."""
        followed = builders.migration(
            builders.snapshot(30, [builders.record(status)]))
        followed.progress += [
            builders.progress(at_s, builders.GIB) for at_s in (5, 20)]
        return followed

    def test_libvirt_knows_that_nothing_is_copied(self):
        for jobs in ([None], [self.job(1), None]):
            self.hosts.running_job.side_effect = jobs
            self.assertIsNone(self.inspector().copy(self.copying()))

    def test_where_libvirt_cannot_be_asked_nova_s_figures_have_to_do(self):
        self.hosts.running_job.side_effect = remote.HostError('time-out')
        for tried in (self.inspector(), self.inspector(hosts=False)):
            self.assertIn('by nova', tried.copy(self.copying()).text)
            self.assertIsNone(tried.copy(self.copying('completed')))
            self.assertIsNone(tried.copy(self.migration))


class WorkloadTest(InspectorTestCase):

    WORK = schema.WorkloadFigures(unit='MiB', before_per_s=16.0)
    MEMORY = schema.WorkloadChoice(name='memory', unit='MiB', per_s=16.0)

    def setUp(self):
        super().setUp()
        self.guests.progress.return_value = self.WORK
        self.hosts.dirty_rates.return_value = {fakes.SERVER_ID: 3e7}

    def work(self, **changes):
        """Return the figures of a guest's work."""
        inspected = self.inspector(**changes)
        inspected.before([builders.server()])
        found, _ = inspected.inspect([self.migration])
        return found[fakes.SERVER_ID].work

    def test_figures_of_guest_and_libvirt(self):
        found = self.work(workload=self.MEMORY)
        self.assertEqual((16.0, 3e7),
                         (found.before_per_s, found.dirty_bytes_per_s))
        self.guests.progress.assert_called_once_with(
            fakes.SERVER_ID, self.migration.request.requested_ns,
            self.migration.ended_ns)

    def test_idle_guests_are_not_measured(self):
        self.guests.progress.return_value = None
        self.assertIsNone(self.work())
        self.hosts.dirty_rates.assert_not_called()

    def test_a_host_that_cannot_measure(self):
        self.hosts.dirty_rates.side_effect = remote.HostError('old libvirt')
        inspected = self.inspector(workload=self.MEMORY)
        inspected.before([builders.server()])
        # That is no problem of the migration.
        self.assertEqual([], inspected.host_errors)
        self.assertIsNone(inspected.inspect([self.migration])[0][
            fakes.SERVER_ID].work.dirty_bytes_per_s)

    def test_without_access(self):
        self.assertIsNone(self.work(
            hosts=False, workload=self.MEMORY).dirty_bytes_per_s)
