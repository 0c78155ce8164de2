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

"""The machine that all this runs on: who else uses it?

A figure that was measured while others had the CPUs tells more about them
than about the tool.
"""

import os
import pathlib

STAT = pathlib.Path('/proc/stat')
# Where things are in the first line of STAT, after its name.
STEAL = 7
# guest times, which come last, are part of the others.
COUNTED = 8
# Above this load, in processes, somebody else is at work.
QUIET_LOAD = 0.5


def cpu_times(text: str) -> tuple[int, int]:
    """Return stolen and all CPU time up to now, in ticks.

    :param text: what /proc/stat says
    """
    times = [int(field) for field in text.split('\n', 1)[0].split()[1:]]
    return times[STEAL], sum(times[:COUNTED])


class Watch:
    """What the machine was up to, from now on."""

    def __init__(self) -> None:
        """Begin to look."""
        self.load = os.getloadavg()[0]
        self._stolen, self._all = cpu_times(STAT.read_text())

    def stolen(self) -> float:
        """Return the share of all CPU time that the hypervisor took."""
        stolen, total = cpu_times(STAT.read_text())
        return (stolen - self._stolen) / max(1, total - self._all)
