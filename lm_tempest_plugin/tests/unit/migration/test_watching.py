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

from concurrent import futures
import datetime
import pathlib
from unittest import mock

import fixtures
import msgspec
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration import cloud_poller
from lm_tempest_plugin.migration import late_probes
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import telemetry
from lm_tempest_plugin.migration import watching
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation
from lm_tempest_plugin.tests.unit.results import builders as results


class AtOnce(futures.Executor):
    """An executor that does the work when it is submitted."""

    def __init__(self, workers):
        assert workers

    def submit(self, work, *args):
        done = futures.Future()
        try:
            done.set_result(work(*args))
        except Exception as exc:
            done.set_exception(exc)
        return done


class WatcherTestCase(base.TestCase):
    """Others migrate servers of a simulated cloud."""

    servers = 3

    def setUp(self):
        super().setUp()
        self.cloud = simulation.Cloud(self.servers, limit=2)
        simulation.use_clock(self, self.cloud.clock)
        self.patch(watching, 'time', self.cloud.clock)
        self.patch(futures, 'ThreadPoolExecutor', AtOnce)
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.file = results_file.ResultsFile(
            self.directory, 'a run', results.run)
        self.options = configuration.read_checked().live_migration_ha
        self.begun, self.runs = [], []
        self.hosts = self.metrics = None
        self.probed = ''

    def watcher(self, since_s=0.0, **kwargs):
        clock = self.cloud.clock
        return watching.Watcher(
            watching.WatchContext(
                self.cloud.clients, self.options, schema.Settings(),
                self.file, self.hosts, self.metrics, self.probed),
            cloud_poller.CloudPoller(
                self.cloud.clients, 1.0, 60.0, since_s,
                clock=clock.monotonic_ns, sleep=clock.sleep), **{
                'on_begin': self.begun.append,
                'on_judged': self.runs.append, **kwargs})

    def migrate(self, number=0, host='beta'):
        """Let somebody else request a live migration."""
        self.cloud.live_migrate_server(f'server-{number}', host=host)

    def steps(self, watcher, number=15):
        for _ in range(number):
            watcher.step()
            watcher.pause()

    def watch(self, *numbers, steps=15, **kwargs):
        """Return a watcher that was there when servers were migrated."""
        watcher = self.watcher(**kwargs)
        self.steps(watcher, 2)
        for number in numbers:
            self.migrate(number)
        self.steps(watcher, steps)
        return watcher

    def read(self):
        return store.read(pathlib.Path(self.directory).glob('*.jsonl'),
                          keep_details=True)


