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
import struct
from unittest import mock

import fixtures
import msgspec
import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000


def observe(late_ms=(0.1,) * 100, left_out=()):
    """Return answers with some probes sent late or left out."""
    due_ns = numpy.array(
        [number * 10 * MS for number in range(len(late_ms))
         if number not in left_out], numpy.int64)
    late_ns = numpy.array(
        [round(late * MS) for number, late in enumerate(late_ms)
         if number not in left_out], numpy.int64)
    return answers.Answers(
        '192.0.2.1', 10 * MS, due_ns, due_ns + late_ns,
        numpy.zeros_like(due_ns), due_ns + late_ns + MS)


class QualityTest(base.TestCase):

    def test_all_is_well(self):
        found = quality.measure([observe()] * 3, 0.01)
        self.assertFalse(found.too_busy)
        self.assertEqual([], quality.remarks(found))
        self.assertEqual((300, 0), (found.due, found.deadlines_missed))
        self.assertAlmostEqual(0.01, found.achieved_period_s)
        self.assertAlmostEqual(0.01, found.max_gap_s)
        for late_s in (found.lateness_p50_s, found.lateness_p99_s,
                       found.lateness_max_s):
            self.assertAlmostEqual(0.0001, late_s)

    def test_lateness(self):
        found = quality.measure(
            [observe([1.0] * 50 + [2.0] * 49 + [3.0])], 0.01)
        self.assertAlmostEqual(0.001, found.lateness_p50_s)
        self.assertAlmostEqual(0.002, found.lateness_p99_s)
        self.assertAlmostEqual(0.003, found.lateness_max_s)
        self.assertFalse(found.too_busy)

    def test_too_busy_if_one_in_a_hundred_is_half_a_period_late(self):
        self.assertFalse(quality.measure(
            [observe([0.1] * 99 + [5.1])], 0.01).too_busy)
        found = quality.measure([observe([0.1] * 98 + [5.1] * 2)], 0.01)
        self.assertTrue(found.too_busy)
        self.assertEqual(0, found.deadlines_missed)
        remark, = quality.remarks(found)
        self.assertIn('was late by 0.0051 s or more', remark)

    def test_too_busy_if_more_than_one_in_a_hundred_is_never_sent(self):
        found = quality.measure([observe([0.1] * 200, {50, 51})], 0.01)
        self.assertEqual((200, 2), (found.due, found.deadlines_missed))
        self.assertFalse(found.too_busy)
        self.assertAlmostEqual(0.03, found.max_gap_s)
        found = quality.measure([observe([0.1] * 200, {9, 50, 51})], 0.01)
        self.assertEqual((200, 3), (found.due, found.deadlines_missed))
        self.assertTrue(found.too_busy)
        remark, = quality.remarks(found)
        self.assertIn('3 of 200 were not sent', remark)

    def test_guests_in_different_slots_have_missed_nothing(self):
        seen = observe()
        other = dataclasses.replace(
            seen, due_ns=seen.due_ns + 5 * MS, sent_ns=seen.sent_ns + 5 * MS)
        found = quality.measure([seen, other], 0.01)
        self.assertEqual((200, 0), (found.due, found.deadlines_missed))

    def test_too_busy_if_an_answer_was_dropped(self):
        found = quality.measure([observe()], 0.01, answers_dropped=7)
        self.assertTrue(found.too_busy)
        # It asked in time, so that is all.
        remark, = quality.remarks(found)
        self.assertIn('dropped 7 answers', remark)

    def test_what_was_refused_is_no_deadline_missed(self):
        refused = set(range(50, 80))
        found = quality.measure([
            observe(), dataclasses.replace(
                observe(left_out=refused), send_errors=30,
                send_error='no route')], 0.01)
        self.assertEqual((170, 0, 30), (
            found.due, found.deadlines_missed, found.send_errors))
        self.assertFalse(found.too_busy)
        self.assertAlmostEqual(0.31, found.max_gap_s)
        remark, = quality.remarks(found)
        self.assertIn('refused to send 30 probes', remark)

    def test_refused_and_missed(self):
        found = quality.measure([dataclasses.replace(
            observe([0.1] * 200, {9, 50, 51, 100, 101}), send_errors=2)],
            0.01)
        self.assertEqual((198, 3, 2), (
            found.due, found.deadlines_missed, found.send_errors))
        self.assertTrue(found.too_busy)
        busy, refused = quality.remarks(found)
        self.assertIn('3 of 198 were not sent', busy)
        self.assertIn('refused to send 2 probes', refused)

    def test_refused_at_the_edge_leaves_no_place(self):
        found = quality.measure([dataclasses.replace(
            observe(left_out=set(range(10))), send_errors=10)], 0.01)
        self.assertEqual((90, 0, 10), (
            found.due, found.deadlines_missed, found.send_errors))

    def test_what_one_guest_is_refused_hides_nothing_missed_by_others(self):
        unreachable = dataclasses.replace(
            observe([]), send_errors=200, send_error='no route')
        found = quality.measure(
            [observe([0.1] * 200, {9, 50, 51}), unreachable], 0.01)
        self.assertEqual((200, 3, 200), (
            found.due, found.deadlines_missed, found.send_errors))
        self.assertTrue(found.too_busy)

    def test_each_cause_has_its_remark(self):
        found = quality.measure(
            [dataclasses.replace(observe([6.0] * 100), send_errors=5)],
            0.01, 2, 3, 7)
        self.assertEqual(5, len(quality.remarks(found)))
        for part, remark in zip((
                'fell behind', 'dropped 7', 'refused to send 5',
                'set 2 times', '3 answers'),
                quality.remarks(found), strict=True):
            self.assertIn(part, remark)

    def test_clocks_are_remarked_on_but_do_no_harm(self):
        found = quality.measure([observe()], 0.01, 2, 3)
        self.assertFalse(found.too_busy)
        clock, stamps = quality.remarks(found)
        self.assertIn('set 2 times', clock)
        self.assertIn('3 answers have no usable time stamp', stamps)

    def test_nothing_was_sent(self):
        for seen in ([], [observe([])], [observe([]), observe([])]):
            found = quality.measure(seen, 0.01)
            self.assertEqual((0, 0), (found.due, found.deadlines_missed))
            self.assertEqual(0.0, found.achieved_period_s)
            self.assertEqual(0.0, found.max_gap_s)
            self.assertFalse(found.too_busy)

    def test_a_single_question(self):
        found = quality.measure([observe([2.0])], 0.01)
        self.assertEqual((1, 0), (found.due, found.deadlines_missed))
        self.assertAlmostEqual(0.002, found.lateness_max_s)

    def test_names_say_their_units(self):
        found = quality.measure([observe()], 0.01, answers_dropped=1)
        self.assertEqual(0.01, found.period_s)
        self.assertEqual(1, found.answers_dropped)
        self.assertEqual(0, found.send_errors)
        self.assertTrue(found.too_busy)
        for name, value in msgspec.structs.asdict(found).items():
            if isinstance(value, float):
                self.assertTrue(name.endswith('_s'), name)


