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


"""How late a process wakes up that does nothing but sleep.

No prober can be in time where this is not: it is what the machine itself
adds, its hypervisor and whoever else uses it included.
"""

import statistics
import time
from typing import Any

PERCENTS = 100


def watch(duration_s: float, step_s: float) -> dict[str, Any]:
    """Sleep until one absolute time after the other.

    :param duration_s: for so long, in seconds
    :param step_s: distance of these times, in seconds
    :returns: how late it was, in seconds: median, p99 and most
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
