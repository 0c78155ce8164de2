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

"""Quality of a measurement: how much the local machine itself adds."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import struct
import time
from typing import Any

import msgspec
import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.results import schema

# The machine was too busy if the 99th percentile of the lateness exceeds
# this fraction of a period, or if more than this fraction of the probes was
# never sent.
LATE_FRACTION = 0.5
MISSED_FRACTION = 0.01

# All of 127.0.0.0/8 is this machine. The last byte is from 1 to 254.
HOSTS = 254

LATENCY_DEVICE = '/dev/cpu_dma_latency'
# A signed number of 32 bits, in microseconds.
NO_LATENCY = struct.pack('=i', 0)


def build(**figures: Any) -> schema.ProberQuality:
    """Return a quality, with the verdict on whether the machine was too busy.

    :param figures: all fields but too_busy
    """
    quality = schema.ProberQuality(**figures, too_busy=False)
    return msgspec.structs.replace(
        quality, too_busy=_behind(quality) or quality.answers_dropped > 0)


def _behind(quality: schema.ProberQuality) -> bool:
    return (quality.lateness_p99_s > LATE_FRACTION * quality.period_s or
            quality.deadlines_missed > MISSED_FRACTION * quality.due)


def measure(seen: Sequence[answers.Answers], period_s: float,
            wall_clock_steps: int = 0, kernel_stamps_refused: int = 0,
            answers_dropped: int = 0) -> schema.ProberQuality:
    """Compute how well a prober kept its schedule.

    :param seen: answers of each guest
    :param period_s: nominal time between two probes of one guest
    :param wall_clock_steps: as the prober counted them
    :param kernel_stamps_refused: as the prober counted them
    :param answers_dropped: as the prober counted them
    """
    late_s = _seconds([one.sent_ns - one.due_ns for one in seen])
    sent_s = _seconds([numpy.diff(one.sent_ns) for one in seen])
    left_out = 0
    for one in seen:
        periods = numpy.rint(numpy.diff(one.due_ns) / schedule.NS / period_s)
        # A probe that was refused leaves a gap as well.
        left_out += max(0, int((periods - 1).sum()) - one.send_errors)
    p50_s, p99_s, max_s = (
        numpy.percentile(late_s, (50, 99, 100), method='inverted_cdf')
        if late_s.size else (0.0, 0.0, 0.0))
    return build(
        period_s=period_s,
        achieved_period_s=float(sent_s.mean()) if sent_s.size else 0.0,
        lateness_p50_s=float(p50_s), lateness_p99_s=float(p99_s),
        lateness_max_s=float(max_s),
        max_gap_s=float(sent_s.max(initial=0.0)),
        due=late_s.size + left_out, deadlines_missed=left_out,
        send_errors=sum(one.send_errors for one in seen),
        wall_clock_steps=wall_clock_steps,
        kernel_stamps_refused=kernel_stamps_refused,
        answers_dropped=answers_dropped)


def of_prober(prober: icmp.IcmpProber, seen: Sequence[answers.Answers]
              ) -> schema.ProberQuality:
    """Compute how well an ICMP prober kept its schedule.

    :param prober: with its own counters
    :param seen: answers of each guest
    """
    return measure(seen, prober.period_s, prober.clock_steps,
                   prober.stamps_refused, prober.answers_dropped)


def _seconds(parts_ns: Sequence[answers.Times]) -> answers.Seconds:
    """Return times in nanoseconds as one array in seconds."""
    return numpy.concatenate([*parts_ns, numpy.zeros(0)]) / schedule.NS


def remarks(quality: schema.ProberQuality) -> list[str]:
    """Return sentences for a reader of the figures; none if all is well."""
    found = []
    if _behind(quality):
        found.append(
            f'Measurement invalid: this machine fell behind, so outages up '
            f'to {quality.max_gap_s:.4f} s may have been missed. 1 '
            f'in 100 probes was late by {quality.lateness_p99_s:.4f} s or '
            f'more (limit {LATE_FRACTION * quality.period_s:g} s), '
            f'{quality.deadlines_missed} of {quality.due} were not sent '
            f'(limit {MISSED_FRACTION:.0%}), and the mean period was '
            f'{quality.achieved_period_s:.4f} s (requested: '
            f'{quality.period_s:g} s). The error bounds include this. Use a '
            f'quieter machine or a longer interval.')
    if quality.answers_dropped:
        found.append(
            f'Measurement invalid: this machine dropped '
            f'{quality.answers_dropped} answers, which count as lost (limit '
            f'0). Raise sysctl net.core.rmem_max.')
    if quality.send_errors:
        found.append(
            f'This machine refused to send {quality.send_errors} probes; '
            f'nothing is known about the guests at those times.')
    if quality.wall_clock_steps:
        found.append(
            f'The wall clock was set {quality.wall_clock_steps} times '
            f'meanwhile; the figures do not depend on it.')
    if quality.kernel_stamps_refused:
        found.append(
            f'{quality.kernel_stamps_refused} answers have no usable time '
            f'stamp from the kernel; the time when they were read is used '
            f'instead.')
    return found


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Figures of the loopback, where no guest and no network can be wrong.

    :ivar targets: number of addresses
    :ivar duration_s: length of the measurement
    :ivar noise_floor_s: longest time between two answers, minus one period:
        an undisturbed guest may show as much
    :ivar delay_p50_s: median delay of an answer
    :ivar delay_p99_s: 99th percentile of the delay
    :ivar quality: how well the prober kept its schedule
    """

    targets: int
    duration_s: float
    noise_floor_s: float
    delay_p50_s: float
    delay_p99_s: float
    quality: schema.ProberQuality


