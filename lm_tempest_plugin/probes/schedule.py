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


"""When to send: absolute deadlines, and who is sent to at which of them."""

from collections.abc import Callable
import dataclasses
import time

NS = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A time that has come.

    :ivar slot: whose turn it is, from 0
    :ivar due_ns: when it came, CLOCK_MONOTONIC
    """

    slot: int
    due_ns: int


class Ticker:
    """Deadlines at equal distances from the first, whatever happens between.

    A period has one deadline for each slot, at equal distances, so that not
    everybody is sent to at once. The deadlines do not drift: each is start +
    n * period / slots. Where whole periods were slept through, they are left
    out, not made up for in a burst.
    """

    def __init__(self, period_s: float, slots: int = 1,
                 clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Start now: the first deadline is one period away.

        :param period_s: time between two deadlines of a slot, above 0 s
        :param slots: number of slots, at least 1
        :param clock: what tells the time, in nanoseconds
        """
        if period_s <= 0:
            raise ValueError('a period must be above 0 s, not %s' % period_s)
        self.period_ns = round(period_s * NS)
        self._clock = clock
        first_ns = clock() + self.period_ns
        self._next_ns = [first_ns + slot * self.period_ns // slots
                         for slot in range(slots)]
        self._slot = 0

    def remaining_s(self) -> float:
        """Return the seconds until the next deadline; 0 when it is over."""
        return max(0.0, (self._next_ns[self._slot] - self._clock()) / NS)

    def due(self) -> Deadline | None:
        """Return a deadline that has come, and go on to the next.

        :returns: None if none has come; where some of a slot were slept
            through, the first of them, against which one is late
        """
        slot = self._slot
        due_ns = self._next_ns[slot]
        late_ns = self._clock() - due_ns
        if late_ns < 0:
            return None
        self._next_ns[slot] += (late_ns // self.period_ns + 1) * self.period_ns
        self._slot = min(range(len(self._next_ns)),
                         key=self._next_ns.__getitem__)
        return Deadline(slot, due_ns)
