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

import msgspec

from lab.gate import verdict
from lab.tests.unit import base
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit.results import builders

FAILED = {'problems': (builders.problem(),), 'test': (
    'x.live_migration_ha.DrainTest.test_drain[id-1,slow]')}


def side(pairs=2, seed=1, longer_s=0.0, slower=1.0, stalled_s=0.0):
    """Return results as the lab has them.

    :param pairs: number of runs
    :param seed: of the random numbers
    :param longer_s: added to each outage
    :param slower: factor of each duration
    :param stalled_s: added to each stall
    """
    chance = random.Random(seed)
    lines = []
    for run in range(pairs):
        for trip in (1, 2, 3):
            for way in (1, 2):
                durations = [chance.lognormvariate(1.84, 0.17) * slower
                             for _ in range(2)]
                # The first round trip after a restart takes much longer.
                durations[0] += 30 * (trip == 1)
                outage_s = max(0.0, chance.gauss(0.18, 0.08)) + longer_s
                lines += builders.drain_lines(
                    100 * run + 10 * trip + way, durations, round_trip=trip,
                    outage=builders.outage(outage_s, error_s=0.09),
                    stall=builders.stall(outage_s + 0.1 + stalled_s))
    return builders.read(lines)


class TestLook(base.TestCase):

    def _look(self, pairs=2, looks=3, before=None, **change):
        return verdict.look(before or side(pairs), side(pairs, 2, **change),
                            looks, 'HEAD^')

    def test_no_change(self):
        for pairs in (4, 6):
            found = self._look(pairs)
            self.assertEqual(verdict.NO_WORSE, found.outcome, found.text)
            self.assertRegex(
                found.text, r'^no worse than HEAD\^: duration [+-]?[\d.]+ s '
                r'\(-?[\d.]+ to -?[\d.]+\), outage .*, stall ')
            self.assertEqual(0, found.exit_code)

    def test_late_port_binding(self):
        # An outage of 0.8 s is below every bound.
        found = self._look(longer_s=0.6)
        self.assertEqual(verdict.WORSE, found.outcome)
        self.assertRegex(found.text, r'outage \+0\.[56]\d* s '
                         r'\(0\.[45]\d* to 0\.[67]\d*\)')
        self.assertNotIn('duration', found.text)
        self.assertEqual(1, found.exit_code)

    def test_slower(self):
        found = self._look(slower=1.6)
        self.assertEqual(verdict.WORSE, found.outcome)
        self.assertTrue(found.text.startswith('worse: duration +'))

    def test_stalls_alone(self):
        found = self._look(stalled_s=2.0)
        self.assertTrue(found.text.startswith('worse: stall +'), found.text)

    def test_better_is_no_worse(self):
        found = self._look(before=side(longer_s=0.6))
        self.assertEqual(verdict.NO_WORSE, found.outcome)

    def test_error_is_divided_by_the_looks(self):
        # With so many looks, no difference is proven.
        found = self._look(longer_s=0.6, looks=10 ** 9)
        self.assertEqual(verdict.UNDECIDED, found.outcome)

    def test_too_few(self):
        found = self._look(pairs=1, slower=1.15)
        self.assertEqual(verdict.UNDECIDED, found.outcome)
        self.assertIn('smallest difference worth telling: duration 25 %',
                      found.text)
        self.assertEqual(125, found.exit_code)

    def test_nothing_to_compare(self):
        found = verdict.look(store.Results(), side(), 3, 'HEAD^')
        self.assertEqual(verdict.UNDECIDED, found.outcome)
        self.assertIn('cannot be compared', found.text)

    def test_failure(self):
        change = side()
        change.migrations[0] = builders.failed(0, round_trip=1)
        found = verdict.look(side(), change, 3, 'HEAD^')
        self.assertEqual(verdict.FAILS, found.outcome)
        self.assertRegex(found.text, '^fails: test_drain: verdict: .*1 of 24 '
                                     'live migrations; 0 of 24 with HEAD')
        self.assertEqual(1, found.exit_code)


class TestResults(base.TestCase):

    def test_warm_up(self):
        found = verdict.without_warm_up(side())
        self.assertEqual(
            {(1, False), (2, True), (3, True)},
            {(each.round_trip, each.measured)
             for each in (*found.migrations, *found.drains)})

    def test_made_worse(self):
        before = builders.read([
            builders.migration(), builders.migration(1, stall=None),
            builders.migration(2)])
        before.migrations[2] = msgspec.structs.replace(
            before.migrations[2], continuity=None)
        one, no_stall, unprobed = verdict.made_worse(before).migrations
        self.assertAlmostEqual(11.25, one.duration_s)
        self.assertAlmostEqual(0.45, one.continuity.outage.longest_s)
        self.assertAlmostEqual(1.4, one.continuity.stall.longest_s)
        self.assertIsNone(no_stall.continuity.stall)
        self.assertIsNone(unprobed.continuity)
        self.assertEqual(9.0, before.migrations[0].duration_s)

    def test_first_problem(self):
        failure = schema.TestFailure(test=FAILED['test'], reason='no host')
        for lines, said in (
                ([builders.migration()], ''),
                ([builders.migration(), builders.migration(1, **FAILED),
                  failure], 'test_drain: outage: longest outage 5.00 s '
                            '(limit 1 s)'),
                ([builders.drain(**FAILED)], 'test_drain: outage: longest '
                                             'outage 5.00 s (limit 1 s)'),
                ([failure], 'test_drain: no host'),
                ([builders.ended()], 'never judged: server server-0 from '
                 'compute1 to compute2: migration record completed, server '
                 'ACTIVE')):
            with self.subTest(said):
                self.assertEqual(said, verdict.first_problem(
                    builders.read(lines)))

    def test_smallest(self):
        self.assertEqual('duration 25 %, outage 0.2 s, stall 1 s',
                         verdict.smallest())
        self.assertEqual('outage 0.2 s',
                         verdict.smallest(['outage_s', 'outage_s']))
