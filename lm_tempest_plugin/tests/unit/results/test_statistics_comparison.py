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

import math

import numpy
from scipy import stats

from lm_tempest_plugin.results.statistics import comparison
from lm_tempest_plugin.results.statistics import ranks
from lm_tempest_plugin.tests.unit import base

SIMULATIONS = 300
# Hollander and Wolfe, table 3.1: depression before and after therapy.
BEFORE = (1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
AFTER = (0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)


def brute_force(first, second):
    return numpy.sort(numpy.subtract.outer(second, first).ravel())


class UnpairedTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(1)

    def test_the_test_accepts_what_is_inside(self):
        first, second = (self.random.normal(5, 1, count)
                         for count in (8, 6))
        found = comparison.compare(first, second).difference
        for shift, accepted in (
                (found.low + 1e-9, True), (found.low - 1e-9, False),
                (found.high - 1e-9, True), (found.high + 1e-9, False)):
            self.assertEqual(accepted, stats.mannwhitneyu(
                second - shift, first, method='exact').pvalue > 0.05)
        self.assertAlmostEqual(numpy.median(brute_force(first, second)),
                               found.value)

    def test_ratio_is_that_of_a_multiple(self):
        before = self.random.lognormal(3, 0.3, 12)
        effect = comparison.compare(before, 2.5 * before)
        self.assertAlmostEqual(2.5, effect.ratio.value)
        self.assertTrue(effect.found)
        self.assertFalse(effect.paired)
        self.assertAlmostEqual(numpy.median(before), effect.before.value)
        self.assertAlmostEqual(2.5 * numpy.median(before),
                               effect.after.value)

    def test_nothing_is_found_where_nothing_is(self):
        values = self.random.lognormal(3, 0.3, 20)
        effect = comparison.compare(values, values)
        self.assertFalse(effect.found)
        self.assertEqual(0, effect.difference.value)
        self.assertEqual(1, effect.ratio.value)

    def test_direction(self):
        values = self.random.normal(20, 1, 10)
        self.assertLess(
            comparison.compare(values + 5, values).difference.high, -3)

    def test_a_few_very_long_values_change_little(self):
        values = self.random.normal(20, 1, 20)
        longer = values + 3
        longer[:2] = 400
        effect = comparison.compare(values, longer)
        self.assertTrue(effect.found)
        self.assertAlmostEqual(3, effect.difference.value, delta=1)

    def test_three_and_three_are_students(self):
        effect = comparison.compare([1, 2, 3], [5, 6, 7])
        # Welch: t of 4 degrees of freedom, standard error sqrt(2 / 3).
        self.assertAlmostEqual(4 - 2.776445 * (2 / 3) ** 0.5,
                               effect.difference.low, places=5)
        self.assertTrue(effect.found)

    def test_too_few_give_no_interval(self):
        for before, after in (([1], [9]), ([1, 2, 3], [9]),
                              ([10, 10], [11, 11])):
            effect = comparison.compare(before, after)
            self.assertFalse(effect.difference.known)
            self.assertFalse(effect.found)

    def test_no_ratio_of_values_that_are_not_positive(self):
        effect = comparison.compare([0] * 8, [1, 2, 3, 4, 5, 6, 7, 8])
        self.assertTrue(math.isnan(effect.ratio.value))
        self.assertFalse(effect.ratio.known)
        self.assertTrue(effect.found)

    def test_bad_input(self):
        self.assertRaises(ValueError, comparison.compare, [], [1])
        self.assertRaises(ValueError, comparison.compare, [1], [])

    def test_covers_with_unlike_numbers_and_spreads(self):
        # The Mann-Whitney test's interval covers less than 90 % here.
        truth = numpy.median(numpy.subtract.outer(
            *(stats.norm(mean, deviation).ppf(
                (numpy.arange(1000) + 0.5) / 1000)
              for mean, deviation in ((40, 4), (20, 2)))))
        missed = sum(comparison.compare(
            self.random.normal(20, 2, 30),
            self.random.normal(40, 4, 8)).difference.excludes(truth)
            for _ in range(SIMULATIONS))
        self.assertLess(missed / SIMULATIONS, 0.09)

    def test_covers(self):
        missed = sum(comparison.compare(
            self.random.lognormal(0, 0.5, 10),
            1.5 * self.random.lognormal(0, 0.5, 10)).ratio.excludes(1.5)
            for _ in range(SIMULATIONS))
        self.assertTrue(0.01 < missed / SIMULATIONS < 0.09, missed)


class PairedTest(base.TestCase):

    def test_published(self):
        found = comparison.compare(BEFORE, AFTER, paired=True).difference
        self.assertAlmostEqual(-0.46, found.value)
        self.assertAlmostEqual(-0.786, found.low)
        self.assertAlmostEqual(-0.010, found.high)
        self.assertEqual(9, found.count)

    def test_pairs_show_what_lots_hide(self):
        random = numpy.random.default_rng(1)
        servers = random.lognormal(3, 1, 20)
        later = servers + 1 + random.normal(0, 0.1, 20)
        self.assertFalse(comparison.compare(servers, later).found)
        effect = comparison.compare(servers, later, paired=True)
        self.assertTrue(effect.found)
        self.assertTrue(effect.paired)
        self.assertAlmostEqual(1, effect.difference.value, delta=0.1)

    def test_few_pairs_are_students(self):
        effect = comparison.compare([1, 2, 3, 4], [3, 4, 5, 6.4], True)
        self.assertTrue(effect.difference.known)
        # All alike tell nothing of how much they vary.
        self.assertFalse(comparison.compare(
            [1, 2, 3, 4], [3, 4, 5, 6], True).difference.known)

    def test_bad_input(self):
        self.assertRaises(ValueError, comparison.compare, [1, 2], [1], True)


class CountedTest(base.TestCase):
    """What is counted is what would be found if all was written down."""

    def compare(self, first, second):
        written = ranks.shift(first, second), ranks.centre(first)
        self.patch(ranks, 'PAIRS', 10)
        self.assertEqual(
            written, (ranks.shift(first, second), ranks.centre(first)))

    def test_any_values(self):
        random = numpy.random.default_rng(1)
        self.compare(random.lognormal(2, 0.5, 200),
                     random.lognormal(2, 0.5, 130))

    def test_the_same_again_and_again(self):
        random = numpy.random.default_rng(1)
        self.compare(random.integers(1, 4, 200) / 2,
                     random.integers(1, 5, 150) / 2)

    def test_one_value(self):
        self.compare(numpy.ones(50), numpy.ones(40))

    def test_large_lots(self):
        values = numpy.random.default_rng(1).normal(20, 2, 20000)
        found = comparison.compare(values, values[::-1] + 0.2)
        self.assertAlmostEqual(0.2, found.difference.value, places=3)
        self.assertTrue(found.found)
