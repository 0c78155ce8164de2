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

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class DrainTestCase(base.TestCase):

    def drain(self, cloud, strategy, timeout_s=60, destinations=None,
              **kwargs):
        """Migrate all servers of a cloud.

        :param destinations: those of servers that do not go to beta, by UUID
        """
        simulation.use_clock(self, cloud.clock)
        servers = list(cloud.servers.values())
        return drain.Drain(
            cloud.clients, poll.Poller(cloud.clients, servers, 0.5, 3.0),
            builders.new_plan(
                *(plan.PlannedServer(
                    each.server_id,
                    destination=(destinations or {}).get(each.server_id))
                  for each in servers), strategy=strategy,
                timeouts=plan.Timeouts(
                    timeout_s, 0, 0, 5, 0.5, 3.0, 1.0)),
            servers, **kwargs).run()

    def assert_each_once(self, cloud, drained):
        """Assert one migration for each server, in the planned order."""
        self.assertEqual(list(cloud.servers), [
            each.request.server_id for each in drained.migrations])
        self.assertEqual(list(cloud.servers),
                         [server_id for _, server_id, _ in cloud.requested])

    def assert_all_completed(self, cloud, drained):
        self.assert_each_once(cloud, drained)
        self.assertEqual({'completed'}, {
            each.newest.status for each in drained.migrations})
        self.assertEqual({'beta'}, {
            each.host for each in cloud.servers.values()})


class BatchTest(DrainTestCase):

    def test_all_have_to_end_before_the_next(self):
        cloud = simulation.Cloud(7, limit=2)
        drained = self.drain(cloud, plan.batches(3))
        self.assert_all_completed(cloud, drained)
        # Three, three, and the rest.
        self.assertEqual([0, 1, 2, 0, 1, 2, 0],
                         [going_on for *_, going_on in cloud.requested])
        times = [at_ns for at_ns, *_ in cloud.requested]
        self.assertEqual([3, 3, 1], [
            times.count(at_ns) for at_ns in dict.fromkeys(times)])
        for first in (3, 6):
            ends = [each.ended_ns for each in drained.migrations[:first]]
            self.assertLessEqual(max(ends), times[first])

    def test_one_batch_is_enough(self):
        cloud = simulation.Cloud(2, limit=2)
        self.assert_all_completed(
            cloud, self.drain(cloud, plan.batches(5)))

    def test_a_long_migration_delays_the_next_batch(self):
        cloud = simulation.Cloud(3, limit=2)
        cloud.durations_s['server-0'] = 40
        drained = self.drain(cloud, plan.batches(2))
        self.assert_all_completed(cloud, drained)
        self.assertGreaterEqual(
            cloud.requested[2][0], drained.migrations[0].ended_ns)


class WindowTest(DrainTestCase):

    def test_it_is_filled_up_as_soon_as_one_ends(self):
        cloud = simulation.Cloud(7, limit=3)
        cloud.durations_s['server-0'] = 12
        drained = self.drain(cloud, plan.window(3))
        self.assert_all_completed(cloud, drained)
        self.assertEqual([0, 1, 2, 2, 2, 2, 2],
                         [going_on for *_, going_on in cloud.requested])
        # The first goes on when the others are requested.
        self.assertLess(cloud.requested[4][0],
                        drained.migrations[0].ended_ns)

    def test_one_at_a_time(self):
        cloud = simulation.Cloud(3)
        self.assert_all_completed(
            cloud, self.drain(cloud, plan.ONE_AT_A_TIME))
        self.assertEqual([0] * 3,
                         [going_on for *_, going_on in cloud.requested])

    def test_the_time_out_does_not_run_in_the_queue(self):
        # The last waits for 95 s.
        cloud = simulation.Cloud(20)
        drained = self.drain(cloud, plan.window(20), timeout_s=10)
        self.assert_all_completed(cloud, drained)
        self.assertGreater(drained.migrations[-1].duration_s, 90)
        self.assertEqual({''}, {
            each.timed_out for each in drained.migrations})


