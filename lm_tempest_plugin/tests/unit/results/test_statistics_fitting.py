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

from lm_tempest_plugin.results.statistics import fitting
from lm_tempest_plugin.tests.unit import base

SIMULATIONS = 200


class FitTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(1)

    def test_a_line(self):
        # What the white paper's shared storage took.
        sizes = numpy.repeat([4.0, 8.0, 16.0], 2)
        found = fitting.fit(sizes, 7 + 2.35 * sizes)
        self.assertAlmostEqual(7, found.seconds.value)
        self.assertAlmostEqual(2.35, found.seconds_per_gib.value)
        self.assertAlmostEqual(0, found.residual_s)
        self.assertEqual(6, found.count)

    def test_least_squares(self):
        sizes = numpy.repeat([1.0, 2.0, 4.0], [10, 20, 5])
        seconds = 5 + 2 * sizes + self.random.normal(0, 1, 35)
        found = fitting.fit(sizes, seconds)
        slope, offset = numpy.polyfit(sizes, seconds, 1)
        self.assertAlmostEqual(offset, found.seconds.value)
        self.assertAlmostEqual(slope, found.seconds_per_gib.value)
        self.assertAlmostEqual(
            numpy.sqrt(((seconds - offset - slope * sizes) ** 2).mean()),
            found.residual_s)
        self.assertEqual(found, fitting.fit(sizes, seconds))

    def test_one_value_of_each_size(self):
        sizes = [1.0, 2.0, 4.0, 8.0]
        seconds = [3.0, 6.0, 8.0, 20.0]
        found = fitting.fit(sizes, seconds).seconds_per_gib
        known = stats.linregress(sizes, seconds)
        self.assertAlmostEqual(
            known.slope - 4.302653 * known.stderr, found.low, places=5)

    def test_two_values_give_no_interval(self):
        found = fitting.fit([1, 2], [3, 5])
        self.assertAlmostEqual(2, found.seconds_per_gib.value)
        self.assertFalse(found.seconds_per_gib.known)
        self.assertFalse(found.seconds.known)

    def test_covers_where_large_servers_vary_more(self):
        sizes = numpy.repeat([4.0, 8.0, 16.0], 8)
        missed = sum(fitting.fit(
            sizes, (7 + 2.35 * sizes) * self.random.lognormal(
                -0.02, 0.2, 24)).seconds_per_gib.excludes(2.35)
            for _ in range(SIMULATIONS))
        self.assertTrue(0.01 < missed / SIMULATIONS < 0.1, missed)

    def test_bad_input(self):
        self.assertRaises(ValueError, fitting.fit, [], [])
        self.assertRaises(ValueError, fitting.fit, [1, 2], [1])
        self.assertRaises(ValueError, fitting.fit, [4, 4], [1, 2])
