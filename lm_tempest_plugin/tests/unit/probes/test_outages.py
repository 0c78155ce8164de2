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

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import outages
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000
PERIOD = 10 * MS
DELAY = MS


def observe(end_ns, outage=None, held=False, jitter_ns=0, seed=0,
            losses=(), delay=DELAY):
    """Return what a prober sees: a question per period from 0 to end_ns.

    :param outage: (start, end) between which the guest does not answer
    :param held: whether it answers afterwards
    :param losses: numbers of questions that are lost besides
    """
    rng = random.Random(seed)
    seen = observations.Observations('192.0.2.1', PERIOD)
    answers = []
    time_ns = 0
    while time_ns <= end_ns:
        sequence = seen.ask(time_ns + rng.randint(0, jitter_ns))
        sent_ns = seen.sent_ns[-1]
        inside = outage and outage[0] <= sent_ns < outage[1]
        if inside and held:
            answers.append((outage[1] + delay, sequence))
        elif not inside and sequence not in losses:
            answers.append((sent_ns + delay, sequence))
        time_ns += PERIOD
    for answered_ns, sequence in answers:
        if answered_ns <= end_ns:
            seen.answer(sequence, answered_ns)
    return seen


class NoOutageTest(base.TestCase):

    def test_all_is_well(self):
        figures = outages.figures(observe(1000 * MS), 100 * MS, 900 * MS)
        self.assertEqual((80, 80, 0, 0), (figures.sent, figures.answered,
                                          figures.lost, figures.late))
        self.assertEqual(0.0, figures.longest.duration_s)
        self.assertEqual((), figures.outages)
        self.assertAlmostEqual(0.01, figures.period_s)
        self.assertAlmostEqual(0.01, figures.achieved_period_s)
        self.assertAlmostEqual(0.01, figures.max_send_gap_s)

    def test_what_is_under_way_is_not_lost(self):
        figures = outages.figures(
            observe(1000 * MS, delay=9 * MS), 100 * MS, 1000 * MS + 1)
        self.assertEqual(0, figures.lost)
        self.assertLess(figures.longest.duration_s, 0.01)

    def test_scattered_losses_are_no_outage(self):
        seen = observe(60_000 * MS, losses=range(50, 6000, 100))
        figures = outages.figures(seen, 0, 60_000 * MS)
        self.assertEqual(60, figures.lost)
        self.assertAlmostEqual(0.01, figures.longest.duration_s)
        self.assertEqual((), figures.outages)

    def test_answers_may_overtake_each_other(self):
        seen = observe(1000 * MS)
        seen.answered_ns[50], seen.answered_ns[51] = (
            seen.answered_ns[51], seen.answered_ns[50])
        figures = outages.figures(seen, 100 * MS, 900 * MS)
        self.assertEqual(0.0, figures.longest.duration_s)

    def test_a_window_must_not_be_empty(self):
        self.assertRaises(ValueError, outages.figures, observe(MS), 5, 5)