class PairsTest(DrainTestCase):
    """Each server has a destination of its own."""

    def ring(self, number, size, **durations_s):
        """Send a server from each host to the next; return all requests.

        :param number: number of hosts
        :param size: maximum number of migrations at once
        :param durations_s: by name of the source
        """
        hosts = [f'host{each}' for each in range(number)]
        cloud = simulation.Cloud(number, limit=number, hosts=hosts)
        destinations = {}
        for place, (server_id, host) in enumerate(zip(
                list(cloud.servers), hosts)):
            cloud.change(server_id, host=host)
            cloud.durations_s[server_id] = durations_s.get(host, 5)
            destinations[server_id] = hosts[(place + 1) % number]
        drained = self.drain(cloud, plan.window(size, per_host=1),
                             destinations=destinations)
        self.assertEqual(destinations, {
            each.server_id: each.host for each in cloud.servers.values()})
        self.assertEqual(destinations, {
            each.request.server_id: each.request.destination
            for each in drained.migrations})
        self.assertEqual(hosts, [
            each.host for each in drained.concurrency])
        self.assert_hosts_work_on_one(drained)
        return cloud.requested

    def assert_hosts_work_on_one(self, drained):
        spans = [(each.request.requested_ns, each.ended_ns,
                  {each.request.source, each.request.destination})
                 for each in drained.migrations]
        for number, (begin_ns, end_ns, hosts) in enumerate(spans):
            for other_begin_ns, other_end_ns, others in spans[:number]:
                self.assertFalse(
                    hosts & others and begin_ns < other_end_ns and
                    other_begin_ns < end_ns)

    def test_pairs_with_different_hosts_go_side_by_side(self):
        requested = self.ring(4, 9)
        # First 0 to 1 and 2 to 3, then the others.
        self.assertEqual(
            [('server-0', 0), ('server-2', 1), ('server-1', 0),
             ('server-3', 1)],
            [(server_id, going_on) for _, server_id, going_on in requested])

    def test_a_limit_in_the_cloud(self):
        self.assertEqual({0}, {
            going_on for *_, going_on in self.ring(4, 1)})

    def test_a_long_one_delays_only_those_of_its_hosts(self):
        requested = self.ring(6, 9, host0=40)
        self.assertEqual(['server-1', 'server-5'], sorted(
            server_id for _, server_id, _ in requested[-2:]))
        self.assertLess(requested[3][0], requested[-1][0])


class FailureTest(DrainTestCase):

    def test_a_stuck_migration_times_out_and_delays_nobody(self):
        cloud = simulation.Cloud(3, limit=2)
        cloud.stuck.add('server-0')
        drained = self.drain(cloud, plan.window(2))
        self.assert_each_once(cloud, drained)
        self.assertEqual([True, False, False], [
            bool(each.timed_out) for each in drained.migrations])

    def test_those_behind_a_stuck_migration_time_out_too(self):
        cloud = simulation.Cloud(2)
        cloud.stuck.add('server-0')
        drained = self.drain(cloud, plan.window(2), timeout_s=20)
        self.assert_each_once(cloud, drained)
        self.assertEqual([20.0, 40.0], [
            each.duration_s for each in drained.migrations])
        self.assertIn('record 2 queued', drained.migrations[1].timed_out)

    def test_a_refusal(self):
        cloud = simulation.Cloud(3)
        cloud.refusals['server-1'] = lib_exc.Conflict(
            'no', resp=fakes.Response(409, date='today'))
        drained = self.drain(cloud, plan.ONE_AT_A_TIME)
        self.assert_each_once(cloud, drained)
        self.assertEqual([None, 409, None], [
            each.request.refusal and each.request.refusal.status
            for each in drained.migrations])

    def test_a_server_that_is_deleted(self):
        cloud = simulation.Cloud(2)

        def delete(snapshot, migrations):
            cloud.delete('server-0')

        drained = self.drain(cloud, plan.ONE_AT_A_TIME, on_poll=delete)
        self.assertIsNone(drained.migrations[0].server)
        self.assertEqual('completed', drained.migrations[1].newest.status)

    def test_the_api_is_away_for_a_moment(self):
        cloud = simulation.Cloud(1)
        cloud.fails = [OSError('reset')] * 3
        drained = self.drain(cloud, plan.ONE_AT_A_TIME)
        self.assert_all_completed(cloud, drained)
        self.assertEqual(3, drained.poll_errors)

    def test_the_api_is_away_for_too_long(self):
        cloud = simulation.Cloud(1)
        cloud.fails = [OSError('reset')] * 30
        self.assertRaises(poll.ApiUnavailable, self.drain, cloud,
                          plan.ONE_AT_A_TIME)


