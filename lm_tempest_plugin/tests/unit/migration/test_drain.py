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

import json

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import deadline
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import strategy
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class DrainTestCase(base.TestCase):

    def drain(self, cloud, chosen, timeout_s=60, **kwargs):
        for module in (requests, drain):
            self.patch(module, 'time', cloud.clock)
        moved = list(cloud.servers.values())
        return drain.Drain(
            cloud.clients,
            poll.Poller(cloud.clients, moved, 0.5, 3.0,
                        cloud.clock.monotonic_ns, cloud.clock.sleep),
            [drain.Job(server, builders.move()) for server in moved],
            drain.Terms(chosen, deadline.Allowance(timeout_s, 0, 0), 5,
                        0.5, 3.0),
            **kwargs).run()

    def assert_each_once(self, cloud, drained):
        """Assert one attempt for each server, in the order of the jobs."""
        self.assertEqual(list(cloud.servers), [
            each.request.server_id for each in drained.attempts])
        self.assertEqual(list(cloud.servers),
                         [server_id for _, server_id, _ in cloud.asked])

    def assert_all_arrived(self, cloud, drained):
        self.assert_each_once(cloud, drained)
        self.assertEqual({'completed'}, {
            each.newest.status for each in drained.attempts})
        self.assertEqual({'beta'}, {
            each.host for each in cloud.servers.values()})


class BatchTest(DrainTestCase):

    def test_all_have_to_end_before_the_next(self):
        cloud = simulation.Cloud(7, limit=2)
        drained = self.drain(cloud, strategy.batches(3))
        self.assert_all_arrived(cloud, drained)
        # Three, three, and what is left over.
        self.assertEqual([0, 1, 2, 0, 1, 2, 0],
                         [under_way for *_, under_way in cloud.asked])
        times = [at_ns for at_ns, *_ in cloud.asked]
        self.assertEqual([3, 3, 1], [
            times.count(at_ns) for at_ns in dict.fromkeys(times)])
        for first in (3, 6):
            ends = [each.ended_ns for each in drained.attempts[:first]]
            self.assertLessEqual(max(ends), times[first])

    def test_one_batch_is_enough(self):
        cloud = simulation.Cloud(2, limit=2)
        self.assert_all_arrived(
            cloud, self.drain(cloud, strategy.batches(5)))

    def test_one_that_takes_long_holds_up_the_next(self):
        cloud = simulation.Cloud(3, limit=2)
        cloud.durations_s['server-0'] = 40
        drained = self.drain(cloud, strategy.batches(2))
        self.assert_all_arrived(cloud, drained)
        self.assertGreaterEqual(
            cloud.asked[2][0], drained.attempts[0].ended_ns)


class WindowTest(DrainTestCase):

    def test_it_is_filled_up_as_soon_as_one_ends(self):
        cloud = simulation.Cloud(7, limit=3)
        cloud.durations_s['server-0'] = 12
        drained = self.drain(cloud, strategy.window(3))
        self.assert_all_arrived(cloud, drained)
        self.assertEqual([0, 1, 2, 2, 2, 2, 2],
                         [under_way for *_, under_way in cloud.asked])
        # The first is still under way when the others are asked for.
        self.assertLess(cloud.asked[4][0], drained.attempts[0].ended_ns)

    def test_one_at_a_time(self):
        cloud = simulation.Cloud(3)
        self.assert_all_arrived(
            cloud, self.drain(cloud, strategy.ONE_AT_A_TIME))
        self.assertEqual([0] * 3,
                         [under_way for *_, under_way in cloud.asked])

    def test_the_deadline_stands_for_those_that_wait(self):
        # The last waits for 95 s.
        cloud = simulation.Cloud(20)
        drained = self.drain(cloud, strategy.window(20), timeout_s=10)
        self.assert_all_arrived(cloud, drained)
        self.assertGreater(drained.attempts[-1].duration_s, 90)
        self.assertEqual({''}, {each.given_up for each in drained.attempts})


class FailureTest(DrainTestCase):

    def test_one_that_is_stuck_is_given_up_and_holds_up_nobody(self):
        cloud = simulation.Cloud(3, limit=2)
        cloud.stuck.add('server-0')
        drained = self.drain(cloud, strategy.window(2))
        self.assert_each_once(cloud, drained)
        self.assertEqual([True, False, False], [
            bool(each.given_up) for each in drained.attempts])

    def test_those_behind_a_stuck_one_are_given_up_too(self):
        cloud = simulation.Cloud(2)
        cloud.stuck.add('server-0')
        drained = self.drain(cloud, strategy.window(2), timeout_s=20)
        self.assert_each_once(cloud, drained)
        self.assertEqual([20.0, 40.0], [
            each.duration_s for each in drained.attempts])
        self.assertIn('record 2 queued', drained.attempts[1].given_up)

    def test_a_refusal(self):
        cloud = simulation.Cloud(3)
        cloud.refusals['server-1'] = lib_exc.Conflict(
            'no', resp=fakes.Response(409, date='today'))
        drained = self.drain(cloud, strategy.ONE_AT_A_TIME)
        self.assert_each_once(cloud, drained)
        self.assertEqual([None, 409, None], [
            each.request.refusal and each.request.refusal.status
            for each in drained.attempts])

    def test_a_server_that_goes_away(self):
        cloud = simulation.Cloud(2)

        def delete(look, followed):
            cloud.delete('server-0')

        drained = self.drain(cloud, strategy.ONE_AT_A_TIME, on_look=delete)
        self.assertIsNone(drained.attempts[0].server)
        self.assertEqual('completed', drained.attempts[1].newest.status)

    def test_the_api_is_away_for_a_moment(self):
        cloud = simulation.Cloud(1)
        cloud.fails = [OSError('reset')] * 3
        drained = self.drain(cloud, strategy.ONE_AT_A_TIME)
        self.assert_all_arrived(cloud, drained)
        self.assertEqual(3, drained.poll_errors)

    def test_the_api_is_away_for_too_long(self):
        cloud = simulation.Cloud(1)
        cloud.fails = [OSError('reset')] * 30
        self.assertRaises(poll.NotFollowed, self.drain, cloud,
                          strategy.ONE_AT_A_TIME)


