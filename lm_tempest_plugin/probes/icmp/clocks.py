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

"""From the kernel's receive stamps to a clock that nobody sets.

The kernel stamps what it receives with CLOCK_REALTIME, which can be set
while we look: then an outage would appear, or disappear, that never was. So
each stamp is moved to CLOCK_MONOTONIC with the distance of the two clocks
at the time when the stamp is read, and is given up for the time of reading
where the two were set apart just then.
"""

from collections.abc import Callable
import time

import numpy

from lm_tempest_plugin.probes import observations

# Two readings of the distance of the clocks differ by the time that passes
# within a reading; and a clock that is slewed, not stepped, moves by at most
# a tenth of the elapsed time (chrony's limit is 8.3 %).
JITTER_NS = 1_000_000
SLEW = 0.1
# A reading during which we were not running is made again, so many times.
READING_NS = 100_000
READINGS = 5
# No kernel stamp is negative, so this marks what has none.
NO_STAMP = -1


class StampConverter:
    """Turns CLOCK_REALTIME stamps into CLOCK_MONOTONIC times.

    :ivar steps: how often the wall clock was seen to be set
    :ivar refused: how many stamps could not be used
    """

    def __init__(self,
                 monotonic_ns: Callable[[], int] = time.monotonic_ns,
                 realtime_ns: Callable[[], int] = time.time_ns) -> None:
        """Read both clocks for the first time.

        :param monotonic_ns: reads CLOCK_MONOTONIC
        :param realtime_ns: reads CLOCK_REALTIME
        """
        self._monotonic_ns = monotonic_ns
        self._realtime_ns = realtime_ns
        self.steps = 0
        self.refused = 0
        self._unsettled = False
        self._read_ns, self._distance_ns = self._read()

    def _read(self) -> tuple[int, int]:
        """Return the time and how far ahead of it the wall clock is."""
        readings = []
        for _ in range(READINGS):
            before_ns = self._monotonic_ns()
            wall_ns = self._realtime_ns()
            after_ns = self._monotonic_ns()
            readings.append((after_ns - before_ns, after_ns,
                             wall_ns - (before_ns + after_ns) // 2))
            if after_ns - before_ns <= READING_NS:
                break
        _, now_ns, distance_ns = min(readings)
        return now_ns, distance_ns

    def refresh(self) -> bool:
        """Read both clocks again; return whether the wall clock was set."""
        now_ns, distance_ns = self._read()
        allowed_ns = JITTER_NS + SLEW * (now_ns - self._read_ns)
        stepped = abs(distance_ns - self._distance_ns) > allowed_ns
        self._read_ns, self._distance_ns = now_ns, distance_ns
        self.steps += stepped
        self._unsettled |= stepped
        return stepped

    def settle(self) -> None:
        """Trust stamps again: all from before a step have been read."""
        self._unsettled = False

    def to_monotonic_ns(self, stamps_ns: observations.Times,
                        earliest_ns: observations.Times
                        ) -> observations.Times:
        """Return when things were received, as CLOCK_MONOTONIC.

        To be called at once after the packets were read. A stamp cannot be
        used after a step of the wall clock until settle(), or if it lies
        before its earliest time or in the future; then the present stands
        for it.

        :param stamps_ns: the kernel's CLOCK_REALTIME stamps; NO_STAMP where
            it gave none
        :param earliest_ns: CLOCK_MONOTONIC before which each packet cannot
            have come: when what it answers was sent
        """
        self.refresh()
        received_ns = stamps_ns - self._distance_ns
        usable = ((stamps_ns != NO_STAMP) & (earliest_ns <= received_ns) &
                  (received_ns <= self._read_ns) & (not self._unsettled))
        self.refused += usable.size - int(numpy.count_nonzero(usable))
        return numpy.where(usable, received_ns, self._read_ns)
