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

import threading
import time
from unittest import mock

import fixtures
import msgspec

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import datagrams
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import icmp_echo
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

S = 1_000_000_000
PERIOD_S = 0.005
GUEST = '127.0.0.1'
OTHER = '127.0.0.2'
# All of 127.0.0.0/8 answers but this one, which nobody may send to.
BROADCAST = '127.255.255.255'
# For ten answers, also where other programs have the CPUs.
PATIENCE_S = 1.0


class WatchTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        if reason := fakes.why_no_icmp():
            self.skipTest(reason)
        self.patch(watch, 'LOOK_S', 0.01)
        self.patch(tcp, 'PAUSE_S', 0.02)

    def patch(self, module, name, value):
        self.useFixture(fixtures.MonkeyPatch(
            '%s.%s' % (module.__name__, name), value))

    def serve(self, *args, **kwargs):
        server = fakes.EchoServer(*args, **kwargs)
        self.addCleanup(server.close)
        return server

    def watch(self, *addresses, port=None):
        """Return a watch over guests, that will be stopped."""
        echo = None if port is None else watch.Echo(port, PERIOD_S)
        watched = watch.Watch(addresses or [GUEST], PERIOD_S, echo)
        self.addCleanup(watched.stop)
        return watched

    def seen(self, watched, address=GUEST):
        return watched.recording().icmp[address]


class GuestsTest(WatchTestCase):

    def test_one_that_is_well(self):
        server = self.serve()
        with self.watch(port=server.port) as watched:
            watched.await_answers(5)
            start_ns = time.monotonic_ns()
            time.sleep(0.1)
            end_ns = time.monotonic_ns()
            continuity = watched.continuity(GUEST, start_ns, end_ns)
            streams = watched.finish(5)
        self.assertEqual([GUEST], list(streams))
        self.assertEqual(
            streams[GUEST].last_sent, streams[GUEST].last_echoed)
        self.assertGreater(streams[GUEST].last_sent, 5)
        self.assertEqual(0, streams[GUEST].lost)
        self.assertLess(continuity.outage.longest_s, 0.1)
        self.assertLess(
            continuity.stall.longest_s, (end_ns - start_ns) / S)
        self.assertGreater(continuity.outage.answered, 0)
        # Ten in a row were awaited, but control data begins after them.
        self.assertLess(continuity.control.sent, 5)
        self.assertEqual(PERIOD_S, continuity.quality.period_s)
        self.assertGreater(continuity.quality.due, 15)

    def test_several(self):
        addresses = [GUEST, OTHER]
        if not fakes.why_no_icmp('::1'):
            addresses.append('::1')
        servers = [self.serve(host=GUEST)]
        servers += [self.serve(host=address, port=servers[0].port)
                    for address in addresses[1:]]
        with self.watch(*addresses, port=servers[0].port) as watched:
            watched.await_answers(5)
            self.assertEqual(len(addresses), watched.answering())
            start_ns = time.monotonic_ns()
            time.sleep(0.05)
            for address in addresses:
                continuity = watched.continuity(
                    address, start_ns, time.monotonic_ns())
                self.assertEqual(address, continuity.address)
                self.assertGreater(continuity.outage.answered, 0)
            streams = watched.finish(5)
        self.assertEqual(addresses, list(streams))
        for seen in streams.values():
            self.assertEqual(seen.last_sent, seen.last_echoed)

    def test_icmp_alone(self):
        with self.watch(GUEST, OTHER) as watched:
            watched.await_answers(5)
            self.assertEqual({}, watched.finish(5))
            start_ns = time.monotonic_ns()
            time.sleep(0.1)
            continuity = watched.continuity(
                GUEST, start_ns, time.monotonic_ns())
        self.assertEqual(GUEST, continuity.address)
        self.assertGreater(continuity.outage.sent, 0)
        self.assertIsNone(continuity.stall)
        self.assertEqual({}, watched.recording().tcp)

    def test_one_that_does_not_answer(self):
        self.useFixture(fixtures.MockPatchObject(
            datagrams.Inbox, 'receive', autospec=True, return_value=0))
        with self.watch(port=self.serve().port) as watched:
            exc = self.assertRaises(
                errors.NotAnswering, watched.await_answers, 0.1)
            self.assertEqual(0, watched.answering())
        self.assertRegex(
            str(exc), r'^waited 0\.\d s \(limit 0\.1 s\) for answers of all '
                      r'guests; last state: 127\.0\.0\.1 did not answer 10 '
                      r'ICMP echo requests in a row: \d+ sent, 0 answered$')

    def test_one_that_cannot_be_sent_to(self):
        with self.watch(GUEST, BROADCAST) as watched:
            exc = self.assertRaises(
                errors.NotAnswering, watched.await_answers, PATIENCE_S)
        self.assertIn('%s did not answer' % BROADCAST, str(exc))
        self.assertRegex(str(exc), r'; \d+ could not be sent: .')

    def test_an_observation_that_was_not_started(self):
        watched = self.watch()
        exc = self.assertRaises(
            errors.NotAnswering, watched.await_answers, 0)
        self.assertIn('0 sent, 0 answered', str(exc))

    def test_one_without_an_echo_service(self):
        server = self.serve()
        server.close()
        with self.watch(port=server.port) as watched:
            exc = self.assertRaises(
                errors.NotAnswering, watched.await_answers, PATIENCE_S)
        self.assertIn('127.0.0.1 had no TCP echo: TCP port %d of 127.0.0.1: '
                      'connection refused' % server.port, str(exc))

    def test_one_whose_service_is_silent(self):
        with self.watch(port=self.serve(lambda _: b'').port) as watched:
            exc = self.assertRaises(
                errors.NotAnswering, watched.await_answers, 0.2)
        self.assertIn('nothing has come back', str(exc))

    def test_one_whose_service_does_not_echo(self):
        server = self.serve(lambda _: b'SSH-2.0-other\r\n')
        with self.watch(port=server.port) as watched:
            # At once, not when the time is over.
            exc = self.assertRaises(
                errors.BadEcho, watched.await_answers, 60)
        self.assertIn('TCP port %d of 127.0.0.1' % server.port, str(exc))
        self.assertIn('SSH-2.0-other', str(exc))

    def test_one_whose_service_comes_later(self):
        server = self.serve()
        server.close()
        with self.watch(port=server.port) as watched:
            self.assertTrue(fakes.wait_for(
                lambda: watched.recording().tcp[GUEST].connect_failures))
            self.serve(port=server.port)
            watched.await_answers(5)
            self.assertEqual(0, watched.finish(5)[GUEST].reconnects)


