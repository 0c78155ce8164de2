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

import msgspec
import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import figures
from lm_tempest_plugin.probes import outages
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import simulation

MS = simulation.MS
MS = 1_000_000


def window(start_ms, end_ms, name='window'):
    return figures.Window(name, simulation.BEGIN_NS + start_ms * MS,
                          simulation.BEGIN_NS + end_ms * MS)


def nothing_asked():
    nothing = numpy.zeros(0, numpy.int64)
    return answers.Answers(
        '192.0.2.1', 10 * MS, *[nothing] * 4)


class FiguresTestCase(base.TestCase):

    def observe(self, *args, seed=1, **kwargs):
        return simulation.observe(
            numpy.random.default_rng(seed), *args, **kwargs)

    def whole(self, seen, afterwards_ms=10):
        return figures.whole(
            seen, simulation.since_ns(seen),
            simulation.end_ns(seen, afterwards_ms * MS))

    def attribute(self, seen, *windows, since_ns=None):
        return figures.attribute(
            seen, windows, since_ns or simulation.since_ns(seen),
            simulation.end_ns(seen))


class WholeTest(FiguresTestCase):

    def test_all_is_well(self):
        found = self.whole(self.observe())
        self.assertEqual((400, 400, 0, 0, 0), (
            found.sent, found.answered, found.lost, found.late,
            found.scattered))
        self.assertEqual((), found.outages)
        self.assertIsNone(found.longest)
        self.assertEqual((0.0, 0), (found.longest_s, found.sum_s))
        self.assertFalse(found.open)
        # An outage that is shorter may have been overlooked.
        self.assertEqual(found.sending.resolution_s, found.error_bound_s)
        self.assertAlmostEqual(0.02, found.error_bound_s, delta=0.003)
        self.assertTrue(
            0.0001 < found.delay_p50_s < found.delay_p99_s < 0.001)

    def test_one_outage(self):
        for held in (False, True):
            found = self.whole(self.observe(
                [simulation.Outage(1003, 500, held)]))
            one, = found.outages
            self.assertEqual(one, found.longest)
            self.assertEqual(one.duration_s, found.longest_s)
            self.assertEqual(one.duration_s, found.sum_s)
            self.assertEqual(one.error_bound_s, found.error_bound_s)
            self.assertEqual(0, found.scattered)
            if held:
                self.assertEqual((400, 0), (found.answered, found.lost))
                self.assertAlmostEqual(50, found.late, delta=2)
            else:
                self.assertAlmostEqual(50, found.lost, delta=1)
                self.assertEqual(400, found.answered + found.lost)
                self.assertEqual(0, found.late)

    def test_ten_outages(self):
        found = self.whole(self.observe(
            [simulation.Outage(503.7 + 1000 * number, 200)
             for number in range(10)], length_ms=10_500))
        self.assertEqual(10, len(found.outages))
        self.assertAlmostEqual(0.2, found.longest_s, delta=0.011)
        self.assertAlmostEqual(2, found.sum_s, delta=0.1)
        self.assertEqual(0, found.scattered)

    def test_scattered_losses(self):
        for seed in range(10):
            found = self.whole(self.observe(
                path=simulation.Path(loss=0.01), seed=seed,
                length_ms=60_000))
            self.assertLessEqual(found.longest_s, 0.02)
            self.assertEqual(6000, found.answered + found.lost)
            self.assertEqual(
                found.lost - sum(one.lost for one in found.outages),
                found.scattered)
            self.assertGreater(found.scattered, 30)

    def test_what_is_under_way_is_not_lost(self):
        path = simulation.Path(
            slower_ms=lambda at_ms: numpy.full(at_ms.size, 80.0))
        seen = self.observe(path=path)
        # The last answers have not come yet.
        until_ns = int(seen.sent_ns[-1]) + MS
        seen.answered_ns[seen.answered_ns > until_ns] = (
            answers.UNANSWERED)
        found = figures.whole(seen, simulation.since_ns(seen), until_ns)
        self.assertEqual((0, 0, ()),
                         (found.lost, found.scattered, found.outages))
        self.assertAlmostEqual(392, found.answered, delta=1)
        self.assertEqual(400, found.sent)

    def test_open_at_the_end(self):
        found = self.whole(
            self.observe([simulation.Outage(3003, 9000)]), 50)
        self.assertTrue(found.open)
        self.assertAlmostEqual(1.04, found.longest_s, delta=0.04)

    def test_never_answered(self):
        found = self.whole(
            self.observe([simulation.Outage(-10, 9000)]), 50)
        self.assertEqual((0, 400, 0),
                         (found.answered, found.lost, found.scattered))
        self.assertEqual((0.0, 0.0), (found.delay_p50_s, found.delay_p99_s))
        self.assertTrue(found.open)

    def test_nothing_was_asked(self):
        found = figures.whole(nothing_asked(), 400 * MS, 1000 * MS)
        self.assertEqual((0, 0, 0, ()), (
            found.sent, found.answered, found.lost, found.outages))
        self.assertEqual(0.0, found.sending.achieved_period_s)
        self.assertEqual(0.0, found.sending.lateness_max_s)
        # Whatever happened, it is not known.
        self.assertEqual(0.6, found.sending.max_gap_s)
        self.assertGreaterEqual(found.error_bound_s, 0.6)

    def test_what_is_asked_after_the_end_does_not_count(self):
        seen = self.observe([simulation.Outage(2000, 500)])
        found = figures.whole(seen, simulation.since_ns(seen),
                              simulation.BEGIN_NS + 1500 * MS)
        self.assertEqual(150, found.sent)
        self.assertEqual((), found.outages)


