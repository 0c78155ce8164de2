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
import datetime
import itertools
import json
import os
import pathlib
from unittest import mock

import fixtures
import msgspec
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import clock
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import reasons
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation
from lm_tempest_plugin.tests.unit.results import builders as results
from lm_tempest_plugin import utils

Kind = verdict.Kind
SOCKETS = schema.Sockets(
    transport='direct', samples=40, qemu_ports=(49152,),
    qemu_connections=1, libvirt_ports=())
SAMPLES = (schema.HostSamples(host='alpha', period_s=1.0, samples=()),)


class EngineTestCase(base.TestCase):
    """Runs plans on a simulated cloud, with a results file."""

    servers = 2

    def setUp(self):
        super().setUp()
        self.cloud = simulation.Cloud(self.servers, limit=2)
        simulation.use_clock(self, self.cloud.clock)
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.file = results_file.ResultsFile(
            self.directory, 'a run', results.run)
        self.probes = mock.create_autospec(watch.Watch, instance=True)
        self.probes.continuity.return_value = builders.continuity()
        self.probes.silent_s.return_value = 0.05
        self.probes.answered_after_ns.return_value = None
        self.packets = self.useFixture(fixtures.MockPatchObject(
            reachability, 'look', return_value={})).mock
        self.guests = mock.create_autospec(
            inspector.GuestAccess, instance=True)
        self.guests.inspect.return_value = builders.INSPECTION
        self.guests.seen_from_neighbour.return_value = {}
        self.guests.verify.return_value = {}
        self.guests.progress.return_value = None
        self.hosts = mock.create_autospec(access.HostAccess, instance=True)
        self.hosts.traces.side_effect = self.traces
        self.hosts.logs.return_value = []
        self.hosts.running_job.return_value = None
        self.domains = {}
        self.hosts.job.return_value = schema.LibvirtJob(downtime_ms=180)
        self.observer = mock.create_autospec(
            access.HostsObserver, instance=True)
        self.observer.sockets = mock.create_autospec(
            sockets.SocketWatch, instance=True)
        self.observer.results.return_value = (SOCKETS, SAMPLES)
        self.hosts.observe.return_value = self.observer

    def traces(self, host, server_ids):
        """Return traces as nova shows them, but for those in domains."""
        return {
            server_id: schema.HostTraces(host=host, state=self.domains.get(
                (server_id, host),
                'running' if self.cloud.servers[server_id].host == host
                else '')) for server_id in server_ids}

    def plan(self, **changes):
        return builders.new_plan(*(
            plan.PlannedServer(server_id, f'192.0.2.{number}',
                               builders.INSPECTION)
            for number, server_id in enumerate(self.cloud.servers, 1)),
            **{'strategy': plan.window(2), 'test': 'a.test', **changes})

    def run_plan(self, planned=None, **kwargs):
        return engine.run(
            planned or self.plan(), self.cloud.clients, **{
                'store': self.file, 'probes': self.probes,
                'guests': self.guests, **kwargs})

    def read(self):
        return store.read(pathlib.Path(self.directory).glob('*.jsonl'),
                          keep_details=True)

    def assert_problem(self, run, check, *parts, server_id='server-0'):
        """Assert that there is one problem, and return it."""
        problem, = run.problems
        self.assertEqual((check, server_id),
                         (problem.check, problem.server_id), problem)
        for part in parts:
            self.assertIn(part, problem.text)
        return problem

    def outcomes(self, run):
        return {each.check: each.outcome for each in run.drain.checks}


class OneServerTestCase(EngineTestCase):

    servers = 1


