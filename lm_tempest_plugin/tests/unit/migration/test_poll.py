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
import logging
import operator

from tempest.lib import exceptions as lib_exc
import urllib3

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation

NO_CONNECTION = urllib3.exceptions.ProtocolError('refused')


class PollerTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = simulation.Cloud(2)
        self.clock = self.cloud.clock
        self.poller = poll.Poller(
            self.cloud.clients, [self.cloud.servers['server-0']], 0.5, 3.0,
            clock=self.clock.monotonic_ns, sleep=self.clock.sleep)


class SnapshotTest(PollerTestCase):

    def test_records_of_all_servers_and_the_watched_servers(self):
        for each in self.cloud.servers:
            self.cloud.live_migrate_server(each, host='beta')
        del self.cloud.calls[:]
        snapshot = self.poller.snapshot()
        # If a record has ended, the server is seen after it.
        self.assertEqual(['list_migrations', 'list_servers'],
                         self.cloud.calls)
        self.assertEqual({'server-0'}, set(snapshot.servers))
        self.assertEqual('MIGRATING', snapshot.servers['server-0'].status)
        self.assertEqual({'server-0', 'server-1'}, set(snapshot.records))
        self.assertEqual((1, 0), (self.poller.polls, self.poller.errors))

    def test_a_server_that_was_deleted(self):
        self.cloud.delete('server-0')
        self.assertEqual({'server-0': None}, self.poller.snapshot().servers)

    def test_a_change_with_an_old_stamp_is_seen(self):
        """By a host whose clock is behind."""
        self.patch(servers, 'list_changed', lambda client, since: [])
        self.cloud.live_migrate_server('server-0', host='beta')
        moved = self.cloud.servers['server-0']
        self.poller = poll.Poller(
            self.cloud.clients, [moved], 0.5, 3.0,
            clock=self.clock.monotonic_ns, sleep=self.clock.sleep)
        self.assertEqual('MIGRATING', self.poller.snapshot().servers[
            'server-0'].status)
        self.clock.sleep(60)
        self.assertEqual(('ACTIVE', 'beta'), operator.attrgetter(
            'status', 'host')(self.poller.snapshot().servers['server-0']))
        self.assertEqual(1, self.cloud.calls.count('show_server'))
        self.poller.snapshot()
        self.assertEqual(1, self.cloud.calls.count('show_server'))

    def test_a_server_that_has_not_changed_stays_the_same(self):
        before = dict(self.cloud.servers)
        self.cloud.servers.clear()
        self.assertEqual({'server-0': before['server-0']},
                         self.poller.snapshot().servers)

    def test_a_cloud_whose_clock_differs(self):
        requested = []
        self.patch(servers, 'list_changed', lambda client, since: (
            requested.append(since) or []))
        begin = datetime.datetime.now(datetime.UTC) - poll.CLOCK_SKEW
        for ahead_s in (-600.0, 0.0, 600.0):
            poll.Poller(self.cloud.clients, [], 0.5, 3.0, ahead_s).snapshot()
            self.assertAlmostEqual(
                ahead_s, (requested[-1] - begin).total_seconds(), delta=5)

    def test_only_changes_since_the_last_snapshot_are_requested(self):
        requested = []
        updated_at = datetime.datetime(2126, 1, 1, 12, tzinfo=datetime.UTC)

        def list_changed(client, since):
            requested.append(since)
            return [builders.server(updated_at=updated_at),
                    builders.server(updated_at=None)]

        self.patch(servers, 'list_changed', list_changed)
        for _ in range(3):
            self.poller.snapshot()
        # Earlier by as much as the clocks of nova's services may differ.
        before = updated_at - datetime.timedelta(seconds=10)
        self.assertLess(requested[0], before)
        self.assertEqual([before] * 2, requested[1:])

    def test_as_many_records_are_requested_as_there_were(self):
        requested = []
        found = [builders.record('running', each) for each in range(5)]
        self.patch(migration_records, 'list_since', (
            lambda client, since, expected: (
                requested.append(expected) or found)))
        self.poller.snapshot()
        self.poller.snapshot()
        self.assertEqual([0, 5], requested)

    def test_servers_are_not_listed_for_ever_after_they_changed(self):
        requested = []
        updated_at = datetime.datetime(2126, 1, 1, 12, tzinfo=datetime.UTC)

        def list_changed(client, since):
            requested.append((since - updated_at).total_seconds())
            # A slow answer: nova's clocks go on meanwhile.
            self.clock.sleep(2)
            return [builders.server(updated_at=updated_at)]

        self.patch(servers, 'list_changed', list_changed)
        for _ in range(4):
            self.poller.snapshot()
            self.clock.sleep(20)
        # Not since the answer, but since the snapshot before was requested.
        self.assertEqual([-10, 10, 32], requested[1:])

    def test_changes_are_requested_again_after_a_failure(self):
        requested = []
        self.patch(servers, 'list_changed', lambda client, since: (
            requested.append(since) or []))
        self.poller.snapshot()
        self.clock.sleep(2)
        self.cloud.fails = [OSError('reset')] * 2
        self.poller.snapshot()
        self.assertEqual(requested[0], requested[1])

    def test_an_older_change_does_not_turn_the_time_back(self):
        now = datetime.datetime.now(datetime.UTC)
        answers = [now, now - datetime.timedelta(minutes=1)] * 2
        requested = []

        def list_changed(client, since):
            requested.append(since)
            return [builders.server(updated_at=answers.pop(0))]

        self.patch(servers, 'list_changed', list_changed)
        for _ in range(3):
            self.poller.snapshot()
        self.assertEqual([now - datetime.timedelta(seconds=10)] * 2,
                         requested[1:])

    def test_records_that_leave_a_host(self):
        snapshot = builders.snapshot(1, [
            builders.record('running', 7), builders.record('completed', 8),
            builders.record('queued', 9, server_id='other'),
            builders.record('running', 10, source='beta')])
        self.assertEqual([7, 9], [
            each.number for each in snapshot.leaving('alpha')])

    def test_its_times(self):
        ticks = iter(range(10))
        poller = poll.Poller(
            self.cloud.clients, [], 0.5, 3.0, clock=lambda: next(ticks))
        snapshot = poller.snapshot()
        self.assertEqual((1, 2), (snapshot.asked_ns, snapshot.at_ns))

    def test_the_pause(self):
        self.poller.pause()
        self.assertEqual([0.5], self.clock.slept_s)

    def test_requests_are_not_logged_by_tempest(self):
        logger = logging.getLogger('tempest.lib.common.rest_client')
        levels = []
        self.cloud.list_migrations = lambda **kwargs: (
            levels.append(logger.level) or {'migrations': []})
        before = logger.level
        self.poller.snapshot()
        self.assertEqual([logging.WARNING], levels)
        self.assertEqual(before, logger.level)


