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

import numpy

from lm_tempest_plugin.probes.analysis import quality
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000


def observe(late_ms=(0.1,) * 100, left_out=()):
    """Return what is seen with some questions sent late or left out."""
    due_ns = numpy.array(
        [number * 10 * MS for number in range(len(late_ms))
         if number not in left_out], numpy.int64)
    late_ns = numpy.array(
        [round(late * MS) for number, late in enumerate(late_ms)
         if number not in left_out], numpy.int64)
    return observations.Observations(
        '192.0.2.1', 10 * MS, due_ns, due_ns + late_ns,
        numpy.zeros_like(due_ns), due_ns + late_ns + MS)


class QualityTest(base.TestCase):

    def test_all_is_well(self):
        found = quality.quality([observe()] * 3, 0.01)
        self.assertFalse(found.too_busy)
        self.assertEqual([], found.remarks())
        self.assertEqual((300, 0), (found.due, found.deadlines_missed))
        self.assertAlmostEqual(0.01, found.achieved_period_s)
        self.assertAlmostEqual(0.01, found.max_gap_s)
        for late_s in (found.lateness_p50_s, found.lateness_p99_s,
                       found.lateness_max_s):
            self.assertAlmostEqual(0.0001, late_s)

    def test_lateness(self):
        found = quality.quality(
            [observe([1.0] * 50 + [2.0] * 49 + [3.0])], 0.01)
        self.assertAlmostEqual(0.001, found.lateness_p50_s)
        self.assertAlmostEqual(0.002, found.lateness_p99_s)
        self.assertAlmostEqual(0.003, found.lateness_max_s)
        self.assertFalse(found.too_busy)

    def test_too_busy_if_one_in_a_hundred_is_half_a_period_late(self):
        self.assertFalse(quality.quality(
            [observe([0.1] * 99 + [5.1])], 0.01).too_busy)
        found = quality.quality([observe([0.1] * 98 + [5.1] * 2)], 0.01)
        self.assertTrue(found.too_busy)
        self.assertEqual(0, found.deadlines_missed)
        remark, = found.remarks()
        self.assertIn('was late by 0.0051 s or more', remark)

    def test_too_busy_if_more_than_one_in_a_hundred_is_never_sent(self):
        found = quality.quality([observe([0.1] * 200, {50, 51})], 0.01)
        self.assertEqual((200, 2), (found.due, found.deadlines_missed))
        self.assertFalse(found.too_busy)
        self.assertAlmostEqual(0.03, found.max_gap_s)
        found = quality.quality([observe([0.1] * 200, {9, 50, 51})], 0.01)
        self.assertEqual((200, 3), (found.due, found.deadlines_missed))
        self.assertTrue(found.too_busy)
        remark, = found.remarks()
        self.assertIn('3 of 200 were not sent at all', remark)

    def test_guests_in_different_slots_have_missed_nothing(self):
        seen = observe()
        other = dataclasses.replace(
            seen, due_ns=seen.due_ns + 5 * MS, sent_ns=seen.sent_ns + 5 * MS)
        found = quality.quality([seen, other], 0.01)
        self.assertEqual((200, 0), (found.due, found.deadlines_missed))

    def test_too_busy_if_an_answer_was_dropped(self):
        found = quality.quality([observe()], 0.01, answers_dropped=7)
        self.assertTrue(found.too_busy)
        # It asked in time, so that is all.
        remark, = found.remarks()
        self.assertIn('no room for 7 answers', remark)

    def test_what_was_refused_is_no_deadline_missed(self):
        refused = set(range(50, 80))
        found = quality.quality([
            observe(), dataclasses.replace(
                observe(left_out=refused), send_errors=30,
                send_error='no route')], 0.01)
        self.assertEqual((170, 0, 30), (
            found.due, found.deadlines_missed, found.send_errors))
        self.assertFalse(found.too_busy)
        self.assertAlmostEqual(0.31, found.max_gap_s)
        remark, = found.remarks()
        self.assertIn('refused to send 30 requests', remark)

    def test_refused_and_missed(self):
        found = quality.quality([dataclasses.replace(
            observe([0.1] * 200, {9, 50, 51, 100, 101}), send_errors=2)],
            0.01)
        self.assertEqual((198, 3, 2), (
            found.due, found.deadlines_missed, found.send_errors))
        self.assertTrue(found.too_busy)
        busy, refused = found.remarks()
        self.assertIn('3 of 198 were not sent at all', busy)
        self.assertIn('refused to send 2 requests', refused)

    def test_refused_at_the_edge_leaves_no_place(self):
        found = quality.quality([dataclasses.replace(
            observe(left_out=set(range(10))), send_errors=10)], 0.01)
        self.assertEqual((90, 0, 10), (
            found.due, found.deadlines_missed, found.send_errors))

    def test_what_one_guest_is_refused_hides_nothing_missed_by_others(self):
        unreachable = dataclasses.replace(
            observe([]), send_errors=200, send_error='no route')
        found = quality.quality(
            [observe([0.1] * 200, {9, 50, 51}), unreachable], 0.01)
        self.assertEqual((200, 3, 200), (
            found.due, found.deadlines_missed, found.send_errors))
        self.assertTrue(found.too_busy)

    def test_each_cause_has_its_remark(self):
        found = quality.quality(
            [dataclasses.replace(observe([6.0] * 100), send_errors=5)],
            0.01, 2, 3, 7)
        self.assertEqual(5, len(found.remarks()))
        for part, remark in zip((
                'too busy to ask', 'no room for 7', 'refused to send 5',
                'set 2 times', '3 answers'), found.remarks(), strict=True):
            self.assertIn(part, remark)

    def test_clocks_are_remarked_on_but_do_no_harm(self):
        found = quality.quality([observe()], 0.01, 2, 3)
        self.assertFalse(found.too_busy)
        clock, stamps = found.remarks()
        self.assertIn('set 2 times', clock)
        self.assertIn('3 answers have no usable time stamp', stamps)

    def test_nothing_was_sent(self):
        for seen in ([], [observe([])], [observe([]), observe([])]):
            found = quality.quality(seen, 0.01)
            self.assertEqual((0, 0), (found.due, found.deadlines_missed))
            self.assertEqual(0.0, found.achieved_period_s)
            self.assertEqual(0.0, found.max_gap_s)
            self.assertFalse(found.too_busy)

    def test_a_single_question(self):
        found = quality.quality([observe([2.0])], 0.01)
        self.assertEqual((1, 0), (found.due, found.deadlines_missed))
        self.assertAlmostEqual(0.002, found.lateness_max_s)

    def test_names_say_their_units(self):
        found = quality.quality([observe()], 0.01, answers_dropped=1)
        figures = found.as_dict()
        self.assertEqual(0.01, figures['period_s'])
        self.assertEqual(1, figures['answers_dropped'])
        self.assertEqual(0, figures['send_errors'])
        self.assertTrue(figures['too_busy'])
        self.assertEqual(found.remarks(), figures['remarks'])
        for name, value in figures.items():
            if isinstance(value, float):
                self.assertTrue(name.endswith('_s'), name)
