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

import dataclasses

import testtools

from bench.precision import episodes

FLOW, OTHER = b'one', b'two'


def force(kind, begin_ns=100, end_ns=200, **more):
    return episodes.Applied('a', episodes.Episode(
        kind, begin_ns, end_ns, **more))


class EpisodeTest(testtools.TestCase):

    def test_nonsense_is_refused(self):
        self.assertRaises(ValueError, episodes.Episode, 'explode', 1, 2)
        self.assertRaises(ValueError, episodes.Episode, 'drop', 2, 2)

    def test_there_and_back(self):
        one = episodes.Episode('delay', 1, 2, extra_s=0.5).shifted(10)
        self.assertEqual((11, 12), (one.begin_ns, one.end_ns))
        self.assertEqual(one, episodes.Episode(
            **dataclasses.asdict(one)))


class InForceTest(testtools.TestCase):

    def test_drop(self):
        drop = force('drop')
        self.assertIsNone(drop.decide(110, FLOW))
        self.assertIsNone(drop.decide(190, OTHER))
        drop.edge(100, 103)
        drop.edge(200, 207)
        truth = drop.truth()
        self.assertEqual((100, 200), (truth['begin_ns'], truth['end_ns']))
        self.assertEqual((110, 190), (truth['first_ns'], truth['last_ns']))
        self.assertEqual((2, 0), (truth['dropped'], truth['kept']))
        self.assertEqual(7, truth['uncertainty_ns'])

    def test_hold(self):
        hold = force('hold')
        self.assertEqual(200, hold.decide(110, FLOW))
        self.assertEqual(200, hold.truth()['end_ns'])
        hold.released_ns = 205
        truth = hold.truth()
        self.assertEqual((100, 205, 1), (
            truth['begin_ns'], truth['end_ns'], truth['kept']))
        # Nobody was awake for the edges yet.
        self.assertIsNone(truth['uncertainty_ns'])

    def test_delay(self):
        delay = force('delay', extra_s=1e-6)
        self.assertEqual(1150, delay.decide(150, FLOW))
        delay.released_ns = 1151
        self.assertEqual(200, delay.truth()['end_ns'])

    def test_loss(self):
        loss = force('loss', end_ns=10_000_000, fraction=0.1, seed=5)
        answered = [loss.decide(now, FLOW) for now in range(1000, 11000)]
        self.assertEqual(loss.dropped, answered.count(None))
        self.assertEqual(10000, loss.dropped + loss.passed)
        self.assertTrue(900 < loss.dropped < 1100, loss.dropped)

    def test_the_dice_of_a_flow_do_not_depend_on_others(self):
        alone = force('loss', fraction=0.5, seed=5)
        among = force('loss', fraction=0.5, seed=5)
        expected = [alone.decide(150, FLOW) for _ in range(50)]
        found = []
        for _ in range(50):
            found.append(among.decide(150, FLOW))
            among.decide(150, OTHER)
        self.assertEqual(expected, found)

    def test_reorder(self):
        late = force('reorder', fraction=1.0, extra_s=1e-9)
        self.assertEqual(151, late.decide(150, FLOW))
        never = force('reorder', fraction=0.0, extra_s=1e-9)
        self.assertEqual(150, never.decide(150, FLOW))


class LaneTest(testtools.TestCase):

    def test_what_is_in_force(self):
        first = episodes.Episode('drop', 100, 200)
        second = episodes.Episode('hold', 200, 300)
        lane = episodes.Lane('a', [second, first])
        seen = [lane.at(now) for now in (99, 100, 199, 200, 299, 300, 900)]
        self.assertEqual(
            [None, first, first, second, second, None, None],
            [one and one.episode for one in seen])

    def test_overlaps_are_refused(self):
        self.assertRaises(ValueError, episodes.Lane, 'a', [
            episodes.Episode('drop', 100, 200),
            episodes.Episode('drop', 199, 300)])