class VerdictTest(WatcherTestCase):

    def assert_one(self, watcher, verdict, *parts, checks=('verdict',)):
        """Assert one judged migration with problems, and return its line."""
        run, = self.runs
        result, = run.results
        self.assertEqual(({verdict: 1}, 1, []), (
            watcher.verdicts, watcher.bad, watcher.migrations))
        self.assertEqual(list(checks), [each.check for each in run.problems])
        for part in parts:
            self.assertIn(part, result.cause)
        return result

    def test_completed_migrations(self):
        watcher = self.watch(0, 1)
        self.assertEqual(({'completed': 2}, 0, []), (
            watcher.verdicts, watcher.bad, watcher.migrations))
        self.assertEqual(['server-0', 'server-1'], [
            each.request.server_id for each in self.begun])
        self.assertEqual([[], []], [each.problems for each in self.runs])
        self.assertEqual(['req-1', 'req-2'], [
            each.results[0].request_id for each in self.runs])

    def test_one_that_is_rolled_back(self):
        self.cloud.outcomes['server-0'] = 'failed'
        watcher = self.watch(0)
        self.assert_one(watcher, 'rolled back', 'failed while copying')
        self.assertEqual(['server-0'], list(watcher.failures))

    def test_a_policy_that_hides_instance_actions(self):
        """Earlier records must not count as those of this request."""
        self.cloud.outcomes['server-0'] = 'failed'
        self.cloud.old_records.append(builders.record(
            'completed', 1000, server_id='server-0'))
        self.cloud.list_instance_actions = mock.Mock(
            side_effect=lib_exc.Forbidden('no'))
        result = self.assert_one(self.watch(0), 'rolled back')
        self.assertEqual(('', 1), (result.request_id, len(result.records)))

    def test_one_that_is_tried_again_with_success(self):
        self.cloud.outcomes['server-0'] = 'failed'
        watcher = self.watch(0)
        self.cloud.outcomes.clear()
        self.migrate()
        self.steps(watcher)
        self.assertEqual({'rolled back': 1, 'completed': 1},
                         watcher.verdicts)
        self.assertEqual({}, watcher.failures)

    def test_one_that_is_stuck(self):
        """And only once, although it is MIGRATING for ever."""
        self.cloud.stuck.add('server-0')
        watcher = self.watch(0, steps=1200)
        result = self.assert_one(
            watcher, 'stuck', 'waited', 'the copy stands still', checks=(
                'verdict', 'server-status', 'one-record'))
        self.assertEqual('copy-stands-still', result.signature)

    def test_a_request_that_was_lost(self):
        watcher = self.watcher()
        self.steps(watcher, 1)
        self.cloud.change('server-0', status='MIGRATING',
                          task_state='migrating')
        self.steps(watcher, 1200)
        result = self.assert_one(watcher, 'stuck', checks=(
            'verdict', 'server-status', 'one-record'))
        self.assertEqual('request-lost', result.signature)

    def test_a_request_that_nova_refused(self):
        watcher = self.watcher()
        self.steps(watcher, 1)
        self.cloud.change('server-0', status='MIGRATING',
                          task_state='migrating')
        self.steps(watcher, 3)
        self.assertEqual(1, len(watcher.migrations))
        self.cloud.change('server-0', status='ACTIVE', task_state=None)
        self.steps(watcher, 3)
        self.assertEqual(([], {}, []), (
            watcher.migrations, watcher.verdicts, self.begun))

    def test_a_record_that_comes_late(self):
        watcher = self.watcher()
        self.steps(watcher, 1)
        self.cloud.change('server-0', status='MIGRATING',
                          task_state='migrating')
        self.steps(watcher, 3)
        self.migrate()
        self.steps(watcher)
        self.assertEqual({'completed': 1}, watcher.verdicts)
        self.assertEqual(0, watcher.bad)

    def test_one_that_a_user_aborted(self):
        """nova calls the record failed, and nobody has to be told."""
        self.cloud.outcomes['server-0'] = 'failed'
        watcher = self.watch(0, steps=3)
        self.cloud.act('server-0', actions.CANCEL)
        self.steps(watcher)
        self.assertEqual(({'cancelled': 1}, 0),
                         (watcher.verdicts, watcher.bad))

    def test_an_abort_that_came_too_late(self):
        watcher = self.watch(0, steps=3)
        self.cloud.act('server-0', actions.CANCEL)
        self.steps(watcher)
        self.assertEqual(({'completed': 1}, 0),
                         (watcher.verdicts, watcher.bad))

    def test_an_abort_of_the_next_migration(self):
        """It does not explain why this one has failed."""
        self.cloud.outcomes['server-0'] = 'failed'
        watcher = self.watch(0, steps=3)
        self.cloud.act('server-0', actions.LIVE_MIGRATION)
        self.cloud.act('server-0', actions.CANCEL)
        self.steps(watcher)
        self.assertEqual(({'rolled back': 1}, 1),
                         (watcher.verdicts, watcher.bad))

    def test_one_that_nobody_aborted(self):
        """nova itself gives up after [libvirt] completion_timeout."""
        self.cloud.outcomes['server-0'] = 'cancelled'
        self.assert_one(self.watch(0), 'cancelled')

    def test_a_server_that_a_user_deleted(self):
        self.cloud.stuck.add('server-0')
        watcher = self.watch(0, steps=3)
        self.cloud.act('server-0', actions.DELETE)
        self.cloud.delete('server-0')
        self.steps(watcher)
        result = self.assert_one(watcher, 'lost', checks=(
            'verdict', 'server-exists'))
        self.assertEqual('server-deleted', result.signature)

    def test_a_paused_server(self):
        self.cloud.change('server-0', vm_state='paused')
        watcher = self.watch(0, steps=2)
        self.assertEqual('PAUSED', self.begun[0].request.server.status)
        self.steps(watcher)
        # The simulated one is ACTIVE afterwards.
        self.assert_one(watcher, 'inconsistent', 'was PAUSED', checks=(
            'verdict', 'server-status'))

    def test_one_that_ended_between_two_snapshots(self):
        self.cloud.durations_s['server-0'] = 0.1
        watcher = self.watcher()
        self.steps(watcher, 1)
        self.migrate()
        self.cloud.clock.sleep(0.2)
        self.cloud.list_servers()
        self.steps(watcher, 3)
        self.assertEqual(({'completed': 1}, 0),
                         (watcher.verdicts, watcher.bad))

    def test_servers_that_are_migrated_back_at_once(self):
        self.cloud.durations_s['server-0'] = 1.5
        watcher = self.watch(0, steps=2)
        self.cloud.clock.sleep(1)
        self.cloud.list_servers()
        self.assertEqual('beta', self.cloud.servers['server-0'].host)
        self.cloud.durations_s['server-0'] = 8
        self.migrate(host='alpha')
        self.steps(watcher, 20)
        self.assertEqual(({'completed': 2}, 0), (
            watcher.verdicts, watcher.bad))
        first, second = (each.results[0] for each in self.runs)
        self.assertEqual([('alpha', 'beta'), ('beta', 'alpha')], [
            (each.source, each.destination) for each in (first, second)])
        # The server says nothing about the first one any more.
        self.assertEqual({watching.OVERTAKEN}, {
            outcome.reason for outcome in self.runs[0].drain.checks
            if outcome.check in ('server-status', 'allocations')})
        self.assertEqual(1, len(first.records))

    def test_one_migrated_back_where_the_policy_hides_actions(self):
        self.cloud.list_instance_actions = mock.Mock(
            side_effect=lib_exc.Forbidden('no'))
        self.test_servers_that_are_migrated_back_at_once()

    def test_a_request_that_was_lost_after_others(self):
        """The migration before the watch explains only itself."""
        self.migrate()
        watcher = self.watcher()
        self.steps(watcher, 12)
        self.migrate(host='alpha')
        self.steps(watcher, 12)
        self.assertEqual({'completed': 1}, watcher.verdicts)
        self.cloud.change('server-0', status='MIGRATING',
                          task_state='migrating')
        self.steps(watcher, 3)
        self.assertEqual(1, len(watcher.migrations))

    def test_a_server_that_is_stopped_afterwards(self):
        """While it is judged: nobody but nova knows."""
        def stop(migration):
            self.stopping = True

        watcher = self.watch(0, steps=2, on_begin=stop)
        shown = self.cloud.show_server

        def show(server_id):
            if self.cloud.servers[server_id].host == 'beta':
                self.cloud.act(server_id, 'stop')
                self.cloud.change(server_id, status='SHUTOFF')
            return shown(server_id)

        self.cloud.show_server = show
        self.steps(watcher)
        self.assertTrue(self.stopping)
        self.assertEqual(({'completed': 1}, 0), (
            watcher.verdicts, watcher.bad))
        self.assertEqual('SHUTOFF', self.cloud.servers['server-0'].status)

    def test_the_hosts_are_asked_as_in_tests(self):
        self.hosts = mock.create_autospec(access.HostAccess, instance=True)
        self.hosts.traces.side_effect = lambda host, server_ids: {
            server_id: schema.HostTraces(host=host, state='running')
            for server_id in server_ids}
        self.hosts.logs.return_value = []
        self.hosts.running_job.return_value = None
        self.assert_one(self.watch(0), 'runs twice', 'alpha and beta',
                        checks=('verdict', 'domains'))
        self.hosts.observe.assert_not_called()


