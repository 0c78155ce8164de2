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

"""The claims about our prober, and whether they hold."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import statistics

from bench.precision import episodes
from bench.precision import results

# None of these may be loosened.
SHARE_IN_PERIOD = 0.95
SHORTEST_S = 0.05
JITTER_S = 0.001
TIMES_BETTER = 15
MOST_CPU = 1.0
MOST_LATENESS_S = 0.003
TARGETS = 300
REFERENCE, METER = 'our probe 10 ms', 'Tempest meter'
NOT_MEASURED = 'not measured in this run'


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

    :ivar number: its number in the report
    :ivar text: the claim
    :ivar passed: whether it holds; None if it was not measured
    :ivar figures: the measured values
    """

    number: int
    text: str
    passed: bool | None
    figures: str

    @property
    def verdict(self) -> str:
        """PASS, FAIL or a dash."""
        return {True: 'PASS', False: 'FAIL', None: '-'}[self.passed]


Verdict = tuple[bool | None, str]


def check(found: results.BenchResults) -> list[Claim]:
    """Return all claims, each with its verdict."""
    checks: Sequence[tuple[str, Callable[[results.BenchResults], Verdict]]]
    checks = (
        ('outages of 0.05 s to 5 s, dropped and held: the error is at most '
         'one period in 95 % of the trials', in_period),
        ('the error never exceeds the printed error bound', in_bound),
        ('1 % random loss: no outage longer than two periods', random_loss),
        ('ten outages of 0.2 s: ten are counted, and the longest is 0.2 s',
         ten_outages),
        ('the median error is at least 15 times smaller than that of '
         'Tempest\'s meter', better),
        ('300 targets: at most one core, p99 of the lateness at most 3 ms, '
         'the same precision', many_targets),
        ('with CPU hogs: it reports too_busy, or its bound covers the error',
         hogged))
    return [Claim(number, text, *checked(found))
            for number, (text, checked) in enumerate(checks, 1)]


def ours(several: Sequence[results.OutageError]
         ) -> list[results.OutageError]:
    """Return the outages that our prober measured."""
    return [one for one in several if one.period_s is not None]


def in_period(found: results.BenchResults) -> Verdict:
    """Check claim 1, for each prober and kind by itself."""
    told = [one for one in ours(found.readings)
            if one.part == 'trials' and one.length_s >= SHORTEST_S]
    if not told:
        return None, NOT_MEASURED
    shares = {}
    for tool in results.values(told, 'tool'):
        for kind in results.values(told, 'kind'):
            some = results.select(told, tool=tool, kind=kind)
            if some:
                shares[f'{tool}, {kind} ({len(some)})'] = results.share(
                    one.within_period for one in some)
    return (min(shares.values()) >= SHARE_IN_PERIOD,
            '; '.join(f'{name}: {100 * share:.1f} %'
                      for name, share in shares.items()))


def in_bound(found: results.BenchResults) -> Verdict:
    """Check claim 2, over all outages of known length but those with hogs."""
    told = [one for one in ours(found.readings) if 'hogs' not in one.part]
    if not told:
        return None, NOT_MEASURED
    outside = [one for one in told if not one.within_bound]
    examples = ''.join(
        f'; {one.tool}: {one.kind} of {one.length_s:g} s, error '
        f'{results.ms(one.error_s)}, bound {results.ms(one.bound_s)}'
        for one in outside[:5])
    return (not outside,
            f'{len(outside)} of {len(told)} errors outside{examples}')


def random_loss(found: results.BenchResults) -> Verdict:
    """Check claim 3."""
    told = [one for one in found.scenarios if 'period_s' in one
            and one['scenario'] == episodes.RANDOM_LOSS]
    if not told:
        return None, NOT_MEASURED
    return (all(one['figure_s'] <= 2 * one['period_s'] + JITTER_S
                for one in told),
            '; '.join(f'{one["tool"]}, {one["length_s"]:.0f} s: longest '
                      f'{results.ms(one["figure_s"])}' for one in told))


def ten_outages(found: results.BenchResults) -> Verdict:
    """Check claim 4."""
    told = [one for one in found.scenarios if 'period_s' in one
            and one['scenario'] == episodes.TEN_OUTAGES]
    if not told:
        return None, NOT_MEASURED
    return (all(one['count'] == 10
                and abs(one['figure_s'] - 0.2) <= one['bound_s']
                for one in told),
            '; '.join(f'{one["tool"]}: {one["count"]} counted, longest '
                      f'{results.ms(one["figure_s"])}, bound '
                      f'{results.ms(one["bound_s"])}' for one in told))


def better(found: results.BenchResults) -> Verdict:
    """Check claim 5, for the longer of our periods."""
    told = results.select(found.readings, part='trials')
    own = results.summarise(results.select(told, tool=REFERENCE))
    meter = results.summarise(results.select(told, tool=METER))
    if own is None or meter is None:
        return None, NOT_MEASURED
    times = meter.median_abs_s / max(own.median_abs_s, 1e-9)
    return (own.median_abs_s * TIMES_BETTER <= meter.median_abs_s,
            f'{results.ms(own.median_abs_s)} against '
            f'{results.ms(meter.median_abs_s)}: {times:.0f} times')


def many_targets(found: results.BenchResults) -> Verdict:
    """Check claim 6."""
    told = [one for one in found.scale if one['targets'] == TARGETS
            and 'lateness_p99_s' in one and 'hogs' not in one['part']]
    if not told:
        return None, NOT_MEASURED
    cpu = statistics.median(one['cpu_share'] for one in told)
    late_s = [one['lateness_p99_s'] for one in told]
    parts = {one['part'] for one in told}
    idle = ', '.join(results.ms(one['lateness_p99_s']) for one in found.scale
                     if not one['targets'] and one['part'] in parts)
    some = [one for run in told for one in results.select(
        ours(found.readings), part=run['part'])]
    in_time = results.share(one.within_period for one in some)
    outside = sum(not one.within_bound for one in some)
    return (cpu <= MOST_CPU
            and statistics.median(late_s) <= MOST_LATENESS_S
            and in_time >= SHARE_IN_PERIOD and not outside,
            f'median of {len(told)} runs: {cpu:.2f} cores, lateness p99 '
            f'{results.ms(statistics.median(late_s))} '
            f'({results.ms(min(late_s))} to {results.ms(max(late_s))}; of a '
            f'process that only sleeps, before each run: {idle}); '
            f'{len(some)} outages: {100 * in_time:.1f} % within a period, '
            f'{outside} outside the bound')


def hogged(found: results.BenchResults) -> Verdict:
    """Check claim 7, for each process of our prober by itself."""
    told = [one for one in ours(found.readings) if 'hogs' in one.part]
    if not told:
        return None, NOT_MEASURED
    passed, figures = True, []
    for part in results.values(told, 'part'):
        for tool in results.values(results.select(told, part=part), 'tool'):
            some = results.select(told, part=part, tool=tool)
            busy = found.run_of(part, tool).about['too_busy']
            outside = sum(not one.within_bound for one in some)
            passed = passed and (busy or not outside)
            figures.append(
                f'{part}, {tool}: {outside} of {len(some)} outside'
                f'{", reports too_busy" if busy else ""}')
    return passed, '; '.join(figures)
