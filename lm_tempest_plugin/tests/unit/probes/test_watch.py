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

import time

import fixtures

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes
from lm_tempest_plugin.tests.unit.probes import test_icmp

S = 1_000_000_000


class WatchTest(base.TestCase):

    def setUp(self):
        super().setUp()
        if not test_icmp.reachable(icmp.IPV4):
            self.skipTest('this machine does not let us ping')
        self.server = fakes.EchoServer()
        self.addCleanup(self.server.close)

    def test_a_guest_that_is_well(self):
        with watch.Watch('127.0.0.1', self.server.port, 0.005,
                         0.005) as watched:
            watched.start(5)
            start_ns = time.monotonic_ns()
            time.sleep(0.1)
            continuity = watched.continuity(start_ns, time.monotonic_ns())
            seen = watched.finish(5)
        self.assertEqual(seen.last_sent, seen.last_echoed)
        self.assertLess(continuity.outage.longest.duration_s, 0.1)
        self.assertLess(continuity.stall.longest_s, 0.1)
        figures = continuity.as_dict()
        self.assertEqual('127.0.0.1', figures['address'])
        for name in ('longest_outage_s', 'error_bound_s', 'longest_stall_s',
                     'probe_period_s', 'probe_period_achieved_s',
                     'probe_lateness_p99_s', 'probe_lateness_max_s'):
            self.assertIsInstance(figures[name], float, name)

    def test_a_guest_without_an_echo_service(self):
        self.server.close()
        self.useFixture(fixtures.MonkeyPatch(
            'lm_tempest_plugin.probes.tcp.ATTEMPT_S', 0.05))
        with watch.Watch('127.0.0.1', self.server.port, 0.005,
                         0.005) as watched:
            exc = self.assertRaises(errors.NotAnswering, watched.start, 0.3)
        self.assertIn('no TCP echo from port %d' % self.server.port,
                      str(exc))

    def test_a_guest_that_does_not_answer(self):
        with watch.Watch('127.0.0.1', self.server.port, 0.005,
                         0.005) as watched:
            watched._icmp.on_readable = lambda data: data.sock.recv(2048)
            exc = self.assertRaises(errors.NotAnswering, watched.start, 0.15)
        self.assertIn('127.0.0.1 did not answer', str(exc))
        self.assertIn('0 answered', str(exc))
        self.assertEqual([], self.server.connections)


class AnswersTest(base.TestCase):

    def answers(self, *answered):
        seen = observations.Observations('192.0.2.1', 1)
        now_ns = time.monotonic_ns()
        for yes in answered:
            number = seen.ask(now_ns)
            if yes:
                seen.answer(number, now_ns)
        return watch._answers(seen)

    def test_ten_in_a_row(self):
        self.assertTrue(self.answers(*[True] * 10))
        self.assertTrue(self.answers(False, *[True] * 10))

    def test_the_last_ones_may_be_under_way(self):
        self.assertTrue(self.answers(*[True] * 10, False, False))

    def test_not_enough(self):
        self.assertFalse(self.answers())
        self.assertFalse(self.answers(*[True] * 9))
        self.assertFalse(self.answers(*[True] * 9, False, True))

    def test_long_ago(self):
        seen = observations.Observations('192.0.2.1', 1)
        for _ in range(10):
            seen.answer(seen.ask(0), time.monotonic_ns() - 2 * S)
        self.assertFalse(watch._answers(seen))
