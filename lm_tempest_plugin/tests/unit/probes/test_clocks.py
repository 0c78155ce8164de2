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

from lm_tempest_plugin.probes import clocks
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000
S = 1000 * MS


class StampConverterTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now_ns = 5 * S
        self.wall_ns = 1_700_000_000 * S
        self.naps_ns = []
        self.converter = clocks.StampConverter(
            lambda: self.now_ns, self.realtime)

    def realtime(self):
        wall_ns = self.wall_ns + self.now_ns
        # We may not run for a while in the middle of a reading.
        if self.naps_ns:
            self.now_ns += self.naps_ns.pop()
        return wall_ns

    def test_a_stamp_is_moved_to_the_other_clock(self):
        self.now_ns += 10 * MS
        self.assertEqual(5 * S + 3 * MS, self.converter.to_monotonic_ns(
            self.wall_ns + 5 * S + 3 * MS, 5 * S))
        self.assertEqual((0, 0),
                         (self.converter.refused, self.converter.steps))

    def test_no_stamp(self):
        self.assertEqual(5 * S, self.converter.to_monotonic_ns(None, 4 * S))
        self.assertEqual(1, self.converter.refused)

    def test_a_step_of_the_wall_clock_makes_no_outage(self):
        for step_ns in (-3600 * S, 3600 * S, 5 * MS):
            stamp_ns = self.wall_ns + self.now_ns
            sent_ns = self.now_ns - 2 * MS
            self.wall_ns += step_ns
            self.now_ns += 10 * MS
            self.assertEqual(self.now_ns, self.converter.to_monotonic_ns(
                stamp_ns, sent_ns))
        self.assertEqual((3, 3),
                         (self.converter.refused, self.converter.steps))

    def test_after_a_step_the_stamps_are_good_again(self):
        self.wall_ns += 60 * S
        self.assertTrue(self.converter.refresh())
        self.now_ns += 10 * MS
        self.assertEqual(self.now_ns - MS, self.converter.to_monotonic_ns(
            self.wall_ns + self.now_ns - MS, 5 * S))

    def test_a_stamp_from_before_the_question_or_after_now_is_refused(self):
        for stamp_ns in (4 * S, 6 * S):
            self.assertEqual(5 * S, self.converter.to_monotonic_ns(
                self.wall_ns + stamp_ns, 5 * S - MS))
        self.assertEqual(2, self.converter.refused)

    def test_a_slewed_clock_is_no_step(self):
        for _ in range(100):
            self.now_ns += 100 * MS
            self.wall_ns += 5 * MS
            self.assertFalse(self.converter.refresh())

    def test_a_reading_in_which_we_slept_is_made_again(self):
        self.naps_ns = [50 * MS]
        self.assertFalse(self.converter.refresh())
        self.assertEqual(0, self.converter.steps)
