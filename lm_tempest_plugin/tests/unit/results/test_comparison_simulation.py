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

"""What is said of runs of which is known whether they differ."""

import random

import fixtures
import numpy

from lm_tempest_plugin.results.comparison import judgement
from lm_tempest_plugin.results.statistics import comparison as statistics
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import runs

PAIRS = 200


def quick(before, after, paired=False, seed=0):
    """Return an effect whose interval never has 0 in it.

    Intervals take most of the time; without them, more is found than with
    them, so that what is shown here holds all the more.
    """
    first, second = (float(numpy.median(each)) for each in (before, after))

    def estimate(value):
        return intervals.Estimate(value, None, None, len(before))
    return statistics.Effect(
        estimate(first), estimate(second), estimate(second - first),
        estimate(second / first if first else float('nan')), paired, True)


class SimulationTest(base.TestCase):

    def compare(self, number, before, after, rng):
        # 8 to 24 attempts in each group.
        return judgement.compare(*(
            runs.run(2 * number + side, cloud, drains=rng.choice((2, 4, 6)))
            for side, cloud in enumerate((before, after))))

    def worse(self, before, after, pairs):
        """Return in how many pairs anything got worse."""
        rng = random.Random(7)
        found = [self.compare(number, before, after, rng)
                 for number in range(pairs)]
        # 3 flavors, 2 strategies, 7 quantities.
        self.assertEqual({3 * 2 * 7}, {len(each.rows) for each in found})
        return sum(each.worse for each in found)

    def test_equal_clouds(self):
        self.useFixture(fixtures.MockPatchObject(
            statistics, 'compare', quick))
        self.assertLessEqual(
            self.worse(runs.Cloud(), runs.Cloud(), PAIRS), 0.05 * PAIRS)

    def test_equal_clouds_whose_drains_differ(self):
        # What a busy host does to all servers of a drain.
        self.useFixture(fixtures.MockPatchObject(
            statistics, 'compare', quick))
        cloud = runs.Cloud(drain_noise=0.15)
        self.assertLessEqual(
            self.worse(cloud, cloud, PAIRS // 2), 0.05 * PAIRS // 2)

    def test_slower(self):
        self.assertEqual(5, self.worse(
            runs.Cloud(), runs.Cloud(factor=1.4), 5))

    def test_longer_outages(self):
        rng = random.Random(3)
        found = self.compare(1, runs.Cloud(), runs.Cloud(outage_factor=3),
                             rng)
        self.assertTrue(found.worse)
        self.assertEqual(
            {'outage_s', 'stall_s'},
            {row.quantity for row in found.those(judgement.WORSE)})

    def test_faster(self):
        found = judgement.compare(runs.run(1, runs.Cloud()),
                                  runs.run(2, runs.Cloud(factor=0.5)))
        self.assertFalse(found.worse)
        self.assertEqual(6, sum(
            row.quantity == 'wall_s'
            for row in found.those(judgement.BETTER)))
