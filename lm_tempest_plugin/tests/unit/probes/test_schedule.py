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

from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000


class TickerTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now_ns = 1000 * MS
        self.ticker = schedule.Ticker(0.01, clock=lambda: self.now_ns)

    def test_first_deadline_is_one_period_away(self):
        self.assertFalse(self.ticker.due())
        self.assertAlmostEqual(0.01, self.ticker.remaining_s())
        self.now_ns += 10 * MS
        self.assertEqual(0.0, self.ticker.remaining_s())
        self.assertTrue(self.ticker.due())
        self.assertFalse(self.ticker.due())

    def test_lateness_does_not_move_the_deadlines(self):
        self.now_ns += 13 * MS
        self.assertTrue(self.ticker.due())
        self.assertAlmostEqual(0.007, self.ticker.remaining_s())

    def test_deadlines_slept_through_are_left_out_and_counted(self):
        self.now_ns += 52 * MS
        self.assertTrue(self.ticker.due())
        self.assertFalse(self.ticker.due())
        self.assertAlmostEqual(0.008, self.ticker.remaining_s())
        late = self.ticker.lateness()
        self.assertEqual((1, 4), (late.count, late.missed))
        self.assertAlmostEqual(0.042, late.max_s)

    def test_lateness_in_figures(self):
        for late_ms in range(100):
            self.now_ns = 1010 * MS + 10 * late_ms * MS + late_ms * MS // 20
            self.assertTrue(self.ticker.due())
        late = self.ticker.lateness()
        self.assertEqual((100, 0), (late.count, late.missed))
        self.assertAlmostEqual(0.00245, late.p50_s)
        self.assertAlmostEqual(0.0049, late.p99_s)
        self.assertAlmostEqual(0.00495, late.max_s)

    def test_period_must_be_positive(self):
        self.assertRaises(ValueError, schedule.Ticker, 0)


class PercentileTest(base.TestCase):

    def test_nearest_rank(self):
        self.assertEqual(0, schedule.percentile([], 50))
        self.assertEqual(7, schedule.percentile([7], 1))
        self.assertEqual(5, schedule.percentile(list(range(1, 11)), 50))
        self.assertEqual(10, schedule.percentile(list(range(1, 11)), 99))
