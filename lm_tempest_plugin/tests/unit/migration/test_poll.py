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

from tempest.lib import exceptions as lib_exc
import urllib3

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
            self.clock.monotonic_ns, self.clock.sleep)


class LookTest(PollerTestCase):

    def test_records_of_all_and_servers_that_are_watched(self):
        for each in self.cloud.servers:
            self.cloud.live_migrate_server(each, host='beta')
        del self.cloud.calls[:]
        look = self.poller.look()
        # If a record has ended, the server is seen after it.
        self.assertEqual(['list_migrations', 'list_servers'],
                         self.cloud.calls)
        self.assertEqual({'server-0'}, set(look.servers))
        self.assertEqual('MIGRATING', look.servers['server-0'].status)
        self.assertEqual({'server-0', 'server-1'}, set(look.records))
        self.assertEqual((1, 0), (self.poller.polls, self.poller.errors))

    def test_one_that_is_gone(self):
        self.cloud.delete('server-0')
        self.assertEqual({'server-0': None}, self.poller.look().servers)

    def test_one_that_has_not_changed_is_as_it_was(self):
        before = dict(self.cloud.servers)
        self.cloud.servers.clear()
        self.assertEqual({'server-0': before['server-0']},
                         self.poller.look().servers)

    def test_what_has_not_changed_since_the_last_look_is_not_asked_for(self):
        asked = []
        updated_at = datetime.datetime(2126, 1, 1, 12, tzinfo=datetime.UTC)

        def list_changed(client, since):
            asked.append(since)
            return [builders.server(updated_at=updated_at),
                    builders.server(updated_at=None)]

        self.patch(servers, 'list_changed', list_changed)
        for _ in range(3):
            self.poller.look()
        # As much earlier as the clocks of nova's services may differ.
        before = updated_at - datetime.timedelta(seconds=10)
        self.assertLess(asked[0], before)
        self.assertEqual([before] * 2, asked[1:])

    def test_one_change_that_is_older_turns_nothing_back(self):
        now = datetime.datetime.now(datetime.UTC)
        answers = [now, now - datetime.timedelta(minutes=1)] * 2
        asked = []

        def list_changed(client, since):
            asked.append(since)
            return [builders.server(updated_at=answers.pop(0))]

        self.patch(servers, 'list_changed', list_changed)
        for _ in range(3):
            self.poller.look()
        self.assertEqual([now - datetime.timedelta(seconds=10)] * 2,
                         asked[1:])

    def test_what_leaves_a_host(self):
        look = builders.look(1, [
            builders.record('running', 7), builders.record('completed', 8),
            builders.record('queued', 9, server_id='other'),
            builders.record('running', 10, source='beta')])
        self.assertEqual([7, 9], [
            each.number for each in look.on_source('alpha')])

    def test_when_it_was(self):
        ticks = iter(range(10))
        poller = poll.Poller(
            self.cloud.clients, [], 0.5, 3.0, lambda: next(ticks))
        look = poller.look()
        self.assertEqual((1, 2), (look.asked_ns, look.at_ns))

    def test_the_pause(self):
        self.poller.pause()
        self.assertEqual([0.5], self.clock.slept_s)


class AwayTest(PollerTestCase):

    def test_it_is_asked_again(self):
        self.cloud.fails = [
            fakes.server_fault(), fakes.server_fault(503), NO_CONNECTION,
            lib_exc.InvalidHTTPResponseBody('<html>'), OSError('reset')]
        self.poller.look()
        self.assertEqual((6, 5), (self.poller.polls, self.poller.errors))
        self.assertEqual([0.5] * 5, self.clock.slept_s)

    def test_it_gives_up(self):
        self.cloud.fails = [NO_CONNECTION] * 20
        exc = self.assertRaises(poll.NotFollowed, self.poller.look)
        for part in ('3.0 s (at most 3 s by option poll_error_timeout)',
                     'refused'):
            self.assertIn(part, str(exc))
        self.assertEqual(7, self.poller.errors)

    def test_each_answer_begins_anew(self):
        for _ in range(4):
            self.cloud.fails = [NO_CONNECTION] * 5
            self.poller.look()
        self.assertEqual(20, self.poller.errors)

    def test_our_own_mistake_is_not_borne(self):
        self.cloud.fails = [lib_exc.Forbidden(
            'no', resp=fakes.Response(403))]
        self.assertRaises(lib_exc.Forbidden, self.poller.look)
        self.assertEqual(0, self.poller.errors)


class PassingTest(base.TestCase):

    def test_what_may_pass_by_itself(self):
        for exc, expected in (
                (fakes.server_fault(), True), (fakes.server_fault(502), True),
                (NO_CONNECTION, True), (ConnectionResetError(), True),
                (lib_exc.InvalidHTTPResponseBody('x'), True),
                (lib_exc.NotFound('x', resp=fakes.Response(404)), False),
                (lib_exc.NotFound('x'), False), (ValueError(), False)):
            self.assertEqual(expected, poll.passing(exc), repr(exc))
