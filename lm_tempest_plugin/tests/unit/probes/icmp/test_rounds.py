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

from unittest import mock

import numpy

from lm_tempest_plugin.probes.icmp import rounds
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000
US = 1000
PERIOD_NS = 10 * MS
SEND_NS = 30 * US
UNANSWERED = observations.UNANSWERED


def due_ns(sequence):
    return (sequence + 1) * PERIOD_NS


def before_ns(sequence):
    return due_ns(sequence) + 100 * US


class RoundsTestCase(base.TestCase):

    GUESTS = 3

    def setUp(self):
        super().setUp()
        # A few rounds are enough to get from one block to the next.
        patcher = mock.patch.object(rounds, 'BLOCK_ROUNDS', 4)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.rounds = rounds.Rounds(
            ['192.0.2.%d' % number for number in range(self.GUESTS)],
            PERIOD_NS)

    def ask(self, count=1, refused=()):
        for _ in range(count):
            sequence = len(self.rounds)
            self.rounds.ask(due_ns(sequence), before_ns(sequence),
                            before_ns(sequence) + SEND_NS, dict(refused))

    def answer(self, *answers):
        """Take in (guest, sequence, delay) at once."""
        guests, sequences, delays_ns = numpy.array(
            answers, numpy.int64).reshape(-1, 3).T
        self.rounds.answer(
            guests, sequences,
            self.rounds.sent_before_ns(sequences) + delays_ns)

    def delays_ns(self, guest):
        """Return the delays from the begin of a round; None without."""
        seen = self.rounds.snapshot(guest)
        return [
            None if answered_ns == UNANSWERED else int(answered_ns - sent_ns)
            for answered_ns, sent_ns in zip(
                seen.answered_ns, seen.due_ns + 100 * US, strict=True)]


class RoundsTest(RoundsTestCase):

    def test_nothing_was_asked(self):
        seen = self.rounds.snapshot(1)
        for times_ns in (seen.due_ns, seen.sent_ns, seen.sent_error_ns,
                         seen.answered_ns):
            self.assertEqual((0, numpy.int64),
                             (times_ns.size, times_ns.dtype))
        self.assertEqual(('192.0.2.1', PERIOD_NS),
                         (seen.target, seen.period_ns))
        self.assertEqual(0, len(self.rounds))

    def test_times(self):
        self.ask(2)
        self.answer((0, 1, 250 * US), (2, 0, 300 * US))
        for guest, sent_us in ((0, 105), (1, 115), (2, 125)):
            seen = self.rounds.snapshot(guest)
            self.assertEqual([due_ns(0), due_ns(1)], list(seen.due_ns))
            self.assertEqual(
                [due_ns(0) + sent_us * US, due_ns(1) + sent_us * US],
                list(seen.sent_ns))
            self.assertEqual([SEND_NS] * 2, list(seen.sent_error_ns))
        self.assertEqual([None, 250 * US], self.delays_ns(0))
        self.assertEqual([None, None], self.delays_ns(1))
        self.assertEqual([300 * US, None], self.delays_ns(2))

    def test_an_answer_is_never_before_its_question(self):
        self.ask(2)
        # Answered before the others were asked.
        self.answer((2, 0, 10 * US), (2, 1, 0))
        seen = self.rounds.snapshot(2)
        self.assertEqual([10 * US, 0], self.delays_ns(2))
        self.assertTrue((seen.sent_ns <= seen.answered_ns).all())
        self.assertTrue((seen.sent_ns >= [before_ns(0), before_ns(1)]).all())

    def test_delays_are_kept_in_microseconds(self):
        self.ask()
        self.answer((0, 0, 1999))
        self.assertEqual([US], self.delays_ns(0))

    def test_what_takes_longer_than_can_be_kept_is_no_answer(self):
        self.ask(6)
        longest_ns = rounds.LONGEST_US * US
        self.assertGreater(longest_ns, 35 * 60 * 1000 * MS)
        # In two blocks.
        self.answer((0, 0, 10_000 * 1000 * MS), (1, 0, longest_ns),
                    (2, 0, longest_ns + US), (0, 5, US))
        self.assertEqual([None] * 5 + [US], self.delays_ns(0))
        self.assertEqual([longest_ns] + [None] * 5, self.delays_ns(1))
        self.assertEqual([None] * 6, self.delays_ns(2))
        self.assertEqual(
            [0] * 3, [self.rounds.snapshot(guest).duplicates
                      for guest in range(self.GUESTS)])

    def test_more_rounds_than_a_block_has(self):
        self.ask(11)
        # From all blocks, in no order.
        answers = [(guest, sequence, (100 * guest + sequence) * US)
                   for guest in range(self.GUESTS)
                   for sequence in (0, 3, 4, 7, 8, 10)]
        numpy.random.default_rng(1).shuffle(answers)
        self.answer(*answers)
        for guest in range(self.GUESTS):
            self.assertEqual(
                [(100 * guest + sequence) * US
                 if sequence in (0, 3, 4, 7, 8, 10) else None
                 for sequence in range(11)], self.delays_ns(guest))
        self.assertEqual(11, len(self.rounds))

    def test_a_block_that_is_full(self):
        self.ask(4)
        self.assertEqual(4, self.rounds.snapshot(0).sent_ns.size)
        self.ask()
        self.assertEqual(5, self.rounds.snapshot(0).sent_ns.size)

    def test_when_rounds_were_begun(self):
        self.ask(9)
        sequences = numpy.array([8, 0, 5, 5, 3])
        self.assertEqual([before_ns(number) for number in sequences],
                         list(self.rounds.sent_before_ns(sequences)))

    def test_a_snapshot_stays_as_it_is(self):
        self.ask(5)
        seen = self.rounds.snapshot(0)
        self.answer((0, 4, US))
        self.ask()
        self.assertEqual(5, seen.sent_ns.size)
        self.assertFalse(seen.answered.any())

    def test_a_snapshot_in_the_middle_of_a_round(self):
        self.ask(4)

        class Refused(dict):
            """Looks at the rounds while one is being noted."""

            def items(refused):
                refused.seen = self.rounds.snapshot(0)
                return super().items()

        refused = Refused({1: 'no route'})
        self.rounds.ask(due_ns(4), before_ns(4), before_ns(4), refused)
        self.assertEqual(4, refused.seen.sent_ns.size)
        self.assertEqual(5, self.rounds.snapshot(0).sent_ns.size)