class SendingTest(FiguresTestCase):

    def test_all_is_well(self):
        sending = self.whole(self.observe()).sending
        self.assertEqual(0.01, sending.period_s)
        self.assertAlmostEqual(0.01, sending.achieved_period_s, places=4)
        self.assertTrue(
            0 < sending.lateness_p50_s < sending.lateness_p99_s <=
            sending.lateness_max_s < 0.005)
        self.assertTrue(0.01 <= sending.max_gap_s < sending.resolution_s)

    def test_it_slept(self):
        seen = self.observe()
        at_ms = simulation.at_ms(seen)
        found = self.whole(simulation.without(
            seen, (at_ms > 1000) & (at_ms < 1300)))
        self.assertEqual((), found.outages)
        self.assertGreaterEqual(found.sending.max_gap_s, 0.3)
        self.assertGreater(
            found.sending.resolution_s, found.sending.max_gap_s)
        self.assertEqual(found.sending.resolution_s, found.error_bound_s)

    def test_it_asked_nothing_at_first(self):
        seen = self.observe()
        for since_ms in (-300, -30):
            since_ns = simulation.BEGIN_NS + since_ms * MS
            sending = figures.whole(
                seen, since_ns, simulation.end_ns(seen, 10 * MS)).sending
            first_s = (int(seen.sent_ns[0]) - since_ns) / 1e9
            self.assertEqual(first_s, sending.max_gap_s)
            # As much may have been overlooked, and a little more.
            self.assertAlmostEqual(
                first_s + 0.01, sending.resolution_s, delta=0.004)

    def test_it_asked_nothing_any_more_at_last(self):
        for afterwards_ms in (30, 300):
            sending = self.whole(self.observe(), afterwards_ms).sending
            self.assertEqual(afterwards_ms / 1000, sending.max_gap_s)
            self.assertAlmostEqual(
                afterwards_ms / 1000 + 0.01, sending.resolution_s,
                delta=0.004)

    def test_what_the_resolution_consists_of(self):
        seen = self.observe()
        seen.sent_error_ns[200] = 7 * MS
        pattern = outages.usual_pattern(seen)
        self.assertEqual(2, pattern.fewest_missed)
        since_ns = simulation.since_ns(seen)
        until_ns = simulation.end_ns(seen, 10 * MS)
        times_ns = numpy.concatenate(([since_ns], seen.sent_ns, [until_ns]))
        sending = figures.whole(seen, since_ns, until_ns).sending
        self.assertEqual(
            (int((times_ns[2:] - times_ns[:-2]).max()) + pattern.jitter_ns +
             outages.STAMP_ERROR_NS + 14 * MS) / 1e9, sending.resolution_s)

    def test_fewer_questions_than_are_needed_resolve_nothing(self):
        for count in (0, 1):
            seen = self.observe()
            seen = simulation.without(
                seen, numpy.arange(seen.sent_ns.size) >= count)
            sending = figures.whole(
                seen, simulation.BEGIN_NS - 1000 * MS,
                simulation.BEGIN_NS + 3000 * MS).sending
            self.assertAlmostEqual(
                3.0 if count else 4.0, sending.max_gap_s, delta=0.01)
            self.assertGreaterEqual(sending.resolution_s, 4.0)

    def test_this_machine_refused_to_send(self):
        seen = self.observe()
        at_ms = simulation.at_ms(seen)
        refused = (at_ms > 1000) & (at_ms < 1300)
        found = self.whole(dataclasses.replace(
            simulation.without(seen, refused),
            send_errors=int(refused.sum()), send_error='no route'))
        self.assertEqual((), found.outages)
        self.assertEqual(0, found.lost)
        self.assertEqual((int(refused.sum()), 'no route'),
                         (found.send_errors, found.send_error))
        self.assertGreaterEqual(found.sending.resolution_s, 0.3)

    def test_no_outage_that_is_longer_than_the_resolution_is_overlooked(self):
        rng = numpy.random.default_rng(1)
        overlooked = 0
        for trial in range(400):
            truth = simulation.Outage(
                500 + 10 * rng.random(), 5 + 30 * rng.random(),
                held=bool(trial % 2))
            path = simulation.Path(
                late_ms=1, sent_error_ms=(0.02, 2)[trial // 200])
            found = self.whole(simulation.observe(
                rng, [truth], path, length_ms=1000))
            if not found.outages:
                overlooked += 1
                self.assertLessEqual(
                    truth.length_ms / 1000, found.error_bound_s)
        self.assertGreater(overlooked, 50)

    def test_names_say_their_units(self):
        sending = self.whole(self.observe()).sending
        for name in sending.__struct_fields__:
            self.assertTrue(name.endswith('_s'), name)


class WindowTest(FiguresTestCase):

    def test_a_window_must_not_be_empty(self):
        for end_ms in (1000, 999):
            self.assertRaises(ValueError, window, 1000, end_ms)

    def test_in_a_window(self):
        seen = self.observe([simulation.Outage(1500, 300)])
        found = self.attribute(seen, window(1000, 2000))
        inside = found.windows['window']
        self.assertAlmostEqual(0.3, inside.longest_s, delta=0.01)
        self.assertAlmostEqual(100, inside.sent, delta=1)
        self.assertAlmostEqual(30, inside.lost, delta=1)
        self.assertEqual(0, inside.scattered)
        self.assertEqual((), found.control.outages)
        self.assertEqual(0, found.control.lost)
        self.assertEqual(400, found.control.sent + inside.sent)

    def test_outside_of_any_window_it_is_control_data(self):
        seen = self.observe([simulation.Outage(2500, 300)])
        found = self.attribute(
            seen, window(500, 1000, 'a'), window(1500, 2000, 'b'))
        self.assertEqual(['a', 'b'], list(found.windows))
        for inside in found.windows.values():
            self.assertEqual((), inside.outages)
            self.assertAlmostEqual(50, inside.sent, delta=1)
        self.assertAlmostEqual(0.3, found.control.longest_s, delta=0.01)
        self.assertAlmostEqual(30, found.control.lost, delta=1)

    def test_in_two_windows_it_is_given_whole_to_that_where_it_began(self):
        seen = self.observe([simulation.Outage(1800, 500)])
        found = self.attribute(
            seen, window(1000, 2000, 'first'), window(2000, 3000, 'then'))
        self.assertAlmostEqual(
            0.5, found.windows['first'].longest_s, delta=0.01)
        self.assertEqual((), found.windows['then'].outages)
        self.assertEqual((), found.control.outages)
        # Questions are counted where they were asked.
        self.assertAlmostEqual(20, found.windows['first'].lost, delta=1)
        self.assertAlmostEqual(30, found.windows['then'].lost, delta=1)

    def test_what_is_lost_in_an_outage_of_another_window_is_not_scattered(
            self):
        seen = self.observe([simulation.Outage(1800, 500)])
        found = self.attribute(
            seen, window(1000, 2000, 'first'), window(2000, 3000, 'then'))
        self.assertEqual(
            [0, 0, 0], [part.scattered for part in (
                *found.windows.values(), found.control)])

    def test_what_began_before_a_window_is_control_data(self):
        seen = self.observe([simulation.Outage(900, 900)])
        found = self.attribute(seen, window(1000, 2000))
        self.assertEqual((), found.windows['window'].outages)
        self.assertAlmostEqual(0.9, found.control.longest_s, delta=0.01)
        # Probes that were sent in the window were lost in it all the same.
        self.assertAlmostEqual(80, found.windows['window'].lost, delta=1)
        self.assertEqual(0, found.windows['window'].scattered)

    def test_what_began_in_a_window_is_given_whole(self):
        seen = self.observe([simulation.Outage(1900, 900)])
        found = self.attribute(seen, window(1000, 2000))
        self.assertAlmostEqual(
            0.9, found.windows['window'].longest_s, delta=0.01)
        self.assertEqual((), found.control.outages)

    def test_where_an_outage_belongs(self):
        seen = self.observe([simulation.Outage(1500, 300)])
        outage = self.whole(seen).longest
        bound_ns = round(outage.error_bound_s * 1e9)
        for start_ns, end_ns, inside in (
                (outage.start_ns, outage.start_ns + 1, 1),
                # It may have begun so much later, but not earlier.
                (outage.start_ns + bound_ns, outage.end_ns, 1),
                (outage.start_ns + bound_ns + 1,
                 outage.end_ns, 0),
                (outage.start_ns - 100 * MS, outage.start_ns, 0),
                (outage.start_ns - 100 * MS, outage.start_ns + 1, 1)):
            found = self.attribute(
                seen, figures.Window('window', start_ns, end_ns))
            self.assertEqual(
                (inside, 1 - inside),
                (len(found.windows['window'].outages),
                 len(found.control.outages)))

    def test_begun_as_soon_as_the_window_it_is_not_control_data(self):
        # Before this, the last answer came up to a period before.
        for start_ms in numpy.arange(1000, 1010, 0.7):
            seen = self.observe([simulation.Outage(start_ms, 300)])
            found = self.attribute(seen, figures.Window(
                'window', simulation.BEGIN_NS + round(start_ms * MS),
                simulation.BEGIN_NS + 2000 * MS))
            self.assertEqual(1, len(found.windows['window'].outages))
            self.assertEqual((), found.control.outages)

    def test_open_at_the_end_of_a_window(self):
        seen = self.observe([simulation.Outage(1900, 9000)])
        inside = self.attribute(seen, window(1000, 2000)).windows['window']
        self.assertTrue(inside.open)
        self.assertGreater(inside.longest_s, 2)

    def test_several_outages_each_in_its_window(self):
        seen = self.observe([
            simulation.Outage(600, 100), simulation.Outage(1200, 200),
            simulation.Outage(1600, 50), simulation.Outage(3000, 400)])
        found = self.attribute(
            seen, window(500, 1000, 'a'), window(1000, 2000, 'b'))
        for part, lengths_s in (
                (found.windows['a'], [0.1]),
                (found.windows['b'], [0.2, 0.05]), (found.control, [0.4])):
            self.assertEqual(len(lengths_s), len(part.outages))
            for length_s, outage in zip(
                    lengths_s, part.outages, strict=True):
                self.assertAlmostEqual(
                    length_s, outage.duration_s, delta=0.011)

    def test_what_was_before_is_left_out(self):
        seen = self.observe([simulation.Outage(100, 300),
                             simulation.Outage(1500, 300)])
        found = self.attribute(
            seen, window(1000, 2000),
            since_ns=simulation.BEGIN_NS + 500 * MS)
        self.assertEqual((), found.control.outages)
        self.assertEqual(1, len(found.windows['window'].outages))
        self.assertAlmostEqual(
            350, found.control.sent + found.windows['window'].sent, delta=1)

    def test_a_window_in_which_nothing_was_asked(self):
        seen = self.observe()
        at_ms = simulation.at_ms(seen)
        seen = simulation.without(seen, (at_ms > 990) & (at_ms < 2010))
        inside = self.attribute(seen, window(1000, 2000)).windows['window']
        self.assertEqual(0, inside.sent)
        self.assertEqual(1.0, inside.sending.max_gap_s)
        self.assertGreaterEqual(inside.error_bound_s, 1.0)

    def test_nothing_was_asked_at_all(self):
        found = figures.attribute(
            nothing_asked(), [window(1000, 2000)], simulation.BEGIN_NS,
            simulation.BEGIN_NS + 3000 * MS)
        inside = found.windows['window']
        self.assertEqual(1.0, inside.sending.max_gap_s)
        self.assertGreaterEqual(inside.error_bound_s, 1.0)
        self.assertGreaterEqual(found.control.error_bound_s, 1.0)

    def test_a_window_with_too_few_questions_to_tell(self):
        inside = self.attribute(
            self.observe(), window(1005, 1016)).windows['window']
        self.assertEqual(1, inside.sent)
        self.assertGreaterEqual(inside.error_bound_s, 0.011)

    def test_asked_nothing_before_the_first_window(self):
        seen = self.observe()
        found = self.attribute(
            seen, window(1000, 2000),
            since_ns=simulation.BEGIN_NS - 400 * MS)
        self.assertAlmostEqual(
            0.4, found.control.sending.max_gap_s, delta=0.005)
        self.assertLess(found.windows['window'].error_bound_s, 0.03)

    def test_a_window_is_no_gap_of_the_control_data(self):
        found = self.attribute(self.observe(), window(1000, 2000))
        # Nothing is asked in the last 50 ms.
        self.assertEqual(0.05, found.control.sending.max_gap_s)
        self.assertAlmostEqual(
            0.06, found.control.error_bound_s, delta=0.004)

    def test_asleep_at_the_edge_of_a_window(self):
        seen = self.observe()
        at_ms = simulation.at_ms(seen)
        seen = simulation.without(seen, (at_ms > 800) & (at_ms < 1205))
        found = self.attribute(seen, window(1000, 2000))
        self.assertAlmostEqual(
            0.21, found.windows['window'].sending.max_gap_s, delta=0.005)
        self.assertAlmostEqual(
            0.2, found.control.sending.max_gap_s, delta=0.011)


class NamesTest(FiguresTestCase):

    def test_with_an_outage(self):
        found = self.whole(self.observe([simulation.Outage(1003, 500)]))
        self.assertEqual(found.longest.duration_s, found.longest_s)
        self.assertEqual(found.longest.duration_s, found.sum_s)
        self.assertEqual(found.longest.error_bound_s, found.error_bound_s)
        self.assertEqual((found.longest,), found.outages)
        self.assertEqual(0.01, found.sending.period_s)
        self.assertIs(False, found.open)

    def test_without(self):
        found = self.whole(self.observe())
        self.assertEqual((0.0, 0.0), (found.longest_s, found.sum_s))
        self.assertIsNone(found.longest)
        self.assertIs(False, found.open)
        self.assertEqual((), found.outages)
        self.assertEqual(found.sending.resolution_s, found.error_bound_s)

    def test_units(self):
        found = msgspec.to_builtins(self.whole(
            self.observe([simulation.Outage(1003, 500)])))
        for figure in (found, *found['outages'], found['sending']):
            for name, value in figure.items():
                if isinstance(value, float):
                    self.assertTrue(name.endswith('_s'), name)


def stream(echoed, sent=None, read_error=0, watched=1_000_000, **kwargs):
    """Return the stream to a guest with a message each 50 ms.

    :param echoed: when each was echoed, in ms; None for not yet
    :param sent: when each was sent, in ms; None for each 50 ms
    :param read_error: by how much the echoes may be late, in ms
    :param watched: until when everything was read, in ms
    """
    log = answers.AnswerLog('192.0.2.1', 50 * MS)
    if sent is None:
        sent = range(0, 50 * len(echoed), 50)
    for number, (asked, answer) in enumerate(zip(sent, echoed, strict=True)):
        log.ask(asked * MS, asked * MS)
        if answer is not None:
            log.answer(number, answer * MS)
    echoes = log.snapshot()
    seen = tcp.StreamSeen(
        port=7, echoes=echoes,
        read_error_ns=numpy.full(len(echoed), read_error * MS),
        watched_ns=watched * MS, expected=echoes.last_answered + 1)
    return dataclasses.replace(seen, **kwargs)


class StallsTest(base.TestCase):

    def test_no_stall(self):
        found = figures.stalls(
            stream(range(1, 1000, 50)), 100 * MS, 900 * MS)
        self.assertEqual(0.05, found.longest_s)
        self.assertEqual((16, 0), (found.sent, found.outstanding))
        self.assertEqual((0.05, 0.05), (
            found.period_s, found.achieved_period_s))
        self.assertFalse(found.open)
        self.assertFalse(found.never_echoed)

    def test_a_stall_ends_with_all_that_was_held(self):
        seen = stream([1, 51, 700, 700, 700, 700, 700, 700, 700, 700, 700,
                       701, 701, 701, 701, 751], read_error=3)
        found = figures.stalls(seen, 0, 760 * MS)
        self.assertEqual(0.649, found.longest_s)
        self.assertEqual(51 * MS, found.start_ns)
        # One distance of two messages, and our own lateness.
        self.assertEqual(0.053, found.error_bound_s)

    def test_only_what_lies_in_the_window_counts(self):
        seen = stream([1, 51, 700, 701, 702])
        self.assertEqual(
            0.2, figures.stalls(seen, 500 * MS, 701 * MS).longest_s)
        self.assertEqual(
            0.149, figures.stalls(seen, 0, 200 * MS).longest_s)

    def test_still_open_at_the_end(self):
        found = figures.stalls(
            stream([1, 51, None, None]), 0, 1000 * MS)
        self.assertTrue(found.open)
        self.assertFalse(found.never_echoed)
        self.assertEqual(2, found.outstanding)
        self.assertEqual((0.949, 0.05), (
            found.longest_s, found.error_bound_s))

    def test_what_came_after_the_window_was_outstanding_then(self):
        found = figures.stalls(stream([1, 51, 700]), 0, 200 * MS)
        self.assertEqual(1, found.outstanding)

    def test_what_is_lost_is_not_outstanding(self):
        self.assertEqual(1, figures.stalls(
            stream([1, None, 101, None]), 0, 200 * MS).outstanding)
        self.assertEqual(0, figures.stalls(
            stream([1, None, 101, None], expected=4), 0,
            200 * MS).outstanding)

    def test_never_echoed(self):
        for seen, sent in ((stream([None, None]), 2), (stream([]), 0),
                           (stream([None, 600]), 2)):
            found = figures.stalls(seen, 0, 500 * MS)
            self.assertTrue(found.never_echoed)
            self.assertTrue(found.open)
            self.assertEqual((0.5, 0.0), (
                found.longest_s, found.error_bound_s))
            self.assertEqual((0, sent), (found.start_ns, found.sent))
            self.assertIs(True, found.never_echoed)

    def test_the_achieved_period(self):
        found = figures.stalls(
            stream([1, 41, 241], sent=[0, 40, 240]), 0, 300 * MS)
        self.assertEqual((0.05, 0.12), (
            found.period_s, found.achieved_period_s))
        self.assertEqual(0.0, figures.stalls(
            stream([1]), 0, 300 * MS).achieved_period_s)


class StallErrorBoundTest(base.TestCase):

    def bound(self, seen, end=1000):
        return figures.stalls(seen, 0, end * MS).error_bound_s

    def test_the_prober_itself_was_late(self):
        # It sent nothing for 0.3 s, and so nothing came back.
        self.assertEqual(0.3, self.bound(
            stream([1, 51, 351, 401], sent=[0, 50, 350, 400]), 402))

    def test_the_echo_that_ends_a_stall_was_read_late(self):
        seen = stream([1, 51, 351, 352])
        seen.read_error_ns[2] = 280 * MS
        self.assertEqual(0.33, self.bound(seen, 353))

    def test_the_echo_at_its_start_was_read_late(self):
        seen = stream([1, 51, 351, 352])
        seen.read_error_ns[1] = 20 * MS
        self.assertEqual(0.07, self.bound(seen, 353))

    def test_not_read_up_to_the_end_of_the_window(self):
        self.assertEqual(0.45, self.bound(
            stream([1, 51, None], watched=600)))
        # Data that was read after it may have arrived in it.
        seen = stream([1, 51, 1020])
        seen.read_error_ns[2] = 70 * MS
        self.assertEqual(0.1, self.bound(seen))

    def test_a_connection_that_broke_showed_it(self):
        # The next message was only sent on the next connection.
        seen = stream([1, 51, 806], sent=[0, 50, 805])
        self.assertEqual(0.755, self.bound(seen, 807))
        broken = tcp.Break(
            60 * MS, 'closed', tcp.BreakKind.CLOSED)
        self.assertEqual(0.01, self.bound(
            dataclasses.replace(seen, breaks=(broken,)), 807))


class CountsTest(base.TestCase):

    breaks = tuple(
        tcp.Break(at * MS, '%s at %d' % (kind, at), kind)
        for at, kind in ((30, tcp.BreakKind.RESET),
                         (60, tcp.BreakKind.CLOSED),
                         (90, tcp.BreakKind.RESET)))

    def test_counts_are_handed_on(self):
        counts = {'lost': 2, 'repeated': 3, 'corrupt': 4, 'example': 'x',
                  'skipped': 5, 'reconnects': 6, 'connect_failures': 7,
                  'connect_error': 'refused', 'retransmissions': 8,
                  'error': 'given up'}
        found = figures.stalls(stream([1], **counts), 0, 100 * MS)
        self.assertEqual(counts, {
            name: getattr(found, name) for name in counts})
        self.assertEqual((0, 0), (found.last_sent, found.last_echoed))
        self.assertEqual('given up', found.trouble)

    def test_breaks_in_the_window_and_all(self):
        found = figures.stalls(
            stream([1], breaks=self.breaks), 50 * MS, 100 * MS)
        self.assertEqual(self.breaks[1:], stream(
            [1], breaks=self.breaks).breaks_between(50 * MS, 100 * MS))
        self.assertEqual('closed at 60; reset at 90', found.broken)
        self.assertEqual((3, 2, 1), (
            found.breaks_total, found.resets, found.closes))
        self.assertEqual('', figures.stalls(
            stream([1], breaks=self.breaks), 0, 30 * MS).broken)

    def test_names_that_say_their_units(self):
        found = figures.stalls(
            stream([1], lost=2, breaks=self.breaks), 0, 100 * MS)
        self.assertEqual(2, found.lost)
        self.assertEqual(0.099, found.longest_s)
        # The first message was sent at 0 ms, and a break at 30 ms.
        self.assertEqual(0.03, found.error_bound_s)
        self.assertEqual((3, 2), (found.breaks_total, found.resets))
        # Nothing in it is of numpy.
        self.assertEqual(found, msgspec.convert(
            msgspec.to_builtins(found), schema.StallFigures))

    def test_a_window_must_not_be_empty(self):
        self.assertRaises(ValueError, figures.stalls, stream([1]), 5, 5)

    def test_what_is_wrong(self):
        self.assertEqual('', stream([1]).trouble)
        self.assertEqual(
            'TCP port 7 of 192.0.2.1: connection refused (12 attempts)',
            stream([], why='connection refused',
                   connect_failures=12).trouble)
