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

"""Figures of outages and stalls in windows of time.

A window is a time in which something was done to a guest, such as a live
migration. An outage at another time has another cause. It is control data:
it shows the figures of the same guest while nothing is done.

A stall is the time between two successive echoes on a TCP stream: no
progress was made. It is given as it was seen, so it is longer than its cause
by up to the time between two messages. The kernel sends lost data again
after 0.2 s, 0.6 s, 1.4 s, 3.0 s and so on, so a stall is also longer than
the outage that caused it (see the option max_stall). If the connection
breaks, the stall continues until the first echo on the next one.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import outages
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.results import schema

# Among times, this stands for those inside windows.
INSIDE = -1


@dataclasses.dataclass(frozen=True)
class Window:
    """A time in which something was done.

    :ivar name: unique among the windows of a guest
    :ivar start_ns: CLOCK_MONOTONIC
    :ivar end_ns: CLOCK_MONOTONIC, after start_ns
    """

    name: str
    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise ValueError(f'window {self.name} must end after it begins')


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Figures of a guest, divided among the windows.

    :ivar windows: figures of each window, by its name
    :ivar control: figures of the time outside all windows
    """

    windows: dict[str, schema.OutageFigures]
    control: schema.OutageFigures


def attribute(seen: answers.Answers, windows: Sequence[Window],
              since_ns: int, until_ns: int) -> Attribution:
    """Compute the figures of each window, and of the time outside.

    An outage belongs to the window in which it began, with its full length.
    One that began in no window is control data.

    :param seen: all answers of a guest
    :param windows: with different names
    :param since_ns: earlier probes are left out, CLOCK_MONOTONIC
    :param until_ns: end of the measurement, CLOCK_MONOTONIC
    """
    seen = seen.select(slice(*numpy.searchsorted(
        seen.sent_ns, (since_ns, until_ns))))
    pattern = outages.usual_pattern(seen)
    found: dict[str | None, list[schema.Outage]] = {
        None: [], **{window.name: [] for window in windows}}
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


def _outside_ns(times_ns: answers.Times, outside: answers.Marks,
                windows: Sequence[Window]) -> answers.Times:
    """Return the times outside windows, with the windows' edges."""
    starts_ns = numpy.array([one.start_ns for one in windows], numpy.int64)
    ends_ns = numpy.array([one.end_ns for one in windows], numpy.int64)
    at_ns = numpy.concatenate((starts_ns, starts_ns, ends_ns, times_ns))
    values_ns = numpy.concatenate((
        starts_ns, numpy.full_like(starts_ns, INSIDE), ends_ns,
        numpy.where(outside, times_ns, INSIDE)))
    values_ns[(at_ns < times_ns[0]) | (at_ns > times_ns[-1])] = INSIDE
    return values_ns[numpy.argsort(at_ns, kind='stable')]


def whole(seen: answers.Answers, since_ns: int,
          until_ns: int) -> schema.OutageFigures:
    """Compute the figures of a whole measurement, without windows.

    :param seen: all answers of a guest
    :param since_ns: begin of the measurement, CLOCK_MONOTONIC
    :param until_ns: end of the measurement, CLOCK_MONOTONIC
    """
    return attribute(seen, (), since_ns, until_ns).control


def _where(outage: schema.Outage, windows: Sequence[Window]) -> str | None:
    """Return the name of the window in which an outage began.

    A migration cannot have caused an outage from before its window. The
    start is known to half of the error bound or better.
    """
    bound_ns = round(outage.error_bound_s * schedule.NS)
    for window in windows:
        if (outage.start_ns < window.end_ns and
                outage.start_ns + bound_ns >= window.start_ns):
            return window.name
    return None


