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

"""What is claimed about our prober, and whether it held."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import statistics

from bench.precision import results
from bench.precision import rows
from bench.precision import scenarios
from bench.precision import units

# None of these may be loosened.
SHARE_IN_PERIOD = 0.95
SHORTEST_S = 0.05
JITTER_S = 0.001
TIMES_BETTER = 15
MOST_CPU = 1.0
MOST_LATENESS_S = 0.003
TARGETS = 300
REFERENCE, METER = 'our probe 10 ms', 'Tempest meter'
NOT_LOOKED_AT = 'not looked at in this run'


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

    :ivar number: as it is known by
    :ivar text: what is claimed
    :ivar passed: whether it held; None if it was not looked at
    :ivar figures: what was seen
    """

    number: int
    text: str
    passed: bool | None
    figures: str

    @property
    def verdict(self) -> str:
        """The one word for it."""
        return {True: 'PASS', False: 'FAIL', None: '-'}[self.passed]


Verdict = tuple[bool | None, str]


def check(found: results.Results) -> list[Claim]:
    """Return all claims, each with its verdict."""
    checks: Sequence[tuple[str, Callable[[results.Results], Verdict]]] = (
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
        ('with CPU hogs: it says too_busy, or its bound covers the error',
         hogged))
    return [Claim(number, text, *checked(found))
            for number, (text, checked) in enumerate(checks, 1)]


def ours(several: Sequence[rows.Row]) -> list[rows.Row]:
    """Return the rows of our prober."""
    return [row for row in several if row.period_s is not None]


def quiet(several: Sequence[rows.Row]) -> list[rows.Row]:
    """Return the rows that were measured without hogs."""
    return [row for row in several if 'hogs' not in row.part]


def in_period(found: results.Results) -> Verdict:
    """Claim 1, for each prober and kind by itself."""
    told = [row for row in ours(found.readings)
            if row.part == 'trials' and row.length_s >= SHORTEST_S]
    if not told:
        return None, NOT_LOOKED_AT
    shares = {}
    for tool in rows.values(told, 'tool'):
        for kind in rows.values(told, 'kind'):
            some = rows.select(told, tool=tool, kind=kind)
            if some:
                shares['%s, %s (%d)' % (tool, kind, len(some))] = rows.share(
                    row.within_period for row in some)
    return (min(shares.values()) >= SHARE_IN_PERIOD,
            '; '.join('%s: %.1f %%' % (name, 100 * share)
                      for name, share in shares.items()))


def in_bound(found: results.Results) -> Verdict:
    """Claim 2, over all outages of known length but those with hogs."""
    told = quiet(ours(found.readings))
    if not told:
        return None, NOT_LOOKED_AT
    outside = [row for row in told if not row.within_bound]
    return not outside, '%d of %d errors outside%s' % (
        len(outside), len(told), ''.join(
            '; %s: %s of %g s, error %s, bound %s' % (
                row.tool, row.kind, row.length_s, units.ms(row.error_s),
                units.ms(row.bound_s)) for row in outside[:5]))


def random_loss(found: results.Results) -> Verdict:
    """Claim 3."""
    told = [one for one in found.scenarios if 'period_s' in one
            and one['scenario'] == scenarios.LOSS]
    if not told:
        return None, NOT_LOOKED_AT
    return (all(one['figure_s'] <= 2 * one['period_s'] + JITTER_S
                for one in told),
            '; '.join('%s, %.0f s: longest %s' % (
                one['tool'], one['length_s'], units.ms(one['figure_s']))
                for one in told))


def ten_outages(found: results.Results) -> Verdict:
    """Claim 4."""
    told = [one for one in found.scenarios if 'period_s' in one
            and one['scenario'] == scenarios.OUTAGES]
    if not told:
        return None, NOT_LOOKED_AT
    return (all(one['count'] == 10
                and abs(one['figure_s'] - 0.2) <= one['bound_s']
                for one in told),
            '; '.join('%s: %d counted, longest %s, bound %s' % (
                one['tool'], one['count'], units.ms(one['figure_s']),
                units.ms(one['bound_s'])) for one in told))


def better(found: results.Results) -> Verdict:
    """Claim 5, for the longer of our periods."""
    told = rows.select(found.readings, part='trials')
    own = rows.summarise(rows.select(told, tool=REFERENCE))
    meter = rows.summarise(rows.select(told, tool=METER))
    if own is None or meter is None:
        return None, NOT_LOOKED_AT
    return (own.median_abs_s * TIMES_BETTER <= meter.median_abs_s,
            '%s against %s: %.0f times' % (
                units.ms(own.median_abs_s), units.ms(meter.median_abs_s),
                meter.median_abs_s / max(own.median_abs_s, 1e-9)))


def many_targets(found: results.Results) -> Verdict:
    """Claim 6."""
    told = [one for one in found.scale if one['targets'] == TARGETS
            and 'lateness_p99_s' in one and 'hogs' not in one['part']]
    if not told:
        return None, NOT_LOOKED_AT
    cpu = statistics.median(one['cpu_share'] for one in told)
    late_s = [one['lateness_p99_s'] for one in told]
    parts = {one['part'] for one in told}
    idle_s = [one['lateness_p99_s'] for one in found.scale
              if not one['targets'] and one['part'] in parts]
    some = [row for one in told
            for row in rows.select(ours(found.readings), part=one['part'])]
    in_time = rows.share(row.within_period for row in some)
    outside = sum(not row.within_bound for row in some)
    return (cpu <= MOST_CPU
            and statistics.median(late_s) <= MOST_LATENESS_S
            and in_time >= SHARE_IN_PERIOD and not outside,
            'median of %d runs: %.2f cores, lateness p99 %s (%s to %s; of a '
            'process that only sleeps, before each run: %s); %d outages: '
            '%.1f %% within a period, %d outside the bound' % (
                len(told), cpu, units.ms(statistics.median(late_s)),
                units.ms(min(late_s)), units.ms(max(late_s)),
                ', '.join(map(units.ms, idle_s)), len(some),
                100 * in_time, outside))


def hogged(found: results.Results) -> Verdict:
    """Claim 7, for each process of our prober by itself."""
    told = [row for row in ours(found.readings) if 'hogs' in row.part]
    if not told:
        return None, NOT_LOOKED_AT
    passed, figures = True, []
    for part in rows.values(told, 'part'):
        for tool in rows.values(rows.select(told, part=part), 'tool'):
            some = rows.select(told, part=part, tool=tool)
            busy = found.run_of(part, tool).about['too_busy']
            outside = sum(not row.within_bound for row in some)
            passed = passed and (busy or not outside)
            figures.append('%s, %s: %d of %d outside%s' % (
                part, tool, outside, len(some),
                ', says too_busy' if busy else ''))
    return passed, '; '.join(figures)
