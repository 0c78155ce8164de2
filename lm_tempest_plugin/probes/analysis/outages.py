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

An outage is a time in which packets to the guest are lost, or held until it
is over. It shows as a gap between two answers that follow each other. Its
start lies between the sending of the last question that was answered before
and that of the first one that was not. Its end lies between the sending of
the last question that was lost and that of the first one that was answered
again; or, where questions were held, it is when the first of their answers
came, less what an answer usually takes. The outage reaches from the middle
of the one interval to that of the other, and is uncertain by the half of
both, and by what is not known exactly: when a question was sent, and by how
much ordinary delays differ.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy
from numpy import typing as npt

from lm_tempest_plugin.probes.analysis import patterns
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule

# A kernel stamp is converted with two clock readings that may lie as far
# apart as this (see clocks.READING_NS), and delays are kept in microseconds.
STAMP_ERROR_NS = 101_000


@dataclasses.dataclass(frozen=True)
class Outage:
    """A time in which packets to a guest were lost or held.

    :ivar start_ns: CLOCK_MONOTONIC
    :ivar end_ns: CLOCK_MONOTONIC
    :ivar error_bound_ns: the duration is not wrong by more than this
    :ivar lost: questions in it that were never answered
    :ivar late: questions in it that were answered when it was over
    :ivar open: whether it had not ended when the observation did
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

    @property
    def kind(self) -> str:
        """What became of the questions in it: lost, held, or mixed."""
        if not self.late:
            return 'lost'
        return 'mixed' if self.lost else 'held'

    def as_dict(self) -> dict[str, Any]:
        """Return it under names that say their units."""
        return {
            'start_monotonic_s': self.start_ns / schedule.NS,
            'end_monotonic_s': self.end_ns / schedule.NS,
            'duration_s': self.duration_s,
            'error_bound_s': self.error_bound_s,
            'lost': self.lost,
            'late': self.late,
            'kind': self.kind,
            'open': self.open,
        }


@dataclasses.dataclass(frozen=True)
class _Interval:
    """Where one end of an outage lies: not before, not after; see above."""

    from_ns: int
    to_ns: int
    error_ns: int

    @property
    def middle_ns(self) -> int:
        return (self.from_ns + self.to_ns) // 2

    @property
    def bound_ns(self) -> int:
        return (self.to_ns - self.from_ns + 1) // 2 + self.error_ns


class _Gaps:
    """The answers of a guest in the order in which they came."""

    def __init__(self, seen: observations.Observations,
                 pattern: patterns.Pattern, until_ns: int) -> None:
        self._seen = seen
        self._pattern = pattern
        self._until_ns = until_ns
        self._delays_ns = seen.answered_ns - seen.sent_ns
        self._in_time = seen.answered & (seen.answered_ns <= until_ns)
        order = numpy.flatnonzero(self._in_time)
        self._order = order[numpy.argsort(
            seen.answered_ns[order], kind='stable')]
        # Up to when the guest is known to have been there, after each answer.
        self._there_ns = numpy.maximum.accumulate(numpy.where(
            self._delays_ns[self._order] > pattern.late_ns,
            seen.answered_ns[self._order] - pattern.highest_ns,
            seen.sent_ns[self._order]))

    def outages(self) -> Iterator[Outage]:
        """Yield each time without an answer that is an outage."""
        seen, answers = self._seen, self._order
        if not seen.sent_ns.size:
            return
        begin_ns = int(seen.sent_ns[0])
        start = _Interval(begin_ns, begin_ns, 0)
        if not answers.size:
            yield from self._open(start, begin_ns)
            return
        yield from self._closed(start, begin_ns, int(answers[0]))
        for place in self._suspects():
            there_ns = int(self._there_ns[place])
            yield from self._closed(None, there_ns, int(answers[place + 1]))
        yield from self._open(None, int(self._there_ns[-1]))

    def _suspects(self) -> npt.NDArray[numpy.intp]:
        """Return after which answers there may be an outage.

        There is none where too few questions were sent: most gaps need not
        be looked at one by one.
        """
        seen = self._seen
        first, beyond = numpy.searchsorted(seen.sent_ns, (
            self._there_ns[:-1] + 1,
            seen.answered_ns[self._order[1:]] - self._pattern.low_ns + 1))
        return numpy.flatnonzero(
            beyond - first >= self._pattern.fewest_missed)

    def _missed(self, there_ns: int, first: int | None
                ) -> npt.NDArray[numpy.intp]:
        """Return the questions of a gap without a timely answer.

        :param there_ns: up to when the guest was there before
        :param first: the question whose answer ended the gap; None if
            nothing did
        """
        seen, pattern = self._seen, self._pattern
        end_ns = self._until_ns - pattern.late_ns
        over_ns = self._until_ns
        if first is not None:
            over_ns = int(seen.answered_ns[first])
            end_ns = over_ns - pattern.low_ns
        inside = slice(*numpy.searchsorted(
            seen.sent_ns, (there_ns + 1, end_ns + 1)))
        missed = ~seen.answered[inside] | (
            (seen.answered_ns[inside] >= over_ns) &
            (self._delays_ns[inside] > pattern.high_ns))
        return numpy.flatnonzero(missed) + inside.start

    def _away(self, missed: npt.NDArray[numpy.intp]
              ) -> npt.NDArray[numpy.bool_]:
        """Return which questions were lost, or answered late."""
        return ~self._in_time[missed] | (
            self._delays_ns[missed] > self._pattern.late_ns)

    def _start(self, there_ns: int,
               missed: npt.NDArray[numpy.intp]) -> _Interval:
        """Return where an outage began."""
        first = missed[0]
        before = max(int(first) - 1, 0)
        return _Interval(
            there_ns, int(self._seen.sent_ns[first]),
            int(self._seen.sent_error_ns[[before, first]].max()))

    def _end(self, first: int, missed: npt.NDArray[numpy.intp]) -> _Interval:
        """Return where an outage ended: see the head of this module.

        That ordinary delays differ is allowed for once, by all but the
        slowest of a thousand: that both ends met with one of those is not
        to be expected.
        """
        seen, pattern = self._seen, self._pattern
        came_ns = int(seen.answered_ns[first])
        error_ns = pattern.jitter_ns + STAMP_ERROR_NS
        if self._held_ns(came_ns, missed) > pattern.late_ns:
            # More than one question was under way when the first answer
            # came, and none of them was answered before: they were held.
            usual_ns = came_ns - pattern.usual_ns
            return _Interval(usual_ns, usual_ns, error_ns)
        # One that was only slow does not tell that the guest was away.
        away = missed[(missed < first) & self._away(missed)]
        last = int(away.max(initial=missed[0]))
        error_ns += int(seen.sent_error_ns[[last, first]].max())
        to_ns = int(seen.sent_ns[first])
        if self._delays_ns[first] > pattern.high_ns:
            # Held for less than a period, or only slow.
            to_ns = came_ns - pattern.low_ns
        return _Interval(int(seen.sent_ns[last]), to_ns, error_ns)

    def _held_ns(self, came_ns: int,
                 missed: npt.NDArray[numpy.intp]) -> int:
        """Return how long the first answers after a gap had taken at most.

        What was held is answered all at once, in about any order.
        """
        burst = (self._seen.answered_ns[missed] >= came_ns) & (
            self._seen.answered_ns[missed] <=
            came_ns + self._pattern.jitter_ns + STAMP_ERROR_NS)
        return int(self._delays_ns[missed[burst]].max(initial=0))

    def _closed(self, start: _Interval | None, there_ns: int,
                first: int) -> Iterator[Outage]:
        """Yield the outage that an answer ended, if there was one."""
        missed = self._missed(there_ns - (start is not None), first)
        if missed.size < self._pattern.fewest_missed:
            return
        yield from self._outage(
            start or self._start(there_ns, missed),
            self._end(first, missed), missed, False)

    def _open(self, start: _Interval | None,
              there_ns: int) -> Iterator[Outage]:
        """Yield the outage that was not over, if there was one."""
        missed = self._missed(there_ns - (start is not None), None)
        # Who never answered has no pattern by which that could be chance.
        if missed.size < (1 if start else self._pattern.fewest_missed):
            return
        yield from self._outage(
            start or self._start(there_ns, missed),
            _Interval(int(self._seen.sent_ns[missed[-1]]), self._until_ns,
                      0), missed, True)

    def _outage(self, start: _Interval, end: _Interval,
                missed: npt.NDArray[numpy.intp],
                is_open: bool) -> Iterator[Outage]:
        """Yield what is certain to be an outage.

        It must be longer than its own error; and not shorter than what can
        be told from scattered losses, which is so many periods, less half a
        one for questions that were not sent at equal distances.
        """
        bound_ns = start.bound_ns + end.bound_ns
        length_ns = end.middle_ns - start.middle_ns
        least_ns = (self._pattern.fewest_missed - 0.5) * self._seen.period_ns
        if length_ns <= bound_ns or not is_open and length_ns < least_ns:
            return
        lost = int(numpy.count_nonzero(~self._in_time[missed]))
        yield Outage(start.middle_ns, end.middle_ns, bound_ns, lost,
                     int(numpy.count_nonzero(self._away(missed))) - lost,
                     is_open)


def find(seen: observations.Observations, pattern: patterns.Pattern,
         until_ns: int) -> tuple[Outage, ...]:
    """Return every outage of a guest, in order.

    If there never was an answer, the outage lasts from the first question
    to the end.

    :param seen: all that was seen of it
    :param pattern: how it usually answers
    :param until_ns: end of the observation, CLOCK_MONOTONIC
    """
    return tuple(_Gaps(seen, pattern, until_ns).outages())


def longest(outages: Sequence[Outage]) -> Outage | None:
    """Return the longest of some outages; None of none."""
    return max(outages, key=lambda outage: outage.end_ns - outage.start_ns,
               default=None)
