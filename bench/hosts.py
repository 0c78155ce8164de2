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

"""Time, order and cross-checks of the coverage of many hosts.

Nothing migrates: the plan and its verdicts are data.

    python -m bench.hosts [--hosts N]
"""

import argparse
from collections.abc import Iterable
import sys
import time

from lm_tempest_plugin.migration import coverage

# Claims for 1,000 hosts: time of a plan with its verdicts, and of its
# migrations, if all take equally long, in parts of the lower bound.
HOSTS, SECONDS, BOUND = 1000, 1.0, 1.1
AT_ONCE = (1, 4, 20, 100, 1000)
ZONES = 7
# Of many hosts, so many cannot receive, and so many cannot send.
NO_RECEIVING_EVERY, NO_SENDING_EVERY = 97, 131


def main(arguments: list[str]) -> int:
    """Plan, judge, and print the figures.

    :param arguments: of the command line
    :returns: 0 if all claims hold
    """
    parser = argparse.ArgumentParser(
        prog='python -m bench.hosts', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--hosts', type=int, default=HOSTS, metavar='N',
                        help='number of hosts (default: %(default)s)')
    number = parser.parse_args(arguments).hosts
    hosts = [coverage.Host(
        f'host{each}', zone=f'zone{each % ZONES}',
        qemu=f'{9 + each % 2}.0.0') for each in range(number)]
    holds = True
    for kind in (coverage.RING, coverage.RELEASE):
        started_s = time.perf_counter()
        progress = coverage.Coverage(coverage.plan(hosts, kind))
        planned_s = time.perf_counter() - started_s
        checks = cover(progress)
        named = sum(not each.good for each in progress.verdicts())
        total_s = time.perf_counter() - started_s
        ratio = max(
            rounds(progress.plan.pairs, at_once) /
            progress.plan.rounds(at_once) for at_once in AT_ONCE)
        print(f'{kind}: {number} hosts, {len(progress.plan.pairs)} '
              f'migrations, {checks} cross-checks, {named} hosts not good; '
              f'plan {planned_s:.3f} s, with verdicts {total_s:.3f} s (limit '
              f'{SECONDS:g} s); rounds / lower bound {ratio:.3f} (limit '
              f'{BOUND:g})')
        holds &= total_s <= SECONDS and ratio <= BOUND
    return 0 if holds else 1


def cover(progress: coverage.Coverage) -> int:
    """Add the outcomes of all pairs; return the number of cross-checks."""
    found = 0
    pairs = progress.open_pairs()
    while pairs:
        for pair in pairs:
            source, destination = (int(name[4:]) + 1 for name in pair)
            bad = (not source % NO_SENDING_EVERY or
                   not destination % NO_RECEIVING_EVERY)
            progress.add(pair, coverage.PairOutcome(
                coverage.Result.BAD if bad else coverage.Result.GOOD, '?'))
        pairs = progress.cross_checks()
        found += len(pairs)
    return found


def rounds(pairs: Iterable[coverage.Pair], at_once: int) -> int:
    """Return how many equally long migrations follow one another.

    As in a drain, the next one begins as soon as its hosts are free.

    :param pairs: in the order of the plan
    :param at_once: maximum number of migrations at a time
    """
    waiting, number = list(pairs), 0
    while waiting:
        busy: set[str] = set()
        later, going_on = [], 0
        for pair in waiting:
            if going_on < at_once and not busy & set(pair):
                busy |= set(pair)
                going_on += 1
            else:
                later.append(pair)
        waiting, number = later, number + 1
    return number


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