class CountersTest(RoundsTestCase):

    def counters(self, name):
        return [getattr(self.rounds.snapshot(guest), name)
                for guest in range(self.GUESTS)]

    def test_an_answer_that_comes_twice_at_once(self):
        self.ask()
        self.answer((0, 0, 20 * US), (1, 0, 40 * US), (1, 0, 50 * US),
                    (2, 0, 60 * US))
        self.assertEqual([0, 1, 0], self.counters('duplicates'))
        self.assertEqual([40 * US], self.delays_ns(1))

    def test_an_answer_that_comes_twice_at_once_in_two_blocks(self):
        self.ask(6)
        self.answer((0, 5, 20 * US), (0, 1, 30 * US), (0, 5, 40 * US),
                    (0, 1, 50 * US), (0, 1, 60 * US))
        self.assertEqual([3, 0, 0], self.counters('duplicates'))
        self.assertEqual([None, 30 * US, None, None, None, 20 * US],
                         self.delays_ns(0))

    def test_an_answer_that_comes_again_later(self):
        self.ask()
        self.answer((1, 0, 40 * US), (2, 0, 40 * US))
        self.answer((1, 0, 90 * US))
        self.answer((0, 0, 50 * US), (1, 0, 95 * US))
        self.assertEqual([0, 2, 0], self.counters('duplicates'))
        self.assertEqual([40 * US], self.delays_ns(1))
        self.assertEqual([50 * US], self.delays_ns(0))

    def test_strangers(self):
        self.rounds.stranger(numpy.array([1, 2, 1]))
        self.rounds.stranger(numpy.array([], numpy.int64))
        self.assertEqual([0, 2, 1], self.counters('strangers'))

    def test_what_was_refused_was_not_asked(self):
        self.ask()
        self.ask(refused={1: 'no route', 2: 'no room'})
        self.ask(refused={1: 'no buffer'})
        self.ask()
        self.assertEqual([0, 2, 1], self.counters('send_errors'))
        self.assertEqual(['', 'no buffer', 'no room'],
                         self.counters('send_error'))
        seen = self.rounds.snapshot(1)
        self.assertEqual([due_ns(0), due_ns(3)], list(seen.due_ns))
        self.assertEqual(2, seen.answered_ns.size)
        self.assertEqual(2, seen.sent_error_ns.size)
        self.assertEqual(4, self.rounds.snapshot(0).sent_ns.size)

    def test_how_many_answered_lately(self):
        self.assertEqual(0, self.rounds.answering(5))
        self.ask(10)
        self.answer((0, 1, US), (1, 5, US), (2, 9, 0))
        self.assertEqual(
            [0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3],
            [self.rounds.answering(last) for last in range(11)])
        self.assertEqual(3, self.rounds.answering(1000))

    def test_those_who_were_refused_have_not_answered(self):
        self.ask(refused={0: 'no route'})
        self.answer((1, 0, US))
        self.assertEqual(1, self.rounds.answering(1))