class ProbeTest(WatcherTestCase):

    def setUp(self):
        super().setUp()
        self.probes = mock.create_autospec(
            late_probes.LateWatch, instance=True)
        self.probes.continuity.return_value = builders.continuity()
        self.probes.silent_s.return_value = 0.05
        self.probes.answered_after_ns.return_value = None
        self.start = self.useFixture(fixtures.MockPatchObject(
            late_probes, 'start', return_value=(
                '192.0.2.1', self.probes))).mock
        self.packets = self.useFixture(fixtures.MockPatchObject(
            reachability, 'look')).mock

    def test_an_outage_is_judged_as_in_tests(self):
        self.probed = 'floating'
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(1.2))
        watcher = self.watch(0)
        self.assertEqual((['outage'], 1), (
            [each.check for each in self.runs[0].problems], watcher.bad))
        self.start.assert_called_once_with(
            self.begun[0].request.server, 'floating',
            self.options.probe_interval)
        self.assertEqual('192.0.2.1', self.probes.continuity.call_args[0][0])
        self.probes.stop.assert_called_once_with()
        # Guests of others get echo requests, and nothing else.
        self.packets.assert_not_called()

    def test_one_that_is_in_flight_at_the_end(self):
        watcher = self.watch(0, steps=2)
        watcher.close()
        self.probes.stop.assert_called_once_with()

    def test_a_guest_that_does_not_answer(self):
        self.start.return_value = '', None
        watcher = self.watch(0)
        self.assertEqual(({'completed': 1}, 0),
                         (watcher.verdicts, watcher.bad))
        self.assertIsNone(self.runs[0].results[0].continuity)