class RunTest(EngineTestCase):

    def test_completed_migrations(self):
        run = self.run_plan()
        self.assertEqual(([], ()), (run.problems, run.drain.problems))
        self.assertEqual(
            [('server-0', Kind.COMPLETED), ('server-1', Kind.COMPLETED)],
            [(each.server_id, each.verdict.kind)
             for each in run.migrations])
        self.assertEqual(run.drained.migrations, [
            each.migration for each in run.migrations])
        self.assertEqual({'beta'}, {
            each.host for each in self.cloud.servers.values()})
        self.assertNotIn('failed', self.outcomes(run).values())
        self.assertEqual('passed', self.outcomes(run)['verdict'])

    def test_records_that_snapshots_do_not_show_any_more(self):
        for status in ('completed', 'error'):
            self.cloud.old_records.append(builders.record(
                status, 1000, server_id='server-0'))
        run = self.run_plan()
        self.assertEqual([], run.problems)
        self.assertEqual([1], [
            len(each.verdict.evidence.records) for each in run.migrations[:1]])

    def test_the_strategy(self):
        self.run_plan(self.plan(strategy=plan.ONE_AT_A_TIME))
        self.assertEqual([0, 0], [
            going_on for *_, going_on in self.cloud.requested])
        self.assertEqual(['server-0', 'server-1'], [
            server_id for _, server_id, _ in self.cloud.requested])

    def test_servers_with_destinations_of_their_own(self):
        self.cloud.hosts = ('alpha', 'beta', 'gamma')
        self.cloud.change('server-1', host='beta')
        planned = self.plan(destination='', strategy=plan.window(2, 1))
        run = self.run_plan(
            dataclasses.replace(planned, servers=tuple(
                dataclasses.replace(each, destination=name)
                for each, name in zip(planned.servers, ('beta', 'gamma')))),
            hosts=self.hosts)
        self.assertEqual([], run.problems)
        found = self.read()
        self.assertEqual(
            [('alpha', 'beta'), ('beta', 'gamma')],
            [(each.source, each.destination) for each in found.migrations])
        self.assertEqual(
            [('', '', 'window of 2, 1 per host')],
            [(each.source, each.destination, each.strategy)
             for each in found.drains])
        self.assertEqual([], found.unjudged)
        # Sockets are those of one pair of hosts.
        self.hosts.observe.assert_not_called()

    def test_one_server_with_a_destination_of_its_own(self):
        planned = self.plan(destination='')
        self.run_plan(dataclasses.replace(planned, servers=(
            dataclasses.replace(planned.servers[0], destination='beta'),)),
            hosts=self.hosts)
        self.hosts.observe.assert_called_once_with('alpha', 'beta')
        self.assertEqual(['beta'], [
            each.destination for each in self.read().drains])

    def test_snapshots_are_passed_on(self):
        on_poll = mock.Mock()
        run = self.run_plan(on_poll=on_poll)
        snapshot, migrations = on_poll.call_args.args
        self.assertIsInstance(snapshot, poll.Snapshot)
        self.assertEqual(run.drained.migrations, migrations)

    def test_another_requester(self):
        other = mock.Mock(wraps=self.cloud)
        self.run_plan(requester=other)
        self.assertEqual(2, other.live_migrate_server.call_count)

    def test_a_refusal(self):
        self.cloud.refusals['server-0'] = lib_exc.Conflict(
            'policy', resp=fakes.Response(409, date='today'))
        run = self.run_plan()
        self.assert_problem(run, 'verdict', 'nova refused (HTTP 409)')
        self.assertEqual([409, None], [
            each.refusal and each.refusal.status
            for each in self.read().migrations])

    def test_an_expected_refusal(self):
        for server_id in self.cloud.servers:
            self.cloud.refusals[server_id] = lib_exc.Conflict(
                'policy', resp=fakes.Response(409, date='today'))
        run = self.run_plan(self.plan(
            expected=(Kind.FAILED,), expected_status='ACTIVE'))
        self.assertEqual([], run.problems)
        self.assertEqual('passed', self.outcomes(run)['server-stayed'])

    def test_a_check_that_is_left_out(self):
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(1.2))
        run = self.run_plan(self.plan(
            leave_out={'outage': 'the guest is paused'}))
        self.assertEqual([], run.problems)
        outcome, = [each for each in run.drain.checks
                    if each.check == 'outage']
        self.assertEqual(('skipped', 'the guest is paused'),
                         (outcome.outcome, outcome.reason))

    def test_the_api_is_away_for_too_long(self):
        def away(snapshot, migrations):
            self.cloud.fails = [OSError('reset')] * 30

        self.assertRaises(poll.ApiUnavailable, self.run_plan, on_poll=away)
        self.assertEqual(2, len(self.read().unjudged))


class RefusedPlanTest(EngineTestCase):

    def test_nothing_is_requested_or_stored(self):
        self.cloud.servers['server-1'] = builders.migrating(
            server_id='server-1')
        for changes in ({'destination': 'alpha'}, {'destination': 'gamma'},
                        {'avoid': 'beta'}, {}):
            self.assertRaises(preflight.CannotMigrate, self.run_plan,
                              self.plan(**changes))
        self.assertEqual([], self.cloud.requested)
        self.assertEqual([], os.listdir(self.directory))


class ExpectedRefusalTest(OneServerTestCase):

    def refused(self, status=400):
        return lib_exc.BadRequest(
            'no such host', resp=fakes.Response(status, date='today'))

    def planned(self, status=400, obstacle=preflight.Obstacle.UNKNOWN_HOST,
                **changes):
        return self.plan(**{
            'destination': 'gamma', 'expected': (Kind.FAILED,),
            'expected_refusal': plan.ExpectedRefusal(status, obstacle),
            **changes})

    def test_the_request_is_sent_in_spite_of_the_obstacle(self):
        self.cloud.refusals['server-0'] = self.refused()
        run = self.run_plan(self.planned(), hosts=self.hosts)
        self.assertEqual([], run.problems)
        self.assertEqual(1, len(self.cloud.requested))
        self.assertEqual('passed', self.outcomes(run)['answer'])
        self.assertEqual(400, run.results[0].refusal.status)
        # There is nothing between the hosts to observe.
        self.hosts.observe.assert_not_called()

    def test_another_answer(self):
        self.cloud.refusals['server-0'] = self.refused(409)
        self.assert_problem(self.run_plan(self.planned()), 'answer',
                            'HTTP 409', 'no such host', 'expected: HTTP 400')

    def test_the_obstacle_is_not_there(self):
        self.assertRaises(preflight.CannotMigrate, self.run_plan,
                          self.planned(destination='beta'))
        self.assertEqual([], self.cloud.requested)

    def test_the_server_is_left_migrating(self):
        def refuse(server_id, **kwargs):
            self.cloud.change(server_id, status='MIGRATING',
                              task_state='migrating')
            raise self.refused()

        requester = mock.Mock()
        requester.live_migrate_server.side_effect = refuse
        run = self.run_plan(self.planned(), requester=requester)
        self.assertEqual(
            ['verdict', 'server-status', 'left-migrating'],
            [each.check for each in run.problems])
        self.assertEqual(Kind.STUCK, run.migrations[0].verdict.kind)

    def test_it_is_accepted_and_fails_later(self):
        self.cloud.outcomes['server-0'] = 'error'
        self.cloud.durations_s['server-0'] = 0
        failed = {'event': actions.CHECKS, 'result': 'Error',
                  'start_time': simulation.now(),
                  'finish_time': simulation.now()}
        for events, expected in (([failed], []), ([], ['answer'])):
            self.cloud.show_instance_action = mock.Mock(return_value={
                'instanceAction': {
                    'action': 'live-migration', 'message': 'Error',
                    'start_time': simulation.now(), 'events': events}})
            run = self.run_plan(self.planned(
                202, None, destination='beta',
                expected=(Kind.FAILED, Kind.ROLLED_BACK)))
            self.assertEqual(expected, [each.check for each in run.problems])


