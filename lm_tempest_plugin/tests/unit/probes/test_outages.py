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

import itertools

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import outages
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import simulation

MS = simulation.MS
RARE_SPIKES = simulation.Path(spikes=0.002)


def bound_ns(outage):
    """Return the error bound of an outage in nanoseconds."""
    return round(outage.error_bound_s * 1e9)


class PatternTestCase(base.TestCase):

    def observe(self, *args, **kwargs):
        return simulation.observe(
            numpy.random.default_rng(1), *args, **kwargs)


class PatternTest(PatternTestCase):

    def test_delays(self):
        seen = self.observe(length_ms=20_050)
        delays_ns = numpy.sort(seen.answered_ns - seen.sent_ns)
        pattern = outages.usual_pattern(seen)
        self.assertEqual(delays_ns[0], pattern.low_ns)
        self.assertEqual(delays_ns[1002], pattern.usual_ns)
        self.assertEqual(delays_ns[1984], pattern.high_ns)
        self.assertEqual(delays_ns[2002], pattern.highest_ns)
        self.assertEqual(pattern.low_ns + 10 * MS, pattern.late_ns)
        self.assertEqual(pattern.highest_ns - pattern.low_ns,
                         pattern.jitter_ns)

    def test_answers_that_were_held_do_not_count_as_usual(self):
        usual = outages.usual_pattern(self.observe())
        # Most of it is outage.
        pattern = outages.usual_pattern(self.observe(
            [simulation.Outage(500, 3000, held=True)]))
        self.assertLess(pattern.highest_ns, 11 * MS)
        self.assertAlmostEqual(usual.usual_ns, pattern.usual_ns, delta=MS)

    def test_a_path_that_takes_longer_than_a_period(self):
        pattern = outages.usual_pattern(self.observe(path=simulation.Path(
            slower_ms=lambda at_ms: numpy.full(at_ms.size, 80.0))))
        self.assertAlmostEqual(80.1, pattern.low_ns / MS, delta=0.2)
        self.assertEqual(pattern.low_ns + 10 * MS, pattern.late_ns)
        self.assertAlmostEqual(80.2, pattern.usual_ns / MS, delta=0.2)
        self.assertLess(pattern.missed_alone, 0.01)

    def test_never_answered(self):
        pattern = outages.usual_pattern(self.observe(
            [simulation.Outage(-10, 9000)]))
        self.assertEqual(10 * MS, pattern.low_ns)
        self.assertEqual(20 * MS, pattern.late_ns)
        self.assertEqual(0, pattern.jitter_ns)
        self.assertEqual(0.5, pattern.missed_alone)

    def test_nothing_was_asked(self):
        seen = self.observe(length_ms=100)
        pattern = outages.usual_pattern(simulation.without(
            seen, numpy.ones(10, numpy.bool_)))
        self.assertEqual(outages.FEWEST_MISSED, pattern.fewest_missed)


class MissedAloneTest(PatternTestCase):

    def test_losses(self):
        for loss in (0.01, 0.05, 0.2, 0.4):
            pattern = outages.usual_pattern(self.observe(
                path=simulation.Path(loss=loss), length_ms=200_000))
            self.assertAlmostEqual(loss, pattern.missed_alone,
                                   delta=0.1 * loss)

    def test_answers_that_are_late(self):
        chance = numpy.random.default_rng(2)
        pattern = outages.usual_pattern(self.observe(path=simulation.Path(
            slower_ms=lambda at_ms: 25.0 * (
                chance.random(at_ms.size) < 0.05)), length_ms=100_000))
        self.assertAlmostEqual(0.05, pattern.missed_alone, delta=0.005)

    def test_losses_that_are_not_independent(self):
        seen = self.observe()
        seen.answered_ns[::2] = answers.UNANSWERED
        pattern = outages.usual_pattern(seen)
        self.assertEqual((0.5, 17),
                         (pattern.missed_alone, pattern.fewest_missed))

    def test_an_outage_has_no_part_in_it(self):
        without, with_outage = (
            outages.usual_pattern(self.observe(truth, length_ms=10_000))
            for truth in ([], [simulation.Outage(2000, 3000)]))
        self.assertLess(without.missed_alone, 0.0011)
        self.assertLess(with_outage.missed_alone, 0.0016)

    def test_two_in_a_row_are_an_outage_where_nothing_is_lost(self):
        self.assertEqual(2, outages.usual_pattern(
            self.observe()).fewest_missed)

    def test_where_much_is_lost_it_takes_more(self):
        for loss, about in ((0.01, 4), (0.05, 5), (0.2, 9)):
            pattern = outages.usual_pattern(self.observe(
                path=simulation.Path(loss=loss), length_ms=60_000))
            self.assertAlmostEqual(about, pattern.fewest_missed, delta=1)
            self.assertLess(
                6000 * pattern.missed_alone ** pattern.fewest_missed,
                outages.BY_CHANCE)

    def test_where_all_is_lost_it_takes_no_more_than_all(self):
        for questions, fewest in ((5, 5), (50, 14), (400, 17)):
            seen = self.observe([simulation.Outage(-10, 9000)],
                                length_ms=10 * questions)
            self.assertEqual(fewest, outages.usual_pattern(seen).fewest_missed)


