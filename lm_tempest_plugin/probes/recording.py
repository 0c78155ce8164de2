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


"""Everything that was seen of some guests, as it is kept."""

from collections.abc import Mapping
import dataclasses
import time

from lm_tempest_plugin.probes.analysis import quality as qualities
from lm_tempest_plugin.probes import calibration as calibrations
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import streams


@dataclasses.dataclass(frozen=True)
class Clocks:
    """One time by both clocks.

    :ivar monotonic_ns: CLOCK_MONOTONIC
    :ivar wall_ns: CLOCK_REALTIME
    """

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def now(cls) -> 'Clocks':
        """Return the present."""
        return cls(time.monotonic_ns(), time.time_ns())

    def wall_s(self, monotonic_ns: int) -> float:
        """Return what a wall clock that nobody sets shows at a time.

        :param monotonic_ns: the time, CLOCK_MONOTONIC
        """
        return (self.wall_ns + monotonic_ns -
                self.monotonic_ns) / schedule.NS


@dataclasses.dataclass(frozen=True)
class Recording:
    """Everything that was seen of some guests.

    :ivar started: when it began
    :ivar ended_ns: when it ended, CLOCK_MONOTONIC
    :ivar period_s: time between two ICMP echo requests to one guest
    :ivar icmp: the answers to these, by address
    :ivar tcp: the echoes of TCP connections, by address
    :ivar wall_clock_steps: how often the wall clock was set
    :ivar kernel_stamps_refused: answers without a usable kernel time stamp
    :ivar answers_dropped: packets for which this machine had no room
    :ivar cpu_s: CPU time of this process meanwhile, in seconds
    :ivar calibration: what was found on the loopback before; None if
        nobody looked
    """

    started: Clocks
    ended_ns: int
    period_s: float
    icmp: Mapping[str, observations.Observations]
    tcp: Mapping[str, streams.StreamSeen]
    wall_clock_steps: int
    kernel_stamps_refused: int
    answers_dropped: int
    cpu_s: float
    calibration: calibrations.Calibration | None = None

    @property
    def duration_s(self) -> float:
        """How long it lasted, in seconds."""
        return (self.ended_ns - self.started.monotonic_ns) / schedule.NS

    @property
    def quality(self) -> qualities.Quality:
        """How well the prober kept its schedule."""
        return qualities.quality(
            list(self.icmp.values()), self.period_s, self.wall_clock_steps,
            self.kernel_stamps_refused, self.answers_dropped)