class StoredLinesTest(EngineTestCase):

    def test_order(self):
        run = self.run_plan()
        self.assertEqual(
            [('drain-started', None), ('migration-ended', 'server-0'),
             ('migration-ended', 'server-1'), ('migration', 'server-0'),
             ('migration', 'server-1'), ('drain', None)],
            [(line['kind'], line.get('server_id'))
             for line in map(json.loads, run.lines)])

    def test_the_first_line_names_the_servers(self):
        first = json.loads(self.run_plan().lines[0])
        self.assertEqual(['server-0', 'server-1'], first['server_ids'])

    def test_they_are_in_the_file(self):
        run = self.run_plan()
        path, = pathlib.Path(self.directory).iterdir()
        about, *lines = path.read_bytes().splitlines()
        self.assertEqual('run', json.loads(about)['kind'])
        self.assertEqual(list(run.lines), lines)

    def test_they_can_be_read_again(self):
        run = self.run_plan(hosts=self.hosts)
        read = self.read()
        self.assertEqual(([], []), (read.unjudged, read.remarks))
        self.assertEqual({'a.test'}, read.tests)
        drain, = read.drains
        for stored, known in (
                *zip(read.migrations, run.results, strict=True),
                (drain, run.drain)):
            # The envelope is filled in when a line is stored.
            self.assertEqual(f'a run-{os.getpid()}', stored.run)
            for field in stored.__struct_fields__:
                if field not in schema.Line.__struct_fields__:
                    self.assertEqual(getattr(known, field),
                                     getattr(stored, field), field)

    def test_the_plan_is_in_every_line(self):
        self.run_plan(self.plan(
            round_trip=3, measured=False, settings=schema.Settings(
                storage='shared', values={
                    'max_concurrent_live_migrations': 2,
                    'tunnelled': False})))
        read = self.read()
        for line in (*read.migrations, *read.drains):
            self.assertEqual(
                ('drain-1', 'a.test', 3, False, 'alpha', 'beta', 2,
                 'window of 2',
                 'shared, max concurrent live migrations 2, tunnelled off'),
                (line.drain, line.test, line.round_trip, line.measured,
                 line.source, line.destination, line.servers, line.strategy,
                 str(line.settings)))

    def test_figures_of_the_drain(self):
        run = self.run_plan()
        drain, = self.read().drains
        self.assertEqual(
            (run.drained.wall_s, run.drained.polls, 0, None, ()),
            (drain.wall_s, drain.polls, drain.poll_errors, drain.sockets,
             drain.hosts))
        found, = drain.concurrency
        self.assertEqual(('alpha', 2), (found.host, found.running))

    def test_figures_of_a_migration(self):
        run = self.run_plan(self.plan(options=request.RequestOptions(
            block_migration=True, microversion='2.30')))
        first, second = self.read().migrations
        self.assertEqual(('drain-1/1', 'drain-1/2'),
                         (first.migration, second.migration))
        followed = run.drained.migrations[0]
        self.assertEqual(
            ('guest-0', schema.Flavor(
                name='small', vcpus=2, ram_gib=2.0, disk_gib=20.0),
             True, '2.30', 'req-1', followed.duration_s, 'completed',
             ('completed',), '', '', 'ACTIVE', None, 'beta', 1.0, 3.0),
            (first.server_name, first.flavor, first.block_migration,
             first.microversion, first.request_id, first.duration_s,
             first.verdict, first.expected_verdicts, first.cause,
             first.signature, first.server_status, first.server_task_state,
             first.server_host, first.max_outage_s, first.max_stall_s))
        self.assertEqual(
            (followed.records, tuple(followed.transitions),
             tuple(followed.progress)),
            (first.records, first.transitions, first.progress))
        self.assertEqual((builders.continuity(), builders.ANSWERS, None),
                         (first.continuity, first.guest, first.job))

    def test_the_queue_and_the_service(self):
        self.cloud.limit = 1
        self.run_plan()
        first, second = self.read().migrations
        # The first snapshot already shows that it is running.
        self.assertEqual((0.0, None), (first.queue_s, first.service))
        self.assertAlmostEqual(5.0, second.queue_s, delta=1.0)
        self.assertAlmostEqual(5.0, second.service.seconds, delta=1.0)
        self.assertEqual(
            [('checks', 0.5), ('queued', second.queue_s)],
            [(phase.name, phase.seconds) for phase in second.phases[:2]])

    def test_a_migration_that_never_began(self):
        self.cloud.refusals['server-0'] = lib_exc.Conflict(
            'no', resp=fakes.Response(409, date='today'))
        self.run_plan()
        first, _ = self.read().migrations
        self.assertEqual((None, 0.0, ()),
                         (first.service, first.queue_s, first.records))

    def test_times_of_day(self):
        self.run_plan()
        read = self.read()
        drain, = read.drains
        for each in read.migrations:
            self.assertAlmostEqual(
                each.requested_at.timestamp() - each.requested_monotonic_s,
                drain.started_at.timestamp() - drain.started_monotonic_s,
                places=3)
        self.assertAlmostEqual(
            3600, drain.started_at.timestamp() - drain.started_monotonic_s,
            places=3)

    def test_every_drain_of_a_process_is_in_one_file(self):
        self.run_plan()
        self.run_plan(self.plan(destination='alpha'))
        read = self.read()
        self.assertEqual(
            [('drain-1', 'alpha', 'beta'), ('drain-2', 'beta', 'alpha')],
            [(each.drain, each.source, each.destination)
             for each in read.drains])
        self.assertEqual(4, len(read.migrations))

    def test_without_a_directory_the_lines_are_in_the_run(self):
        run = self.run_plan(store=results_file.ResultsFile(
            '', '', results.run))
        self.assertEqual([], os.listdir(self.directory))
        self.assertEqual(6, len(run.lines))


