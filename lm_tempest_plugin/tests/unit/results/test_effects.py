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

from lm_tempest_plugin.results import effects
from lm_tempest_plugin.tests.unit import base

SIMULATIONS = 300
# Hollander and Wolfe, table 3.1: depression before and after therapy.
BEFORE = (1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
AFTER = (0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)


def all_differences(first, second):
    return numpy.sort(numpy.subtract.outer(second, first).ravel())


class UnpairedTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(1)

    def test_mann_whitney_accepts_the_inside(self):
        first, second = (self.random.normal(5, 1, count)
                         for count in (8, 6))
        found = effects.compare(first, second).difference
        for shift, accepted in (
                (found.low + 1e-9, True), (found.low - 1e-9, False),
                (found.high - 1e-9, True), (found.high + 1e-9, False)):
            self.assertEqual(accepted, stats.mannwhitneyu(
                second - shift, first, method='exact').pvalue > 0.05)
        self.assertAlmostEqual(numpy.median(all_differences(first, second)),
                               found.value)

    def test_ratio(self):
        before = self.random.lognormal(3, 0.3, 12)
        effect = effects.compare(before, 2.5 * before)
        self.assertAlmostEqual(2.5, effect.ratio.value)
        self.assertTrue(effect.found)
        self.assertFalse(effect.paired)
        self.assertAlmostEqual(numpy.median(before), effect.before.value)
        self.assertAlmostEqual(2.5 * numpy.median(before),
                               effect.after.value)

    def test_equal_sets(self):
        values = self.random.lognormal(3, 0.3, 20)
        effect = effects.compare(values, values)
        self.assertFalse(effect.found)
        self.assertEqual(0, effect.difference.value)
        self.assertEqual(1, effect.ratio.value)

    def test_direction(self):
        values = self.random.normal(20, 1, 10)
        self.assertLess(
            effects.compare(values + 5, values).difference.high, -3)

    def test_a_few_very_long_values_change_little(self):
        values = self.random.normal(20, 1, 20)
        longer = values + 3
        longer[:2] = 400
        effect = effects.compare(values, longer)
        self.assertTrue(effect.found)
        self.assertAlmostEqual(3, effect.difference.value, delta=1)

    def test_three_and_three_use_student(self):
        effect = effects.compare([1, 2, 3], [5, 6, 7])
        # Welch: t of 4 degrees of freedom, standard error sqrt(2 / 3).
        self.assertAlmostEqual(4 - 2.776445 * (2 / 3) ** 0.5,
                               effect.difference.low, places=5)
        self.assertTrue(effect.found)

    def test_too_few_give_no_interval(self):
        for before, after in (([1], [9]), ([1, 2, 3], [9]),
                              ([10, 10], [11, 11])):
            effect = effects.compare(before, after)
            self.assertFalse(effect.difference.known)
            self.assertFalse(effect.found)

    def test_no_ratio_with_zero(self):
        effect = effects.compare([0] * 8, [1, 2, 3, 4, 5, 6, 7, 8])
        self.assertTrue(math.isnan(effect.ratio.value))
        self.assertFalse(effect.ratio.known)
        self.assertTrue(effect.found)

    def test_bad_input(self):
        self.assertRaises(ValueError, effects.compare, [], [1])
        self.assertRaises(ValueError, effects.compare, [1], [])

    def test_covers_with_unequal_sizes_and_variances(self):
        # The Mann-Whitney test's interval covers less than 90 % here.
        truth = numpy.median(numpy.subtract.outer(
            *(stats.norm(mean, deviation).ppf(
                (numpy.arange(1000) + 0.5) / 1000)
              for mean, deviation in ((40, 4), (20, 2)))))
        missed = sum(effects.compare(
            self.random.normal(20, 2, 30),
            self.random.normal(40, 4, 8)).difference.excludes(truth)
            for _ in range(SIMULATIONS))
        self.assertLess(missed / SIMULATIONS, 0.09)

    def test_covers(self):
        missed = sum(effects.compare(
            self.random.lognormal(0, 0.5, 10),
            1.5 * self.random.lognormal(0, 0.5, 10)).ratio.excludes(1.5)
            for _ in range(SIMULATIONS))
        self.assertTrue(0.01 < missed / SIMULATIONS < 0.09, missed)


class PairedTest(base.TestCase):

    def test_published(self):
        found = effects.compare(BEFORE, AFTER, paired=True).difference
        self.assertAlmostEqual(-0.46, found.value)
        self.assertAlmostEqual(-0.786, found.low)
        self.assertAlmostEqual(-0.010, found.high)
        self.assertEqual(9, found.count)

    def test_pairs_find_more(self):
        random = numpy.random.default_rng(1)
        servers = random.lognormal(3, 1, 20)
        later = servers + 1 + random.normal(0, 0.1, 20)
        self.assertFalse(effects.compare(servers, later).found)
        effect = effects.compare(servers, later, paired=True)
        self.assertTrue(effect.found)
        self.assertTrue(effect.paired)
        self.assertAlmostEqual(1, effect.difference.value, delta=0.1)

    def test_few_pairs_use_student(self):
        effect = effects.compare([1, 2, 3, 4], [3, 4, 5, 6.4], True)
        self.assertTrue(effect.difference.known)
        # Equal differences say nothing about their variance.
        self.assertFalse(effects.compare(
            [1, 2, 3, 4], [3, 4, 5, 6], True).difference.known)

    def test_bad_input(self):
        self.assertRaises(ValueError, effects.compare, [1, 2], [1], True)


class ThinnedTest(base.TestCase):
    """Large sets are thinned; the bounds are those of all pairs."""

    def compare(self, first, second):
        thinned = effects.shift(first, second), effects.centre(first)
        self.patch(effects, 'PAIRS', 10 ** 8)
        for found, exact in zip(thinned, (effects.shift(first, second),
                                          effects.centre(first))):
            delta = 0.01 * (exact.high - exact.low)
            for one, other in ((found.value, exact.value),
                               (found.low, exact.low),
                               (found.high, exact.high)):
                self.assertAlmostEqual(other, one, delta=delta)
            self.assertEqual(exact.count, found.count)

    def test_any_values(self):
        random = numpy.random.default_rng(1)
        self.compare(random.lognormal(2, 0.5, 3000),
                     random.lognormal(2, 0.5, 2000))

    def test_ties(self):
        random = numpy.random.default_rng(1)
        self.compare(random.integers(1, 4, 2000) / 2,
                     random.integers(1, 5, 1500) / 2)

    def test_one_value(self):
        self.compare(numpy.ones(2000), numpy.ones(1600))

    def test_large_sets(self):
        values = numpy.random.default_rng(1).normal(20, 2, 20000)
        found = effects.compare(values, values[::-1] + 0.2)
        self.assertAlmostEqual(0.2, found.difference.value, places=3)
        self.assertTrue(found.found)
