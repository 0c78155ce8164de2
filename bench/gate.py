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

"""Measure how often a gate errs, with simulated live migrations.

Durations and outages are spread as on the lab. Each scenario is a change of
nova with a known effect; its gates are judged look by look, by lab.gate.

    python -m bench.gate [--gates N] [--spread PERCENT] [--seed N]
"""

import argparse
import collections
from collections.abc import Iterator
import dataclasses
import sys

import msgspec
import numpy

from lab.gate import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit.results import builders

#: Outages of single migrations on a quiet lab, in seconds.
OUTAGES_S = (
    0.0, 0.10, 0.10, 0.10, 0.10, 0.10, 0.11, 0.11, 0.11, 0.11, 0.15, 0.15,
    0.15, 0.15, 0.15, 0.15, 0.15, 0.16, 0.16, 0.16, 0.16, 0.16, 0.18, 0.18,
    0.18, 0.20, 0.20, 0.20, 0.20, 0.20, 0.21, 0.22, 0.25, 0.26, 0.26, 0.27,
    0.27, 0.30, 0.31, 0.31, 0.35, 0.37, 0.40, 0.42)
ERROR_BOUND_S = 0.09
#: Median duration of a single migration there, in seconds, and the standard
#: deviation of its logarithm.
DURATION_S, DURATION_SPREAD = 6.3, 0.17
#: The first migration after a start of nova takes this much longer.
WARM_UP_S = 6.0


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A change of nova with a known effect, and a claim about its verdicts.

    :ivar name: the effect
    :ivar wrong: the outcome that would be an error
    :ivar most_percent: it happens in at most this part of the gates
    :ivar longer_s: added to each outage
    :ivar slower: factor of each duration
    """

    name: str
    wrong: str
    most_percent: float
    longer_s: float = 0.0
    slower: float = 1.0


SCENARIOS = (
    Scenario('no effect', verdict.WORSE, 3.0),
    Scenario(f'durations {1 + verdict.DURATION_FRACTION:g} times as long',
             verdict.NO_WORSE, 5.0, slower=1 + verdict.DURATION_FRACTION),
    Scenario(f'outages {verdict.OUTAGE_S:g} s longer', verdict.NO_WORSE, 5.0,
             longer_s=verdict.OUTAGE_S),
    Scenario('outages 0.6 s longer', verdict.NO_WORSE, 1.0, longer_s=0.6))


def stall_s(outage_s: float) -> float:
    """Return the stall of a TCP connection that an outage causes.

    TCP sends lost data again 0.2, 0.6, 1.4 and 3 s after the loss.
    """
    return next((each for each in (0.2, 0.6, 1.4, 3.0) if each > outage_s),
                2 * outage_s) + 0.1


def run_lines(random: numpy.random.Generator, scenario: Scenario,
              spread: float) -> Iterator[schema.Line]:
    """Yield the results of one run of a pair.

    :param random: source of random numbers
    :param scenario: effect of the change
    :param spread: standard deviation of the logarithm of the factor that all
        durations of the run have in common
    """
    factor = scenario.slower * random.lognormal(0, spread)
    number = 0
    for round_trip in (1, 2, 3):
        for _ in range(2):
            number += 1
            durations = factor * DURATION_S * random.lognormal(
                0, DURATION_SPREAD, 2)
            durations[0] += WARM_UP_S * (round_trip == 1)
            for line in builders.drain_lines(number, durations.tolist(),
                                             round_trip=round_trip):
                if isinstance(line, schema.MigrationResult):
                    outage_s = (float(random.choice(OUTAGES_S)) +
                                scenario.longer_s)
                    line = msgspec.structs.replace(
                        line, continuity=builders.continuity(
                            outage=builders.outage(outage_s,
                                                   error_s=ERROR_BOUND_S),
                            stall=builders.stall(stall_s(outage_s))))
                yield line


def add_run(results: store.Results, lines: Iterator[schema.Line]) -> None:
    """Add the lines of a run to results, without writing a file."""
    name = f'run-{len(results.drains)}'
    for line in lines:
        line = msgspec.structs.replace(line, run=name)
        if isinstance(line, schema.MigrationResult):
            results.migrations.append(line)
        elif isinstance(line, schema.DrainResult):
            results.drains.append(line)


def gate(random: numpy.random.Generator, scenario: Scenario,
         spread: float) -> tuple[str, int]:
    """Return the outcome of one gate, and the number of its pairs."""
    base, change = store.Results(), store.Results()
    unchanged = dataclasses.replace(scenario, longer_s=0.0, slower=1.0)
    pairs = 0
    for pairs in range(1, verdict.LOOKS[-1] + 1):
        add_run(base, run_lines(random, unchanged, spread))
        add_run(change, run_lines(random, scenario, spread))
        if pairs in verdict.LOOKS:
            found = verdict.look(base, change, len(verdict.LOOKS), 'BASE')
            if found.outcome != verdict.UNDECIDED:
                return found.outcome, pairs
    return verdict.UNDECIDED, pairs


def main(arguments: list[str]) -> int:
    """Run all scenarios, and print their outcomes and the claims.

    :param arguments: of the command line
    :returns: 0 if all claims hold
    """
    parser = argparse.ArgumentParser(
        prog='python -m bench.gate', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--gates', type=int, default=400, metavar='N',
                        help='gates of each scenario (default: %(default)s)')
    parser.add_argument('--spread', type=float, default=0.0,
                        metavar='PERCENT', help='how much all durations of '
                        'one run differ from those of another, beside '
                        'chance; claims are made for 0 (default: '
                        '%(default)g)')
    parser.add_argument('--seed', type=int, default=1, metavar='N',
                        help='seed of the random numbers (default: '
                        '%(default)s)')
    options = parser.parse_args(arguments)
    held = []
    for scenario in SCENARIOS:
        random = numpy.random.default_rng(options.seed)
        counts = collections.Counter(
            gate(random, scenario, options.spread / 100)
            for _ in range(options.gates))
        told = ', '.join(
            f'{outcome} after {pairs} pairs {count}'
            for (outcome, pairs), count in sorted(counts.items()))
        wrong = 100 / options.gates * sum(
            count for (outcome, _), count in counts.items()
            if outcome == scenario.wrong)
        held.append(wrong <= scenario.most_percent)
        print(f'{"PASS" if held[-1] else "FAIL"} {scenario.name}: '
              f'"{scenario.wrong}" in {wrong:.1f} % of gates, at most '
              f'{scenario.most_percent:g} % ({told})', flush=True)
    return 0 if all(held) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