class ContinuityTest(WatchTestCase):

    def test_what_was_before_the_window_is_control(self):
        with self.watch(port=self.serve().port) as watched:
            watched.await_answers(5)
            time.sleep(0.08)
            start_ns = time.monotonic_ns()
            time.sleep(0.05)
            end_ns = time.monotonic_ns()
            # So that the prober has looked since.
            self.assertTrue(fakes.wait_for(
                lambda: watched.recording().ended_ns > end_ns))
            continuity = watched.continuity(GUEST, start_ns, end_ns)
        self.assertGreater(continuity.control.answered, 0)
        self.assertGreater(continuity.outage.answered, 0)
        seen = self.seen(watched)
        self.assertEqual(
            int(((seen.sent_ns >= start_ns) & (seen.sent_ns < end_ns)).sum()),
            continuity.outage.sent)

    def test_before_it_was_started_nothing_was_missed(self):
        with self.watch(port=self.serve().port) as watched:
            self.assertTrue(fakes.wait_for(
                lambda: self.seen(watched).sent_ns.size > 5))
            start_ns = time.monotonic_ns()
            time.sleep(0.05)
            continuity = watched.continuity(
                GUEST, start_ns, time.monotonic_ns())
        # Nobody has waited for it to answer.
        self.assertGreater(continuity.control.sent, 0)
        self.assertLess(continuity.control.sending.max_gap_s, 1)

    def test_a_window_is_no_control_for_the_next(self):
        with self.watch(port=self.serve().port) as watched:
            watched.await_answers(5)
            times_ns = []
            for _ in range(3):
                times_ns.append(time.monotonic_ns())
                time.sleep(0.05)
            self.assertTrue(fakes.wait_for(
                lambda: watched.recording().ended_ns > times_ns[2]))
            first, second = (
                watched.continuity(GUEST, start_ns, end_ns)
                for start_ns, end_ns in (times_ns[:2], times_ns[1:]))
        self.assertGreater(first.outage.sent, 0)
        self.assertGreater(second.outage.sent, 0)
        self.assertEqual(first.control.sent, second.control.sent)

    def test_a_guest_that_goes_away(self):
        server = self.serve()
        with self.watch(port=server.port) as watched:
            watched.await_answers(5)
            time.sleep(0.05)
            start_ns = time.monotonic_ns()
            server.gate.clear()
            with mock.patch.object(icmp.IcmpGroup, '_note', autospec=True):
                time.sleep(0.2)
            server.gate.set()
            self.assertTrue(fakes.wait_for(
                lambda: self.seen(watched).answered_ns[-10:].max() >
                start_ns + 0.3 * S))
            continuity = watched.continuity(
                GUEST, start_ns, time.monotonic_ns())
            watched.finish(5)
        self.assertGreater(continuity.outage.longest_s, 0.15)
        self.assertFalse(continuity.outage.open)
        self.assertGreater(continuity.stall.longest_s, 0.15)
        self.assertLess(continuity.control.longest_s, 0.15)
        self.assertEqual(0, continuity.stall.lost)

    def test_names_that_say_their_units(self):
        with self.watch(port=self.serve().port) as watched:
            watched.await_answers(5)
            end_ns = time.monotonic_ns()
            continuity = watched.continuity(
                GUEST, end_ns - S // 10, end_ns)
        stored = msgspec.json.decode(msgspec.json.encode(continuity))
        self.assertEqual(
            ['address', 'outage', 'control', 'stall', 'quality'],
            list(stored))
        for part, name in (('outage', 'longest_s'),
                           ('outage', 'error_bound_s'),
                           ('stall', 'longest_s'),
                           ('quality', 'lateness_p99_s')):
            self.assertIsInstance(stored[part][name], float, name)
        self.assertIsInstance(
            stored['control']['sending']['achieved_period_s'], float)
        # No numpy types, and no missing fields.
        self.assertEqual(
            continuity, msgspec.convert(stored, schema.Continuity))
        self.assertEqual(continuity, msgspec.convert(
            continuity, schema.Continuity, from_attributes=True))


class AnsweredAfterTest(WatchTestCase):

    def test_the_first_answer_after_a_time(self):
        with self.watch(GUEST) as watched:
            watched.await_answers(PATIENCE_S)
            came_ns = self.seen(watched).answered_ns
            came_ns = came_ns[came_ns > 0]
            self.assertEqual(came_ns[1], watched.answered_after_ns(
                GUEST, int(came_ns[0])))
            self.assertIsNone(watched.answered_after_ns(
                GUEST, time.monotonic_ns() + S))


class LifeTest(WatchTestCase):

    def test_to_stop_twice_does_no_harm(self):
        watched = self.watch(port=self.serve().port)
        watched.start()
        watched.stop()
        watched.stop()

    def test_not_started_it_can_be_stopped(self):
        server = self.serve()
        watched = self.watch(port=server.port)
        watched.stop()
        self.assertEqual([], server.connections)

    def test_what_is_no_guest_leaves_no_socket_open(self):
        opened = []

        def note(*args):
            opened.append(open_socket(*args))
            return opened[-1]

        open_socket = icmp_echo.open_socket
        self.patch(icmp_echo, 'open_socket', note)
        for addresses, port in (([GUEST], 0), ([GUEST, GUEST], 7),
                                ([GUEST, '1.2.3.4.5'], 7)):
            self.assertRaises(
                errors.ProbeError, watch.Watch, addresses, PERIOD_S,
                watch.Echo(port, PERIOD_S))
        self.assertGreaterEqual(len(opened), 2)
        self.assertEqual({-1}, {sock.fileno() for sock, _ in opened})

    def test_both_are_closed_if_one_has_died(self):
        watched = self.watch(port=self.serve().port)
        with mock.patch.object(tcp.TcpProber, 'on_tick', autospec=True,
                               side_effect=RuntimeError('broken')):
            watched.start()
            self.assertTrue(fakes.wait_for(
                lambda: watched._tcp._failure is not None))
        exc = self.assertRaises(errors.ProbeError, watched.recording)
        self.assertIn('the TCP prober died', str(exc))
        self.assertRaises(errors.ProbeError, watched.stop)
        for group in watched._icmp._groups:
            self.assertEqual(-1, group.sock.fileno())
        watched._tcp = None

    def test_the_icmp_prober_has_died(self):
        with mock.patch.object(icmp.IcmpProber, 'on_tick', autospec=True,
                               side_effect=RuntimeError('broken')):
            watched = watch.Watch([GUEST], PERIOD_S)
            watched.start()
            self.assertTrue(fakes.wait_for(
                lambda: watched._icmp._failure is not None))
        for ask in (watched.answering, watched.recording, watched.stop,
                    lambda: watched.await_answers(1)):
            exc = self.assertRaises(errors.ProbeError, ask)
            self.assertIn('the ICMP prober died', str(exc))


class RecordingTest(WatchTestCase):

    def test_after_it_was_stopped(self):
        before_ns = time.monotonic_ns()
        with self.watch(GUEST, OTHER, port=self.serve(
                host='0.0.0.0').port) as watched:
            watched.await_answers(5)
            watched.finish(5)
        recorded = watched.recording()
        self.assertEqual([GUEST, OTHER], list(recorded.icmp))
        self.assertEqual([GUEST, OTHER], list(recorded.tcp))
        self.assertTrue(before_ns < recorded.started.monotonic_ns <
                        recorded.ended_ns < time.monotonic_ns())
        self.assertGreater(recorded.duration_s, 9 * PERIOD_S)
        self.assertEqual(PERIOD_S, recorded.period_s)
        self.assertIsNone(recorded.calibration)
        for address in (GUEST, OTHER):
            seen = recorded.icmp[address]
            self.assertGreaterEqual(seen.answered.sum(), 10)
            self.assertLess(seen.sent_ns[-1], recorded.ended_ns)
            self.assertGreater(recorded.tcp[address].last_echoed, -1)

    def test_nothing_changes_any_more(self):
        with self.watch(port=self.serve().port) as watched:
            watched.await_answers(5)
        one, other = watched.recording(), watched.recording()
        self.assertEqual(one.ended_ns, other.ended_ns)
        self.assertEqual(one.quality, other.quality)
        self.assertEqual(one.icmp[GUEST].sent_ns.tolist(),
                         other.icmp[GUEST].sent_ns.tolist())

    def test_what_was_under_way_when_it_stopped_is_not_lost(self):
        server = self.serve()
        with self.watch(port=server.port) as watched:
            watched.await_answers(5)
            server.gate.clear()
            self.assertTrue(fakes.wait_for(
                lambda: (seen := watched.recording().tcp[GUEST]).last_sent >
                seen.last_echoed + 5))
            before = watched.recording().tcp[GUEST]
        after = watched.recording().tcp[GUEST]
        self.assertEqual((0, before.expected), (before.lost, before.expected))
        self.assertEqual((0, before.expected), (after.lost, after.expected))

    def test_before_the_prober_has_looked(self):
        watched = self.watch()
        self.assertGreaterEqual(watched.recording().duration_s, 0)
        held = threading.Event()
        self.addCleanup(held.set)
        with mock.patch.object(icmp.IcmpProber, 'on_tick', autospec=True,
                               side_effect=lambda *_: held.wait(5)):
            watched.start()
            recorded = watched.recording()
            held.set()
        self.assertGreaterEqual(recorded.duration_s, 0)

    def test_the_calibration_is_handed_on(self):
        calibrated = quality.calibrate(2, PERIOD_S, 0.05)
        watched = self.watch()
        with watched:
            pass
        self.assertIs(calibrated, watched.recording(calibrated).calibration)


class AnswersTest(base.TestCase):

    def answers(self, *answered):
        log = answers.AnswerLog('192.0.2.1', 1)
        now_ns = time.monotonic_ns()
        for yes in answered:
            number = log.ask(now_ns, now_ns)
            if yes:
                log.answer(number, now_ns)
        return watch._is_answering(log.snapshot())

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
        log = answers.AnswerLog('192.0.2.1', 1)
        for _ in range(10):
            log.answer(log.ask(0, 0), time.monotonic_ns() - 2 * S)
        self.assertFalse(watch._is_answering(log.snapshot()))