class KilledRunTest(EngineTestCase):

    def unjudged(self):
        read = self.read()
        self.assertEqual([], read.migrations)
        return read.unjudged

    def test_during_the_migrations(self):
        self.assertRaises(KeyboardInterrupt, self.run_plan, on_poll=mock.Mock(
            side_effect=KeyboardInterrupt))
        self.assertEqual(
            [f'server {server_id} from alpha to beta: its live migration '
             'was under way' for server_id in ('server-0', 'server-1')],
            self.unjudged())

    def test_after_one_has_ended(self):
        self.cloud.durations_s['server-1'] = 30

        def kill(snapshot, migrations):
            if migrations[0].ended:
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.run_plan, on_poll=kill)
        first, second = self.unjudged()
        self.assertEqual('server server-0 from alpha to beta: migration '
                         'record completed, server ACTIVE', first)
        self.assertIn('server-1', second)
        self.assertIn('under way', second)

    def test_a_migration_is_stored_before_it_is_judged(self):
        self.useFixture(fixtures.MockPatchObject(
            evidence, 'collect', side_effect=lib_exc.TempestException()))
        self.assertRaises(lib_exc.TempestException, self.run_plan)
        self.assertEqual(2, len(self.unjudged()))
        for text in self.unjudged():
            self.assertIn('migration record completed', text)


class ProblemsTest(EngineTestCase):

    def test_those_of_a_server_are_in_its_own_line(self):
        self.cloud.outcomes['server-1'] = 'failed'
        run = self.run_plan()
        problem = self.assert_problem(
            run, 'verdict', 'the verdict is rolled back',
            'expected: completed', server_id='server-1')
        self.assertIn('Migration records: record 2 failed from alpha to '
                      'beta', problem.evidence)
        read = self.read()
        self.assertEqual([(), (problem,)],
                         [each.problems for each in read.migrations])
        self.assertEqual((), read.drains[0].problems)
        self.assertEqual('failed', self.outcomes(run)['verdict'])

    def test_an_expected_verdict_is_no_problem(self):
        for server_id in self.cloud.servers:
            self.cloud.outcomes[server_id] = 'failed'
        run = self.run_plan(self.plan(
            expected=(Kind.FAILED, Kind.ROLLED_BACK)))
        self.assertEqual([], run.problems)
        for each in self.read().migrations:
            self.assertEqual(('failed', 'rolled back'),
                             each.expected_verdicts)

    def test_those_of_hosts_are_in_the_line_of_the_drain(self):
        self.hosts.job.side_effect = remote.HostError('beta: no SSH')
        run = self.run_plan(hosts=self.hosts)
        problem = self.assert_problem(
            run, 'host-access', 'beta: no SSH', server_id=None)
        read = self.read()
        self.assertEqual((problem,), read.drains[0].problems)
        self.assertEqual([(), ()],
                         [each.problems for each in read.migrations])

    def test_those_of_other_servers_are_in_the_line_of_the_drain(self):
        planned = self.plan()
        self.cloud.servers['other'] = builders.migrating(server_id='other')
        run = self.run_plan(planned)
        problem = self.assert_problem(
            run, 'left-migrating', 'server other (guest)', server_id='other')
        self.assertEqual((problem,), self.read().drains[0].problems)

    def test_a_server_that_is_stuck(self):
        self.cloud.stuck.add('server-0')
        run = self.run_plan()
        self.assertEqual(
            {'verdict', 'left-migrating', 'one-record', 'server-status'},
            {problem.check for problem in run.problems})
        first, second = self.read().migrations
        self.assertEqual(('stuck', 'completed'),
                         (first.verdict, second.verdict))
        self.assertEqual('copy-stands-still', first.signature)
        self.assertIn('waited 60.0 s', first.cause)
        self.assertEqual(4, len(first.problems))

    def test_a_server_that_was_deleted(self):
        def delete(snapshot, migrations):
            if migrations[0].status == 'running':
                self.cloud.delete('server-0')

        run = self.run_plan(on_poll=delete)
        self.assertEqual(Kind.LOST, run.migrations[0].verdict.kind)
        first, _ = self.read().migrations
        self.assertEqual(('GONE', None),
                         (first.server_status, first.server_host))
        self.assertIn('server-exists',
                      [each.check for each in first.problems])

    def test_allocations_that_are_missing(self):
        self.cloud.list_allocations = lambda consumer: {'allocations': {}}
        self.assertEqual(
            [('allocations', server_id) for server_id in self.cloud.servers],
            [(each.check, each.server_id)
             for each in self.run_plan().problems])


