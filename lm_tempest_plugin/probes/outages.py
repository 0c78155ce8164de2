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

"""From observations to outages, by pure arithmetic.

An outage shows as a gap between two answers that follow each other. Of the
outage's start we know only that it lies between the last question that was
answered and the next one that was sent; of its end likewise. So the outage
is the gap less half the distance of the questions at its start and half of
that at its end, each as they were really sent; and it is uncertain by as
much. It is the same for questions that were lost and for those that were
held and answered late: in both cases there was no answer for so long.
"""

from collections.abc import Iterator
import dataclasses
import itertools
from typing import Any

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule

# A gap is listed as an outage if it is longer than this many periods: the
# loss of a single question makes one of one period.
PERIODS = 1.5


@dataclasses.dataclass(frozen=True)
class Outage:
    """A time without answers, as far as it lies in the window.

    :ivar start_ns: CLOCK_MONOTONIC
    :ivar end_ns: CLOCK_MONOTONIC
    :ivar error_bound_ns: the duration is not wrong by more than this
    :ivar lost: questions in it that were never answered
    :ivar late: questions in it that were answered when it was over
    :ivar open: whether it had not ended when the window did
    """

    start_ns: int
    end_ns: int
    error_bound_ns: int
    lost: int
    late: int
    open: bool

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.end_ns - self.start_ns) / schedule.NS

    @property
    def error_bound_s(self) -> float:
        """By how much the length may be wrong, in seconds."""
        return self.error_bound_ns / schedule.NS


@dataclasses.dataclass(frozen=True)
class OutageFigures:
    """What the answers to ICMP echo requests say about one window.

    :ivar sent: questions sent in the window
    :ivar answered: those of them that have been answered
    :ivar lost: those that have not, but for the ones still under way
    :ivar late: those answered later than usual by two periods or more
    :ivar longest: the longest time without an answer, however short
    :ivar outages: all that are longer than PERIODS nominal periods
    :ivar period_s: nominal distance of two questions
    :ivar achieved_period_s: mean distance of two questions; 0 if unknown
    :ivar max_send_gap_s: longest time in the window in which nothing was
        asked: no outage shorter than that could have been seen then
    :ivar send_errors: questions that this machine refused to send, since
        the beginning
    :ivar send_error: what it said the last time
    """

    sent: int
    answered: int
    lost: int
    late: int
    longest: Outage
    outages: tuple[Outage, ...]
    period_s: float
    achieved_period_s: float
    max_send_gap_s: float
    send_errors: int
    send_error: str

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {
            'probes_sent': self.sent,
            'probes_answered': self.answered,
            'probes_lost': self.lost,
            'probes_late': self.late,
            'probe_send_errors': self.send_errors,
            'longest_outage_s': self.longest.duration_s,
            'error_bound_s': self.longest.error_bound_s,
            'longest_outage_open': self.longest.open,
            'outages': len(self.outages),
            'probe_period_s': self.period_s,
            'probe_period_achieved_s': self.achieved_period_s,
            'probe_max_send_gap_s': self.max_send_gap_s,
        }


@dataclasses.dataclass(frozen=True)
class _Edge:
    """One end of a gap: when, and how the questions lay around it.

    :ivar index: number of the question; None where there is none
    :ivar time_ns: when it was answered, or where the window begins or ends
    :ivar spacing_ns: distance from it to its neighbour within the gap
    """

    index: int | None
    time_ns: int
    spacing_ns: int


def figures(seen: observations.Observations, start_ns: int,
            end_ns: int) -> OutageFigures:
    """Return what was seen of a guest in one window.

    An outage that began before the window or ended after it counts as far
    as it lies in the window. If there never was an answer, the outage lasts
    for the whole window.

    :param seen: all that was seen; it must reach to the end of the window
    :param start_ns: begin of the window, CLOCK_MONOTONIC
    :param end_ns: end of the window, CLOCK_MONOTONIC
    """
    if end_ns <= start_ns:
        raise ValueError('a window must end after it begins')
    first = seen.first_sent_at_or_after(start_ns)
    beyond = seen.first_sent_at_or_after(end_ns)
    usual_ns = _usual_delay_ns(seen, first, beyond)
    late_ns = usual_ns + 2 * seen.period_ns
    gaps = [_outage(seen, before, after, start_ns, end_ns, usual_ns)
            for before, after in _gaps(
                seen, first,
                _end(seen, start_ns, end_ns, usual_ns + seen.period_ns),
                start_ns, end_ns)]
    answered = [i for i in range(first, beyond) if _answered(seen, i)]
    under_way_ns = end_ns - late_ns
    spacings = _send_gaps_ns(seen, first, beyond, start_ns, end_ns)
    return OutageFigures(
        sent=beyond - first,
        answered=len(answered),
        lost=sum(1 for i in range(first, beyond) if not _answered(seen, i) and
                 seen.sent_ns[i] <= under_way_ns),
        late=sum(1 for i in answered if _delay_ns(seen, i) > late_ns),
        longest=max(gaps, key=lambda gap: gap.end_ns - gap.start_ns),
        outages=tuple(gap for gap in gaps if gap.end_ns - gap.start_ns >
                      PERIODS * seen.period_ns),
        period_s=seen.period_ns / schedule.NS,
        achieved_period_s=_mean_period_s(seen, first, beyond),
        max_send_gap_s=max(spacings) / schedule.NS,
        send_errors=seen.send_errors,
        send_error=seen.send_error)


