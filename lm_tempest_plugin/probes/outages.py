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

"""Outages of a guest, computed from its answers.

An outage is a time in which packets to the guest are lost, or held until it
is over. It shows as a gap between two successive answers. Its start lies
between the sending of the last probe that was answered before and that of
the first one that was not. Its end lies between the sending of the last
probe that was lost and that of the first one that was answered again; or,
where probes were held, it is the time of the first of their answers minus
the usual delay. The outage reaches from the middle of the one interval to
that of the other. Its error bound is half of both intervals, plus the
uncertainty of the times: when a probe was sent, and by how much ordinary
delays differ.

Networks lose single packets and delay others without any outage. How a guest
usually answers is computed from the answers themselves.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import math

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.results import schema

# Losses count as scattered unless fewer runs of that many losses than this
# are expected in the whole time.
BY_CHANCE = 0.005
# The loss of a single packet is never an outage.
FEWEST_MISSED = 2

# A kernel stamp is converted with two clock readings that may lie as far
# apart as this (datagrams.READING_NS), and delays are kept in microseconds.
STAMP_ERROR_NS = 101_000


@dataclasses.dataclass(frozen=True)
class Pattern:
    """How a guest usually answers.

    :ivar low_ns: minimum delay of an answer
    :ivar usual_ns: median of the ordinary delays
    :ivar high_ns: 99th percentile of the ordinary delays
    :ivar highest_ns: 99.9th percentile of the ordinary delays
    :ivar late_ns: an answer with a longer delay is late: by more than a
        period after the minimum
    :ivar missed_alone: probability that a probe is lost or late although
        those around it are not
    :ivar fewest_missed: probes in a row without a timely answer that are
        more than scattered losses
    """

    low_ns: int
    usual_ns: int
    high_ns: int
    highest_ns: int
    late_ns: int
    missed_alone: float
    fewest_missed: int

    @property
    def jitter_ns(self) -> int:
        """Range of the ordinary delays."""
        return self.highest_ns - self.low_ns


def usual_pattern(seen: answers.Answers) -> Pattern:
    """Compute how a guest usually answers.

    :param seen: all of its answers
    """
    delays_ns = (seen.answered_ns - seen.sent_ns)[seen.answered]
    low_ns = int(delays_ns.min()) if delays_ns.size else seen.period_ns
    late_ns = low_ns + seen.period_ns
    # If the guest was away most of the time, most answers may be late. So
    # the ordinary delays are those of the other answers.
    ordinary_ns = delays_ns[delays_ns <= late_ns]
    usual_ns, high_ns, highest_ns = low_ns, low_ns, low_ns
    if ordinary_ns.size:
        usual_ns, high_ns, highest_ns = (
            int(value) for value in numpy.percentile(
                ordinary_ns, (50, 99, 99.9), method='inverted_cdf'))
    alone = _missed_alone(seen, late_ns)
    # Among N probes that are lost independently with probability q, fewer
    # than N q^n runs of n losses are expected.
    probes, fewest = seen.sent_ns.size, FEWEST_MISSED
    while probes * alone ** fewest >= BY_CHANCE and fewest < probes:
        fewest += 1
    return Pattern(low_ns, usual_ns, high_ns, highest_ns, late_ns, alone,
                   fewest)


def _missed_alone(seen: answers.Answers, late_ns: int) -> float:
    """Return the probability of an isolated loss.

    If losses are independent with probability q, a probe is missed between
    two that are not with q (1 - q)^2, and not missed with 1 - q; so
    x = alone / timely is q (1 - q), and q = (1 - sqrt(1 - 4 x)) / 2. Beyond
    x = 1/4 losses are not independent, and q is taken to be 1/2. Outages
    hardly contribute: a late answer counts if the next one has clearly
    overtaken it, because otherwise both were held. One is added to the
    count: no loss seen does not mean that there is none.
    """
    missed = ~seen.answered | (seen.answered_ns - seen.sent_ns > late_ns)
    scattered = missed[:-1] & (
        ~seen.answered[:-1] | (
            seen.answered_ns[1:] + seen.period_ns // 2 <
            seen.answered_ns[:-1]))
    alone = int(numpy.count_nonzero(
        scattered[1:] & ~missed[:-2] & ~missed[2:]))
    timely = int(numpy.count_nonzero(~missed))
    rate = min((alone + 1) / (timely + 2), 0.25)
    return (1 - math.sqrt(1 - 4 * rate)) / 2


@dataclasses.dataclass(frozen=True)
class _Interval:
    """Limits of one end of an outage."""

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
    """The answers of a guest in the order in which they arrived."""

    def __init__(self, seen: answers.Answers, pattern: Pattern,
                 until_ns: int) -> None:
        self._seen = seen
        self._pattern = pattern
        self._until_ns = until_ns
        self._delays_ns = seen.answered_ns - seen.sent_ns
        self._in_time = seen.answered & (seen.answered_ns <= until_ns)
        order = numpy.flatnonzero(self._in_time)
        self._order = order[numpy.argsort(
            seen.answered_ns[order], kind='stable')]
        # Until when the guest is known to have been there, by each answer.
        self._there_ns = numpy.maximum.accumulate(numpy.where(
            self._delays_ns[self._order] > pattern.late_ns,
            seen.answered_ns[self._order] - pattern.highest_ns,
            seen.sent_ns[self._order]))

    def outages(self) -> Iterator[schema.Outage]:
        """Yield each gap between answers that is an outage."""
        seen, order = self._seen, self._order
        if not seen.sent_ns.size:
            return
        begin_ns = int(seen.sent_ns[0])
        start = _Interval(begin_ns, begin_ns, 0)
        if not order.size:
            yield from self._open(start, begin_ns)
            return
        yield from self._closed(start, begin_ns, int(order[0]))
        # Most gaps are too short for the necessary number of probes, and
        # need not be examined one by one.
        first, beyond = numpy.searchsorted(seen.sent_ns, (
            self._there_ns[:-1] + 1,
            seen.answered_ns[order[1:]] - self._pattern.low_ns + 1))
        for place in numpy.flatnonzero(
                beyond - first >= self._pattern.fewest_missed):
            there_ns = int(self._there_ns[place])
            yield from self._closed(None, there_ns, int(order[place + 1]))
        yield from self._open(None, int(self._there_ns[-1]))

    def _missed(self, there_ns: int, first: int | None) -> answers.Places:
        """Return the probes of a gap without a timely answer.

        :param there_ns: until when the guest was there before
        :param first: the probe whose answer ended the gap; None if it did
            not end
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

    def _away(self, missed: answers.Places) -> answers.Marks:
        """Return which probes were lost, or answered late."""
        return ~self._in_time[missed] | (
            self._delays_ns[missed] > self._pattern.late_ns)

    def _start(self, there_ns: int, missed: answers.Places) -> _Interval:
        """Return the limits of an outage's start."""
        first = missed[0]
        before = max(int(first) - 1, 0)
        return _Interval(
            there_ns, int(self._seen.sent_ns[first]),
            int(self._seen.sent_error_ns[[before, first]].max()))

    def _end(self, first: int, missed: answers.Places) -> _Interval:
        """Return the limits of an outage's end: see the head of this module.

        Differences of ordinary delays are allowed for once, by all but the
        slowest of a thousand: both ends are unlikely to meet one of those.
        """
        seen, pattern = self._seen, self._pattern
        came_ns = int(seen.answered_ns[first])
        error_ns = pattern.jitter_ns + STAMP_ERROR_NS
        # Held probes are answered all at once, in almost any order.
        burst = missed[(seen.answered_ns[missed] >= came_ns) &
                       (seen.answered_ns[missed] <= came_ns + error_ns)]
        if self._delays_ns[burst].max(initial=0) > pattern.late_ns:
            # More than one probe was under way when the first answer came,
            # and none of them was answered before: they were held.
            usual_ns = came_ns - pattern.usual_ns
            return _Interval(usual_ns, usual_ns, error_ns)
        # A probe that was only slow is no sign that the guest was away.
        away = missed[(missed < first) & self._away(missed)]
        last = int(away.max(initial=missed[0]))
        error_ns += int(seen.sent_error_ns[[last, first]].max())
        to_ns = int(seen.sent_ns[first])
        if self._delays_ns[first] > pattern.high_ns:
            # Held for less than a period, or only slow.
            to_ns = came_ns - pattern.low_ns
        return _Interval(int(seen.sent_ns[last]), to_ns, error_ns)

    def _closed(self, start: _Interval | None, there_ns: int,
                first: int) -> Iterator[schema.Outage]:
        """Yield the outage that an answer ended, if there was one."""
        missed = self._missed(there_ns - (start is not None), first)
        if missed.size < self._pattern.fewest_missed:
            return
        yield from self._outage(
            start or self._start(there_ns, missed),
            self._end(first, missed), missed, False)

    def _open(self, start: _Interval | None,
              there_ns: int) -> Iterator[schema.Outage]:
        """Yield the outage that did not end, if there was one."""
        missed = self._missed(there_ns - (start is not None), None)
        # Without any answer there is no pattern by which to explain it as
        # chance.
        if missed.size < (1 if start else self._pattern.fewest_missed):
            return
        yield from self._outage(
            start or self._start(there_ns, missed),
            _Interval(int(self._seen.sent_ns[missed[-1]]), self._until_ns,
                      0), missed, True)

    def _outage(self, start: _Interval, end: _Interval,
                missed: answers.Places, is_open: bool
                ) -> Iterator[schema.Outage]:
        """Yield an outage if it is certain to be one.

        It must be longer than its own error bound. And it must not be
        shorter than scattered losses can be: that many periods, less half of
        one because probes are not sent at exactly equal distances.
        """
        bound_ns = start.bound_ns + end.bound_ns
        length_ns = end.middle_ns - start.middle_ns
        least_ns = (self._pattern.fewest_missed - 0.5) * self._seen.period_ns
        if length_ns <= bound_ns or not is_open and length_ns < least_ns:
            return
        lost = int(numpy.count_nonzero(~self._in_time[missed]))
        late = int(numpy.count_nonzero(self._away(missed))) - lost
        kind = 'lost'
        if late:
            kind = 'mixed' if lost else 'held'
        yield schema.Outage(
            start_ns=start.middle_ns, end_ns=end.middle_ns,
            duration_s=length_ns / schedule.NS,
            error_bound_s=bound_ns / schedule.NS, lost=lost, late=late,
            kind=kind, open=is_open)


def find(seen: answers.Answers, pattern: Pattern,
         until_ns: int) -> tuple[schema.Outage, ...]:
    """Return every outage of a guest, in order.

    Without any answer, the outage lasts from the first probe to the end.

    :param seen: all of its answers
    :param pattern: how it usually answers
    :param until_ns: end of the measurement, CLOCK_MONOTONIC
    """
    return tuple(_Gaps(seen, pattern, until_ns).outages())


def longest(found: Sequence[schema.Outage]) -> schema.Outage | None:
    """Return the longest of some outages; None if there are none."""
    return max(found, key=lambda outage: outage.duration_s, default=None)
