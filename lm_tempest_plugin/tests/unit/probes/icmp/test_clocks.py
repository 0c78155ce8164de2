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

import numpy

from lm_tempest_plugin.probes.icmp import clocks
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000
S = 1000 * MS


class StampConverterTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now_ns = 5 * S
        self.wall_ns = 1_700_000_000 * S
        self.naps_ns = []
        self.readings = 0
        self.converter = clocks.StampConverter(
            lambda: self.now_ns, self.realtime)

    def realtime(self):
        self.readings += 1
        wall_ns = self.wall_ns + self.now_ns
        # We may not run for a while in the middle of a reading.
        if self.naps_ns:
            self.now_ns += self.naps_ns.pop(0)
        return wall_ns

    def convert(self, stamps_ns, earliest_ns=0):
        """Convert stamps of which most are given as monotonic times."""
        stamps_ns = numpy.array([
            self.wall_ns + stamp_ns if stamp_ns != clocks.NO_STAMP
            else stamp_ns for stamp_ns in stamps_ns])
        return self.converter.to_monotonic_ns(
            stamps_ns, numpy.full(stamps_ns.size, earliest_ns)).tolist()

    def test_stamps_are_moved_to_the_other_clock(self):
        self.now_ns += 10 * MS
        self.assertEqual(
            [5 * S + 3 * MS, 5 * S, 5 * S + 10 * MS],
            self.convert([5 * S + 3 * MS, 5 * S, 5 * S + 10 * MS], 5 * S))
        self.assertEqual((0, 0),
                         (self.converter.refused, self.converter.steps))

    def test_no_stamp(self):
        self.now_ns += 10 * MS
        self.assertEqual(
            [5 * S + MS, self.now_ns],
            self.convert([5 * S + MS, clocks.NO_STAMP], 4 * S))
        self.assertEqual(1, self.converter.refused)

    def test_each_step_of_the_wall_clock_makes_no_outage(self):
        for number, step_ns in enumerate((-3600 * S, 3600 * S, 5 * MS)):
            stamps_ns = self.wall_ns + numpy.array(
                [self.now_ns, self.now_ns - MS])
            sent_ns = numpy.full(2, self.now_ns - 2 * MS)
            self.wall_ns += step_ns
            self.now_ns += 10 * MS
            self.assertEqual(
                [self.now_ns] * 2, self.converter.to_monotonic_ns(
                    stamps_ns, sent_ns).tolist())
            self.assertEqual(
                (2 * number + 2, number + 1),
                (self.converter.refused, self.converter.steps))
            self.converter.settle()

    def test_after_a_step_stamps_are_refused_until_all_were_read(self):
        self.wall_ns += 5 * MS
        # It is seen before a question is sent.
        self.assertTrue(self.converter.refresh())
        for refused in (1, 2):
            self.now_ns += 10 * MS
            self.assertFalse(self.converter.refresh())
            self.assertEqual([self.now_ns],
                             self.convert([self.now_ns - MS], 5 * S))
            self.assertEqual((refused, 1),
                             (self.converter.refused, self.converter.steps))

    def test_one_from_before_a_small_step_is_not_moved_wrongly(self):
        stamps_ns = self.wall_ns + numpy.array([self.now_ns + MS])
        self.now_ns += 10 * MS
        self.wall_ns += -5 * MS
        self.assertTrue(self.converter.refresh())
        # It would be taken for 6 ms otherwise, which is no nonsense.
        self.assertEqual([self.now_ns], self.converter.to_monotonic_ns(
            stamps_ns, numpy.array([5 * S])).tolist())

    def test_once_settled_the_stamps_are_good_again(self):
        self.wall_ns += 60 * S
        self.assertTrue(self.converter.refresh())
        self.converter.settle()
        self.now_ns += 10 * MS
        self.assertEqual([self.now_ns - MS],
                         self.convert([self.now_ns - MS], 5 * S))
        self.assertEqual((0, 1),
                         (self.converter.refused, self.converter.steps))

    def test_a_stamp_from_before_the_question_or_after_now_is_refused(self):
        self.assertEqual(
            [5 * S, 5 * S - MS, 5 * S, 5 * S],
            self.convert([4 * S, 5 * S - MS, 5 * S + 1, 6 * S], 5 * S - MS))
        self.assertEqual(3, self.converter.refused)

    def test_each_stamp_has_its_own_earliest_time(self):
        stamps_ns = self.wall_ns + numpy.array([4 * S, 4 * S])
        self.assertEqual(
            [4 * S, 5 * S], self.converter.to_monotonic_ns(
                stamps_ns, numpy.array([4 * S, 4 * S + 1])).tolist())

    def test_a_slewed_clock_is_no_step(self):
        for _ in range(100):
            self.now_ns += 100 * MS
            self.wall_ns += 5 * MS
            self.assertFalse(self.converter.refresh())
        self.assertEqual(0, self.converter.steps)

    def test_a_reading_in_which_we_slept_is_made_again(self):
        self.naps_ns = [50 * MS]
        self.readings = 0
        self.assertFalse(self.converter.refresh())
        self.assertEqual(0, self.converter.steps)
        self.assertEqual(2, self.readings)

    def test_of_bad_readings_the_best_is_taken(self):
        self.naps_ns = [50 * MS, 40 * MS, MS // 5, 30 * MS, 20 * MS]
        self.readings = 0
        stamp_ns = self.now_ns
        self.assertAlmostEqual(
            stamp_ns, self.convert([stamp_ns])[0], delta=MS // 10)
        self.assertEqual(clocks.READINGS, self.readings)
        self.assertEqual((0, 0),
                         (self.converter.refused, self.converter.steps))