class SimulatedTestCase(base.TestCase):

    def observe(self, *args, seed=1, **kwargs):
        return simulation.observe(
            numpy.random.default_rng(seed), *args, **kwargs)

    def find(self, seen, until_ns=None):
        return outages.find(seen, outages.usual_pattern(seen),
                            until_ns or simulation.end_ns(seen))

    def assert_measured(self, truth, found):
        """Check that one outage was found as well as it says."""
        self.assertLessEqual(
            abs(found.end_ns - found.start_ns - truth.length_ns),
            bound_ns(found), '%s was found as %s' % (truth, found))


class ErrorBoundTest(SimulatedTestCase):
    """The main promise: no error exceeds its bound."""

    TRIALS = 25

    def _trials(self, path):
        """Yield outages of many lengths, each with the outages found."""
        rng = numpy.random.default_rng(1)
        # 20 ms to 5 s; the longest are the slowest to simulate.
        lengths_ms = 20 * 250 ** (rng.random(self.TRIALS) ** 2)
        for period_ms, held, length_ms in itertools.product(
                (10, 5), (False, True), lengths_ms):
            truth = simulation.Outage(
                1000 + 50 * rng.random(), length_ms, held)
            seen = simulation.observe(
                rng, [truth], path, period_ms, length_ms + 2000)
            yield period_ms, truth, self.find(seen)

    def _test(self, path):
        errors_periods = []
        for period_ms, truth, found in self._trials(path):
            if not found:
                # It takes two questions; and one is sent late at times.
                self.assertLess(truth.length_ms, 5 * period_ms)
                continue
            self.assertEqual(1, len(found))
            self.assert_measured(truth, found[0])
            self.assertFalse(found[0].open)
            if truth.held:
                self.assertEqual('held', found[0].kind)
            else:
                self.assertGreater(found[0].lost, 0)
            errors_periods.append(
                abs(found[0].duration_s * 1000 - truth.length_ms) /
                period_ms)
        self.assertGreater(len(errors_periods), 3.5 * self.TRIALS)
        return errors_periods

    def test_jitter(self):
        errors_periods = self._test(simulation.Path())
        self.assertLess(numpy.percentile(errors_periods, 95), 1)

    def test_much_jitter(self):
        self._test(simulation.Path(jitter_ms=1))

    def test_questions_that_are_sent_late(self):
        self._test(simulation.Path(late_ms=2))

    def test_a_path_that_takes_longer_than_a_period(self):
        self._test(simulation.Path(
            slower_ms=lambda at_ms: numpy.full(at_ms.size, 30.0)))

    def test_times_of_sending_that_are_not_well_known(self):
        self._test(simulation.Path(sent_error_ms=0.5))

    def test_rare_spikes_leave_95_of_100_below_one_period(self):
        errors_periods = [
            abs(outages.longest(found).duration_s * 1000 -
                truth.length_ms) / period_ms
            for period_ms, truth, found in self._trials(RARE_SPIKES)
            if found]
        self.assertLess(numpy.percentile(errors_periods, 95), 1)

    def test_the_bound_is_not_much_more_than_a_period(self):
        for period_ms, _, found in self._trials(simulation.Path()):
            for outage in found:
                self.assertLess(outage.error_bound_s * 1000,
                                1.2 * period_ms + 3)


