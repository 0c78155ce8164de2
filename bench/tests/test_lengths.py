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


import random

from bench.precision import lengths
from bench.precision import scale
from bench.precision import sleeper
from lm_tempest_plugin.tests.unit import base


class LengthsTest(base.TestCase):

    def test_each_is_found_again(self):
        dice = random.Random(1)
        for least_s in lengths.LENGTHS_S:
            for _ in range(100):
                length_s = lengths.draw(least_s, dice)
                self.assertTrue(least_s <= length_s <= 1.25 * least_s)
                self.assertEqual(least_s, lengths.least(length_s))

    def test_what_is_shorter_than_all(self):
        self.assertEqual(0.02, lengths.least(0.001))


class SleeperTest(base.TestCase):

    def test_it_is_never_early(self):
        late = sleeper.watch(0.1, 0.001)
        self.assertTrue(0 <= late['lateness_p50_s'] <=
                        late['lateness_p99_s'])
        self.assertLess(late['lateness_p50_s'], late['lateness_max_s'] + 1e-9)


class RepeatsTest(base.TestCase):

    def test_what_is_claimed_is_looked_at_several_times(self):
        self.assertEqual([1, 1, 1, 5], [
            scale.repeats(size, False) for size in scale.SIZES])
        self.assertEqual(1, scale.repeats(300, True))