def answered(delays_ms):
    """Return the answers of a guest; None for no answer."""
    sent_ns = numpy.arange(len(delays_ms), dtype=numpy.int64) * 10 * MS
    return answers.Answers(
        '127.0.0.1', 10 * MS, sent_ns, sent_ns, numpy.zeros_like(sent_ns),
        numpy.array([
            answers.UNANSWERED if delay_ms is None
            else at_ns + round(delay_ms * MS)
            for at_ns, delay_ms in zip(sent_ns, delays_ms, strict=True)],
            numpy.int64))


class CalibrationTest(base.TestCase):

    def calibrate(self, seen, targets=1, **counters):
        prober = mock.MagicMock(
            spec=icmp.IcmpProber, clock_steps=0, stamps_refused=0,
            answers_dropped=0, period_s=0.01)
        prober.configure_mock(**counters)
        prober.__enter__.return_value = prober
        prober.seen.side_effect = lambda address: seen
        with mock.patch.object(icmp, 'IcmpProber', autospec=True,
                               return_value=prober) as made:
            found = quality.calibrate(targets, 0.01, 0.0)
        self.addresses, self.period_s = made.call_args.args
        return found

    def test_delays(self):
        found = self.calibrate(answered([1] * 98 + [5, 9]))
        self.assertAlmostEqual(0.001, found.delay_p50_s)
        self.assertAlmostEqual(0.005, found.delay_p99_s)
        self.assertFalse(found.quality.too_busy)

    def test_noise_is_what_is_between_two_answers_beyond_a_period(self):
        self.assertEqual(0.0, self.calibrate(answered([1] * 9)).noise_floor_s)
        self.assertAlmostEqual(0.003, self.calibrate(
            answered([1, 1, 4, 1, 1])).noise_floor_s)
        self.assertAlmostEqual(0.01, self.calibrate(
            answered([1, 1, None, 1, 1])).noise_floor_s)
        self.assertEqual(0.0, self.calibrate(answered([1])).noise_floor_s)

    def test_each_target_has_an_address_of_its_own(self):
        self.calibrate(answered([1]), targets=1000)
        self.assertEqual(1000, len(set(self.addresses)))
        self.assertEqual('127.0.0.1', self.addresses[0])
        self.assertEqual('127.0.0.254', self.addresses[253])
        self.assertEqual('127.0.1.1', self.addresses[254])
        self.assertEqual(0.01, self.period_s)
        for address in self.addresses:
            self.assertNotIn(address.rpartition('.')[2], ('0', '255'))

    def test_the_loopback_is_down(self):
        exc = self.assertRaises(
            errors.ProbeError, self.calibrate, answered([None] * 9))
        self.assertIn('loopback', str(exc))
        self.assertIn('127.0.0.1', str(exc))

    def test_what_the_prober_counted(self):
        found = self.calibrate(answered([1] * 9), clock_steps=1,
                               stamps_refused=2, answers_dropped=3).quality
        self.assertEqual((1, 2, 3), (
            found.wall_clock_steps, found.kernel_stamps_refused,
            found.answers_dropped))
        self.assertTrue(found.too_busy)

    def test_names_say_their_units(self):
        found = self.calibrate(answered([1] * 9))
        self.assertEqual(1, found.targets)
        self.assertEqual(0.01, found.quality.achieved_period_s)
        for name, value in dataclasses.asdict(found).items():
            if isinstance(value, float):
                self.assertTrue(name.endswith('_s'), name)