class AbortedTest(EngineTestCase):

    def abort(self, aborted):
        def on_poll(snapshot, migrations):
            if not aborted and migrations[1].status == 'running':
                migration_records.abort(self.cloud, 'server-1', 2)
                aborted.add('server-1')

        return on_poll

    def test_an_aborted_migration_has_to_be_cancelled(self):
        def delete(url):
            self.cloud.outcomes['server-1'] = 'cancelled'
            return fakes.Response(202), ''

        self.cloud.clients.servers.delete = delete
        aborted = set()
        run = self.run_plan(on_poll=self.abort(aborted), aborted=aborted)
        self.assertEqual([], run.problems)
        self.assertEqual(
            [(('completed',), 'completed'), (('cancelled',), 'cancelled')],
            [(each.expected_verdicts, each.verdict)
             for each in self.read().migrations])
        self.assertEqual([False, True], [
            each.verdict.evidence.abort_requested
            for each in run.migrations])

    def test_an_abort_that_came_too_late(self):
        run = self.run_plan(aborted=['server-1'])
        self.assert_problem(
            run, 'verdict', 'the verdict is completed; expected: cancelled',
            server_id='server-1')


class GuestsTest(OneServerTestCase):

    def test_a_guest_that_answers(self):
        run = self.run_plan()
        followed, = run.drained.migrations
        self.probes.continuity.assert_called_once_with(
            '192.0.2.1', followed.request.requested_ns, followed.ended_ns)
        self.assertEqual(builders.ANSWERS,
                         run.migrations[0].verdict.evidence.guest)
        self.guests.inspect.assert_called_once_with('server-0')
        self.guests.verify.assert_called_once_with('server-0')

    def test_the_observation_goes_on_for_the_grace_time(self):
        run = self.run_plan(self.plan(timeouts=dataclasses.replace(
            builders.TIMEOUTS, grace_s=4.0)))
        followed, = run.drained.migrations
        self.assertEqual(followed.ended_ns + 4 * builders.S,
                         self.probes.continuity.call_args.args[2])
        self.assertIn(4.0, self.cloud.clock.slept_s)

    def silence(self, **kwargs):
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(50.0, still_open=True))
        return self.run_plan(**kwargs)

    def test_a_silent_guest_is_lost_and_not_asked_over_ssh(self):
        run = self.silence()
        self.assertEqual(Kind.LOST, run.migrations[0].verdict.kind)
        self.assertIn('does not answer', run.results[0].cause)
        self.assertEqual(['verdict', 'outage'],
                         [each.check for each in run.problems])
        self.guests.inspect.assert_not_called()
        self.guests.verify.assert_not_called()
        self.assertEqual(
            msgspec.structs.replace(builders.SILENT, silent_s=50.0),
            run.results[0].guest)

    def test_a_guest_that_returns_late_is_an_outage(self):
        silences = [20.0, 20.0, 0.1]
        self.probes.silent_s.side_effect = lambda address: (
            silences.pop(0) if len(silences) > 1 else silences[0])
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(27.0))
        run = self.run_plan()
        self.assertEqual(Kind.COMPLETED, run.migrations[0].verdict.kind)
        self.assert_problem(run, 'outage', '27.000 s')
        # Until it was seen to answer.
        self.assertEqual(
            run.drained.ended_ns + 6 * builders.S,
            self.probes.continuity.call_args.args[2])

    def test_an_outage_within_the_bound_is_no_loss(self):
        run = self.silence(planned=self.plan(
            bounds=plan.Bounds(max_outage_s=99.0, max_stall_s=99.0)))
        self.assertEqual(Kind.COMPLETED, run.migrations[0].verdict.kind)

    def test_any_error_in_a_guest_is_a_problem_of_it(self):
        self.guests.inspect.side_effect = EOFError('closed')
        run = self.run_plan()
        self.assertIn('boot-id', [each.check for each in run.problems])
        self.assertEqual('EOFError', run.results[0].guest.boot_id_error)

    def test_nova_s_services_cannot_be_listed(self):
        answers = [self.cloud.list_services(binary='nova-compute'),
                   *[lib_exc.ServerFault('no')] * 2]
        self.cloud.list_services = mock.Mock(side_effect=answers)
        run = self.run_plan()
        self.assertEqual(Kind.COMPLETED, run.migrations[0].verdict.kind)

    def test_libvirt_is_asked_about_a_silent_guest(self):
        self.hosts.guest_state.return_value = 'libvirt on beta: paused'
        run = self.silence(hosts=self.hosts)
        self.hosts.guest_state.assert_called_once_with('beta', 'server-0')
        self.assertEqual('libvirt on beta: paused',
                         run.results[0].guest.libvirt_state)
        self.assertIn('Guest: does not answer, libvirt on beta: paused',
                      run.problems[0].evidence)

    def test_libvirt_cannot_be_asked_about_a_silent_guest(self):
        self.hosts.guest_state.side_effect = remote.HostError('no SSH')
        run = self.silence(hosts=self.hosts)
        self.assertEqual('its state cannot be read: no SSH',
                         run.results[0].guest.libvirt_state)
        self.assertEqual(Kind.LOST, run.migrations[0].verdict.kind)

    def test_a_long_outage_that_is_over_is_no_silence(self):
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(50.0))
        self.assert_problem(self.run_plan(), 'outage', '50.000 s')
        self.guests.inspect.assert_called_once_with('server-0')

    def test_a_guest_that_has_booted_again(self):
        self.guests.inspect.return_value = schema.GuestInspection(
            boot_id='boot-2')
        run = self.run_plan()
        self.assertEqual(['verdict', 'boot-id'],
                         [each.check for each in run.problems])
        for problem in run.problems:
            self.assertIn('booted again', problem.text)

    def test_ssh_that_fails_is_a_problem_without_the_password(self):
        self.guests.inspect.side_effect = lib_exc.SSHTimeout(
            host='192.0.2.1', user='root', password='secret')
        run = self.run_plan()
        self.assert_problem(
            run, 'boot-id', 'the boot id cannot be read: SSHTimeout')
        self.assertNotIn(b'secret', b'\n'.join(run.lines))

    def test_workloads_become_checks_by_name(self):
        self.guests.verify.return_value = {
            'disk': 'the guest reads other data', 'memory': ''}
        run = self.run_plan()
        self.assert_problem(run, 'disk', 'the guest reads other data')
        stored, = self.read().migrations
        self.assertEqual(tuple(run.problems), stored.problems)
        outcomes = self.outcomes(run)
        self.assertEqual(('failed', 'passed'),
                         (outcomes['disk'], outcomes['memory']))

    def test_a_guest_that_prints_no_text_costs_no_result(self):
        self.guests.inspect.side_effect = [
            UnicodeDecodeError('utf-8', b'\xff', 0, 1, 'no text')]
        run = self.run_plan()
        self.assert_problem(run, 'boot-id', 'cannot be read')
        self.assertEqual(Kind.COMPLETED, run.migrations[0].verdict.kind)

    def test_workloads_that_cannot_be_verified(self):
        self.guests.verify.side_effect = lib_exc.SSHTimeout(
            host='192.0.2.1', user='root', password='secret')
        run = self.run_plan()
        self.assert_problem(
            run, 'workloads', 'cannot be verified: SSHTimeout')
        self.assertEqual(builders.ANSWERS, run.results[0].guest)
        self.assertNotIn(b'secret', b'\n'.join(run.lines))

    def test_a_guest_that_is_not_probed(self):
        run = self.run_plan(probes=None)
        stored, = self.read().migrations
        self.assertEqual(
            (None, schema.GuestState(
                boot_id_before='boot-1', boot_id_after='boot-1')),
            (stored.continuity, stored.guest))
        outcomes = self.outcomes(run)
        self.assertEqual({'skipped'}, {
            outcomes[name] for name in ('outage', 'stall', 'tcp-stream')})

    def test_a_server_without_an_address_or_a_boot_id(self):
        run = self.run_plan(builders.new_plan(
            plan.PlannedServer('server-0')))
        self.assertEqual([], run.problems)
        self.probes.continuity.assert_not_called()
        self.guests.inspect.assert_not_called()
        self.guests.verify.assert_not_called()
        self.assertEqual(evidence.NOT_INSPECTED,
                         run.migrations[0].verdict.evidence.guest)
        self.assertEqual('skipped', self.outcomes(run)['boot-id'])

    def test_no_access_to_guests(self):
        run = self.run_plan(guests=None)
        self.assertEqual([], run.problems)
        self.assertEqual('', run.results[0].guest.boot_id_after)


