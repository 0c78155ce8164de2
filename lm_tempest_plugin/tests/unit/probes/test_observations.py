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

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.tests.unit import base


class ObservationsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.seen = observations.Observations('192.0.2.1', 10)

    def test_questions_and_answers(self):
        self.assertEqual([0, 1, 2], [self.seen.ask(t) for t in (5, 15, 25)])
        self.assertTrue(self.seen.answer(2, 27))
        self.assertTrue(self.seen.answer(0, 29))
        self.assertEqual([29, observations.UNANSWERED, 27],
                         list(self.seen.answered_ns))

    def test_a_second_answer_does_not_count(self):
        self.seen.ask(5)
        self.seen.answer(0, 6)
        self.assertFalse(self.seen.answer(0, 7))
        self.assertEqual([6], list(self.seen.answered_ns))
        self.assertEqual(1, self.seen.duplicates)

    def test_an_answer_to_nothing(self):
        self.assertFalse(self.seen.answer(0, 7))
        self.assertFalse(self.seen.answer(-1, 7))
        self.assertEqual(2, self.seen.strangers)

    def test_a_copy_stays_as_it_is(self):
        self.seen.ask(5)
        copy = self.seen.copy()
        self.seen.ask(6)
        self.seen.answer(0, 7)
        self.assertEqual([5], list(copy.sent_ns))
        self.assertEqual([observations.UNANSWERED], list(copy.answered_ns))

    def test_search_by_time(self):
        for time_ns in (10, 20, 30):
            self.seen.ask(time_ns)
        self.assertEqual(
            [0, 0, 1, 2, 3],
            [self.seen.first_sent_at_or_after(t) for t in (0, 10, 11, 30, 31)])