def _answered(seen: observations.Observations, index: int) -> bool:
    return seen.answered_ns[index] != observations.UNANSWERED


def _delay_ns(seen: observations.Observations, index: int) -> int:
    return seen.answered_ns[index] - seen.sent_ns[index]


def _usual_delay_ns(seen: observations.Observations, first: int,
                    beyond: int) -> int:
    """Return the delay that one in ten answers undercuts; 0 if none came.

    Not the median: in a window that is mostly outage, most may be late.
    """
    return schedule.percentile(
        sorted(_delay_ns(seen, i) for i in range(first, beyond)
               if _answered(seen, i)), 10)


def _mean_period_s(seen: observations.Observations, first: int,
                   beyond: int) -> float:
    if beyond - first < 2:
        return 0.0
    span_ns = seen.sent_ns[beyond - 1] - seen.sent_ns[first]
    return span_ns / (beyond - first - 1) / schedule.NS


def _send_gaps_ns(seen: observations.Observations, first: int, beyond: int,
                  start_ns: int, end_ns: int) -> list[int]:
    """Return the times within the window between questions."""
    times = [start_ns, *seen.sent_ns[first:beyond], end_ns]
    return [after - before for before, after in itertools.pairwise(times)]


def _end(seen: observations.Observations, start_ns: int, end_ns: int,
         due_ns: int) -> _Edge:
    """Return the window's end, as the end of a time without an answer.

    What is known there comes from the last question whose answer was due.

    :param due_ns: after this time an answer is due
    """
    due = seen.first_sent_at_or_after(end_ns - due_ns + 1) - 1
    known_ns = max(start_ns, seen.sent_ns[due]) if due >= 0 else start_ns
    return _Edge(None, end_ns, end_ns - known_ns)


def _gaps(seen: observations.Observations, first: int, end: _Edge,
          start_ns: int, end_ns: int) -> Iterator[tuple[_Edge, _Edge]]:
    """Yield the two ends of each time without an answer.

    :param first: number of the first question in the window
    :param end: the window's end
    """
    answers = [(seen.answered_ns[i], i)
               for i in range(_last_answered_before(seen, first, start_ns),
                              seen.first_sent_at_or_after(end_ns))
               if _answered(seen, i) and seen.answered_ns[i] <= end_ns]
    # Answers overtake each other, so they are taken as they came.
    answers.sort()
    before = _Edge(None, start_ns, 0)
    for time_ns, index in answers:
        if time_ns > start_ns:
            yield before, _Edge(index, time_ns, _spacing_ns(seen, index))
        before = _Edge(index, time_ns, _spacing_ns(seen, index + 1, end_ns))
    yield before, end


def _last_answered_before(seen: observations.Observations, first: int,
                          start_ns: int) -> int:
    """Return the last question that had been answered by then; else 0."""
    for index in range(first - 1, -1, -1):
        if _answered(seen, index) and seen.answered_ns[index] <= start_ns:
            return index
    return 0


def _spacing_ns(seen: observations.Observations, index: int,
                end_ns: int = 0) -> int:
    """Return the distance of a question from the one before.

    :param index: its number; 0 has none before
    :param end_ns: where the next question is taken to be after the last
    """
    if index == 0:
        return 0
    if index >= len(seen.sent_ns):
        return max(0, end_ns - seen.sent_ns[-1])
    return seen.sent_ns[index] - seen.sent_ns[index - 1]


def _outage(seen: observations.Observations, before: _Edge, after: _Edge,
            start_ns: int, end_ns: int, usual_ns: int) -> Outage:
    """Return what lies between two answers, as far as it is in the window.

    :param usual_ns: how long an answer takes: by as much it tells of a time
        before it came
    """
    from_ns = before.time_ns + before.spacing_ns // 2
    if before.index is not None:
        from_ns -= usual_ns
    to_ns = after.time_ns - after.spacing_ns // 2
    if after.index is not None:
        to_ns -= usual_ns
    bound_ns = (after.spacing_ns + 1) // 2
    if from_ns + before.spacing_ns // 2 > start_ns:
        bound_ns += (before.spacing_ns + 1) // 2
    from_ns = min(max(from_ns, start_ns), end_ns)
    to_ns = max(min(to_ns, end_ns), from_ns)
    inside = range(seen.first_sent_at_or_after(from_ns),
                   seen.first_sent_at_or_after(to_ns))
    late_ns = usual_ns + 2 * seen.period_ns
    return Outage(
        start_ns=from_ns, end_ns=to_ns, error_bound_ns=bound_ns,
        lost=sum(1 for i in inside if not _answered(seen, i)),
        late=sum(1 for i in inside if _answered(seen, i) and
                 _delay_ns(seen, i) > late_ns),
        open=after.index is None)