class DoubtTest(OneServerTestCase):
    """An unexpected verdict is reached twice before it counts."""

    def test_a_guest_that_runs_twice_for_a_moment(self):
        self.domains['server-0', 'alpha'] = 'running'
        self.cloud.clock.sleep = mock.Mock(side_effect=self.sleep)
        run = self.run_plan(hosts=self.hosts)
        self.assertEqual(([], 'completed'),
                         (run.problems, run.results[0].verdict))

    def sleep(self, seconds):
        if seconds == registry.AGAIN_S:
            self.domains.clear()
        self.cloud.clock.now_ns += round(seconds * builders.S)

    def test_a_guest_that_runs_twice(self):
        self.domains['server-0', 'alpha'] = 'running'
        run = self.run_plan(hosts=self.hosts)
        self.assertIn('verdict', [each.check for each in run.problems])
        stored, = self.read().migrations
        self.assertEqual('runs twice', stored.verdict)
        self.assertIn('alpha and beta', stored.cause)
        self.assertEqual(
            builders.traces(alpha='running', beta='running'), stored.traces)

    def test_a_server_in_error_after_its_record_is_completed(self):
        def fail(snapshot, migrations):
            if migrations[0].status == 'completed':
                self.cloud.change('server-0', status='ERROR')

        run = self.run_plan(on_poll=fail)
        self.assertEqual(Kind.INCONSISTENT, run.migrations[0].verdict.kind)
        self.assertIn('server-status', [each.check for each in run.problems])

    def test_a_good_migration_is_judged_once_and_reads_no_log(self):
        self.run_plan(hosts=self.hosts)
        self.assertNotIn(registry.AGAIN_S, self.cloud.clock.slept_s)
        self.hosts.logs.assert_not_called()
        self.hosts.running_job.assert_not_called()
        # Before, and then once on each host, for the verdict and the checks.
        self.assertEqual(['alpha', 'alpha', 'beta'], [
            call.args[0] for call in self.hosts.traces.call_args_list])

    def test_the_log_tells_the_reason(self):
        self.cloud.outcomes['server-0'] = 'failed'
        logs = [schema.HostLog(host='alpha', name='libvirtd',
                               lines=('certificate has expired',))]
        self.hosts.logs.side_effect = lambda host, *_: (
            logs if host == 'alpha' else [])
        classify = self.useFixture(fixtures.MockPatchObject(
            reasons, 'classify', return_value=reasons.Reason(
                'certificate', 'libvirt: certificate has expired'))).mock
        self.run_plan(hosts=self.hosts)
        # It takes seconds for each server.
        self.assertEqual(['alpha', 'beta'], [
            call.args[0] for call in self.hosts.logs.call_args_list])
        classify.assert_called_with(tuple(logs))
        stored, = self.read().migrations
        self.assertEqual('certificate', stored.reason)
        self.assertIn('certificate has expired (certificate)', stored.cause)

    def test_a_migration_that_a_user_has_aborted(self):
        self.cloud.outcomes['server-0'] = 'cancelled'
        self.cloud.list_instance_actions = lambda server_id: {
            'instanceActions': [
                {'action': name, 'request_id': f'req-{number}',
                 'user_id': 'u', 'start_time': '2026-01-01T00:00:00.000000'}
                for number, name in ((2, actions.CANCEL),
                                     (1, 'live-migration'))]}
        self.assert_problem(
            self.run_plan(), 'verdict',
            'cancelled: meanwhile live_migration_cancel by user u')

    def test_a_log_that_cannot_be_kept_costs_no_result(self):
        self.cloud.outcomes['server-0'] = 'failed'
        self.hosts.logs.return_value = [schema.HostLog(
            host='alpha', name='qemu', lines=('one',))]
        self.useFixture(fixtures.MockPatchObject(
            utils, 'write_atomically', side_effect=OSError(28, 'full')))
        self.assertRaises(store.ResultsError, self.run_plan,
                          hosts=self.hosts)
        read = self.read()
        self.assertEqual((1, 1), (len(read.migrations), len(read.drains)))

    def test_a_clean_refusal_has_no_log(self):
        self.cloud.refusals['server-0'] = lib_exc.Conflict(
            'no', resp=fakes.Response(409, date='today'))
        self.run_plan(hosts=self.hosts)
        self.hosts.logs.assert_not_called()

    def test_the_pace_of_a_copy_that_timed_out(self):
        self.cloud.stuck.add('server-0')
        jobs = itertools.cycle([
            schema.LibvirtJob(memory_bytes_processed=sent,
                              memory_bytes_remaining=500)
            for sent in (100, 200)])
        self.hosts.running_job.side_effect = lambda *_: next(jobs)
        run = self.run_plan(hosts=self.hosts)
        self.assertEqual('copy-slow', run.results[0].signature)
        self.assertIn('by libvirt', run.results[0].cause)

    def test_a_source_that_does_not_answer(self):
        self.cloud.stuck.add('server-0')
        self.hosts.traces.side_effect = remote.HostError('alpha: no URI')
        run = self.run_plan(hosts=self.hosts)
        self.assertEqual('source-silent', run.results[0].signature)
        self.hosts.running_job.assert_not_called()

    def test_a_source_without_access_is_not_silent(self):
        self.cloud.stuck.add('server-0')
        self.hosts.has.return_value = False
        run = self.run_plan(hosts=self.hosts)
        self.assertEqual('copy-stands-still', run.results[0].signature)


