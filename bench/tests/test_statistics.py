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

import contextlib
import io

import numpy
import testtools

from bench.statistics import __main__ as main
from bench.statistics import coverage
from bench.statistics import known
from lm_tempest_plugin.results import estimates


def case(simulation, truth=1.0):
    return coverage.Case('any', '1', {'it': truth}, simulation)


def estimate(low, high):
    return {'it': estimates.Estimate(1.0, low, high, 1)}


class TestCoverage(testtools.TestCase):

    def test_counted(self):
        found = coverage.simulate(case(lambda random: estimate(
            *((2, 3) if random.random() < 0.25 else (0, 2)))), 1000, 1)
        self.assertAlmostEqual(25, found['it'].above, delta=5)
        self.assertEqual(0, found['it'].below)
        self.assertEqual(100 - found['it'].above, found['it'].covers)

    def test_half_an_interval(self):
        found = coverage.simulate(
            case(lambda random: estimate(0.5, None)), 10, 1)
        self.assertEqual(100, found['it'].covers)

    def test_no_interval_is_an_error(self):
        self.assertRaises(
            RuntimeError, coverage.simulate,
            case(lambda random: estimate(None, None)), 10, 1)

    def test_every_case_can_be_simulated(self):
        for each in coverage.cases():
            self.assertEqual(set(each.truths), set(
                coverage.simulate(each, 2, 1)), each)


class TestTruths(testtools.TestCase):

    def test_shift(self):
        for values in coverage.DISTRIBUTIONS:
            grid = values.grid()
            self.assertAlmostEqual(
                0, coverage.true_shift(grid, grid), places=6)
            self.assertAlmostEqual(3, coverage.true_shift(grid, grid + 3))
            self.assertAlmostEqual(values.quantile(0.5), numpy.median(grid),
                                   places=3)


class TestSimulation(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(1)

    def run_(self, size, at_once=1, batches=False):
        cloud = known.KnownCloud({}, at_once=at_once, seconds=10.0,
                                 seconds_per_gib=0.0, noise=0.0)
        return known.simulate(self.random, [cloud], known.Drains(
            known.FLAVORS[:1] * 5, 1, size, batches))

    def test_queue(self):
        found = self.run_(5)
        self.assertEqual([10, 20, 30, 40, 50],
                         [each.duration_s for each in found.migrations])
        self.assertEqual([0, 10, 20, 30, 40],
                         [each.queue_s for each in found.migrations])
        self.assertEqual(50, found.drains[0].wall_s)
        self.assertEqual(1, found.drains[0].concurrency[0].running)

    def test_window(self):
        found = self.run_(2)
        self.assertEqual([0, 0, 10, 20, 30],
                         [each.requested_monotonic_s
                          for each in found.migrations])
        self.assertEqual([10, 20, 20, 20, 20],
                         [each.duration_s for each in found.migrations])

    def test_batches(self):
        found = self.run_(3, at_once=2, batches=True)
        self.assertEqual([0, 0, 0, 20, 20],
                         [each.requested_monotonic_s
                          for each in found.migrations])
        self.assertEqual(30, found.drains[0].wall_s)
        self.assertEqual(2, found.drains[0].concurrency[0].running)


class TestKnown(testtools.TestCase):

    def test_answers(self):
        found = list(known.answers(3, 1))
        self.assertEqual(8, len(found))
        # Three runs prove nothing; but this one holds in all of them.
        [faster] = [each for each in found if 'faster' in each.text]
        self.assertTrue(faster.holds, faster.text)


class TestMain(testtools.TestCase):

    def main(self, simulation, *arguments):
        self.patch(coverage, 'cases', lambda: [case(simulation)])
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            code = main.main(['--only', 'coverage', *arguments])
        return code, told.getvalue()

    def test_holds(self):
        code, told = self.main(lambda random: estimate(
            0, 0.5 if random.random() < 0.05 else 2))
        self.assertEqual(0, code)
        self.assertIn('PASS coverage', told)

    def test_does_not(self):
        for simulation in (lambda random: estimate(0, 2),
                           lambda random: estimate(2, 3)):
            code, told = self.main(simulation, '--simulations', '20')
            self.assertEqual(1, code)
            self.assertIn('OUTSIDE', told)
            self.assertIn('FAIL coverage', told)

    def test_bad_input(self):
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertRaises(SystemExit, main.main, ['--simulations', '0'])