class PollTest(DrainTestCase):

    def requests_for_each_snapshot(self, number):
        """Return how many requests there are for each snapshot, at most."""
        cloud = simulation.Cloud(number, limit=number)
        seen = []

        def count(snapshot, migrations):
            seen.append(len(cloud.calls))

        drained = self.drain(cloud, plan.window(number), on_poll=count)
        self.assert_all_completed(cloud, drained)
        # The first snapshot comes with the requests for the migrations.
        steps = [after - before for before, after in zip(seen, seen[1:])]
        self.assertEqual(
            number, cloud.calls.count('live_migrate_server'))
        return max(steps)

    def test_requests_do_not_grow_with_the_servers(self):
        # Records, servers, and one progress.
        self.assertEqual([3, 3], [
            self.requests_for_each_snapshot(number) for number in (2, 60)])

    def test_progress_is_read_from_one_after_the_other(self):
        cloud = simulation.Cloud(3, limit=3)
        for each in cloud.servers:
            cloud.durations_s[each] = 20
        drained = self.drain(cloud, plan.window(3))
        for each in drained.migrations:
            self.assertGreaterEqual(len(each.progress), 8)
            times = [progress.at_s for progress in each.progress]
            self.assertGreaterEqual(
                min(after - before
                    for before, after in zip(times, times[1:])), 2.0)
            self.assertEqual(builders.GIB,
                             each.progress[0].memory_remaining_bytes)

    def test_progress_is_read_from_all_equally_often(self):
        # More than there are snapshots between two readings.
        cloud = simulation.Cloud(12, limit=12)
        for each in cloud.servers:
            cloud.durations_s[each] = 60
        drained = self.drain(cloud, plan.window(12), timeout_s=90)
        numbers = [len(each.progress) for each in drained.migrations]
        self.assertGreaterEqual(min(numbers), 8)
        self.assertLessEqual(max(numbers) - min(numbers), 1)

    def test_a_long_migration_is_told_now_and_then(self):
        """But not one that waits in the queue."""
        cloud = simulation.Cloud(2)
        cloud.durations_s['server-0'] = 100
        with self.assertLogs(drain.__name__, 'INFO') as logged:
            self.drain(cloud, plan.window(2), timeout_s=200)
        told = [line for line in logged.output if 'the request' in line]
        self.assertEqual(3, len(told), logged.output)
        self.assertIn('server-0', told[0])
        self.assertIn('record running; the copy stands still', told[0])

    def test_progress_that_cannot_be_read_does_no_harm(self):
        cloud = simulation.Cloud(1)
        cloud.progress_error = fakes.server_fault(503)
        drained = self.drain(cloud, plan.ONE_AT_A_TIME)
        self.assert_all_completed(cloud, drained)
        self.assertEqual([], drained.migrations[0].progress)

    def test_progress_that_may_not_be_read_is_our_own_mistake(self):
        cloud = simulation.Cloud(1)
        cloud.progress_error = lib_exc.Forbidden(
            'no', resp=fakes.Response(403))
        self.assertRaises(lib_exc.Forbidden, self.drain, cloud,
                          plan.ONE_AT_A_TIME)

    def test_on_poll_is_called_after_each_snapshot(self):
        cloud = simulation.Cloud(2, limit=2)
        seen = []
        drained = self.drain(
            cloud, plan.window(2),
            on_poll=lambda snapshot, migrations: seen.append(
                (snapshot.at_ns, len(migrations))))
        # All but the very first, which comes before any request.
        self.assertEqual(drained.polls - 1, len(seen))
        self.assertEqual({2}, {number for _, number in seen})

    def test_another_requester(self):
        cloud, other = simulation.Cloud(1), simulation.Cloud(1)
        other.refusals['server-0'] = lib_exc.Forbidden(
            'policy', resp=fakes.Response(403, date='today'))
        drained = self.drain(cloud, plan.ONE_AT_A_TIME, requester=other)
        self.assertEqual(
            403, drained.migrations[0].request.refusal.status)
        self.assertEqual(([], ['live_migrate_server']),
                         (cloud.requested, other.calls))

    def test_records_from_before_are_known(self):
        cloud = simulation.Cloud(1)
        cloud.records.append(builders.record(
            'completed', 1, server_id='server-0',
            created_at=simulation.now()))
        drained = self.drain(cloud, plan.ONE_AT_A_TIME)
        self.assertEqual({'uuid-1'}, drained.migrations[0]
                         .request.known_records)
        self.assertEqual(['uuid-2'], [
            each.uuid for each in drained.migrations[0].records])