class LoopbackTest(base.TestCase):

    def test_on_this_machine(self):
        try:
            found = quality.calibrate(3, 0.01, 0.2)
        except errors.ProbesNotPermitted as exc:
            self.skipTest(str(exc))
        self.assertEqual((3, 0.2), (found.targets, found.duration_s))
        self.assertTrue(0 < found.delay_p50_s <= found.delay_p99_s < 1)
        self.assertGreaterEqual(found.noise_floor_s, 0)
        self.assertGreater(found.quality.due, 3)


class AwakeTest(base.TestCase):

    def test_the_latency_is_asked_for(self):
        path = self.useFixture(fixtures.TempDir()).join('cpu_dma_latency')
        with quality.awake(path) as reason:
            self.assertEqual('', reason)
            with open(path, 'rb') as device:
                self.assertEqual((0,), struct.unpack('=i', device.read()))

    def test_without_permission_it_says_why(self):
        with quality.awake('/nonexistent/device') as reason:
            self.assertEqual(
                '/nonexistent/device: No such file or directory', reason)

    def test_what_cannot_be_written_is_said_too(self):
        self.useFixture(fixtures.WarningsFilter(
            [{'action': 'error', 'category': ResourceWarning}]))
        with quality.awake('/dev/full') as reason:
            self.assertEqual('/dev/full: No space left on device', reason)

    def test_what_goes_wrong_meanwhile_is_not_taken_for_that(self):
        path = self.useFixture(fixtures.TempDir()).join('cpu_dma_latency')
        for device in (path, '/nonexistent/device'):
            def fail(device=device):
                with quality.awake(device):
                    raise OSError('another')

            exc = self.assertRaises(OSError, fail)
            self.assertEqual('another', str(exc))

    def test_the_file_is_closed_whatever_happens(self):
        path = self.useFixture(fixtures.TempDir()).join('cpu_dma_latency')
        self.useFixture(fixtures.WarningsFilter(
            [{'action': 'error', 'category': ResourceWarning}]))

        def fail():
            with quality.awake(path):
                raise ValueError

        self.assertRaises(ValueError, fail)