class SlowAnswersTest(SimulatedTestCase):

    def test_a_slow_answer_does_not_tell_when_an_outage_ended(self):
        # Two are sent one right after the other when a late prober runs
        # again; the answer to the first takes longer than 99 of 100 do.
        truth = simulation.Outage(1003, 60)
        seen = self.observe([truth], period_ms=5)
        first = int(numpy.flatnonzero(~seen.answered)[-1]) + 1
        asleep = numpy.zeros(seen.sent_ns.size, numpy.bool_)
        asleep[first:first + 3] = True
        seen = simulation.without(seen, asleep)
        high_ns = outages.usual_pattern(seen).high_ns
        seen.sent_ns[first + 1] = seen.sent_ns[first] + 20_000
        seen.answered_ns[first] = seen.sent_ns[first] + high_ns + 50_000
        seen.answered_ns[first + 1] = seen.sent_ns[first + 1] + high_ns // 2
        found, = self.find(seen)
        self.assert_measured(truth, found)

    def test_a_slow_answer_after_an_outage_was_not_held(self):
        truth = simulation.Outage(1003, 100)
        seen = self.observe([truth])
        first = int(numpy.flatnonzero(~seen.answered)[-1]) + 1
        seen.answered_ns[first] = (
            seen.sent_ns[first] + outages.usual_pattern(seen).high_ns + 50_000)
        found, = self.find(seen)
        self.assert_measured(truth, found)
        self.assertEqual(('lost', 0), (found.kind, found.late))

    def test_a_slow_answer_does_not_tell_when_an_outage_began(self):
        # It was slow on its way back.
        seen = self.observe([simulation.Outage(1003, 100)])
        first = int(numpy.flatnonzero(~seen.answered)[0])
        sent_ns = seen.sent_ns[first - 1:first + 1]
        seen.answered_ns[first - 1] = sent_ns[0] + 9 * MS
        found, = self.find(seen)
        self.assertEqual(int(sent_ns.sum()) // 2, found.start_ns)


class HeldTest(SimulatedTestCase):

    def test_answers_that_overtake_each_other_when_an_outage_ends(self):
        truth = simulation.Outage(1003.3, 500, held=True)
        seen = self.observe([truth])
        burst = numpy.flatnonzero(
            seen.answered_ns - seen.sent_ns > 10 * MS)
        self.assertGreater(burst.size, 45)
        for order in (burst[::-1],
                      numpy.random.default_rng(2).permutation(burst)):
            # One after the other, 10 us apart.
            seen.answered_ns[order] = (
                truth.end_ns + 60_000 + 10_000 * numpy.arange(order.size))
            found, = self.find(seen)
            self.assert_measured(truth, found)
            self.assertEqual('held', found.kind)
            self.assertAlmostEqual(burst.size, found.late, delta=1)

    def test_what_is_shorter_than_the_resolution_is_none(self):
        # Two are held, and the one before was sent late: so it is certain
        # that this is more than nothing, but as little may be overlooked.
        truth = simulation.Outage(1004.5, 6.5, held=True)
        seen = self.observe([truth], period_ms=5)
        before = int(numpy.searchsorted(seen.sent_ns, truth.start_ns)) - 1
        seen.sent_ns[before] += 3 * MS
        seen.answered_ns[before] += 3 * MS
        self.assertEqual((), tuple(self.find(seen)))

    def test_one_step_of_the_delay_is_one_outage(self):
        seen = self.observe(path=simulation.Path(
            slower_ms=lambda at_ms: 50.0 * (
                (at_ms >= 1000) & (at_ms < 3000))))
        found, = self.find(seen)
        self.assertAlmostEqual(0.05, found.duration_s, delta=0.01)
        self.assertEqual('held', found.kind)
        self.assert_measured(simulation.Outage(1000, 50), found)

    def test_held_first_and_lost_soon_after(self):
        truth = [simulation.Outage(1004, 300, held=True),
                 simulation.Outage(1307, 300)]
        found = self.find(self.observe(truth))
        self.assertEqual(['held', 'lost'], [one.kind for one in found])
        for one, outage in zip(truth, found, strict=True):
            self.assert_measured(one, outage)
        # The late answers tell that it was there again.
        self.assertGreater(found[1].start_ns, truth[0].end_ns)

    def test_lost_first_and_held_then(self):
        truth = simulation.Outage(1004, 500)
        seen = self.observe([simulation.Outage(1004, 300),
                             simulation.Outage(1304, 200, held=True)])
        found, = self.find(seen)
        self.assert_measured(truth, found)
        self.assertEqual('mixed', found.kind)
        self.assertAlmostEqual(30, found.lost, delta=1)
        self.assertAlmostEqual(20, found.late, delta=1)


class SeveralOutagesTest(SimulatedTestCase):

    def test_ten_in_ten_seconds(self):
        for held in (False, True):
            truth = [simulation.Outage(503.7 + 1000 * number, 200, held)
                     for number in range(10)]
            found = self.find(self.observe(truth, length_ms=10_500))
            self.assertEqual(10, len(found))
            for one, outage in zip(truth, found, strict=True):
                self.assert_measured(one, outage)
            self.assertAlmostEqual(
                0.2, outages.longest(found).duration_s, delta=0.011)
            self.assertAlmostEqual(
                2, sum(one.duration_s for one in found), delta=0.1)

    def test_two_with_a_single_answer_between_them(self):
        for held in (False, True):
            truth = [simulation.Outage(1000, 300, held),
                     simulation.Outage(1310, 300, held)]
            found = self.find(self.observe(truth))
            self.assertEqual(2, len(found))
            for one, outage in zip(truth, found, strict=True):
                self.assert_measured(one, outage)

    def test_the_longest_of_none(self):
        self.assertIsNone(outages.longest([]))


class NoOutageTest(SimulatedTestCase):

    def test_all_is_well(self):
        self.assertEqual((), self.find(self.observe()))

    def test_one_lost_in_a_hundred(self):
        for seed in range(10):
            seen = self.observe(path=simulation.Path(loss=0.01), seed=seed,
                                length_ms=60_000)
            self.assertGreater(numpy.count_nonzero(~seen.answered), 30)
            for outage in self.find(seen):
                self.assertLessEqual(outage.duration_s, 0.02)

    def test_one_outage_among_scattered_losses(self):
        truth = simulation.Outage(20_007, 300)
        seen = self.observe([truth], simulation.Path(loss=0.01),
                            length_ms=60_000)
        self.assert_measured(truth, outages.longest(self.find(seen)))

    def test_one_outage_where_every_other_is_lost(self):
        truth = simulation.Outage(3003, 5000)
        for parity in (0, 1):
            seen = self.observe([truth], length_ms=11_000)
            seen.answered_ns[parity::2] = answers.UNANSWERED
            found, = self.find(seen)
            self.assertAlmostEqual(5, found.duration_s, delta=0.021)

    def test_answers_that_are_late_and_overtaken(self):
        chance = numpy.random.default_rng(3)
        seen = self.observe(path=simulation.Path(
            slower_ms=lambda at_ms: 25.0 * (
                chance.random(at_ms.size) < 0.05)), length_ms=20_000)
        self.assertGreater(numpy.count_nonzero(
            numpy.diff(seen.answered_ns) < 0), 80)
        self.assertEqual((), self.find(seen))

    def test_nothing_was_asked(self):
        nothing = numpy.zeros(0, numpy.int64)
        self.assertEqual((), self.find(
            answers.Answers('192.0.2.1', 10 * MS, *[nothing] * 4),
            1000 * MS))

    def test_a_prober_that_slept(self):
        seen = self.observe()
        at_ms = simulation.at_ms(seen)
        self.assertEqual((), self.find(simulation.without(
            seen, (at_ms > 1000) & (at_ms < 1300))))

    def test_a_single_question_that_was_lost_as_the_prober_slept(self):
        seen = self.observe()
        at_ms = simulation.at_ms(seen)
        seen.answered_ns[100] = answers.UNANSWERED
        self.assertEqual((), self.find(simulation.without(
            seen, (at_ms > 1005) & (at_ms < 1300))))


class EdgeTest(SimulatedTestCase):

    def test_never_answered(self):
        seen = self.observe([simulation.Outage(-10, 5000)])
        until_ns = simulation.end_ns(seen)
        found, = self.find(seen, until_ns)
        self.assertTrue(found.open)
        self.assertEqual((400, 0, 'lost'),
                         (found.lost, found.late, found.kind))
        self.assertEqual(seen.sent_ns[0], found.start_ns)
        self.assertLessEqual(
            until_ns - found.end_ns, bound_ns(found))
        self.assertLess(found.error_bound_s, 0.05)

    def test_open_at_the_end(self):
        for held in (False, True):
            truth = simulation.Outage(2003, 5000, held)
            seen = self.observe([truth])
            until_ns = simulation.end_ns(seen)
            found, = self.find(seen, until_ns)
            self.assertTrue(found.open)
            self.assert_measured(
                simulation.Outage(
                    2003, (until_ns - truth.start_ns) / MS), found)
            # That they will be answered cannot be known yet.
            self.assertEqual(('lost', 0), (found.kind, found.late))
            self.assertAlmostEqual(200, found.lost, delta=2)

    def test_what_is_under_way_at_the_end_is_no_outage(self):
        path = simulation.Path(
            slower_ms=lambda at_ms: numpy.full(at_ms.size, 80.0))
        seen = self.observe(path=path)
        self.assertEqual((), self.find(seen, int(seen.sent_ns[-1])))

    def test_first_answered_later(self):
        for held in (False, True):
            truth = simulation.Outage(-500, 2507, held)
            seen = self.observe([truth])
            found, = self.find(seen)
            self.assertFalse(found.open)
            self.assertEqual(seen.sent_ns[0], found.start_ns)
            self.assertLessEqual(
                abs(truth.end_ns - found.end_ns), bound_ns(found))

    def test_a_prober_that_slept_in_an_outage_is_less_certain(self):
        truth = simulation.Outage(1003, 1000)
        seen = self.observe([truth])
        at_ms = simulation.at_ms(seen)
        for asleep_ms in ((900, 1200), (1900, 2200)):
            found, = self.find(simulation.without(
                seen, (at_ms > asleep_ms[0]) & (at_ms < asleep_ms[1])))
            self.assert_measured(truth, found)
            self.assertGreater(found.error_bound_s, 0.15)
        found, = self.find(simulation.without(
            seen, (at_ms > 1200) & (at_ms < 1800)))
        self.assert_measured(truth, found)
        self.assertLess(found.error_bound_s, 0.015)