class BeforeTest(WatcherTestCase):
    """Migrations that go on when the watch begins."""

    def stamp(self):
        """Let the newest record be created now, by the simulated clock."""
        self.cloud.records[-1] = msgspec.structs.replace(
            self.cloud.records[-1], created_at=datetime.datetime.fromtimestamp(
                self.cloud.clock.time_ns() / fakes.S,
                datetime.UTC).replace(tzinfo=None).isoformat())

    def test_they_are_not_followed(self):
        self.migrate()
        watcher = self.watcher()
        self.steps(watcher)
        self.assertEqual((1, 0, {}), (
            watcher.not_followed, watcher.adopted, watcher.verdicts))
        self.migrate(1)
        self.steps(watcher)
        self.assertEqual({'completed': 1}, watcher.verdicts)

    def test_they_are_followed_on_demand(self):
        self.migrate()
        self.stamp()
        self.cloud.clock.sleep(2)
        watcher = self.watcher(since_s=2e9, adopt=True)
        self.steps(watcher)
        self.assertEqual((0, 1, {'completed': 1}), (
            watcher.not_followed, watcher.adopted, watcher.verdicts))
        result, = self.read().migrations
        # Nobody knows when it began to copy.
        self.assertEqual((), result.phases)
        self.assertGreaterEqual(result.transitions[0].uncertainty_s, 2)

    def test_a_server_that_has_not_changed_for_long(self):
        """nova does not list it as changed, and it is there all the same."""
        self.cloud.stuck.add('server-0')
        self.migrate()
        listed = self.cloud.list_servers
        self.cloud.list_servers = lambda **query: (
            listed() and {'servers': []} if 'changes-since' in query
            else listed(**query))
        watcher = self.watcher(since_s=600, adopt=True)
        self.steps(watcher, 20)
        migration, = watcher.migrations
        self.assertEqual('MIGRATING', migration.server.status)
        # It was read once, and not with each snapshot.
        self.assertEqual(1, self.cloud.calls.count('show_server'))

    def test_those_that_have_ended_are_never_followed(self):
        self.migrate()
        self.cloud.clock.sleep(6)
        self.cloud.list_servers()
        self.cloud.clock.sleep(6)
        watcher = self.watcher(since_s=600, adopt=True)
        self.steps(watcher)
        self.assertEqual((0, 0, {}), (
            watcher.not_followed, watcher.adopted, watcher.verdicts))

    def test_the_time_before_does_not_count_for_the_timeout(self):
        self.cloud.stuck.add('server-0')
        self.migrate()
        self.cloud.records[0] = builders.record(
            'accepted', 1, server_id='server-0', uuid='uuid-1',
            # More than an hour ago, by the simulated clock.
            created_at='1970-01-01T00:00:01')
        watcher = self.watcher(since_s=2e9, adopt=True)
        self.steps(watcher, 3)
        migration, = watcher.migrations
        self.assertGreater(migration.duration_s, 3600)
        self.assertEqual('', migration.timed_out)

    def test_one_that_is_too_old_for_the_snapshots(self):
        self.cloud.change('server-0', status='MIGRATING',
                          task_state='migrating')
        self.cloud.old_records.append(builders.record(
            'running', 1000, server_id='server-0'))
        watcher = self.watcher()
        self.steps(watcher, 600)
        self.assertEqual(([], {}), (watcher.migrations, watcher.verdicts))
        # It is asked for once.
        self.assertEqual(1, self.cloud.calls.count(
            'list_migrations_of_server'))