class CloudClockTest(OneServerTestCase):

    def test_a_cloud_that_is_behind(self):
        behind_s = -600.0
        self.useFixture(fixtures.MockPatchObject(
            clock, 'ahead_s', return_value=behind_s))
        self.useFixture(fixtures.MockPatchObject(
            simulation, 'now', lambda: (
                datetime.datetime.now(datetime.UTC) +
                datetime.timedelta(seconds=behind_s)).replace(
                    tzinfo=None).isoformat(timespec='microseconds')))
        run = self.run_plan()
        self.assertEqual([], run.problems)
        self.assertEqual(behind_s,
                         self.read().drains[0].cloud_clock_ahead_s)
        self.assertIn('Clock of the cloud: -600 s',
                      run.migrations[0].verdict.evidence.lines())


class ForcedTest(OneServerTestCase):

    def test_it_is_checked_for_its_effect(self):
        self.cloud.durations_s['server-0'] = 30
        forced = {}

        def force(snapshot, migrations):
            if migrations[0].status == 'running' and not forced:
                forced['server-0'] = self.cloud.clock.monotonic_ns()

        run = self.run_plan(on_poll=force, forced=forced)
        self.assert_problem(run, 'force-complete', 'no effect within 10 s')
        self.assertEqual('skipped',
                         self.outcomes(self.run_plan(self.plan(
                             destination='alpha')))['force-complete'])

    def test_our_own_request_is_no_other_action(self):
        self.cloud.list_instance_actions = lambda server_id: {
            'instanceActions': [
                {'action': name, 'request_id': f'req-{number}',
                 'user_id': 'u', 'start_time': '2026-01-01T00:00:00.000000'}
                for number, name in ((9, actions.FORCE_COMPLETE),
                                     (8, 'stop'), (1, 'live-migration'))]}
        self.cloud.outcomes['server-0'] = 'failed'
        run = self.run_plan(forced={'server-0': 0})
        self.assertEqual(['stop'], [
            each.name for each in run.results[0].other_actions])


