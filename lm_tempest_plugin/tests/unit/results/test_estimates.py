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

from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.tests.unit import base

SIMULATIONS = 300
LINE_SIMULATIONS = 200


class QuantileTest(base.TestCase):

    def test_median_of_six(self):
        # Hettmansperger and Sheather by hand: 96.875 % between the first
        # and the last, 78.125 % between the second and the fifth; weight
        # 5 x 0.1 / (1 + 4 x 0.1).
        found = estimates.median([6, 1, 5, 2, 4, 3])
        self.assertEqual(3.5, found.value)
        self.assertAlmostEqual(1 + 0.5 / 1.4, found.low)
        self.assertAlmostEqual(6 - 0.5 / 1.4, found.high)
        self.assertEqual(6, found.count)

    def test_five_values_give_no_interval(self):
        self.assertEqual(estimates.Estimate(3.0, None, None, 5),
                         estimates.median([1, 2, 3, 4, 5]))

    def test_single_value(self):
        self.assertEqual(estimates.Estimate(2.0, None, None, 1),
                         estimates.median([2]))
        self.assertEqual(2.0, estimates.quantile([2], 0.95).value)

    def test_p95_has_an_upper_end_from_72_values_on(self):
        # 0.95 ** 72 is less than 2.5 %, 0.95 ** 71 is not.
        fewer = estimates.quantile(range(71), 0.95)
        self.assertIsNone(fewer.high)
        self.assertFalse(fewer.known)
        self.assertLess(fewer.low, fewer.value)
        enough = estimates.quantile(range(72), 0.95)
        self.assertTrue(enough.known)
        self.assertTrue(70 < enough.high <= 71)

    def test_p5_lacks_the_lower_end(self):
        above = estimates.quantile(range(20), 0.95)
        below = estimates.quantile(range(20), 0.05)
        self.assertIsNone(below.low)
        self.assertAlmostEqual(19 - above.low, below.high)

    def test_large_numbers(self):
        found = estimates.median(numpy.arange(100001))
        self.assertEqual(50000, found.value)
        # 1.96 x sqrt(n) / 2
        self.assertAlmostEqual(50000 - 309.9, found.low, delta=1)
        self.assertAlmostEqual(50000 + 309.9, found.high, delta=1)

    def test_equal_values(self):
        self.assertEqual(estimates.Estimate(1.5, 1.5, 1.5, 20),
                         estimates.median([1.5] * 20))

    def test_covers(self):
        random = numpy.random.default_rng(1)
        for fraction, count in ((0.5, 7), (0.5, 20), (0.95, 80)):
            truth = numpy.quantile(numpy.exp(0.5 * random.standard_normal(
                400000)), fraction)
            missed = sum(estimates.quantile(
                random.lognormal(0, 0.5, count), fraction).excludes(truth)
                for _ in range(SIMULATIONS))
            self.assertTrue(0.01 < missed / SIMULATIONS < 0.09,
                            (fraction, count, missed))

    def test_bad_input(self):
        for values, fraction in (([], 0.5), ([1, 2], 0), ([1, 2], 1),
                                 ([1, float('nan')], 0.5),
                                 ([1, float('inf')], 0.5)):
            self.assertRaises(ValueError, estimates.quantile, values,
                              fraction)


class EstimateTest(base.TestCase):

    def test_excludes(self):
        whole = estimates.Estimate(2, 1, 3, 9)
        self.assertEqual([True, False, False, True], [
            whole.excludes(value) for value in (0.9, 1, 3, 3.1)])
        half = estimates.Estimate(2, 1, None, 9)
        self.assertEqual([True, False], [
            half.excludes(value) for value in (0.9, 1e9)])
        self.assertFalse(estimates.Estimate(
            2, None, None, 1).excludes(1e9))


class DriftTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(1)

    def test_a_line(self):
        x = numpy.arange(1, 21)
        found = estimates.drift(x, 7 + 0.3 * x)
        for value in (found.value, found.low, found.high):
            self.assertAlmostEqual(0.3, value)
        self.assertEqual(20, found.count)

    def test_outliers_change_little(self):
        x = numpy.arange(1, 21)
        y = 7 + 0.3 * x
        y[:3] = 400
        self.assertAlmostEqual(0.3, estimates.drift(x, y).value)

    def test_five_round_trips(self):
        # All ten slopes are positive in one order of 120, nine in four more:
        # 2.5 % is a half of the way from 1 / 120 to 5 / 120.
        y = [0, 1, 3, 7, 12]
        slopes = sorted((y[j] - y[i]) / (j - i)
                        for i in range(5) for j in range(i + 1, 5))
        found = estimates.drift(range(5), y)
        self.assertAlmostEqual((slopes[0] + slopes[1]) / 2, found.low)
        self.assertAlmostEqual((slopes[-1] + slopes[-2]) / 2, found.high)

    def test_too_few_round_trips(self):
        found = estimates.drift([1, 2, 3, 4], [1, 2, 3, 4])
        self.assertEqual((1.0, None, None, 4), (
            found.value, found.low, found.high, found.count))
        found = estimates.drift([2, 2, 2], [1, 5, 9])
        self.assertEqual((0.0, None, None, 1), (
            found.value, found.low, found.high, found.count))

    def test_values_of_a_round_trip_count_once(self):
        x = numpy.arange(1, 9)
        y = self.random.normal(0, 1, 8)
        once = estimates.drift(x, y)
        often = estimates.drift(numpy.repeat(x, 50), numpy.repeat(y, 50))
        self.assertEqual(once, often)

    def test_order_does_not_matter(self):
        x = self.random.integers(1, 20, 100)
        y = self.random.normal(0, 1, 100)
        order = self.random.permutation(100)
        self.assertEqual(estimates.drift(x, y),
                         estimates.drift(x[order], y[order]))

    def test_many_round_trips_match_scipy(self):
        x = numpy.arange(100)
        y = 0.01 * x + self.random.normal(0, 1, 100)
        found, known = estimates.drift(x, y), stats.theilslopes(y, x)
        self.assertAlmostEqual(known.slope, found.value)
        self.assertAlmostEqual(known.low_slope, found.low, places=4)
        self.assertAlmostEqual(known.high_slope, found.high, places=4)

    def test_very_many_round_trips(self):
        x = numpy.arange(30000)
        found = estimates.drift(x, 0.001 * x + self.random.normal(0, 1, 30000))
        self.assertAlmostEqual(0.001, found.value, places=5)
        self.assertEqual(estimates.MOST_PLACES, found.count)

    def test_covers_if_round_trips_differ(self):
        numbers = numpy.repeat(numpy.arange(1, 11), 4)
        missed = 0
        for _ in range(SIMULATIONS):
            shared = self.random.normal(0, 1, 11)
            missed += estimates.drift(
                numbers, 0.3 * numbers + shared[numbers] +
                self.random.lognormal(2, 0.2, 40)).excludes(0.3)
        self.assertTrue(0.01 < missed / SIMULATIONS < 0.09, missed)

    def test_bad_input(self):
        self.assertRaises(ValueError, estimates.drift, [], [])
        self.assertRaises(ValueError, estimates.drift, [1, 2], [1])


class LineTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(1)

    def test_a_line(self):
        # Shared storage in the white paper of 2017.
        sizes = numpy.repeat([4.0, 8.0, 16.0], 2)
        found = estimates.line(sizes, 7 + 2.35 * sizes)
        self.assertAlmostEqual(7, found.seconds.value)
        self.assertAlmostEqual(2.35, found.seconds_per_gib.value)
        self.assertAlmostEqual(0, found.residual_s)
        self.assertEqual(6, found.count)

    def test_least_squares(self):
        sizes = numpy.repeat([1.0, 2.0, 4.0], [10, 20, 5])
        seconds = 5 + 2 * sizes + self.random.normal(0, 1, 35)
        found = estimates.line(sizes, seconds)
        slope, offset = numpy.polyfit(sizes, seconds, 1)
        self.assertAlmostEqual(offset, found.seconds.value)
        self.assertAlmostEqual(slope, found.seconds_per_gib.value)
        self.assertAlmostEqual(
            numpy.sqrt(((seconds - offset - slope * sizes) ** 2).mean()),
            found.residual_s)
        self.assertEqual(found, estimates.line(sizes, seconds))

    def test_one_value_of_each_size(self):
        sizes = [1.0, 2.0, 4.0, 8.0]
        seconds = [3.0, 6.0, 8.0, 20.0]
        found = estimates.line(sizes, seconds).seconds_per_gib
        known = stats.linregress(sizes, seconds)
        self.assertAlmostEqual(
            known.slope - 4.302653 * known.stderr, found.low, places=5)

    def test_two_values_give_no_interval(self):
        found = estimates.line([1, 2], [3, 5])
        self.assertAlmostEqual(2, found.seconds_per_gib.value)
        self.assertFalse(found.seconds_per_gib.known)
        self.assertFalse(found.seconds.known)

    def test_covers_if_large_servers_vary_more(self):
        sizes = numpy.repeat([4.0, 8.0, 16.0], 8)
        missed = sum(estimates.line(
            sizes, (7 + 2.35 * sizes) * self.random.lognormal(
                -0.02, 0.2, 24)).seconds_per_gib.excludes(2.35)
            for _ in range(LINE_SIMULATIONS))
        self.assertTrue(0.01 < missed / LINE_SIMULATIONS < 0.1, missed)

    def test_bad_input(self):
        self.assertRaises(ValueError, estimates.line, [], [])
        self.assertRaises(ValueError, estimates.line, [1, 2], [1])
        self.assertRaises(ValueError, estimates.line, [4, 4], [1, 2])


class ConvergenceTest(base.TestCase):

    RATES = (0.0, 0.0, 8.0, 8.0, 16.0, 24.0, 32.0)

    def seconds(self, noise=()):
        """Return durations: setup 9 s, 180 MiB of memory, 40 MiB/s."""
        noise = noise or [0.0] * len(self.RATES)
        return [9.0 + 180.0 / (40.0 - rate) + each
                for rate, each in zip(self.RATES, noise)]

    def test_without_noise(self):
        found = estimates.convergence(self.RATES, self.seconds(), 180.0)
        self.assertAlmostEqual(9.0, found.setup_s.value, 2)
        self.assertAlmostEqual(40.0, found.bandwidth.value, 2)
        self.assertAlmostEqual(0.0, found.residual_s, 2)
        self.assertEqual((7, 180.0), (found.count, found.memory_mib))
        self.assertAlmostEqual(9.0 + 180 / 30, found.at([10.0])[0], 1)

    def test_intervals(self):
        found = estimates.convergence(self.RATES, self.seconds(
            (0.5, -0.5, 0.3, -0.3, 0.4, -0.4, 0.2)), 180.0)
        for expected, each in ((9.0, found.setup_s), (40.0, found.bandwidth)):
            self.assertFalse(each.excludes(expected), each)
            self.assertTrue(each.known)
            self.assertLess(each.high - each.low, 3.0)

    def test_the_bandwidth_is_above_all_rates_of_completed_ones(self):
        found = estimates.convergence((1, 2, 3), (5, 5, 500), 100.0)
        self.assertGreater(found.bandwidth.value, 3.0)

    def test_a_rate_without_effect(self):
        found = estimates.convergence((1, 2, 3, 4), (9, 9, 9, 9), 100.0)
        # As good as infinite.
        self.assertGreater(found.bandwidth.value, 1000.0)

    def test_too_few(self):
        for rates, seconds in (((1, 2, 2), (1, 2, 3)), ((1, 2, 3), (1, 2))):
            self.assertRaises(ValueError, estimates.convergence, rates,
                              seconds, 100.0)