def calibrate(targets: int, period_s: float, duration_s: float) -> Calibration:
    """Probe the loopback for a short time.

    It takes as many addresses as there are guests, so that this machine has
    as much work as in the measurement.

    :param targets: number of addresses, at least 1
    :param period_s: time between two requests to one address
    :param duration_s: length, at least some periods
    :raises ProbeError: this machine does not permit ICMP echo requests, or
        its loopback does not answer
    """
    addresses = [f'127.0.{number // HOSTS}.{number % HOSTS + 1}'
                 for number in range(targets)]
    with icmp.IcmpProber(addresses, period_s) as prober:
        time.sleep(duration_s)
    seen = [prober.seen(address) for address in addresses]
    delays_ns = numpy.concatenate(
        [(one.answered_ns - one.sent_ns)[one.answered] for one in seen])
    if not delays_ns.size:
        raise errors.ProbeError(
            f'the loopback of this machine ({addresses[0]}) did not answer '
            f'ICMP echo requests within {duration_s:g} s; is it up?')
    p50_s, p99_s = numpy.percentile(
        delays_ns, (50, 99), method='inverted_cdf') / schedule.NS
    longest_ns = max(
        int(numpy.diff(numpy.sort(one.answered_ns[one.answered]))
            .max(initial=0)) - one.period_ns for one in seen)
    return Calibration(
        targets=targets, duration_s=duration_s,
        noise_floor_s=max(0, longest_ns) / schedule.NS,
        delay_p50_s=float(p50_s), delay_p99_s=float(p99_s),
        quality=of_prober(prober, seen))


@contextlib.contextmanager
def awake(device: str = LATENCY_DEVICE) -> Iterator[str]:
    """Keep this machine's CPUs from sleeping, where that is permitted.

    A CPU that sleeps wakes up late. In a virtual machine, whose hypervisor
    has to schedule it first, that takes milliseconds: as long as the outages
    to measure. Linux lets a process that may write to /dev/cpu_dma_latency
    (usually root) limit the time to wake up for as long as it keeps the file
    open (power/pm_qos_interface.rst of the kernel's documentation). All CPUs
    spin then instead of sleeping. cyclictest of rt-tests does the same.

    :param device: the file; another one for tests
    :returns: a context manager that gives the reason why it is not
        possible, or ''
    """
    with contextlib.ExitStack() as stack:
        reason = ''
        try:
            stack.enter_context(
                open(device, 'wb', buffering=0)).write(NO_LATENCY)
        except OSError as exc:
            reason = f'{device}: {exc.strerror}'
        yield reason