class FollowTest(WatcherTestCase):

    def test_the_time_of_the_request(self):
        """The record tells it, within two snapshots."""
        watcher = self.watcher()
        self.steps(watcher, 2)
        began_ns = self.cloud.clock.monotonic_ns()
        self.cloud.clock.sleep(0.4)
        self.migrate()
        self.cloud.clock.sleep(0.6)
        for created_s, expected_s in ((0.3, 0.3), (-7, -1.0), (99, 1.0)):
            with self.subTest(created_s=created_s):
                self.cloud.records[0] = builders.record(
                    'running', 1, server_id='server-0', uuid='uuid-1',
                    created_at=datetime.datetime.fromtimestamp(
                        (began_ns / fakes.S) + 3600 + created_s,
                        datetime.UTC).replace(tzinfo=None).isoformat())
                snapshot = mock.Mock(at_ns=began_ns + fakes.S)
                at_ns, error_s = watcher._requested(
                    snapshot, self.cloud_record())
                self.assertAlmostEqual(
                    expected_s, (at_ns - began_ns) / fakes.S, 6)
                self.assertAlmostEqual(2.0, error_s, 6)

    def cloud_record(self):
        return self.cloud.records[0]

    def test_only_those_that_leave_a_host(self):
        self.cloud.change('server-1', host='gamma')
        watcher = self.watch(0, 1, source='gamma')
        self.assertEqual(({'completed': 1}, ['gamma']), (
            watcher.verdicts, [each.request.source for each in self.begun]))

    def test_a_server_that_is_gone_already(self):
        """Its record is listed for a moment."""
        watcher = self.watcher()
        self.steps(watcher, 1)
        self.migrate()
        self.cloud.list_servers = lambda **query: {'servers': []}
        self.cloud.show_server = mock.Mock(side_effect=lib_exc.NotFound('x'))
        self.steps(watcher, 5)
        self.assertEqual(([], {}), (watcher.migrations, watcher.verdicts))
        self.assertEqual(1, self.cloud.show_server.call_count)

    def test_the_api_is_away_for_a_while(self):
        watcher = self.watch(0, steps=2)
        self.cloud.fails = [fakes.server_fault(503)] * 3
        self.steps(watcher)
        self.assertEqual(({'completed': 1}, 0),
                         (watcher.verdicts, watcher.bad))
        self.assertEqual(3, self.runs[0].drain.poll_errors)

    def test_the_api_is_away_for_too_long(self):
        watcher = self.watcher()
        self.steps(watcher, 1)
        self.cloud.fails = [fakes.server_fault(503)] * 100
        self.assertRaises(poll.ApiUnavailable, watcher.step)

    def test_a_refusal_of_the_api_is_not_hidden(self):
        watcher = self.watcher()
        self.cloud.fails = [lib_exc.Forbidden('no', resp=fakes.Response(403))]
        self.assertRaises(lib_exc.Forbidden, watcher.step)

    def test_requests_do_not_grow_with_the_servers(self):
        numbers = []
        for servers in (3, 60):
            self.cloud = simulation.Cloud(servers, limit=servers)
            simulation.use_clock(self, self.cloud.clock)
            self.patch(watching, 'time', self.cloud.clock)
            for each in self.cloud.servers:
                self.cloud.durations_s[each] = 50
            watcher = self.watch(*range(servers), steps=1)
            self.cloud.calls.clear()
            self.steps(watcher, 30)
            self.assertEqual(servers, len(watcher.migrations))
            numbers.append(len(self.cloud.calls) / 30)
        # Three, and the progress of one copy.
        self.assertEqual([4, 4], numbers)

    def test_nothing_is_remembered_of_what_is_over(self):
        watcher = self.watch(0, 1, 2)
        watcher._poller._created_since += datetime.timedelta(hours=1)
        self.steps(watcher, 2)
        self.assertEqual((0, {}, {}), (
            len(watcher._seen), watcher._counts, watcher._poller._servers))