class DrainedTest(DrainTestCase):

    def test_figures(self):
        cloud = simulation.Cloud(4, limit=2)
        drained = self.drain(cloud, plan.window(4))
        self.assertAlmostEqual(11.0, drained.wall_s, delta=1.0)
        found, = drained.concurrency
        self.assertEqual(('alpha', 2, 2, 2), (
            found.host, found.running, found.queued, found.full))
        self.assertEqual((cloud.calls.count('list_migrations'), 0),
                         (drained.polls, drained.poll_errors))

    def test_no_server(self):
        cloud = simulation.Cloud(0)
        drained = self.drain(cloud, plan.ONE_AT_A_TIME)
        self.assertEqual(([], 0.0), (drained.migrations, drained.wall_s))


class CountTest(base.TestCase):

    def test_migrations_that_leave_the_host_and_go_on(self):
        records = [
            builders.record(status, number, server_id=f'server-{number}')
            for number, status in enumerate((
                'accepted', 'queued', 'queued', 'preparing', 'running',
                'running (post-copy)', 'completed', 'error', 'failed'))]
        records.append(builders.record('running', 20, source='beta'))
        self.assertEqual(
            drain.Count(builders.REQUESTED_NS + builders.S, 3,
                        frozenset(['uuid-1', 'uuid-2'])),
            drain.count(builders.snapshot(1, records), 'alpha'))


class ConcurrencyTest(base.TestCase):

    def concurrency(self, *counts):
        """Return the concurrency of counts, a second apart.

        :param counts: number of running ones, and the queued ones
        """
        return drain.concurrency('alpha', [
            drain.Count(number * builders.S, running, frozenset(queued))
            for number, (running, queued) in enumerate(counts)])

    def test_nothing(self):
        for counts in ((), [(0, '')]):
            self.assertEqual(
                schema.Concurrency(host='alpha', running=0, queued=0,
                                   mean=0.0, busy_s=0.0, idle_s=0.0,
                                   full=None), self.concurrency(*counts))

    def test_figures(self):
        found = self.concurrency(
            (0, 'abc'), (2, 'c'), (2, 'c'), (1, ''), (0, ''), (0, ''))
        self.assertEqual(('alpha', 2, 3, 3.0), (
            found.host, found.running, found.queued, found.busy_s))
        self.assertAlmostEqual(5 / 3, found.mean)
        self.assertEqual(1.0, found.idle_s)

    def test_full_while_one_had_to_wait(self):
        self.assertEqual(2, self.concurrency(
            (1, 'ab'), (2, 'ab'), (1, 'b'), (1, '')).full)

    def test_every_migration_is_queued_for_a_moment(self):
        self.assertIsNone(self.concurrency(
            (0, 'a'), (1, 'b'), (1, 'b'), (1, 'c'), (1, 'd')).full)
