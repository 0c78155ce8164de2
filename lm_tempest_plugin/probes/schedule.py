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

"""When to send: absolute deadlines, and how well they were met."""

import array
from collections.abc import Callable
import dataclasses
import math
import time

NS = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Lateness:
    """How late things happened, in seconds, against their deadlines.

    :ivar count: deadlines that were met, late or not
    :ivar missed: deadlines that were left out, because a later one had
        already come when their turn came; the lateness is counted from the
        first of those that were over
    """

    count: int
    missed: int
    p50_s: float
    p99_s: float
    max_s: float


class Ticker:
    """Deadlines at equal distances from the first, whatever happens between.

    The deadlines do not drift: each is start + n * period. Where one was
    slept through, what is over is left out, not made up for in a burst.
    """

    def __init__(self, period_s: float,
                 clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Start now: the first deadline is one period away.

        :param period_s: distance of the deadlines in seconds, above 0
        :param clock: what tells the time, in nanoseconds
        """
        if period_s <= 0:
            raise ValueError('a period must be above 0 s, not %s' % period_s)
        self.period_ns = round(period_s * NS)
        self._clock = clock
        self._next_ns = clock() + self.period_ns
        self._late_ns = array.array('q')
        self._missed = 0

    def remaining_s(self) -> float:
        """Return the seconds until the next deadline; 0 when it is over."""
        return max(0.0, (self._next_ns - self._clock()) / NS)

    def due(self) -> bool:
        """Return whether a deadline has come; if so, go on to the next."""
        now_ns = self._clock()
        late_ns = now_ns - self._next_ns
        if late_ns < 0:
            return False
        missed = late_ns // self.period_ns
        self._missed += missed
        self._late_ns.append(late_ns)
        self._next_ns += (missed + 1) * self.period_ns
        return True

    def lateness(self) -> Lateness:
        """Return how well the deadlines were met up to now."""
        late_ns = sorted(self._late_ns)
        return Lateness(
            count=len(late_ns), missed=self._missed,
            p50_s=percentile(late_ns, 50) / NS,
            p99_s=percentile(late_ns, 99) / NS,
            max_s=percentile(late_ns, 100) / NS)


def percentile(ordered: list[int], percent: float) -> int:
    """Return the smallest value that is not below so many of the others.

    :param ordered: values in ascending order; of none the percentile is 0
    :param percent: above 0, at most 100
    """
    if not ordered:
        return 0
    rank = math.ceil(len(ordered) * percent / 100)
    return ordered[max(rank, 1) - 1]
