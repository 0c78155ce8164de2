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

"""Number of targets: its costs, and its effect on precision."""

import random
import re
import subprocess
import tempfile
import time
from typing import Any

from bench.precision import children
from bench.precision import episodes
from bench.precision import nftables
from bench.precision import results
from bench.precision import session
from bench.precision import testbed
from bench.precision import tools

SIZES = (1, 10, 100, 300)
QUICK_SIZES = (300,)
INTERVAL_S = 0.01
# The machine is not always the same, so the claimed size is measured several
# times. Each time, the lateness of a process that only sleeps is measured
# before.
REPEATS, QUICK_REPEATS = 5, 1
SLEEPER_S = 3.0
SLEEPER_STEP_S = 0.002
# So many addresses are blocked, each for both lengths in each round.
ROUNDS, QUICK_ROUNDS = 2, 1
BLOCKED = 10
LENGTHS_S = (0.2, 1.0)
SPACING_S = 1.9
PHASE_S = 0.3
TAIL_S = 1.0
# fping accepts an answer for 10 s after the request, and ends if it runs out
# of sequence numbers within that time. So it has to run for longer.
FPING_MOST = 10
FPING_S, QUICK_FPING_S = 12.0, 4.0
SENT = re.compile(r'xmt/rcv/%loss = (\d+)/')


def plan(size: int, rounds: int, dice: random.Random,
         start_ns: int) -> list[nftables.Blockade]:
    """Return the outages of a few addresses.

    :param size: number of targets
    :param rounds: how often each is blocked for each length
    :param dice: source of the random numbers
    :param start_ns: when the first may begin
    """
    planned = []
    for host in range(min(size, BLOCKED)):
        for turn in range(rounds * len(LENGTHS_S)):
            begin_ns = start_ns + round(episodes.NS * (
                turn * SPACING_S + dice.uniform(0, PHASE_S)))
            length_s = episodes.draw_length(
                LENGTHS_S[turn % len(LENGTHS_S)], dice)
            planned.append(nftables.Blockade(
                testbed.far_host(host), begin_ns,
                begin_ns + round(length_s * episodes.NS)))
    return planned


def run(found: results.BenchResults, far: testbed.Far, quick: bool,
        dice: random.Random) -> None:
    """Measure more and more targets, and add the results.

    :param found: where to add them
    :param far: place of the targets
    :param quick: whether to measure the largest number only
    :param dice: source of the random numbers
    """
    for size in QUICK_SIZES if quick else SIZES:
        for turn in range(1, 1 + repeats(size, quick)):
            ours(found, far, f'scale, run {turn}', size,
                 QUICK_ROUNDS if quick else ROUNDS, dice)
        fping(found, 'scale', size, QUICK_FPING_S if quick else FPING_S)


def repeats(size: int, quick: bool) -> int:
    """Return how often a number of targets is measured.

    :param size: number of targets
    :param quick: whether once is enough in any case
    """
    if size < max(SIZES):
        return 1
    return QUICK_REPEATS if quick else REPEATS


def ours(found: results.BenchResults, far: testbed.Far, part: str,
         size: int, rounds: int, dice: random.Random) -> None:
    """Let our prober measure many targets while the kernel drops some.

    :param found: where to add the results
    :param far: place of the targets
    :param part: part of the benchmark, without the number
    :param size: number of targets
    :param rounds: see plan()
    :param dice: source of the random numbers
    """
    part = f'{part}, {size} targets'
    found.scale.append({
        'part': part, 'tool': 'sleeping only', 'targets': 0,
        **testbed.sleep_lateness(SLEEPER_S, SLEEPER_STEP_S)})
    addresses = [testbed.far_host(host) for host in range(size)]
    blocker = children.JsonChild('nftables', far.prefix)
    try:
        probe = tools.ProbeProcess(addresses, INTERVAL_S)
        start_ns = tools.start_ns([probe])
        blockades = plan(size, rounds, dice, start_ns)
        blocker.send([vars(one) for one in blockades])
        session.wait(part, max(one.end_ns for one in blockades)
                     / episodes.NS + TAIL_S)
        report = probe.stop()
        truth = blocker.finish()
    finally:
        blocker.kill()
    tools.check_started([report], start_ns)
    name = tools.our_name(INTERVAL_S)
    found.runs.append(results.ProbeRun.of(part, name, report))
    found.readings.extend(
        results.make(part, name, one, report.figure(
            one['address'], one['begin_ns'], one['end_ns']), INTERVAL_S)
        for one in truth)
    about = report.self_report
    found.scale.append({
        'part': part, 'tool': name, 'targets': size,
        'cpu_share': report.cpu_s / report.wall_s,
        'too_busy': report.too_busy,
        **{key: about[key] for key in (
            'achieved_period_s', 'lateness_p50_s', 'lateness_p99_s',
            'lateness_max_s')}})


def fping(found: results.BenchResults, part: str, size: int,
          duration_s: float, interval_s: float = INTERVAL_S) -> None:
    """Let fping measure as many targets, for its costs and its period.

    Without pauses between two targets (-i 0) it comes closest to the period.
    But with many targets its 65536 sequence numbers suffice only if it
    pauses.

    :param found: where to add the result
    :param part: part of the benchmark, without the number
    :param size: number of targets
    :param duration_s: length of the measurement, in seconds
    :param interval_s: time between two requests to each target
    """
    part = f'{part}, {size} targets'
    pause_ms = interval_s * 1000 / size if size > FPING_MOST else 0
    with tempfile.TemporaryFile() as output:
        started_s = time.monotonic()
        process = subprocess.Popen(
            ['fping', '-o', '-l', '-p', f'{interval_s * 1000:g}', '-i',
             f'{pause_ms:g}', '-t', '10',
             *map(testbed.far_host, range(size))],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=output, process_group=0)
        session.wait(f'{part}, fping', started_s + duration_s)
        wall_s = time.monotonic() - started_s
        cpu_s = children.interrupt(process)
        told = tools.read_all(output).strip()
    counts = [int(count) for count in SENT.findall(told)]
    about: dict[str, Any] = {
        'part': part, 'tool': 'fping', 'targets': size}
    if counts:
        about['cpu_share'] = cpu_s / wall_s
        about['achieved_period_s'] = wall_s * len(counts) / sum(counts)
    else:
        # Its sequence numbers do not suffice for so many.
        about['error'] = told.splitlines()[-1] if told else 'no output'
    found.scale.append(about)
