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
from lm_tempest_plugin.probes import worker
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes


class Prober(worker.Prober):
    """Notes what it is called for, and when."""

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

    def on_looked(self):
        self.looked += 1

    def close(self):
        self.closed += 1
        self.theirs.close()
        self.ours.close()


class PatientProber(Prober):
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
        self._test_turns(Prober(slots=2))

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
        self._test_listens(Prober(period_s=0.5))

    def test_patient_what_comes_is_taken_in(self):
        self._test_listens(PatientProber(period_s=0.5))

    def test_up_to_when_it_has_looked(self):
        prober = self.start(Prober())
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
            prober = Prober()
            if started:
                prober.start()
            prober.stop()
            prober.stop()
            self.assertEqual(2, prober.closed)

    def test_what_it_died_of_is_raised(self):
        failure = RuntimeError('broken')
        prober = Prober(failure=failure)
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
        prober = Prober(period_s=0.2)
        prober.start()
        prober.theirs.close()
        self.assertTrue(fakes.wait_for(
            lambda: not prober._thread.is_alive()))
        exc = self.assertRaises(errors.ProbeError, prober.stop)
        self.assertIn('closed by the other side', str(exc))
