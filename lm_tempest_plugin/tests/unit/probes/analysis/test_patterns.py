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

from lm_tempest_plugin.probes.analysis import patterns
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import simulation

MS = simulation.MS


class SimulatedTestCase(base.TestCase):

    def observe(self, *args, **kwargs):
        return simulation.observe(
            numpy.random.default_rng(1), *args, **kwargs)


class PatternTest(SimulatedTestCase):

    def test_delays(self):
        seen = self.observe(length_ms=20_050)
        delays_ns = numpy.sort(seen.answered_ns - seen.sent_ns)
        pattern = patterns.pattern(seen)
        self.assertEqual(delays_ns[0], pattern.low_ns)
        self.assertEqual(delays_ns[1002], pattern.usual_ns)
        self.assertEqual(delays_ns[1984], pattern.high_ns)
        self.assertEqual(delays_ns[2002], pattern.highest_ns)
        self.assertEqual(pattern.low_ns + 10 * MS, pattern.late_ns)
        self.assertEqual(pattern.highest_ns - pattern.low_ns,
                         pattern.jitter_ns)

    def test_answers_that_were_held_do_not_count_as_usual(self):
        usual = patterns.pattern(self.observe())
        # Most of it is outage.
        pattern = patterns.pattern(self.observe(
            [simulation.Outage(500, 3000, held=True)]))
        self.assertLess(pattern.highest_ns, 11 * MS)
        self.assertAlmostEqual(usual.usual_ns, pattern.usual_ns, delta=MS)

    def test_a_path_that_takes_longer_than_a_period(self):
        pattern = patterns.pattern(self.observe(path=simulation.Path(
            slower_ms=lambda at_ms: numpy.full(at_ms.size, 80.0))))
        self.assertAlmostEqual(80.1, pattern.low_ns / MS, delta=0.2)
        self.assertEqual(pattern.low_ns + 10 * MS, pattern.late_ns)
        self.assertAlmostEqual(80.2, pattern.usual_ns / MS, delta=0.2)
        self.assertLess(pattern.missed_alone, 0.01)

    def test_never_answered(self):
        pattern = patterns.pattern(self.observe(
            [simulation.Outage(-10, 9000)]))
        self.assertEqual(10 * MS, pattern.low_ns)
        self.assertEqual(20 * MS, pattern.late_ns)
        self.assertEqual(0, pattern.jitter_ns)
        self.assertEqual(0.5, pattern.missed_alone)

    def test_nothing_was_asked(self):
        seen = self.observe(length_ms=100)
        pattern = patterns.pattern(simulation.without(
            seen, numpy.ones(10, numpy.bool_)))
        self.assertEqual(patterns.FEWEST_MISSED, pattern.fewest_missed)


class MissedAloneTest(SimulatedTestCase):

    def test_losses(self):
        for loss in (0.01, 0.05, 0.2, 0.4):
            pattern = patterns.pattern(self.observe(
                path=simulation.Path(loss=loss), length_ms=200_000))
            self.assertAlmostEqual(loss, pattern.missed_alone,
                                   delta=0.1 * loss)

    def test_answers_that_are_late(self):
        chance = numpy.random.default_rng(2)
        pattern = patterns.pattern(self.observe(path=simulation.Path(
            slower_ms=lambda at_ms: 25.0 * (
                chance.random(at_ms.size) < 0.05)), length_ms=100_000))
        self.assertAlmostEqual(0.05, pattern.missed_alone, delta=0.005)

    def test_losses_that_are_not_independent(self):
        seen = self.observe()
        seen.answered_ns[::2] = observations.UNANSWERED
        pattern = patterns.pattern(seen)
        self.assertEqual((0.5, 17),
                         (pattern.missed_alone, pattern.fewest_missed))

    def test_an_outage_has_no_part_in_it(self):
        without, with_outage = (
            patterns.pattern(self.observe(outages, length_ms=10_000))
            for outages in ([], [simulation.Outage(2000, 3000)]))
        self.assertLess(without.missed_alone, 0.0011)
        self.assertLess(with_outage.missed_alone, 0.0016)

    def test_two_in_a_row_are_an_outage_where_nothing_is_lost(self):
        self.assertEqual(2, patterns.pattern(
            self.observe()).fewest_missed)

    def test_where_much_is_lost_it_takes_more(self):
        for loss, about in ((0.01, 4), (0.05, 5), (0.2, 9)):
            pattern = patterns.pattern(self.observe(
                path=simulation.Path(loss=loss), length_ms=60_000))
            self.assertAlmostEqual(about, pattern.fewest_missed, delta=1)
            self.assertLess(
                6000 * pattern.missed_alone ** pattern.fewest_missed,
                patterns.BY_CHANCE)

    def test_where_all_is_lost_it_takes_no_more_than_all(self):
        for questions, fewest in ((5, 5), (50, 14), (400, 17)):
            seen = self.observe([simulation.Outage(-10, 9000)],
                                length_ms=10 * questions)
            self.assertEqual(fewest, patterns.pattern(seen).fewest_missed)
