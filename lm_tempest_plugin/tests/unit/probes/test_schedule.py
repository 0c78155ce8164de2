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

import selectors
import socket
import threading
import time

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

MS = 1_000_000


class TickerTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now_ns = 1000 * MS

    def ticker(self, period_s=0.01, slots=1):
        return schedule.Ticker(period_s, slots, lambda: self.now_ns)

    def test_first_deadline_is_one_period_away(self):
        ticker = self.ticker()
        self.assertIsNone(ticker.due())
        self.assertAlmostEqual(0.01, ticker.remaining_s())
        self.now_ns += 10 * MS
        self.assertEqual(0.0, ticker.remaining_s())
        self.assertEqual(schedule.Deadline(0, 1010 * MS), ticker.due())
        self.assertIsNone(ticker.due())

    def test_lateness_does_not_move_the_deadlines(self):
        ticker = self.ticker()
        self.now_ns += 13 * MS
        self.assertEqual(1010 * MS, ticker.due().due_ns)
        self.assertAlmostEqual(0.007, ticker.remaining_s())

    def test_deadlines_do_not_drift(self):
        ticker = self.ticker(slots=3)
        for number in range(300):
            period, slot = divmod(number, 3)
            due_ns = 1010 * MS + period * 10 * MS + slot * 10 * MS // 3
            self.now_ns = due_ns + number % 2 * MS
            self.assertEqual(schedule.Deadline(slot, due_ns), ticker.due())

    def test_slots_are_at_equal_distances(self):
        ticker = self.ticker(slots=4)
        deadlines = []
        while len(deadlines) < 9:
            self.now_ns += MS // 2
            if deadline := ticker.due():
                deadlines.append(
                    (deadline.slot, deadline.due_ns / MS - 1010))
        self.assertEqual(
            [(0, 0), (1, 2.5), (2, 5), (3, 7.5), (0, 10), (1, 12.5),
             (2, 15), (3, 17.5), (0, 20)], deadlines)

    def test_slots_that_are_late_by_less_than_a_period_have_their_turn(self):
        ticker = self.ticker(slots=4)
        self.now_ns += 19 * MS
        deadlines = []
        while deadline := ticker.due():
            deadlines.append((deadline.slot, deadline.due_ns / MS - 1010))
        self.assertEqual([(0, 0), (1, 2.5), (2, 5), (3, 7.5)], deadlines)

    def test_periods_slept_through_are_left_out(self):
        ticker = self.ticker()
        self.now_ns += 52 * MS
        # It is late by 42 ms, not by 2 ms.
        self.assertEqual(schedule.Deadline(0, 1010 * MS), ticker.due())
        self.assertIsNone(ticker.due())
        self.assertAlmostEqual(0.008, ticker.remaining_s())
        self.now_ns = 1060 * MS
        self.assertEqual(schedule.Deadline(0, 1060 * MS), ticker.due())

    def test_periods_slept_through_within_a_period_are_left_out(self):
        ticker = self.ticker(slots=2)
        self.now_ns += 10 * MS
        self.assertEqual(schedule.Deadline(0, 1010 * MS), ticker.due())
        # Slot 1 was due first at 1015 ms, slot 0 at 1020 ms.
        self.now_ns = 1052 * MS
        self.assertEqual(schedule.Deadline(1, 1015 * MS), ticker.due())
        self.assertEqual(schedule.Deadline(0, 1020 * MS), ticker.due())
        self.assertIsNone(ticker.due())
        self.assertAlmostEqual(0.003, ticker.remaining_s())

    def test_after_a_sleep_each_slot_is_in_time_again(self):
        for slots in (2, 3, 4):
            for asleep_ms in range(1, 60):
                ticker = self.ticker(slots=slots)
                self.now_ns += 10 * MS
                self.assertEqual(0, ticker.due().slot)
                self.now_ns += asleep_ms * MS
                while ticker.due():
                    pass
                for _ in range(3 * slots):
                    self.now_ns += round(ticker.remaining_s() * 1e9)
                    self.assertEqual(
                        self.now_ns, ticker.due().due_ns,
                        '%d slots, %d ms asleep' % (slots, asleep_ms))

    def test_a_period_that_is_no_whole_number_of_slots(self):
        ticker = self.ticker(1e-8, slots=3)
        due_ns = []
        for _ in range(40):
            self.now_ns += 1
            if deadline := ticker.due():
                due_ns.append(deadline.due_ns - 1000 * MS)
        self.assertEqual([10, 13, 16, 20, 23, 26, 30, 33, 36, 40], due_ns)

    def test_period_must_be_positive(self):
        self.assertRaises(ValueError, schedule.Ticker, 0)
        self.assertRaises(ValueError, schedule.Ticker, -1)

    def test_by_default_it_goes_by_the_monotonic_clock(self):
        self.assertAlmostEqual(
            3600, schedule.Ticker(3600).remaining_s(), delta=60)


