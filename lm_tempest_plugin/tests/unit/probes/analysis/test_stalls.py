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
import json

import numpy

from lm_tempest_plugin.probes.analysis import stalls
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes.tcp import streams
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000


def observe(answers, sent=None, read_error=0, watched=1_000_000, **kwargs):
    """Return what was seen of a guest with a message each 50 ms.

    :param answers: when each was echoed, in ms; None for not yet
    :param sent: when each was sent, in ms; None for each 50 ms
    :param read_error: by how much the answers may be late, in ms
    :param watched: until when everything was read, in ms
    """
    log = observations.Log('192.0.2.1', 50 * MS)
    if sent is None:
        sent = range(0, 50 * len(answers), 50)
    for number, (asked, answer) in enumerate(zip(sent, answers, strict=True)):
        log.ask(asked * MS, asked * MS)
        if answer is not None:
            log.answer(number, answer * MS)
    echoes = log.snapshot()
    seen = streams.StreamSeen(
        port=7, echoes=echoes,
        read_error_ns=numpy.full(len(answers), read_error * MS),
        watched_ns=watched * MS, expected=echoes.last_answered + 1)
    return dataclasses.replace(seen, **kwargs)


class StallsTest(base.TestCase):

    def test_no_stall(self):
        figures = stalls.figures(
            observe(range(1, 1000, 50)), 100 * MS, 900 * MS)
        self.assertEqual(0.05, figures.longest_s)
        self.assertEqual((16, 0), (figures.sent, figures.outstanding))
        self.assertEqual((0.05, 0.05), (
            figures.period_s, figures.achieved_period_s))
        self.assertFalse(figures.open)
        self.assertFalse(figures.never_echoed)

    def test_a_stall_ends_with_all_that_was_held(self):
        seen = observe([1, 51, 700, 700, 700, 700, 700, 700, 700, 700, 700,
                        701, 701, 701, 701, 751], read_error=3)
        figures = stalls.figures(seen, 0, 760 * MS)
        self.assertEqual(0.649, figures.longest_s)
        self.assertEqual(51 * MS, figures.start_ns)
        # One distance of two messages, and our own lateness.
        self.assertEqual(0.053, figures.error_bound_s)

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
        self.assertFalse(figures.never_echoed)
        self.assertEqual(2, figures.outstanding)
        self.assertEqual((0.949, 0.05), (
            figures.longest_s, figures.error_bound_s))

    def test_what_came_after_the_window_was_outstanding_then(self):
        figures = stalls.figures(observe([1, 51, 700]), 0, 200 * MS)
        self.assertEqual(1, figures.outstanding)

    def test_what_is_lost_is_not_outstanding(self):
        self.assertEqual(1, stalls.figures(
            observe([1, None, 101, None]), 0, 200 * MS).outstanding)
        self.assertEqual(0, stalls.figures(
            observe([1, None, 101, None], expected=4), 0,
            200 * MS).outstanding)

    def test_never_echoed(self):
        for seen, sent in ((observe([None, None]), 2), (observe([]), 0),
                           (observe([None, 600]), 2)):
            figures = stalls.figures(seen, 0, 500 * MS)
            self.assertTrue(figures.never_echoed)
            self.assertTrue(figures.open)
            self.assertEqual((0.5, 0.0), (
                figures.longest_s, figures.error_bound_s))
            self.assertEqual((0, sent), (figures.start_ns, figures.sent))
            self.assertTrue(figures.as_dict()['tcp_never_echoed'])

    def test_the_achieved_period(self):
        figures = stalls.figures(
            observe([1, 41, 241], sent=[0, 40, 240]), 0, 300 * MS)
        self.assertEqual((0.05, 0.12), (
            figures.period_s, figures.achieved_period_s))
        self.assertEqual(0.0, stalls.figures(
            observe([1]), 0, 300 * MS).achieved_period_s)


