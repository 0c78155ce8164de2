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
import urllib3

from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

OLD = fakes.record('completed', 3, 'beta', 'alpha')
MIGRATING = fakes.server('MIGRATING', 'migrating')
ARRIVED = fakes.server(host='beta')


class FollowTest(base.TestCase):

    def follow(self, migrations, servers, **limits):
        self.clock = fakes.Clock()
        self.servers = fakes.servers(*servers)
        self.migrations = fakes.migrations(*migrations)
        return follow.Follower(
            self.servers, self.migrations,
            builders.request(requested_ns=self.clock.now_ns),
            follow.Limits(**{
                'timeout_s': 30, 'settle_s': 5, 'poll_s': 0.5,
                'poll_errors_s': 3, **limits}),
            self.clock.monotonic_ns, self.clock.sleep).follow()

    def test_active_on_the_destination_is_not_the_end(self):
        outcome = self.follow(
            [[OLD], [OLD, fakes.record('queued')],
             [OLD, fakes.record('running')], [OLD, fakes.record('running')],
             [OLD, fakes.record('completed')]],
            [fakes.server(), MIGRATING, MIGRATING, ARRIVED])
        self.assertEqual('', outcome.given_up)
        self.assertEqual(2.0, outcome.duration_s)
        self.assertEqual(self.clock.now_ns, outcome.ended_ns)
        self.assertEqual([7], [
            record.number for record in outcome.last.records])
        self.assertEqual(
            [(0.5, 0.5, 'record 7', 'queued'),
             (0.5, 0.5, 'server',
              'status MIGRATING, task state migrating, host alpha'),
             (1.0, 0.5, 'record 7', 'running'),
             (1.5, 0.5, 'server', 'status ACTIVE, task state None, host '
              'beta'),
             (2.0, 0.5, 'record 7', 'completed')],
            [(seen.at_s, seen.uncertainty_s, seen.what, seen.state)
             for seen in outcome.transitions])
        self.assertEqual({'at_s': 0.5, 'uncertainty_s': 0.5,
                          'what': 'record 7', 'state': 'queued'},
                         outcome.transitions[0].as_dict())

    def test_an_error_becomes_failed_when_the_rollback_is_done(self):
        outcome = self.follow(
            [[fakes.record('error')], [fakes.record('failed')]],
            [MIGRATING, fakes.server()])
        self.assertEqual(
            'failed', outcome.last.records[0].status)
        self.assertEqual('', outcome.given_up)

    def test_a_record_that_never_ends(self):
        outcome = self.follow([[fakes.record('running')]], [MIGRATING])
        self.assertEqual(30.0, outcome.duration_s)
        for part in ('waited 30.0 s (at most 30 s)',
                     'the migration record to end', 'record 7 running',
                     'from alpha to beta', 'status MIGRATING',
                     'host alpha'):
            self.assertIn(part, outcome.given_up)

    def test_no_record_at_all(self):
        outcome = self.follow([[OLD]], [MIGRATING])
        self.assertIn('no record', outcome.given_up)

    def test_a_server_that_never_settles(self):
        outcome = self.follow([[fakes.record('cancelled')]], [MIGRATING])
        self.assertEqual(5.0, outcome.duration_s)
        self.assertIn('the server to be without a task', outcome.given_up)
        self.assertIn('record 7 cancelled', outcome.given_up)

    def test_a_second_record_is_waited_for_too(self):
        outcome = self.follow(
            [[fakes.record('failed'), fakes.record('running', 8)],
             [fakes.record('failed'), fakes.record('completed', 8)]],
            [ARRIVED])
        self.assertEqual(2, len(outcome.last.records))
        self.assertEqual(0.5, outcome.duration_s)

    def test_an_api_that_is_away_for_a_while(self):
        outcome = self.follow(
            [fakes.server_fault(500), fakes.server_fault(503),
             urllib3.exceptions.ProtocolError('gone'),
             ConnectionResetError('reset'),
             lib_exc.InvalidHTTPResponseBody('<html>'),
             [fakes.record('completed')]], [ARRIVED])
        self.assertEqual((6, 5), (outcome.polls, outcome.poll_errors))
        self.assertEqual(2.5, outcome.transitions[0].uncertainty_s)

    def test_an_api_that_stays_away(self):
        exc = self.assertRaises(
            follow.NotFollowed, self.follow,
            [[fakes.record('running')], fakes.server_fault(503)],
            [MIGRATING])
        for part in (fakes.SERVER_ID, 'guest', '3.0 s', '503',
                     'record 7 running', 'status MIGRATING'):
            self.assertIn(part, str(exc))
        self.assertIsInstance(
            exc.__cause__, lib_exc.UnexpectedResponseCode)

    def test_an_api_that_never_answers(self):
        exc = self.assertRaises(
            follow.NotFollowed, self.follow, [fakes.server_fault()],
            [MIGRATING])
        self.assertIn('last seen: nothing', str(exc))

    def test_what_does_not_pass_is_raised_at_once(self):
        for exc in (lib_exc.NotFound(resp=fakes.Response(404)),
                    lib_exc.Forbidden(resp=fakes.Response(403)),
                    fakes.server_fault(429)):
            self.assertRaises(type(exc), self.follow, [[OLD]], [exc])
            self.assertEqual([], self.clock.slept_s)
