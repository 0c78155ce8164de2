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

"""From the echoes of a guest's lines to stalls, by pure arithmetic.

A stall is a time between two echoes that follow each other: no progress was
made. It is given as it was seen, so that it is longer than what caused it by
up to one distance of two messages. The kernel sends lost data again after
0.2 s, 0.6 s, 1.4 s, 3.0 s and so on, so a stall is also longer than the
outage that caused it: see max_stall among the options. A stall goes on when
the connection breaks, until the first echo on the next one.
"""

import dataclasses
from typing import Any

import numpy
from numpy import typing as npt

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import streams


@dataclasses.dataclass(frozen=True)
class StallFigures:
    """What the echoes of one guest's lines say about one window.

    :ivar start_ns: when the longest stall began, CLOCK_MONOTONIC
    :ivar longest_s: the longest time between two echoes
    :ivar error_bound_s: what held the echoes up may have lasted less than
        the longest stall by up to this: by the distance of the two messages
        at its start, and by how late the prober itself may have been
    :ivar open: whether it had not ended when the window did
    :ivar never_echoed: whether nothing had come back since the beginning:
        then the stall is the whole window
    :ivar sent: messages sent in the window
    :ivar outstanding: messages sent before the window's end that had not
        come back then, but for those that are lost
    :ivar period_s: nominal distance of two messages
    :ivar achieved_period_s: mean distance of two messages in the window; 0
        if unknown
    :ivar breaks: connections that broke in the window
    :ivar breaks_total: connections that broke, since the beginning like all
        that follows
    :ivar resets: connections that were reset
    :ivar closes: connections that the guest closed
    :ivar reconnects: how often a new connection brought an echo again
    :ivar connect_failures: how often no connection could be had
    :ivar connect_error: why, the last time
    :ivar lost: messages left out by the guest or lost with a connection
    :ivar repeated: messages that came back twice
    :ivar corrupt: what came back and was never sent
    :ivar example: the first of the corrupt
    :ivar skipped: messages not sent, for the kernel took no more
    :ivar retransmissions: segments that the kernel sent again
    :ivar last_sent: number of the last message that was sent; -1 if none
    :ivar last_echoed: number of the last that came back; -1 if none
    :ivar error: why the guest was given up; '' if it was not
    :ivar trouble: what is wrong at the time of looking; '' if nothing
    """

    start_ns: int
    longest_s: float
    error_bound_s: float
    open: bool
    never_echoed: bool
    sent: int
    outstanding: int
    period_s: float
    achieved_period_s: float
    breaks: tuple[streams.Break, ...] = ()
    breaks_total: int = 0
    resets: int = 0
    closes: int = 0
    reconnects: int = 0
    connect_failures: int = 0
    connect_error: str = ''
    lost: int = 0
    repeated: int = 0
    corrupt: int = 0
    example: str = ''
    skipped: int = 0
    retransmissions: int = 0
    last_sent: int = -1
    last_echoed: int = -1
    error: str = ''
    trouble: str = ''

    @property
    def broken(self) -> str:
        """Why connections broke in the window; '' if none did."""
        return '; '.join(seen.why for seen in self.breaks)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {
            'longest_stall_s': self.longest_s,
            'longest_stall_open': self.open,
            'stall_error_bound_s': self.error_bound_s,
            'tcp_never_echoed': self.never_echoed,
            'tcp_messages_sent': self.sent,
            'tcp_messages_outstanding': self.outstanding,
            'tcp_messages_lost': self.lost,
            'tcp_messages_repeated': self.repeated,
            'tcp_messages_corrupt': self.corrupt,
            'tcp_messages_corrupt_example': self.example,
            'tcp_messages_skipped': self.skipped,
            'tcp_last_sent': self.last_sent,
            'tcp_last_echoed': self.last_echoed,
            'tcp_connection_broken': self.broken,
            'tcp_breaks': len(self.breaks),
            'tcp_breaks_total': self.breaks_total,
            'tcp_resets': self.resets,
            'tcp_closes': self.closes,
            'tcp_reconnects': self.reconnects,
            'tcp_connect_failures': self.connect_failures,
            'tcp_connect_error': self.connect_error,
            'tcp_retransmissions': self.retransmissions,
            'tcp_error': self.error,
            'tcp_trouble': self.trouble,
            'tcp_period_s': self.period_s,
            'tcp_achieved_period_s': self.achieved_period_s,
        }


def figures(seen: streams.StreamSeen, start_ns: int,
            end_ns: int) -> StallFigures:
    """Return what was seen of a guest in one window.

    A stall that began before the window or ended after it counts as far as
    it lies in the window. If nothing has ever come back, the stall is the
    whole window.

    :param seen: all that was seen; it must reach to the end of the window
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
    from_ns, to_ns, is_open = _longest(times_ns, start_ns, end_ns)
    return StallFigures(
        start_ns=from_ns, longest_s=(to_ns - from_ns) / schedule.NS,
        error_bound_s=_error_bound_ns(
            seen, numbers, from_ns, to_ns) / schedule.NS,
        open=is_open,
        never_echoed=not times_ns.size or bool(times_ns[0] >= end_ns),
        sent=sent_ns.size,
        outstanding=_outstanding(seen, int(beyond), end_ns),
        period_s=echoes.period_ns / schedule.NS,
        achieved_period_s=float(numpy.diff(sent_ns).mean()) / schedule.NS
        if sent_ns.size > 1 else 0.0,
        breaks=tuple(broken for broken in seen.breaks
                     if start_ns <= broken.at_ns < end_ns),
        breaks_total=len(seen.breaks), resets=seen.resets,
        closes=seen.closes, reconnects=seen.reconnects,
        connect_failures=seen.connect_failures,
        connect_error=seen.connect_error, lost=seen.lost,
        repeated=seen.repeated, corrupt=seen.corrupt, example=seen.example,
        skipped=seen.skipped, retransmissions=seen.retransmissions,
        last_sent=seen.last_sent, last_echoed=seen.last_echoed,
        error=seen.error, trouble=seen.trouble)


def _longest(times_ns: observations.Times, start_ns: int,
             end_ns: int) -> tuple[int, int, bool]:
    """Return start, end and openness of the longest time without echo.

    :param times_ns: when the echoes came, in ascending order
    """
    inside = times_ns[(times_ns > start_ns) & (times_ns < end_ns)]
    edges = numpy.concatenate(([start_ns], inside, [end_ns]))
    longest = int(numpy.diff(edges).argmax())
    return (int(edges[longest]), int(edges[longest + 1]),
            longest == inside.size)


def _error_bound_ns(seen: streams.StreamSeen,
                    numbers: npt.NDArray[numpy.intp], from_ns: int,
                    to_ns: int) -> int:
    """Return by how much a stall may be longer than what caused it.

    The cause began after the message that was echoed last had been sent;
    but not after the next one was sent, or the connection broke, for that
    showed it. And the prober may have read the echoes at both ends too late.

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


def _outstanding(seen: streams.StreamSeen, beyond: int,
                 end_ns: int) -> int:
    """Return how many messages were under way at the window's end.

    :param beyond: number of the first message sent after it
    """
    answered_ns = seen.echoes.answered_ns[:beyond]
    coming = numpy.arange(beyond) >= seen.expected
    return int(numpy.count_nonzero(
        (answered_ns > end_ns) |
        (answered_ns == observations.UNANSWERED) & coming))