class OneOutageTest(base.TestCase):

    def assert_measured(self, seen, start_ns, end_ns, window_end_ns):
        figures = outages.figures(seen, 0, window_end_ns)
        longest = figures.longest
        error_s = abs(longest.duration_s - (end_ns - start_ns) / 1e9)
        self.assertLessEqual(error_s, longest.error_bound_s)
        return figures

    def test_lost_or_held_the_error_stays_within_its_bound(self):
        rng = random.Random(1)
        for trial in range(300):
            start_ns = 1000 * MS + rng.randint(0, 50 * MS)
            end_ns = start_ns + rng.randint(30 * MS, 2000 * MS)
            held = bool(trial % 2)
            seen = observe(5000 * MS, (start_ns, end_ns), held,
                           jitter_ns=4 * MS, seed=trial)
            figures = self.assert_measured(
                seen, start_ns, end_ns, 5000 * MS)
            self.assertLessEqual(figures.longest.error_bound_s, 0.0141)
            self.assertEqual(1, len(figures.outages))
            self.assertFalse(figures.longest.open)
            if held:
                self.assertEqual(0, figures.lost)
                self.assertGreater(figures.late, 0)
                self.assertGreater(figures.longest.late, 0)
            else:
                self.assertEqual(0, figures.late)
                self.assertEqual(figures.lost, figures.longest.lost)
                self.assertGreater(figures.lost, 1)

    def test_ten_outages_are_ten(self):
        seen = observe(10_000 * MS, losses=[
            i for i in range(1000) if i % 100 < 20])
        figures = outages.figures(seen, 0, 9_999 * MS)
        self.assertEqual(10, len(figures.outages))
        self.assertAlmostEqual(0.2, figures.longest.duration_s, places=2)

    def test_only_what_lies_in_the_window_counts(self):
        seen = observe(5000 * MS, (1000 * MS, 2000 * MS))
        for window, expected_s in (
                ((1500, 3000), 0.5), ((500, 1500), 0.5),
                ((1200, 1800), 0.6), ((0, 990), 0.0), ((2050, 4000), 0.0)):
            figures = outages.figures(
                seen, window[0] * MS, window[1] * MS)
            self.assertAlmostEqual(
                expected_s, figures.longest.duration_s, delta=0.01)

    def test_still_open_at_the_end(self):
        seen = observe(3000 * MS, (2000 * MS, 9000 * MS))
        longest = outages.figures(seen, 1000 * MS, 3000 * MS).longest
        self.assertTrue(longest.open)
        self.assertAlmostEqual(1.0, longest.duration_s, delta=0.01)
        self.assertAlmostEqual(100, longest.lost, delta=2)

    def test_open_at_the_end_the_error_stays_within_its_bound(self):
        rng = random.Random(2)
        for trial in range(100):
            start_ns = 1000 * MS + rng.randint(0, 50 * MS)
            end_ns = start_ns + rng.randint(50 * MS, 1000 * MS)
            seen = observe(3000 * MS, (start_ns, 3000 * MS),
                           jitter_ns=4 * MS, seed=trial)
            figures = self.assert_measured(seen, start_ns, end_ns, end_ns)
            self.assertTrue(figures.longest.open)
            self.assertLessEqual(figures.longest.error_bound_s, 0.03)

    def test_never_an_answer_is_an_outage_of_the_whole_window(self):
        seen = observe(3000 * MS, (-1, 9000 * MS))
        figures = outages.figures(seen, 1000 * MS, 3000 * MS)
        self.assertAlmostEqual(2.0, figures.longest.duration_s, delta=0.01)
        self.assertTrue(figures.longest.open)
        self.assertEqual(0, figures.answered)

    def test_the_first_answer_comes_late_in_the_window(self):
        seen = observe(3000 * MS, (-1, 2000 * MS))
        longest = outages.figures(seen, 1000 * MS, 3000 * MS).longest
        self.assertAlmostEqual(1.0, longest.duration_s, delta=0.01)
        self.assertFalse(longest.open)

    def test_held_from_before_the_window(self):
        seen = observe(3000 * MS, (500 * MS, 1500 * MS), held=True)
        longest = outages.figures(seen, 1000 * MS, 2500 * MS).longest
        self.assertAlmostEqual(0.5, longest.duration_s, delta=0.01)


class BlindProberTest(base.TestCase):

    def test_nothing_was_ever_sent(self):
        seen = observations.Observations('192.0.2.1', PERIOD)
        figures = outages.figures(seen, 0, 1000 * MS)
        self.assertEqual(0.5, figures.longest.duration_s)
        self.assertEqual(0.5, figures.longest.error_bound_s)
        self.assertEqual(1.0, figures.max_send_gap_s)
        self.assertEqual(0.0, figures.achieved_period_s)

    def test_a_prober_that_slept_says_so_and_claims_no_outage(self):
        seen = observe(1000 * MS, delay=0)
        for time_ns in range(2000 * MS, 3000 * MS, PERIOD):
            seen.answer(seen.ask(time_ns), time_ns + DELAY)
        figures = outages.figures(seen, 0, 2990 * MS)
        self.assertAlmostEqual(1.0, figures.max_send_gap_s)
        self.assertLess(figures.longest.duration_s, 0.01)

    def test_it_stopped_to_send(self):
        longest = outages.figures(
            observe(1000 * MS, losses=[99, 100]), 0, 2000 * MS).longest
        self.assertAlmostEqual(0.5, longest.duration_s, delta=0.02)
        self.assertAlmostEqual(0.5, longest.error_bound_s, delta=0.02)

    def test_names_say_their_units(self):
        figures = outages.figures(observe(1000 * MS), MS, 900 * MS)
        self.assertEqual(0.01, figures.as_dict()['probe_period_s'])
        self.assertEqual(0.0, figures.as_dict()['longest_outage_s'])
        self.assertIn('error_bound_s', figures.as_dict())
