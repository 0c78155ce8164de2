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

"""The machine that runs the benchmark: its load, and its own delays.

A figure that was measured while others used the CPUs says more about them
than about the tool.
"""

import os
import pathlib
import statistics
import time

STAT = pathlib.Path('/proc/stat')
# Place of the stolen time in the first line of STAT, after its name.
STEAL = 7
# The guest times, which come last, are included in the others.
COUNTED = 8
# A higher load, in processes, means that somebody else is at work.
QUIET_LOAD = 0.5
PERCENTS = 100


def cpu_times(text: str) -> tuple[int, int]:
    """Return the stolen and the whole CPU time so far, in ticks.

    :param text: content of /proc/stat
    """
    times = [int(field) for field in text.split('\n', 1)[0].split()[1:]]
    return times[STEAL], sum(times[:COUNTED])


class CpuWatch:
    """Load and stolen CPU time of the machine, from now on.

    :ivar load: load at the begin
    """

    def __init__(self) -> None:
        """Read the present values."""
        self.load = os.getloadavg()[0]
        self._stolen, self._all = cpu_times(STAT.read_text())

    def stolen(self) -> float:
        """Return the fraction of all CPU time that the hypervisor took."""
        stolen, total = cpu_times(STAT.read_text())
        return (stolen - self._stolen) / max(1, total - self._all)


def sleep_lateness(duration_s: float, step_s: float) -> dict[str, float]:
    """Measure how late a process wakes up that only sleeps.

    No prober can do better. It is the delay of the machine itself, with its
    hypervisor and all other users.

    :param duration_s: length of the measurement, in seconds
    :param step_s: time between two wake-ups, in seconds
    :returns: median, 99th percentile and maximum, in seconds
    """
    late_s = []
    begin_s = time.monotonic()
    for number in range(1, round(duration_s / step_s)):
        due_s = begin_s + number * step_s
        remaining_s = due_s - time.monotonic()
        if remaining_s > 0:
            time.sleep(remaining_s)
        late_s.append(time.monotonic() - due_s)
    cuts = statistics.quantiles(late_s, n=PERCENTS)
    return {'lateness_p50_s': statistics.median(late_s),
            'lateness_p99_s': cuts[-1], 'lateness_max_s': max(late_s)}
