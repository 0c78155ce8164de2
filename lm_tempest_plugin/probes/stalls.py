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

"""From the echoes of a TCP connection to stalls, by pure arithmetic.

A stall is a time between two echoes that follow each other: the connection
made no progress. It is given as it was seen, so that it is longer than what
caused it by up to one distance of two messages. The kernel sends lost data
again after 0.2 s, 0.6 s, 1.4 s, 3.0 s and so on, so a stall is also longer
than the outage that caused it: see max_stall among the options.
"""

from collections.abc import Iterable
import dataclasses
import itertools
from typing import Any

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import tcp


@dataclasses.dataclass(frozen=True)
class StallFigures:
    """What the echoes of one connection say about one window.

    :ivar start_ns: when the longest stall began, CLOCK_MONOTONIC
    :ivar longest_s: the longest time between two echoes
    :ivar open: whether it had not ended when the window did
    :ivar sent: messages sent in the window
    :ivar outstanding: messages sent before the window's end that had not
        come back then
    :ivar lost: messages left out by the guest, since the beginning
    :ivar repeated: messages that came back twice, since the beginning
    :ivar corrupt: what came back and was never sent, since the beginning
    :ivar example: the first of the corrupt
    :ivar broken: why the connection broke; empty if it lives
    :ivar period_s: nominal distance of two messages
    """

    start_ns: int
    longest_s: float
    open: bool
    sent: int
    outstanding: int
    lost: int
    repeated: int
    corrupt: int
    example: str
    broken: str
    period_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {
            'longest_stall_s': self.longest_s,
            'longest_stall_open': self.open,
            'tcp_messages_sent': self.sent,
            'tcp_messages_outstanding': self.outstanding,
            'tcp_messages_lost': self.lost,
            'tcp_messages_repeated': self.repeated,
            'tcp_messages_corrupt': self.corrupt,
            'tcp_connection_broken': self.broken,
            'tcp_period_s': self.period_s,
        }


def figures(seen: tcp.StreamSeen, start_ns: int,
            end_ns: int) -> StallFigures:
    """Return what was seen of a connection in one window.

    A stall that began before the window or ended after it counts as far as
    it lies in the window.

    :param seen: all that was seen; it must reach to the end of the window
    :param start_ns: begin of the window, CLOCK_MONOTONIC
    :param end_ns: end of the window, CLOCK_MONOTONIC
    """
    if end_ns <= start_ns:
        raise ValueError('a window must end after it begins')
    echoes = seen.echoes
    first = echoes.first_sent_at_or_after(start_ns)
    beyond = echoes.first_sent_at_or_after(end_ns)
    times_ns = [time_ns for time_ns in echoes.answered_ns
                if time_ns != observations.UNANSWERED]
    longest_ns, from_ns, is_open = _longest(times_ns, start_ns, end_ns)
    return StallFigures(
        start_ns=from_ns, longest_s=longest_ns / schedule.NS, open=is_open,
        sent=beyond - first,
        outstanding=_outstanding(echoes, beyond, end_ns),
        lost=seen.lost, repeated=seen.repeated, corrupt=seen.corrupt,
        example=seen.example, broken=seen.broken,
        period_s=echoes.period_ns / schedule.NS)


def _longest(times_ns: Iterable[int], start_ns: int,
             end_ns: int) -> tuple[int, int, bool]:
    """Return length, start and openness of the longest time without echo.

    :param times_ns: when the echoes came, in ascending order
    """
    inside = [time_ns for time_ns in times_ns if start_ns < time_ns < end_ns]
    edges = [start_ns, *inside, end_ns]
    spans = [(after - before, before, after == end_ns)
             for before, after in itertools.pairwise(edges)]
    return max(spans, key=lambda span: span[0])


def _outstanding(echoes: observations.Observations, beyond: int,
                 end_ns: int) -> int:
    """Return how many messages had not come back at the window's end."""
    return sum(1 for i in range(beyond) if not
               0 <= echoes.answered_ns[i] <= end_ns)
