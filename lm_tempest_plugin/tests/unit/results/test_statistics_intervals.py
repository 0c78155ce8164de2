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

from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.tests.unit import base

SIMULATIONS = 300


class QuantileTest(base.TestCase):

    def test_median_of_six(self):
        # Hettmansperger and Sheather by hand: 96.875 % between the first
        # and the last, 78.125 % between the second and the fifth; weight
        # 5 x 0.1 / (1 + 4 x 0.1).
        found = intervals.median([6, 1, 5, 2, 4, 3])
        self.assertEqual(3.5, found.value)
        self.assertAlmostEqual(1 + 0.5 / 1.4, found.low)
        self.assertAlmostEqual(6 - 0.5 / 1.4, found.high)
        self.assertEqual(6, found.count)

    def test_five_values_give_no_interval(self):
        self.assertEqual(intervals.Estimate(3.0, None, None, 5),
                         intervals.median([1, 2, 3, 4, 5]))

    def test_single_value(self):
        self.assertEqual(intervals.Estimate(2.0, None, None, 1),
                         intervals.median([2]))
        self.assertEqual(2.0, intervals.quantile([2], 0.95).value)

    def test_p95_has_an_upper_end_from_72_values_on(self):
        # 0.95 ** 72 is less than 2.5 %, 0.95 ** 71 is not.
        fewer = intervals.quantile(range(71), 0.95)
        self.assertIsNone(fewer.high)
        self.assertFalse(fewer.known)
        self.assertLess(fewer.low, fewer.value)
        enough = intervals.quantile(range(72), 0.95)
        self.assertTrue(enough.known)
        self.assertTrue(70 < enough.high <= 71)

    def test_p5_lacks_the_lower_end(self):
        above = intervals.quantile(range(20), 0.95)
        below = intervals.quantile(range(20), 0.05)
        self.assertIsNone(below.low)
        self.assertAlmostEqual(19 - above.low, below.high)

    def test_large_numbers(self):
        found = intervals.median(numpy.arange(100001))
        self.assertEqual(50000, found.value)
        # 1.96 x sqrt(n) / 2
        self.assertAlmostEqual(50000 - 309.9, found.low, delta=1)
        self.assertAlmostEqual(50000 + 309.9, found.high, delta=1)

    def test_all_values_alike(self):
        self.assertEqual(intervals.Estimate(1.5, 1.5, 1.5, 20),
                         intervals.median([1.5] * 20))

    def test_covers(self):
        random = numpy.random.default_rng(1)
        for fraction, count in ((0.5, 7), (0.5, 20), (0.95, 80)):
            truth = numpy.quantile(numpy.exp(0.5 * random.standard_normal(
                400000)), fraction)
            missed = sum(intervals.quantile(
                random.lognormal(0, 0.5, count), fraction).excludes(truth)
                for _ in range(SIMULATIONS))
            self.assertTrue(0.01 < missed / SIMULATIONS < 0.09,
                            (fraction, count, missed))

    def test_bad_input(self):
        for values, fraction in (([], 0.5), ([1, 2], 0), ([1, 2], 1),
                                 ([1, float('nan')], 0.5),
                                 ([1, float('inf')], 0.5)):
            self.assertRaises(ValueError, intervals.quantile, values,
                              fraction)


class MeanTest(base.TestCase):

    def test_few_values_are_students(self):
        # t of 2 degrees of freedom: 4.3027; standard error sqrt(1 / 3).
        found = intervals.mean([1, 2, 3])
        self.assertAlmostEqual(2 - 4.302653 / 3 ** 0.5, found.low, places=5)
        self.assertAlmostEqual(2 + 4.302653 / 3 ** 0.5, found.high, places=5)

    def test_single_value(self):
        self.assertEqual(intervals.Estimate(1.0, None, None, 1),
                         intervals.mean([1]))

    def test_resampled(self):
        values = numpy.random.default_rng(2).lognormal(0, 0.5, 30)
        found = intervals.mean(values, seed=4)
        self.assertEqual(found, intervals.mean(values, seed=4))
        self.assertNotEqual(found, intervals.mean(values, seed=5))
        self.assertAlmostEqual(values.mean(), found.value)
        # A long tail above: the mean may well be higher than it looks.
        self.assertGreater(found.high - found.value,
                           found.value - found.low)

    def test_many_values_are_not_resampled(self):
        values = numpy.random.default_rng(2).normal(5, 1, 10000)
        found = intervals.mean(values)
        self.assertAlmostEqual(0.0392, found.high - found.low, delta=0.002)

    def test_all_values_alike(self):
        self.assertEqual(intervals.Estimate(2.0, 2.0, 2.0, 12),
                         intervals.mean([2] * 12))

    def test_covers(self):
        random = numpy.random.default_rng(1)
        missed = sum(intervals.mean(
            random.lognormal(0, 0.5, 20)).excludes(numpy.exp(0.125))
            for _ in range(SIMULATIONS))
        self.assertTrue(0.01 < missed / SIMULATIONS < 0.09, missed)

    def test_bad_input(self):
        self.assertRaises(ValueError, intervals.mean, [])


class EstimateTest(base.TestCase):

    def test_excludes(self):
        whole = intervals.Estimate(2, 1, 3, 9)
        self.assertEqual([True, False, False, True], [
            whole.excludes(value) for value in (0.9, 1, 3, 3.1)])
        half = intervals.Estimate(2, 1, None, 9)
        self.assertEqual([True, False], [
            half.excludes(value) for value in (0.9, 1e9)])
        self.assertFalse(intervals.Estimate(
            2, None, None, 1).excludes(1e9))
