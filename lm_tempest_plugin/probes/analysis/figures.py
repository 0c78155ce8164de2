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


"""From observations to figures, for windows of time and for what is outside.

A window is a time in which something was done to a guest, such as a live
migration. What happens to the guest at other times has another cause: it is
control data, and tells what the same probes find when nothing is done.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any
from typing import TypeAlias

import numpy
from numpy import typing as npt

from lm_tempest_plugin.probes.analysis import outages
from lm_tempest_plugin.probes.analysis import patterns
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule

# In times, what stands for those that lie inside of windows.
INSIDE = -1

# Where a field is named like the module, the type needs another name.
Outage: TypeAlias = outages.Outage


@dataclasses.dataclass(frozen=True)
class Window:
    """A time in which something was done.

    :ivar name: what
    :ivar start_ns: CLOCK_MONOTONIC
    :ivar end_ns: CLOCK_MONOTONIC, after start_ns
    """

    name: str
    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise ValueError('window %s must end after it begins' % self.name)


@dataclasses.dataclass(frozen=True)
class Sending:
    """How well a prober kept its own schedule.

    :ivar period_s: nominal distance of two questions
    :ivar achieved_period_s: mean distance of two questions; 0 if unknown
    :ivar max_gap_s: longest time in which nothing was asked
    :ivar resolution_s: no outage longer than this can have been overlooked
    :ivar lateness_p50_s: how late questions were sent: the median
    :ivar lateness_p99_s: 99 of 100 were sent no later
    :ivar lateness_max_s: the latest
    """

    period_s: float
    achieved_period_s: float
    max_gap_s: float
    resolution_s: float
    lateness_p50_s: float
    lateness_p99_s: float
    lateness_max_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class OutageFigures:
    """What the answers of one guest say about some time.

    :ivar sent: questions sent
    :ivar answered: those of them that have been answered
    :ivar lost: those that have not, but for the ones still under way
    :ivar late: those answered later than usual by a period or more
    :ivar scattered: those lost outside of any outage
    :ivar outages: every outage, in order; each is given whole
    :ivar sending: how well the prober kept its schedule
    :ivar delay_p50_s: usual delay of an answer; 0 if there was none
    :ivar delay_p99_s: 99 of 100 ordinary answers took no longer
    :ivar send_errors: questions that this machine refused to send, since
        the beginning
    :ivar send_error: what it said the last time
    """

    sent: int
    answered: int
    lost: int
    late: int
    scattered: int
    outages: tuple[Outage, ...]
    sending: Sending
    delay_p50_s: float
    delay_p99_s: float
    send_errors: int
    send_error: str

    @property
    def longest(self) -> Outage | None:
        """The longest outage; None if there was none."""
        return outages.longest(self.outages)

    @property
    def longest_s(self) -> float:
        """Length of the longest outage in seconds; 0 if there was none."""
        return self.longest.duration_s if self.longest else 0.0

    @property
    def error_bound_s(self) -> float:
        """By how much the length of the longest may be wrong, in seconds.

        Where there was none: how long one may be that was overlooked.
        """
        if self.longest:
            return self.longest.error_bound_s
        return self.sending.resolution_s

    @property
    def open(self) -> bool:
        """Whether the guest did not answer any more in the end."""
        return any(outage.open for outage in self.outages)

    @property
    def sum_s(self) -> float:
        """How long all outages lasted together, in seconds."""
        return math.fsum(outage.duration_s for outage in self.outages)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        longest = self.longest
        return {
            'sent': self.sent,
            'answered': self.answered,
            'late': self.late,
            'lost': self.lost,
            'scattered_losses': self.scattered,
            'send_errors': self.send_errors,
            'longest_outage_s': self.longest_s,
            'longest_outage_start_monotonic_s': (
                longest.start_ns / schedule.NS if longest else None),
            'error_bound_s': self.error_bound_s,
            'longest_outage_open': bool(longest and longest.open),
            'outages_sum_s': self.sum_s,
            'outages_count': len(self.outages),
            'outages': [outage.as_dict() for outage in self.outages],
            'delay_p50_s': self.delay_p50_s,
            'delay_p99_s': self.delay_p99_s,
            **self.sending.as_dict(),
        }


@dataclasses.dataclass(frozen=True)
class Attribution:
    """What was seen of a guest, each part where it belongs.

    :ivar windows: the figures of each window, by its name
    :ivar control: the figures of the time outside of all windows
    """

    windows: dict[str, OutageFigures]
    control: OutageFigures


def attribute(seen: observations.Observations, windows: Sequence[Window],
              since_ns: int, until_ns: int) -> Attribution:
    """Return the figures of each window, and of the time outside.

    An outage belongs to the window in which it began, and is given whole;
    one that began in none is control data.

    :param seen: all that was seen of a guest
    :param windows: what was done to it when, under different names
    :param since_ns: what was before is left out, CLOCK_MONOTONIC
    :param until_ns: end of the observation, CLOCK_MONOTONIC
    """
    seen = _between(seen, since_ns, until_ns)
    pattern = patterns.pattern(seen)
    found: dict[str | None, list[outages.Outage]] = {None: []}
    found.update((window.name, []) for window in windows)
    scattered = _lost(seen, pattern, until_ns)
    for outage in outages.find(seen, pattern, until_ns):
        found[_where(outage, windows)].append(outage)
        scattered[slice(*numpy.searchsorted(
            seen.sent_ns, (outage.start_ns, outage.end_ns)))] = False
    times_ns = numpy.concatenate(([since_ns], seen.sent_ns, [until_ns]))
    outside = numpy.ones(times_ns.size, numpy.bool_)
    figures = {}
    for window in windows:
        inside = (times_ns >= window.start_ns) & (times_ns < window.end_ns)
        outside &= ~inside
        figures[window.name] = _figures(
            seen, pattern, inside[1:-1], found[window.name], scattered,
            numpy.concatenate(([window.start_ns], times_ns[inside],
                               [window.end_ns])), until_ns)
    return Attribution(figures, _figures(
        seen, pattern, outside[1:-1], found[None], scattered,
        _outside_ns(times_ns, outside, windows), until_ns))


def _outside_ns(times_ns: observations.Times,
                outside: npt.NDArray[numpy.bool_],
                windows: Sequence[Window]) -> observations.Times:
    """Return the times outside of windows, which begin and end there."""
    starts_ns = numpy.array([one.start_ns for one in windows], numpy.int64)
    ends_ns = numpy.array([one.end_ns for one in windows], numpy.int64)
    at_ns = numpy.concatenate((starts_ns, starts_ns, ends_ns, times_ns))
    values_ns = numpy.concatenate((
        starts_ns, numpy.full_like(starts_ns, INSIDE), ends_ns,
        numpy.where(outside, times_ns, INSIDE)))
    values_ns[(at_ns < times_ns[0]) | (at_ns > times_ns[-1])] = INSIDE
    return values_ns[numpy.argsort(at_ns, kind='stable')]


def whole(seen: observations.Observations, since_ns: int,
          until_ns: int) -> OutageFigures:
    """Return the figures of an observation as a whole.

    :param seen: all that was seen of a guest
    :param since_ns: begin of the observation, CLOCK_MONOTONIC
    :param until_ns: end of the observation, CLOCK_MONOTONIC
    """
    return attribute(seen, (), since_ns, until_ns).control


def _between(seen: observations.Observations, since_ns: int,
             until_ns: int) -> observations.Observations:
    """Return what was asked between two times."""
    part = slice(*numpy.searchsorted(seen.sent_ns, (since_ns, until_ns)))
    return dataclasses.replace(
        seen, due_ns=seen.due_ns[part], sent_ns=seen.sent_ns[part],
        sent_error_ns=seen.sent_error_ns[part],
        answered_ns=seen.answered_ns[part])


def _where(outage: outages.Outage, windows: Sequence[Window]) -> str | None:
    """Return the name of the window in which an outage began.

    What was done in a window cannot have caused what was there before. The
    begin is known to half of the error bound or better.
    """
    for window in windows:
        if (outage.start_ns < window.end_ns and
                outage.start_ns + outage.error_bound_ns >= window.start_ns):
            return window.name
    return None


def _longest_span_ns(times_ns: observations.Times, steps: int) -> int:
    """Return the longest time between times that are so many steps apart.

    INSIDE is no time, and what lies around it does not belong together. If
    there are not as many times: all the time there is.
    """
    known = times_ns != INSIDE
    whole_ns = int(times_ns[known].max() - times_ns[known].min()) if (
        known.any()) else 0
    if times_ns.size <= steps:
        return whole_ns
    together = numpy.lib.stride_tricks.sliding_window_view(
        known, steps + 1).all(axis=1)
    spans_ns = times_ns[steps:] - times_ns[:-steps]
    return int(spans_ns[together].max()) if together.any() else whole_ns


def _lost(seen: observations.Observations, pattern: patterns.Pattern,
          until_ns: int) -> npt.NDArray[numpy.bool_]:
    """Return which questions were lost, but for those still under way."""
    return ~seen.answered & (seen.sent_ns <= until_ns - pattern.late_ns)


def _figures(seen: observations.Observations, pattern: patterns.Pattern,
             chosen: npt.NDArray[numpy.bool_],
             found: Sequence[outages.Outage],
             scattered: npt.NDArray[numpy.bool_],
             times_ns: observations.Times, until_ns: int) -> OutageFigures:
    """Return the figures of some questions.

    :param chosen: which of all
    :param found: the outages that go with them
    :param scattered: which of all were lost outside of any outage
    :param times_ns: when they were asked, between the begin and the end of
        the time that is looked at; INSIDE where that is interrupted
    """
    answered = seen.answered & chosen
    delays_ns = (seen.answered_ns - seen.sent_ns)[answered]
    lost = chosen & _lost(seen, pattern, until_ns)
    return OutageFigures(
        sent=int(numpy.count_nonzero(chosen)),
        answered=int(numpy.count_nonzero(answered)),
        lost=int(numpy.count_nonzero(lost)),
        late=int(numpy.count_nonzero(delays_ns > pattern.late_ns)),
        scattered=int(numpy.count_nonzero(scattered & chosen)),
        outages=tuple(found),
        sending=_sending(seen, pattern, chosen, times_ns),
        delay_p50_s=pattern.usual_ns / schedule.NS if delays_ns.size else 0.0,
        delay_p99_s=pattern.high_ns / schedule.NS if delays_ns.size else 0.0,
        send_errors=seen.send_errors, send_error=seen.send_error)


def _sending(seen: observations.Observations, pattern: patterns.Pattern,
             chosen: npt.NDArray[numpy.bool_],
             times_ns: observations.Times) -> Sending:
    late_ns = (seen.sent_ns - seen.due_ns)[chosen]
    spans_ns = numpy.diff(seen.sent_ns)[chosen[1:] & chosen[:-1]]
    max_gap_ns = _longest_span_ns(times_ns, 1)
    # An outage that takes one question less than it needs to be told from
    # scattered losses lies between two that are so many steps apart. And one
    # that is not certain to be more than its own error is not reported.
    resolution_ns = (
        _longest_span_ns(times_ns, pattern.fewest_missed) +
        pattern.jitter_ns + outages.STAMP_ERROR_NS +
        2 * int(seen.sent_error_ns[chosen].max(initial=0)))
    p50_s, p99_s, max_s = (
        numpy.percentile(late_ns, (50, 99, 100), method='inverted_cdf') /
        schedule.NS if late_ns.size else (0.0, 0.0, 0.0))
    return Sending(
        period_s=seen.period_ns / schedule.NS,
        achieved_period_s=(
            float(spans_ns.mean()) / schedule.NS if spans_ns.size else 0.0),
        max_gap_s=max_gap_ns / schedule.NS,
        resolution_s=resolution_ns / schedule.NS,
        lateness_p50_s=float(p50_s), lateness_p99_s=float(p99_s),
        lateness_max_s=float(max_s))
