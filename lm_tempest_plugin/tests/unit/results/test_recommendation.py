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


from lm_tempest_plugin.results import recommendation
from lm_tempest_plugin.tests.unit import base


def level(at_once, per_server_s, with_problems=0):
    return recommendation.Level(
        at_once, [per_server_s + 0.1 * number for number in range(6)]
        if per_server_s else [], 24, with_problems, [0.2, 0.3])


class RecommendTest(base.TestCase):

    def recommend(self, *levels, **places):
        return recommendation.recommend(
            places or {'shared': list(levels)})

    def test_the_fastest(self):
        found = self.recommend(level(2, 8), level(1, 10), level(3, 5))
        self.assertEqual(3, found.concurrency)
        self.assertEqual('3 at once: drains take 36 to 49 % less time than '
                         'with 1, 2', found.text)
        self.assertEqual((
            '1 at once: 6 drains, 10.2 s per server (10.0 to 10.5); 24 '
            'of 24 live migrations as expected; longest outage 0.30 s',
            '2 at once: 6 drains, 8.2 s per server (8.0 to 8.5); 24 of '
            '24 live migrations as expected; longest outage 0.30 s',
            '3 at once: 6 drains, 5.2 s per server (5.0 to 5.5); 24 of '
            '24 live migrations as expected; longest outage 0.30 s',
            '3 instead of 1 at once: -5.0 s per server (-5.3 to -4.7)',
            '3 instead of 2 at once: -3.0 s per server (-3.3 to -2.7)',
        ), found.evidence)

    def test_fewer_may_be_faster(self):
        self.assertEqual(1, self.recommend(
            level(1, 5), level(2, 8)).concurrency)

    def test_no_difference_found(self):
        found = self.recommend(level(1, 10), level(2, 5), level(3, 5.1))
        self.assertIsNone(found.concurrency)
        self.assertEqual('undecided: no difference found between 2 and 3 at '
                         'once', found.text)
        self.assertIn('no difference found', found.evidence[-1])

    def test_only_one_number(self):
        found = self.recommend(level(1, 10))
        self.assertIsNone(found.concurrency)
        self.assertEqual('undecided: all hosts ran 1 at once, and no other '
                         'number', found.text)
        self.assertEqual(1, len(found.evidence))

    def test_no_drain(self):
        found = recommendation.recommend({})
        self.assertIsNone(found.concurrency)
        self.assertIn('no drain of several servers', found.text)

    def test_problems_exclude_a_number(self):
        found = self.recommend(level(1, 10), level(2, 8),
                               level(3, 5, with_problems=1))
        self.assertEqual(2, found.concurrency)
        self.assertIn('23 of 24 live migrations as expected',
                      found.evidence[2])
        found = self.recommend(level(1, 10), level(2, 0, with_problems=24))
        self.assertEqual(1, found.concurrency)
        self.assertIn('had problems with every other number', found.text)
        self.assertIsNone(self.recommend(
            level(1, 9, with_problems=2),
            level(2, 8, with_problems=1)).concurrency)

    def test_different_places_cannot_be_compared(self):
        found = self.recommend(block=[level(1, 10)], shared=[level(3, 5)])
        self.assertIsNone(found.concurrency)
        self.assertEqual(
            'undecided: drains with 1 and 3 at once differ in other '
            'conditions too, and cannot be compared: block: 1; shared: 3',
            found.text)

    def test_places_that_agree(self):
        found = self.recommend(block=[level(1, 10), level(2, 8)],
                               shared=[level(1, 5), level(2, 3)],
                               other=[level(1, 7)])
        self.assertEqual(2, found.concurrency)
        self.assertEqual('2 at once, in each of 2 configurations that can be '
                         'compared', found.text)
        self.assertTrue(found.evidence[0].startswith('block: 1 at once'))

    def test_places_that_disagree(self):
        found = self.recommend(block=[level(1, 10), level(2, 8)],
                               shared=[level(1, 3), level(2, 5)])
        self.assertIsNone(found.concurrency)
        self.assertIn('block: 2 at once', found.text)
        self.assertIn('shared: 1 at once', found.text)
