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

"""Measure the error of each tool's downtime figure; see --help."""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import pathlib
import platform
import random
import signal
import subprocess
import sys
import types

from bench.precision import children
from bench.precision import claims
from bench.precision import episodes
from bench.precision import results
from bench.precision import scale
from bench.precision import session
from bench.precision import tables
from bench.precision import tcp_stalls
from bench.precision import testbed

MODULE = 'bench.precision'
PARTS = ('trials', 'scenarios', 'tcp', 'scale', 'hogs')
HOG_LENGTHS_S = (0.05, 0.2, 1.0)
EXIT_FAILED, EXIT_ERROR, EXIT_INTERRUPTED = 1, 2, 130


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog=f'python -m {MODULE}',
        description='Create outages of known length, measure them with the '
        "plugin's prober and other tools, and check the claims. Needs root. "
        'The exit code is 0 if all claims hold, 1 if one does not, 2 on '
        'errors.')
    parser.add_argument('--quick', action='store_true',
                        help='run few trials, in about a minute and a half')
    parser.add_argument('--trials', type=positive, metavar='N',
                        help='trials of each kind and length (default: 12, '
                        'quick 1)')
    parser.add_argument('--lanes', type=positive, metavar='N', default=4,
                        help='trials at a time (default: %(default)s)')
    parser.add_argument('--hogs', type=positive, metavar='N', default=2,
                        help='number of CPU hogs (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=1,
                        help='seed of all random times (default: '
                        '%(default)s)')
    parser.add_argument('--out', type=pathlib.Path, metavar='DIR',
                        default=children.ROOT / 'bench-results',
                        help='output directory (default: bench-results)')
    parser.add_argument('--only', choices=PARTS, action='append',
                        help='run only this part; may be repeated')
    return parser.parse_args(argv)


def positive(value: str) -> int:
    """Convert a number of at least 1, for argparse."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{value} is less than 1')
    return number


def main() -> int:
    """Run the benchmark; return the exit code."""
    asked = arguments(sys.argv[1:])
    try:
        testbed.enter(MODULE, sys.argv[1:])
        signal.signal(signal.SIGTERM, terminated)
        # A shell makes background jobs and their children ignore SIGINT, but
        # this benchmark ends its tools with SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return measured(asked)
    except children.BenchError as exc:
        print(f'{MODULE}: {exc}', file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(f'{MODULE}: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED


def measured(asked: argparse.Namespace) -> int:
    """Measure and report; return the exit code.

    :raises BenchError: something failed; the results before that are
        reported all the same
    """
    found = results.BenchResults(facts={
        'seed': asked.seed, 'quick': asked.quick, 'lanes': asked.lanes,
        'kernel': platform.release(), 'Python': platform.python_version(),
        'CPUs': len(os.sched_getaffinity(0)),
        'ping': version('ping', '-V'), 'fping': version('fping', '-v')})
    try:
        run(asked, found)
    except children.BenchError as exc:
        found.facts['ended by'] = str(exc)
        raise
    finally:
        checked = claims.check(found)
        if found.runs:
            tables.publish(found, checked, asked.out)
    failed = any(claim.passed is False for claim in checked)
    return EXIT_FAILED if failed else 0


def terminated(number: int, frame: types.FrameType | None) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def run(asked: argparse.Namespace, found: results.BenchResults) -> None:
    """Run the parts that the user selected.

    :param asked: the parsed arguments
    :param found: where to add the results
    """
    parts = asked.only or PARTS
    dice = random.Random(asked.seed)
    watch = testbed.CpuWatch()
    found.facts['load before'] = f'{watch.load:.2f}'
    session.say(f'seed {asked.seed}')
    if watch.load > testbed.QUIET_LOAD:
        session.say(f'This machine is not idle: load {watch.load:.2f} (limit '
                    f'{testbed.QUIET_LOAD:g}). The results may be wrong.')
    planned = []
    if 'trials' in parts:
        planned += episodes.plan_trials(
            asked.trials or (1 if asked.quick else 12), asked.lanes, dice)
    if 'scenarios' in parts:
        planned += episodes.plan_scenarios(dice, asked.quick)
    if planned:
        session.run(found, planned, 'trials')
    with contextlib.closing(testbed.Far()) as far:
        if 'tcp' in parts:
            tcp_stalls.run(
                found, far, 1 if asked.quick else 3, asked.quick, dice)
        if 'scale' in parts:
            scale.run(found, far, asked.quick, dice)
        if 'hogs' in parts:
            with hogs(asked.hogs):
                run_hogged(found, far, asked, dice)
    found.facts['CPU time stolen'] = f'{100 * watch.stolen():.1f} %'


def run_hogged(found: results.BenchResults, far: testbed.Far,
               asked: argparse.Namespace, dice: random.Random) -> None:
    """Repeat the most sensitive parts while CPU hogs run."""
    session.run(found, episodes.plan_trials(
        1 if asked.quick else 4, asked.lanes, dice, HOG_LENGTHS_S),
        f'trials, {asked.hogs} hogs')
    scale.ours(found, far, f'scale, {asked.hogs} hogs', claims.TARGETS,
               1 if asked.quick else 4, dice)


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """Keep CPUs busy inside the context.

    :param count: number of processes
    """
    process = subprocess.Popen(
        ['stress-ng', '--quiet', '--cpu', str(count)],
        stdin=subprocess.DEVNULL, process_group=0)
    try:
        yield
    finally:
        children.interrupt(process)


def version(*command: str) -> str:
    """Return the first line that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].strip()


if __name__ == '__main__':
    sys.exit(main())