class ErrorBoundTest(base.TestCase):

    def bound(self, seen, end=1000):
        return stalls.figures(seen, 0, end * MS).error_bound_s

    def test_the_prober_itself_was_late(self):
        # It sent nothing for 0.3 s, and so nothing came back.
        self.assertEqual(0.3, self.bound(
            observe([1, 51, 351, 401], sent=[0, 50, 350, 400]), 402))

    def test_the_echo_that_ends_a_stall_was_read_late(self):
        seen = observe([1, 51, 351, 352])
        seen.read_error_ns[2] = 280 * MS
        self.assertEqual(0.33, self.bound(seen, 353))

    def test_the_echo_at_its_start_was_read_late(self):
        seen = observe([1, 51, 351, 352])
        seen.read_error_ns[1] = 20 * MS
        self.assertEqual(0.07, self.bound(seen, 353))

    def test_not_read_up_to_the_end_of_the_window(self):
        self.assertEqual(0.45, self.bound(
            observe([1, 51, None], watched=600)))
        # What was read after it may have come in it.
        seen = observe([1, 51, 1020])
        seen.read_error_ns[2] = 70 * MS
        self.assertEqual(0.1, self.bound(seen))

    def test_a_connection_that_broke_showed_it(self):
        # The next message was only sent on the next connection.
        seen = observe([1, 51, 806], sent=[0, 50, 805])
        self.assertEqual(0.755, self.bound(seen, 807))
        broken = streams.Break(
            60 * MS, 'closed', streams.BreakKind.CLOSED)
        self.assertEqual(0.01, self.bound(
            dataclasses.replace(seen, breaks=(broken,)), 807))


class CountsTest(base.TestCase):

    breaks = tuple(
        streams.Break(at * MS, '%s at %d' % (kind, at), kind)
        for at, kind in ((30, streams.BreakKind.RESET),
                         (60, streams.BreakKind.CLOSED),
                         (90, streams.BreakKind.RESET)))

    def test_counts_are_handed_on(self):
        counts = {'lost': 2, 'repeated': 3, 'corrupt': 4, 'example': 'x',
                  'skipped': 5, 'reconnects': 6, 'connect_failures': 7,
                  'connect_error': 'refused', 'retransmissions': 8,
                  'error': 'given up'}
        figures = stalls.figures(observe([1], **counts), 0, 100 * MS)
        self.assertEqual(counts, {
            name: getattr(figures, name) for name in counts})
        self.assertEqual((0, 0), (figures.last_sent, figures.last_echoed))
        self.assertEqual('given up', figures.trouble)

    def test_breaks_in_the_window_and_all(self):
        figures = stalls.figures(
            observe([1], breaks=self.breaks), 50 * MS, 100 * MS)
        self.assertEqual(self.breaks[1:], figures.breaks)
        self.assertEqual('closed at 60; reset at 90', figures.broken)
        self.assertEqual((3, 2, 1), (
            figures.breaks_total, figures.resets, figures.closes))
        self.assertEqual('', stalls.figures(
            observe([1], breaks=self.breaks), 0, 30 * MS).broken)

    def test_names_that_say_their_units(self):
        figures = stalls.figures(
            observe([1], lost=2, breaks=self.breaks), 0, 100 * MS).as_dict()
        self.assertEqual(2, figures['tcp_messages_lost'])
        self.assertEqual(0.099, figures['longest_stall_s'])
        # The first message was sent at 0 ms, and a break at 30 ms.
        self.assertEqual(0.03, figures['stall_error_bound_s'])
        self.assertEqual((3, 2), (
            figures['tcp_breaks'], figures['tcp_resets']))
        # Nothing in it is of numpy.
        self.assertEqual(figures, json.loads(json.dumps(figures)))

    def test_a_window_must_not_be_empty(self):
        self.assertRaises(ValueError, stalls.figures, observe([1]), 5, 5)

    def test_what_is_wrong(self):
        self.assertEqual('', observe([1]).trouble)
        self.assertEqual(
            'TCP port 7 of 192.0.2.1: connection refused (12 attempts)',
            observe([], why='connection refused',
                    connect_failures=12).trouble)
