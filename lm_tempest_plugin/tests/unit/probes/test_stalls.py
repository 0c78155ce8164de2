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
from lm_tempest_plugin.probes import stalls
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000


def observe(answers, lost=0, broken_ns=None, broken=''):
    """Return a connection with a message each 50 ms.

    :param answers: when each was echoed, in ms; None for not yet
    """
    seen = observations.Observations('192.0.2.1', 50 * MS)
    for number, answer in enumerate(answers):
        seen.ask(number * 50 * MS)
        if answer is not None:
            seen.answer(number, answer * MS)
    return tcp.StreamSeen(seen, lost, 0, 0, '', broken_ns, broken)


class StallsTest(base.TestCase):

    def test_no_stall(self):
        figures = stalls.figures(
            observe(range(1, 1000, 50)), 100 * MS, 900 * MS)
        self.assertEqual(0.05, figures.longest_s)
        self.assertEqual((16, 0), (figures.sent, figures.outstanding))
        self.assertFalse(figures.open)

    def test_a_stall_ends_with_all_that_was_held(self):
        seen = observe([1, 51, 700, 700, 700, 700, 700, 700, 700, 700, 700,
                        701, 701, 701, 701, 751])
        figures = stalls.figures(seen, 0, 760 * MS)
        self.assertEqual(0.649, figures.longest_s)
        self.assertEqual(51 * MS, figures.start_ns)

    def test_only_what_lies_in_the_window_counts(self):
        seen = observe([1, 51, 700, 701, 702])
        self.assertEqual(
            0.2, stalls.figures(seen, 500 * MS, 701 * MS).longest_s)
        self.assertEqual(
            0.149, stalls.figures(seen, 0, 200 * MS).longest_s)

    def test_still_open_at_the_end(self):
        figures = stalls.figures(
            observe([1, 51, None, None]), 0, 1000 * MS)
        self.assertTrue(figures.open)
        self.assertEqual(2, figures.outstanding)
        self.assertEqual(0.949, figures.longest_s)

    def test_what_came_after_the_window_was_outstanding_then(self):
        figures = stalls.figures(observe([1, 51, 700]), 0, 200 * MS)
        self.assertEqual(1, figures.outstanding)

    def test_counts_are_handed_on(self):
        figures = stalls.figures(
            observe([1], lost=2, broken_ns=5, broken='reset'), 0, 100 * MS)
        self.assertEqual('reset', figures.as_dict()['tcp_connection_broken'])
        self.assertEqual(2, figures.as_dict()['tcp_messages_lost'])
        self.assertEqual(0.099, figures.as_dict()['longest_stall_s'])

    def test_a_window_must_not_be_empty(self):
        self.assertRaises(ValueError, stalls.figures, observe([1]), 5, 5)
