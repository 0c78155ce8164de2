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
from scipy import stats

from lm_tempest_plugin.results.statistics import drift
from lm_tempest_plugin.tests.unit import base

SIMULATIONS = 300


class DriftTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(1)

    def test_a_line(self):
        x = numpy.arange(1, 21)
        found = drift.drift(x, 7 + 0.3 * x)
        for value in (found.value, found.low, found.high):
            self.assertAlmostEqual(0.3, value)
        self.assertEqual(20, found.count)

    def test_outliers_change_little(self):
        x = numpy.arange(1, 21)
        y = 7 + 0.3 * x
        y[:3] = 400
        self.assertAlmostEqual(0.3, drift.drift(x, y).value)

    def test_five_trips(self):
        # All ten slopes are positive in one order of 120, nine in four more:
        # 2.5 % is a half of the way from 1 / 120 to 5 / 120.
        y = [0, 1, 3, 7, 12]
        slopes = sorted((y[j] - y[i]) / (j - i)
                        for i in range(5) for j in range(i + 1, 5))
        found = drift.drift(range(5), y)
        self.assertAlmostEqual((slopes[0] + slopes[1]) / 2, found.low)
        self.assertAlmostEqual((slopes[-1] + slopes[-2]) / 2, found.high)

    def test_too_few_trips(self):
        found = drift.drift([1, 2, 3, 4], [1, 2, 3, 4])
        self.assertEqual((1.0, None, None, 4), (
            found.value, found.low, found.high, found.count))
        found = drift.drift([2, 2, 2], [1, 5, 9])
        self.assertEqual((0.0, None, None, 1), (
            found.value, found.low, found.high, found.count))

    def test_values_of_a_trip_count_once(self):
        x = numpy.arange(1, 9)
        y = self.random.normal(0, 1, 8)
        once = drift.drift(x, y)
        often = drift.drift(numpy.repeat(x, 50), numpy.repeat(y, 50))
        self.assertEqual(once, often)

    def test_order_does_not_matter(self):
        x = self.random.integers(1, 20, 100)
        y = self.random.normal(0, 1, 100)
        order = self.random.permutation(100)
        self.assertEqual(drift.drift(x, y), drift.drift(x[order], y[order]))

    def test_many_trips_as_scipy_has_it(self):
        x = numpy.arange(100)
        y = 0.01 * x + self.random.normal(0, 1, 100)
        found, known = drift.drift(x, y), stats.theilslopes(y, x)
        self.assertAlmostEqual(known.slope, found.value)
        self.assertAlmostEqual(known.low_slope, found.low, places=4)
        self.assertAlmostEqual(known.high_slope, found.high, places=4)

    def test_very_many_trips(self):
        x = numpy.arange(30000)
        found = drift.drift(x, 0.001 * x + self.random.normal(0, 1, 30000))
        self.assertAlmostEqual(0.001, found.value, places=5)
        self.assertEqual(drift.MOST, found.count)

    def test_covers_where_trips_have_weather(self):
        trips = numpy.repeat(numpy.arange(1, 11), 4)
        missed = 0
        for _ in range(SIMULATIONS):
            weather = self.random.normal(0, 1, 11)
            missed += drift.drift(
                trips, 0.3 * trips + weather[trips] +
                self.random.lognormal(2, 0.2, 40)).excludes(0.3)
        self.assertTrue(0.01 < missed / SIMULATIONS < 0.09, missed)

    def test_bad_input(self):
        self.assertRaises(ValueError, drift.drift, [], [])
        self.assertRaises(ValueError, drift.drift, [1, 2], [1])