class LookTest(DrainTestCase):

    def calls_a_look(self, number):
        """Return how many requests there are for each look, at most."""
        cloud = simulation.Cloud(number, limit=number)
        seen = []

        def count(look, followed):
            seen.append(len(cloud.calls))

        drained = self.drain(cloud, strategy.window(number), on_look=count)
        self.assert_all_arrived(cloud, drained)
        # The first look comes with the requests for the migrations.
        steps = [after - before for before, after in zip(seen, seen[1:])]
        self.assertEqual(
            number, cloud.calls.count('live_migrate_server'))
        return max(steps), max(cloud.calls[seen[0]:].count(name) / len(seen)
                               for name in ('list_migrations',
                                            'list_servers'))

    def test_the_requests_do_not_grow_with_the_servers(self):
        few, many = self.calls_a_look(2), self.calls_a_look(60)
        # Records, servers, and one progress.
        self.assertEqual((3, 3), (few[0], many[0]))

    def test_progress_is_sampled_of_one_after_the_other(self):
        cloud = simulation.Cloud(3, limit=3)
        for each in cloud.servers:
            cloud.durations_s[each] = 20
        drained = self.drain(cloud, strategy.window(3))
        for each in drained.attempts:
            self.assertGreaterEqual(len(each.samples), 8)
            times = [sample.at_s for sample in each.samples]
            self.assertGreaterEqual(
                min(after - before
                    for before, after in zip(times, times[1:])), 2.0)
            self.assertEqual(
                builders.GIB, each.samples[0].progress.memory_remaining)

    def test_progress_is_sampled_of_all_alike(self):
        # More than there are looks in the time between two samples.
        cloud = simulation.Cloud(12, limit=12)
        for each in cloud.servers:
            cloud.durations_s[each] = 60
        drained = self.drain(cloud, strategy.window(12), timeout_s=90)
        numbers = [len(each.samples) for each in drained.attempts]
        self.assertGreaterEqual(min(numbers), 8)
        self.assertLessEqual(max(numbers) - min(numbers), 1)

    def test_progress_that_cannot_be_read_harms_nothing(self):
        cloud = simulation.Cloud(1)
        cloud.sample_error = fakes.server_fault(503)
        drained = self.drain(cloud, strategy.ONE_AT_A_TIME)
        self.assert_all_arrived(cloud, drained)
        self.assertEqual([], drained.attempts[0].samples)

    def test_progress_that_may_not_be_read_is_our_own_mistake(self):
        cloud = simulation.Cloud(1)
        cloud.sample_error = lib_exc.Forbidden(
            'no', resp=fakes.Response(403))
        self.assertRaises(lib_exc.Forbidden, self.drain, cloud,
                          strategy.ONE_AT_A_TIME)

    def test_what_is_called_after_each_look(self):
        cloud = simulation.Cloud(2, limit=2)
        seen = []
        drained = self.drain(
            cloud, strategy.window(2),
            on_look=lambda look, followed: seen.append(
                (look.at_ns, len(followed))))
        # All looks but the very first, before anything was asked for.
        self.assertEqual(drained.polls - 1, len(seen))
        self.assertEqual({2}, {number for _, number in seen})

    def test_another_one_asks(self):
        cloud, other = simulation.Cloud(1), simulation.Cloud(1)
        other.refusals['server-0'] = lib_exc.Forbidden(
            'policy', resp=fakes.Response(403, date='today'))
        drained = self.drain(cloud, strategy.ONE_AT_A_TIME, asker=other)
        self.assertEqual(
            403, drained.attempts[0].request.refusal.status)
        self.assertEqual(([], ['live_migrate_server']),
                         (cloud.asked, other.calls))

    def test_records_from_before_are_known(self):
        cloud = simulation.Cloud(1)
        cloud.records.append(builders.record(
            'completed', 1, server_id='server-0',
            created_at=simulation.now()))
        drained = self.drain(cloud, strategy.ONE_AT_A_TIME)
        self.assertEqual({'uuid-1'}, drained.attempts[0]
                         .request.known_records)
        self.assertEqual(['uuid-2'], [
            each.uuid for each in drained.attempts[0].records])


class DrainedTest(DrainTestCase):

    def test_figures(self):
        cloud = simulation.Cloud(4, limit=2)
        drained = self.drain(cloud, strategy.window(4))
        self.assertAlmostEqual(11.0, drained.wall_s, delta=1.0)
        (observed,) = drained.observed
        self.assertEqual(('alpha', 2, 2), (
            observed.host, observed.running, observed.queued))
        self.assertEqual('', observed.contradicts(2))
        self.assertIn('declared to run 3', observed.contradicts(3))
        detail = json.loads(json.dumps(drained.as_dict()))
        self.assertEqual(drained.wall_s, detail['wall_s'])
        self.assertEqual((drained.polls, 0), (
            detail['polls'], detail['poll_errors']))
        self.assertEqual(2, detail['observed_concurrency'][0]['running'])

    def test_nothing_to_move(self):
        cloud = simulation.Cloud(0)
        drained = self.drain(cloud, strategy.ONE_AT_A_TIME)
        self.assertEqual(([], 0.0), (drained.attempts, drained.wall_s))