class AwayTest(PollerTestCase):

    def test_it_asks_again(self):
        self.cloud.fails = [
            fakes.server_fault(), fakes.server_fault(503), NO_CONNECTION,
            lib_exc.InvalidHTTPResponseBody('<html>'), OSError('reset')]
        self.poller.snapshot()
        self.assertEqual((6, 5), (self.poller.polls, self.poller.errors))
        self.assertEqual([0.5] * 5, self.clock.slept_s)

    def test_it_gives_up(self):
        self.cloud.fails = [NO_CONNECTION] * 20
        exc = self.assertRaises(poll.ApiUnavailable, self.poller.snapshot)
        for part in ('3.0 s (limit 3 s by option poll_error_timeout)',
                     'refused'):
            self.assertIn(part, str(exc))
        self.assertEqual(7, self.poller.errors)

    def test_the_time_begins_anew_with_each_answer(self):
        for _ in range(4):
            self.cloud.fails = [NO_CONNECTION] * 5
            self.poller.snapshot()
        self.assertEqual(20, self.poller.errors)

    def test_any_request_can_be_repeated(self):
        answers = [OSError('reset'), 'an answer']

        def ask():
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        self.assertEqual('an answer', self.poller.repeat(ask))
        self.assertEqual((0, 1), (self.poller.polls, self.poller.errors))

    def test_our_own_mistake_is_not_tolerated(self):
        self.cloud.fails = [lib_exc.Forbidden(
            'no', resp=fakes.Response(403))]
        self.assertRaises(lib_exc.Forbidden, self.poller.snapshot)
        self.assertEqual(0, self.poller.errors)


class TransientTest(base.TestCase):

    def test_which_errors_are_transient(self):
        for exc, expected in (
                (fakes.server_fault(), True), (fakes.server_fault(502), True),
                (NO_CONNECTION, True), (ConnectionResetError(), True),
                (lib_exc.InvalidHTTPResponseBody('x'), True),
                (lib_exc.NotFound('x', resp=fakes.Response(404)), False),
                (lib_exc.NotFound('x'), False), (ValueError(), False)):
            self.assertEqual(expected, api.is_transient(exc), repr(exc))
