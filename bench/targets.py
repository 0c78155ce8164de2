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


"""Cost and lateness of probes of many guests, beside fping.

One process probes 1,000 addresses every 100 ms, and then 300 every 10 ms. The
kernel answers in a network namespace that only this program has. fping does
the same afterwards. ``bench.precision`` says how exact the figures of 300
targets are.

    sudo python -m bench.targets [--seconds S]
"""

import argparse
import contextlib
import dataclasses
import os
import signal
import sys
import time

from bench.precision import children
from bench.precision import results
from bench.precision import scale
from bench.precision import testbed
from bench.precision import tools

# Numbers of targets, with the period of each.
CASES = ((1000, 0.1), (300, 0.01))
# Limits: share of one CPU; and lateness of 99 % of the requests, in parts of
# the period.
CPU_SHARE, LATENESS = 1.0, 1.0


@dataclasses.dataclass(frozen=True)
class TargetsCost:
    """Cost of our probes of some targets.

    :ivar cpu_share: CPU time in parts of the time that it probed
    :ivar period_s: time between two requests to one target
    :ivar lateness_p50_s: median lateness of a request
    :ivar lateness_p99_s: 99th percentile
    :ivar sleeper_p99_s: the same of a process that only sleeps: the delay of
        the machine itself
    :ivar too_busy: whether the probes themselves say so
    """

    cpu_share: float
    period_s: float
    lateness_p50_s: float
    lateness_p99_s: float
    sleeper_p99_s: float
    too_busy: bool

    def holds(self, interval_s: float) -> bool:
        """Return whether the limits are kept."""
        return (not self.too_busy and self.cpu_share <= CPU_SHARE and
                self.lateness_p99_s <= LATENESS * interval_s)

    def __str__(self) -> str:
        return (f'{self.cpu_share:.2f} CPUs (limit {CPU_SHARE:g}), one '
                f'request each {self.period_s * 1000:.1f} ms, lateness '
                f'{self.lateness_p50_s * 1000:.2f} ms (median) and '
                f'{self.lateness_p99_s * 1000:.2f} ms (99 %)' +
                (', too busy' if self.too_busy else '') +
                f'; a process that only sleeps: '
                f'{self.sleeper_p99_s * 1000:.2f} ms')


def ours(size: int, interval_s: float, seconds: float) -> TargetsCost:
    """Return the cost of our probes.

    :param size: number of targets
    :param interval_s: time between two requests to each
    :param seconds: length of the measurement
    """
    sleeper = testbed.sleep_lateness(scale.SLEEPER_S, scale.SLEEPER_STEP_S)
    probe = tools.ProbeProcess(
        [testbed.far_host(number) for number in range(size)], interval_s)
    probe.wait()
    time.sleep(seconds)
    report = probe.stop()
    about = report.self_report
    return TargetsCost(
        report.cpu_s / report.wall_s, about['achieved_period_s'],
        about['lateness_p50_s'], about['lateness_p99_s'],
        sleeper['lateness_p99_s'], report.too_busy)


def fping(size: int, interval_s: float, seconds: float) -> str:
    """Return the cost of fping as a text.

    :param size: number of targets
    :param interval_s: time between two requests to each
    :param seconds: length of the measurement
    """
    found = results.BenchResults()
    scale.fping(found, 'targets', size, seconds, interval_s)
    about, = found.scale
    if 'error' in about:
        return f'failed: {about["error"]}'
    return (f'{about["cpu_share"]:.2f} CPUs, one request each '
            f'{about["achieved_period_s"] * 1000:.1f} ms')


def main(arguments: list[str]) -> int:
    """Measure, and print the figures.

    :param arguments: of the command line
    :returns: 0 if the limits are kept, 2 if the benchmark itself failed
    """
    parser = argparse.ArgumentParser(
        prog='python -m bench.targets', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=20.0, metavar='S',
                        help='length of each measurement (default: '
                        '%(default)g)')
    seconds = parser.parse_args(arguments).seconds
    try:
        testbed.enter('bench.targets', arguments)
        # A shell makes background jobs ignore SIGINT, which ends the tools.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print(f'load {os.getloadavg()[0]:.1f} on '
              f'{len(os.sched_getaffinity(0))} CPUs', flush=True)
        held = True
        with contextlib.closing(testbed.Far()):
            for size, interval_s in CASES:
                case = f'{size} targets at {interval_s * 1000:g} ms'
                cost = ours(size, interval_s, seconds)
                held &= cost.holds(interval_s)
                print(f'{"PASS" if cost.holds(interval_s) else "FAIL"} '
                      f'{case}: {cost}', flush=True)
                print(f'     fping: {fping(size, interval_s, seconds)}',
                      flush=True)
        return 0 if held else 1
    except children.BenchError as exc:
        print(f'bench.targets: {exc}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
