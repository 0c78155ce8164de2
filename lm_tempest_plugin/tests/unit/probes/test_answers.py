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

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.tests.unit import base


class LogTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.log = answers.AnswerLog('192.0.2.1', 10)

    def test_questions_and_answers(self):
        self.assertEqual(
            [0, 1, 2], [self.log.ask(t, t + 1) for t in (5, 15, 25)])
        self.assertEqual(3, len(self.log))
        self.assertTrue(self.log.answer(2, 27))
        self.assertTrue(self.log.answer(0, 29))
        seen = self.log.snapshot()
        self.assertEqual(('192.0.2.1', 10), (seen.target, seen.period_ns))
        self.assertEqual([5, 15, 25], list(seen.due_ns))
        self.assertEqual([6, 16, 26], list(seen.sent_ns))
        self.assertEqual([0, 0, 0], list(seen.sent_error_ns))
        self.assertEqual([29, answers.UNANSWERED, 27],
                         list(seen.answered_ns))

    def test_a_second_answer_does_not_count(self):
        self.log.ask(5, 5)
        self.log.answer(0, 6)
        self.assertFalse(self.log.answer(0, 7))
        seen = self.log.snapshot()
        self.assertEqual([6], list(seen.answered_ns))
        self.assertEqual(1, seen.duplicates)

    def test_an_answer_to_nothing(self):
        self.assertFalse(self.log.answer(0, 7))
        self.assertFalse(self.log.answer(-1, 7))
        self.assertEqual(2, self.log.snapshot().strangers)

    def test_a_snapshot_stays_as_it_is(self):
        self.log.ask(5, 5)
        seen = self.log.snapshot()
        self.log.ask(6, 6)
        self.log.answer(0, 7)
        self.assertEqual([5], list(seen.sent_ns))
        self.assertEqual([answers.UNANSWERED], list(seen.answered_ns))

    def test_of_nothing(self):
        seen = self.log.snapshot()
        for times_ns in (seen.due_ns, seen.sent_ns, seen.sent_error_ns,
                         seen.answered_ns):
            self.assertEqual((0, numpy.int64),
                             (times_ns.size, times_ns.dtype))


class ObservationsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        log = answers.AnswerLog('192.0.2.1', 10)
        for sequence in range(4):
            log.ask(10 * sequence, 10 * sequence)
        log.answer(2, 25)
        log.answer(0, 29)
        self.seen = log.snapshot()

    def test_answered(self):
        self.assertEqual([True, False, True, False],
                         list(self.seen.answered))

    def test_last_answered(self):
        self.assertEqual(2, self.seen.last_answered)
        self.assertEqual(-1, dataclasses.replace(
            self.seen, answered_ns=numpy.full(
                4, answers.UNANSWERED)).last_answered)
