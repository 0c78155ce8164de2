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

import testtools

from bench.precision import results
from bench.precision import tools


def row(error_s, bound_s=0.01, period_s=0.01, **more):
    values = {'part': 'trials', 'tool': 't', 'kind': 'drop', 'length_s': 1.0,
              'truth_s': 1.0, 'uncertainty_s': 0.001, **more}
    return results.OutageError(
        figure_s=None if error_s is None else 1 + error_s, bound_s=bound_s,
        period_s=period_s, **values)


class OutageErrorTest(testtools.TestCase):

    def test_made_of_truth_and_reading(self):
        truth = {'planned_begin_ns': 0, 'planned_end_ns': 200_000_000,
                 'begin_ns': 0, 'end_ns': 201_000_000, 'kind': 'hold',
                 'uncertainty_ns': 500_000, 'address': 'a'}
        made = results.make('trials', 't', truth, tools.ToolFigure(0.203))
        self.assertEqual(0.2, made.length_s)
        self.assertAlmostEqual(0.002, made.error_s)
        self.assertAlmostEqual(0.0005, made.uncertainty_s)

    def test_limits(self):
        self.assertTrue(row(0.0099).within_period)
        # The truth's uncertainty excuses a bound, but no period.
        self.assertFalse(row(0.0105).within_period)
        self.assertTrue(row(-0.0105).within_bound)
        self.assertFalse(row(-0.0115).within_bound)
        self.assertFalse(row(None).within_period)
        self.assertFalse(row(None).within_bound)


class SummaryTest(testtools.TestCase):

    def test_statistics(self):
        told = [row(error / 1000) for error in (-4, -2, 1, 3, 20)]
        summary = results.summarise(told + [row(None), row(-1.0)])
        self.assertEqual((7, 1, 1),
                         (summary.trials, summary.silent, summary.zero))
        summary = results.summarise(told)
        self.assertAlmostEqual(0.001, summary.median_s)
        self.assertAlmostEqual(0.003, summary.median_abs_s)
        self.assertAlmostEqual(0.020, summary.max_abs_s)
        self.assertAlmostEqual(0.8, summary.in_period)
        self.assertAlmostEqual(0.8, summary.in_bound)
        self.assertAlmostEqual(0.01, summary.bound_s)

    def test_others_have_no_bound(self):
        summary = results.summarise([row(0.1, None, None)])
        self.assertIsNone(summary.in_period)
        self.assertIsNone(summary.in_bound)

    def test_nothing_said(self):
        self.assertIsNone(results.summarise([row(None)]))
        self.assertIsNone(results.summarise([]))
