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


"""What the probes find where nothing can be wrong: on the loopback.

It takes as many guests as there will be, so that this machine has as much
to do as later.
"""

import dataclasses
import time
from typing import Any

import numpy

from lm_tempest_plugin.probes.analysis import quality
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import prober as icmp
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule

# All of 127.0.0.0/8 is this machine.
HOSTS = 254


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the probes found on the loopback.

    :ivar targets: number of addresses
    :ivar duration_s: how long
    :ivar noise_floor_s: the longest time between two answers beyond one
        period: as much may be found of a guest to whom nothing happens
    :ivar delay_p50_s: median delay of an answer
    :ivar delay_p99_s: 99 of 100 answers took no longer
    :ivar quality: how well the prober kept its schedule
    """

    targets: int
    duration_s: float
    noise_floor_s: float
    delay_p50_s: float
    delay_p99_s: float
    quality: quality.Quality

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {
            'targets': self.targets,
            'duration_s': self.duration_s,
            'noise_floor_s': self.noise_floor_s,
            'delay_p50_s': self.delay_p50_s,
            'delay_p99_s': self.delay_p99_s,
            'achieved_period_s': self.quality.achieved_period_s,
            'lateness_p50_s': self.quality.lateness_p50_s,
            'lateness_p99_s': self.quality.lateness_p99_s,
            'lateness_max_s': self.quality.lateness_max_s,
            'too_busy': self.quality.too_busy,
        }


def calibrate(targets: int, period_s: float,
              duration_s: float) -> Calibration:
    """Probe the loopback for a short time.

    :param targets: number of addresses, at least 1
    :param period_s: time between two requests to one address
    :param duration_s: how long, at least some periods
    :raises ProbeError: this machine does not let us send ICMP echo
        requests, or its loopback does not answer
    """
    addresses = ['127.0.%d.%d' % (number // HOSTS, number % HOSTS + 1)
                 for number in range(targets)]
    with icmp.IcmpProber(addresses, period_s) as prober:
        time.sleep(duration_s)
    seen = [prober.seen(address) for address in addresses]
    delays_ns = numpy.concatenate(
        [(one.answered_ns - one.sent_ns)[one.answered] for one in seen])
    if not delays_ns.size:
        raise errors.ProbeError(
            'the loopback of this machine (%s) did not answer ICMP echo '
            'requests within %g s; is it up?' % (addresses[0], duration_s))
    p50_s, p99_s = numpy.percentile(
        delays_ns, (50, 99), method='inverted_cdf') / schedule.NS
    return Calibration(
        targets=targets, duration_s=duration_s,
        noise_floor_s=max(map(_noise_s, seen)),
        delay_p50_s=float(p50_s), delay_p99_s=float(p99_s),
        quality=quality.quality(
            seen, period_s, prober.clock_steps, prober.stamps_refused,
            prober.answers_dropped))


def _noise_s(seen: observations.Observations) -> float:
    """Return the longest time between two answers beyond one period."""
    came_ns = numpy.sort(seen.answered_ns[seen.answered])
    longest_ns = int(numpy.diff(came_ns).max(initial=0))
    return max(0, longest_ns - seen.period_ns) / schedule.NS