class FakeProber(schedule.Prober):
    """Notes each call with its time."""

    name = 'prober of a test'

    def __init__(self, period_s=0.004, slots=1, failure=None):
        super().__init__(period_s)
        self._slots = slots
        self._failure_to_be = failure
        self.ticks = []
        self.read = []
        self.looked = 0
        self.closed = 0
        self.complete = True
        self.theirs, self.ours = socket.socketpair()
        self.ours.setblocking(False)
        self.selector.register(self.ours, selectors.EVENT_READ, 'data')

    @property
    def slots(self):
        return self._slots

    def on_tick(self, deadline):
        self.ticks.append((deadline, time.monotonic_ns()))
        if self._failure_to_be:
            raise self._failure_to_be

    def on_readable(self, data):
        content = self.ours.recv(
            100, 0 if self.complete else socket.MSG_PEEK)
        if not content:
            raise EOFError('closed by the other side')
        self.read.append((data, content, time.monotonic()))
        return self.complete

    def on_all_read(self):
        self.looked += 1

    def close(self):
        self.closed += 1
        self.theirs.close()
        self.ours.close()


class PatientProber(FakeProber):
    patient = True


class ProberTest(base.TestCase):

    def start(self, prober):
        prober.start()
        self.addCleanup(prober.stop)
        return prober

    def _test_turns(self, prober):
        self.start(prober)
        self.assertTrue(fakes.wait_for(lambda: len(prober.ticks) >= 6))
        prober.stop()
        slots = [deadline.slot for deadline, _ in prober.ticks[:6]]
        self.assertEqual([0, 1, 0, 1, 0, 1], slots)
        for deadline, at_ns in prober.ticks:
            self.assertGreaterEqual(at_ns, deadline.due_ns)

    def test_each_slot_has_its_turn(self):
        self._test_turns(FakeProber(slots=2))

    def test_patient_each_slot_has_its_turn(self):
        self._test_turns(PatientProber(slots=2))

    def _test_listens(self, prober):
        self.start(prober)
        begin_s = time.monotonic()
        prober.theirs.send(b'hello')
        self.assertTrue(fakes.wait_for(lambda: prober.read))
        data, content, at_s = prober.read[0]
        self.assertEqual(('data', b'hello'), (data, content))
        # Before anything is to be sent.
        self.assertLess(at_s - begin_s, 0.5)

    def test_what_comes_is_taken_in(self):
        self._test_listens(FakeProber(period_s=0.5))

    def test_patient_what_comes_is_taken_in(self):
        self._test_listens(PatientProber(period_s=0.5))

    def test_up_to_when_it_has_looked(self):
        prober = self.start(FakeProber())
        now_ns = time.monotonic_ns()
        self.assertTrue(fakes.wait_for(lambda: prober.watched_ns > now_ns))
        looked = prober.looked
        self.assertTrue(fakes.wait_for(lambda: prober.looked > looked))

    def test_where_more_may_have_come_it_has_not_looked(self):
        prober = PatientProber()
        prober.complete = False
        prober.theirs.send(b'there is more')
        before_ns = prober.watched_ns
        self.start(prober)
        self.assertTrue(fakes.wait_for(lambda: len(prober.read) > 3))
        self.assertEqual((before_ns, 0), (prober.watched_ns, prober.looked))
        prober.complete = True
        self.assertTrue(fakes.wait_for(lambda: prober.looked))

    def test_what_came_before_it_was_stopped_is_taken_in(self):
        prober = PatientProber(period_s=3600)
        prober.start()
        prober.theirs.send(b'hello')
        prober.stop()
        self.assertEqual(1, len(prober.read))
        self.assertGreater(prober.looked, 0)

    def test_patient_it_stops_before_the_next_deadline(self):
        prober = PatientProber(period_s=3600)
        with prober:
            self.assertIn(prober.name, [
                thread.name for thread in threading.enumerate()])
        self.assertNotIn(prober.name, [
            thread.name for thread in threading.enumerate()])
        self.assertEqual([], prober.ticks)

    def test_to_stop_twice_does_no_harm(self):
        for started in (False, True):
            prober = FakeProber()
            if started:
                prober.start()
            prober.stop()
            prober.stop()
            self.assertEqual(2, prober.closed)

    def test_what_it_died_of_is_raised(self):
        failure = RuntimeError('broken')
        prober = FakeProber(failure=failure)
        prober.raise_failure()
        prober.start()
        self.assertTrue(fakes.wait_for(
            lambda: not prober._thread.is_alive()))
        for ask in (prober.raise_failure, prober.stop):
            exc = self.assertRaises(errors.ProbeError, ask)
            self.assertIn('the prober of a test died', str(exc))
            self.assertIn('broken', str(exc))
            self.assertIs(failure, exc.__cause__)
        # Closed all the same.
        self.assertEqual(1, prober.closed)
        self.assertEqual(1, len(prober.ticks))

    def test_a_failure_to_take_in_is_raised_too(self):
        prober = FakeProber(period_s=0.2)
        prober.start()
        prober.theirs.close()
        self.assertTrue(fakes.wait_for(
            lambda: not prober._thread.is_alive()))
        exc = self.assertRaises(errors.ProbeError, prober.stop)
        self.assertIn('closed by the other side', str(exc))