class ResultsTest(WatcherTestCase):

    def test_lines(self):
        self.watch(0, 1)
        read = self.read()
        self.assertEqual(([], []), (read.unjudged, read.remarks))
        self.assertEqual({watching.TEST}, read.tests)
        for each in (*read.migrations, *read.drains):
            self.assertEqual(
                (schema.BY_OTHERS, 1, 'alpha', True),
                (each.strategy, each.servers, each.source, each.measured))
        self.assertEqual({'beta'}, {
            each.destination for each in read.migrations})
        self.assertEqual(2, len({each.drain for each in read.migrations}))
        self.assertEqual({('unknown', '')}, {
            (each.block_migration, each.microversion)
            for each in read.migrations})
        self.assertEqual({2}, {
            found.running for each in read.drains
            for found in each.concurrency})

    def test_phases_have_the_resolution_of_the_snapshots(self):
        self.cloud.limit = 1
        self.watch(0, 1)
        _, result = self.read().migrations
        self.assertEqual(['queued', 'running', 'completed'], [
            each.state for each in result.transitions
            if each.subject == 'record'])
        checks, = result.phases
        # The request and the next status were between the same two.
        self.assertEqual(('checks', 1.0), (checks.name, checks.resolution_s))

    def test_the_report_takes_them(self):
        self.cloud.outcomes['server-1'] = 'failed'
        self.watch(0, 1)
        built = report.build(self.read(), 'a title')
        self.assertFalse(built.good)
        self.assertIn('rolled back', str(built))

    def test_one_in_flight_is_unjudged(self):
        self.watch(0, steps=2)
        text, = self.read().unjudged
        self.assertIn('server-0', text)

    def test_metrics(self):
        self.metrics = mock.create_autospec(
            telemetry.Telemetry, instance=True)
        watcher = self.watch(0)
        # Not before the results have a name.
        self.assertEqual(15, self.metrics.polled.call_count)
        self.assertEqual(4, self.metrics.stored.call_count)
        watcher.close()
        self.metrics.rest.assert_called_once_with()

    def test_metrics_of_one_that_is_stuck(self):
        """Its deadline stays until nova ends the record."""
        self.metrics = mock.create_autospec(
            telemetry.Telemetry, instance=True)
        self.cloud.stuck.add('server-0')
        watcher = self.watch(0, steps=1100)
        self.assertEqual([], watcher.migrations)
        shown, = self.metrics.polled.call_args.args[1]
        self.assertIn('waited', shown.timed_out)
        self.cloud._set_status(0, 'failed')
        self.steps(watcher, 2)
        self.assertEqual([], self.metrics.polled.call_args.args[1])


class RecentHypervisorsTest(base.TestCase):

    def test_they_are_listed_now_and_then(self):
        clock, client = fakes.Clock(), fakes.hypervisors(alpha=1)
        recent = watching.RecentHypervisors(client, clock.monotonic)
        for _ in range(60):
            self.assertEqual(
                {'alpha': '1'}, compute_hosts.provider_uuids(recent))
            clock.sleep(1)
        self.assertEqual(2, client.list_hypervisors.call_count)

    def test_more_than_a_page(self):
        client = fakes.hypervisors(beta=2)
        last = client.list_hypervisors.return_value
        client.list_hypervisors.side_effect = [
            {'hypervisors': [{'id': 1, 'service': {'host': 'alpha'}}],
             'hypervisors_links': [{'rel': 'next', 'href': 'http://nova'}]},
            last]
        recent = watching.RecentHypervisors(client)
        for _ in range(2):
            self.assertEqual({'alpha': '1', 'beta': '2'},
                             compute_hosts.provider_uuids(recent))

    def test_an_error_is_not_remembered(self):
        client = fakes.hypervisors(alpha=1)
        listed = client.list_hypervisors.return_value
        client.list_hypervisors.side_effect = [
            fakes.server_fault(503), listed]
        recent = watching.RecentHypervisors(client)
        self.assertRaises(lib_exc.UnexpectedResponseCode,
                          recent.list_hypervisors, detail=True)
        self.assertEqual(listed, recent.list_hypervisors(detail=True))


class LeftTest(WatcherTestCase):

    servers = 4

    def test_reasons(self):
        self.cloud.change('server-0', host='beta')
        self.cloud.change('server-1', status='SHUTOFF')
        self.cloud.old_records.append(builders.record(
            'error', 9, server_id='server-2'))
        texts = watching.left(self.cloud.clients, 'alpha', {
            'server-3': 'rolled back: no route'})
        for text, parts in zip(texts, (
                ('server-1 (guest-1)', 'status SHUTOFF', 'ACTIVE or PAUSED'),
                ('server-2', 'task none', 'record 9 error'),
                ('server-3', 'rolled back: no route')), strict=True):
            for part in parts:
                self.assertIn(part, text)