def _longest_span_ns(times_ns: answers.Times, steps: int) -> int:
    """Return the longest time between times that are so many steps apart.

    No span reaches across INSIDE. If there are too few times: the whole
    time.
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


def _lost(seen: answers.Answers, pattern: outages.Pattern,
          until_ns: int) -> answers.Marks:
    """Return which probes were lost, except those still under way."""
    return ~seen.answered & (seen.sent_ns <= until_ns - pattern.late_ns)


def _figures(seen: answers.Answers, pattern: outages.Pattern,
             chosen: answers.Marks, found: Sequence[schema.Outage],
             scattered: answers.Marks, times_ns: answers.Times,
             until_ns: int) -> schema.OutageFigures:
    """Compute the figures of some probes.

    :param chosen: which probes
    :param found: their outages
    :param scattered: which probes were lost outside any outage
    :param times_ns: when the chosen ones were sent, between begin and end of
        the time in question; INSIDE where that is interrupted
    """
    answered = seen.answered & chosen
    delays_ns = (seen.answered_ns - seen.sent_ns)[answered]
    lost = chosen & _lost(seen, pattern, until_ns)
    sending = _sending(seen, pattern, chosen, times_ns)
    longest = outages.longest(found)
    return schema.OutageFigures(
        sent=int(numpy.count_nonzero(chosen)),
        answered=int(numpy.count_nonzero(answered)),
        lost=int(numpy.count_nonzero(lost)),
        late=int(numpy.count_nonzero(delays_ns > pattern.late_ns)),
        scattered=int(numpy.count_nonzero(scattered & chosen)),
        longest_s=longest.duration_s if longest else 0.0,
        error_bound_s=(
            longest.error_bound_s if longest else sending.resolution_s),
        open=any(outage.open for outage in found),
        sum_s=math.fsum(outage.duration_s for outage in found),
        outages=tuple(found), sending=sending,
        delay_p50_s=pattern.usual_ns / schedule.NS if delays_ns.size else 0.0,
        delay_p99_s=pattern.high_ns / schedule.NS if delays_ns.size else 0.0,
        send_errors=seen.send_errors, send_error=seen.send_error)


def _sending(seen: answers.Answers, pattern: outages.Pattern,
             chosen: answers.Marks, times_ns: answers.Times
             ) -> schema.Sending:
    late_ns = (seen.sent_ns - seen.due_ns)[chosen]
    spans_ns = numpy.diff(seen.sent_ns)[chosen[1:] & chosen[:-1]]
    # An outage with one probe less than it needs to be told from scattered
    # losses lies between two probes that are so many steps apart. And an
    # outage that may be shorter than its own error is not reported.
    resolution_ns = (
        _longest_span_ns(times_ns, pattern.fewest_missed) +
        pattern.jitter_ns + outages.STAMP_ERROR_NS +
        2 * int(seen.sent_error_ns[chosen].max(initial=0)))
    p50_s, p99_s, max_s = (
        numpy.percentile(late_ns, (50, 99, 100), method='inverted_cdf') /
        schedule.NS if late_ns.size else (0.0, 0.0, 0.0))
    return schema.Sending(
        period_s=seen.period_ns / schedule.NS,
        achieved_period_s=(
            float(spans_ns.mean()) / schedule.NS if spans_ns.size else 0.0),
        max_gap_s=_longest_span_ns(times_ns, 1) / schedule.NS,
        resolution_s=resolution_ns / schedule.NS,
        lateness_p50_s=float(p50_s), lateness_p99_s=float(p99_s),
        lateness_max_s=float(max_s))


def stalls(seen: tcp.StreamSeen, start_ns: int,
           end_ns: int) -> schema.StallFigures:
    """Compute the figures of a TCP stream in one window.

    A stall that began before the window or ended after it counts with its
    part in the window. If nothing has ever come back, the stall is the whole
    window.

    :param seen: everything about the stream, to the end of the window
    :param start_ns: begin of the window, CLOCK_MONOTONIC
    :param end_ns: end of the window, CLOCK_MONOTONIC
    :raises ValueError: the window does not end after it begins
    """
    if end_ns <= start_ns:
        raise ValueError('a window must end after it begins')
    echoes = seen.echoes
    first, beyond = numpy.searchsorted(echoes.sent_ns, (start_ns, end_ns))
    sent_ns = echoes.sent_ns[first:beyond]
    numbers = numpy.flatnonzero(echoes.answered)
    times_ns = echoes.answered_ns[numbers]
    inside = times_ns[(times_ns > start_ns) & (times_ns < end_ns)]
    edges = numpy.concatenate(([start_ns], inside, [end_ns]))
    longest = int(numpy.diff(edges).argmax())
    came_ns = echoes.answered_ns[:beyond]
    under_way = (came_ns > end_ns) | (came_ns == answers.UNANSWERED) & (
        numpy.arange(beyond) >= seen.expected)
    from_ns, to_ns = int(edges[longest]), int(edges[longest + 1])
    return schema.StallFigures(
        start_ns=from_ns, longest_s=(to_ns - from_ns) / schedule.NS,
        error_bound_s=_stall_error_bound_ns(
            seen, numbers, from_ns, to_ns) / schedule.NS,
        open=longest == inside.size,
        never_echoed=not times_ns.size or bool(times_ns[0] >= end_ns),
        sent=sent_ns.size,
        outstanding=int(numpy.count_nonzero(under_way)),
        period_s=echoes.period_ns / schedule.NS,
        achieved_period_s=float(numpy.diff(sent_ns).mean()) / schedule.NS
        if sent_ns.size > 1 else 0.0,
        broken='; '.join(
            one.why for one in seen.breaks_between(start_ns, end_ns)),
        breaks_total=len(seen.breaks),
        resets=seen.resets, closes=seen.closes, reconnects=seen.reconnects,
        connect_failures=seen.connect_failures,
        connect_error=seen.connect_error, lost=seen.lost,
        repeated=seen.repeated, corrupt=seen.corrupt, example=seen.example,
        skipped=seen.skipped, retransmissions=seen.retransmissions,
        last_sent=seen.last_sent, last_echoed=seen.last_echoed,
        error=seen.error, trouble=seen.trouble)


def _stall_error_bound_ns(seen: tcp.StreamSeen, numbers: answers.Places,
                          from_ns: int, to_ns: int) -> int:
    """Return by how much a stall may be longer than its cause.

    The cause began after the message that was echoed last had been sent; but
    not after the next one was sent, or the connection broke, because that
    was affected already. And the prober may have read the echoes at both
    ends too late.

    :param numbers: of the messages that were echoed
    """
    times_ns = seen.echoes.answered_ns[numbers]
    beyond = int(numpy.searchsorted(times_ns, from_ns, 'right'))
    came_ns = seen.watched_ns
    if beyond < times_ns.size:
        came_ns = int(times_ns[beyond] - seen.read_error_ns[numbers[beyond]])
    late_ns = max(0, to_ns - came_ns)
    if not beyond:
        return late_ns
    last = int(numbers[beyond - 1])
    sent_ns = int(seen.echoes.sent_ns[last])
    shown_ns = min([to_ns, *map(int, seen.echoes.sent_ns[last + 1:last + 2]),
                    *(broken.at_ns for broken in seen.breaks
                      if broken.at_ns > sent_ns)])
    return shown_ns - sent_ns + max(late_ns, int(seen.read_error_ns[last]))