class HostsTest(EngineTestCase):

    def test_both_hosts_are_observed_during_the_migrations(self):
        begun = []
        self.observer.__enter__.side_effect = lambda *args: (
            begun.append(len(self.cloud.requested)))
        self.observer.__exit__.side_effect = lambda *args: (
            begun.append(len(self.cloud.requested)))
        self.run_plan(hosts=self.hosts)
        self.hosts.observe.assert_called_once_with('alpha', 'beta')
        self.assertEqual([0, 2], begun)
        drain, = self.read().drains
        self.assertEqual((SOCKETS, SAMPLES), (drain.sockets, drain.hosts))

    def test_the_transport_is_checked(self):
        self.observer.sockets.transport = sockets.Transport.DIRECT
        run = self.run_plan(
            self.plan(settings=schema.Settings(values={'tunnelled': True})),
            hosts=self.hosts)
        self.assert_problem(
            run, 'transport', 'declared to be tunnelled, and direct was seen',
            server_id=None)

    def test_the_concurrency_is_checked(self):
        run = self.run_plan(self.plan(settings=schema.Settings(
            values={'max_concurrent_live_migrations': 1})))
        self.assert_problem(run, 'concurrency', '2 ran', server_id=None)

    def test_no_access_to_one_of_the_hosts(self):
        self.hosts.observe.return_value = None
        self.run_plan(hosts=self.hosts)
        drain, = self.read().drains
        self.assertEqual((None, ()), (drain.sockets, drain.hosts))

    def test_where_the_scheduler_chooses_no_host_is_observed(self):
        run = self.run_plan(self.plan(destination=''), hosts=self.hosts)
        self.hosts.observe.assert_not_called()
        self.assertEqual(('alpha', ''),
                         (run.drain.source, run.drain.destination))
        self.assertEqual({'beta'}, {
            each.destination for each in self.read().migrations})

    def test_several_sources(self):
        self.cloud.servers['server-1'] = dataclasses.replace(
            self.cloud.servers['server-1'], host='beta')
        run = self.run_plan(self.plan(destination=''), hosts=self.hosts)
        self.hosts.observe.assert_not_called()
        self.assertEqual('', run.drain.source)
        self.assertEqual(['alpha', 'beta'],
                         [each.source for each in self.read().migrations])

    def test_statistics_of_libvirt_come_from_the_destination(self):
        self.run_plan(hosts=self.hosts)
        self.assertEqual(
            [mock.call('beta', 'server-0'), mock.call('beta', 'server-1')],
            self.hosts.job.call_args_list)
        self.assertEqual([180, 180], [
            each.job.downtime_ms for each in self.read().migrations])

    def test_only_a_completed_migration_has_statistics(self):
        self.cloud.outcomes['server-0'] = 'failed'
        self.run_plan(hosts=self.hosts)
        self.hosts.job.assert_called_once_with('beta', 'server-1')
        self.assertIsNone(self.read().migrations[0].job)


class TimeoutsTest(OneServerTestCase):

    def test_the_time_out_goes_by_the_size(self):
        self.cloud.stuck.add('server-0')
        for block_migration, limit in ((True, 172), (False, 112)):
            self.cloud.servers['server-0'] = builders.server(
                server_id='server-0')
            run = self.run_plan(self.plan(
                options=request.RequestOptions(block_migration),
                timeouts=plan.Timeouts(100, 6, 3, 5, 0.5, 3.0, 30.0)))
            self.assertIn(f'(limit {limit} s', run.results[0].cause)

    def test_bounds_of_the_plan(self):
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(1.2), stall=builders.stall(3.1))
        self.run_plan()
        self.assertEqual([], self.run_plan(self.plan(
            destination='alpha', bounds=plan.Bounds(9, 19))).problems)
        before, after = self.read().migrations
        self.assertEqual((2, 1.0, 3.0), (
            len(before.problems), before.max_outage_s, before.max_stall_s))
        self.assertEqual((0, 9.0, 19.0), (
            len(after.problems), after.max_outage_s, after.max_stall_s))
