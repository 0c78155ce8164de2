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

"""The results as tables: titles, column names and cells."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from bench.precision import claims
from bench.precision import results
from bench.precision import rows
from bench.precision import units


@dataclasses.dataclass(frozen=True)
class Table:
    """A table to be printed, all of it text."""

    title: str
    columns: Sequence[str]
    cells: Sequence[Sequence[str]]


ERROR_COLUMNS = (
    'trials', 'no figure', 'read 0', 'median error', 'median |error|',
    'p95 |error|', 'max |error|', '<= period', 'in bound', 'median bound')
LATENESS = ('lateness_p50_s', 'lateness_p99_s', 'lateness_max_s')


def tables(found: results.Results,
           checked: Sequence[claims.Claim]) -> list[Table]:
    """Return all tables that have something in them."""
    made = [errors(found.readings, part)
            for part in rows.values(found.readings, 'part')]
    if rows.select(found.readings, part='trials'):
        made.insert(1, by_length(found.readings))
    made += [scenarios(found.scenarios), tcp(found.tcp), scale(found.scale),
             runs(found.runs), responders(found.responders),
             verdicts(checked)]
    return [table for table in made if table.cells]


def errors(several: Sequence[rows.Row], part: str) -> Table:
    """Return the errors of each tool in one part, by kind."""
    told = rows.select(several, part=part)
    return Table('Errors by tool: %s' % part, ('tool', 'kind', *ERROR_COLUMNS),
                 error_cells(told, ('tool', 'kind')))


def by_length(several: Sequence[rows.Row]) -> Table:
    """Return the errors of each tool in the trials, by kind and length."""
    told = sorted(rows.select(several, part='trials'),
                  key=lambda row: (row.kind, row.length_s))
    return Table('Errors by tool and length: trials',
                 ('kind', 'length from', 'tool', *ERROR_COLUMNS),
                 error_cells(told, ('kind', 'length_s', 'tool')))


def error_cells(several: Sequence[rows.Row],
                names: Sequence[str]) -> list[list[str]]:
    """Return a line for each set of values that these columns have."""
    groups: dict[tuple[Any, ...], list[rows.Row]] = {}
    for row in several:
        groups.setdefault(tuple(getattr(row, name) for name in names),
                          []).append(row)
    return [[*(key if isinstance(key, str) else '%g s' % key for key in keys),
             *summary_cells(rows.summarise(group), len(group))]
            for keys, group in groups.items()]


def summary_cells(summary: rows.Summary | None, trials: int) -> list[str]:
    """Return statistics as cells; None is a tool that never said anything."""
    if summary is None:
        return [str(trials), str(trials)] + ['-'] * (len(ERROR_COLUMNS) - 2)
    return [
        str(summary.trials), str(summary.silent), str(summary.zero),
        '%+.1f ms' % (1000 * summary.median_s), units.ms(summary.median_abs_s),
        units.ms(summary.p95_abs_s), units.ms(summary.max_abs_s),
        percent(summary.in_period), percent(summary.in_bound),
        units.ms(summary.bound_s)]


def scenarios(several: Sequence[dict[str, Any]]) -> Table:
    """Return what was said about each scenario."""
    return Table(
        'Scenarios',
        ('scenario', 'seconds', 'dropped', 'kept', 'tool', 'says', 'bound',
         'outages', 'their sum', 'lost', 'late'),
        [[one['scenario'], '%.1f' % one['length_s'], str(one['dropped']),
          str(one['kept']), one['tool'], units.ms(one['figure_s']),
          units.ms(one.get('bound_s')), text(one.get('count')),
          units.ms(one.get('sum_s')), text(one.get('lost')),
          text(one.get('late'))] for one in several])


def tcp(several: Sequence[dict[str, Any]]) -> Table:
    """Return the stalls of TCP streams."""
    return Table(
        'TCP streams, our probe',
        ('kind', 'true length', 'stall', 'stall - length', 'bound',
         'ICMP outage', 'resets', 'error'),
        [[one['kind'],
          *times(one, 'truth_s', 'stall_s', 'excess_s', 'bound_s', 'icmp_s'),
          text(one['resets']), text(one['error'])]
         for one in sorted(several, key=lambda one: (
             one['kind'], one['length_s']))])


def scale(several: Sequence[dict[str, Any]]) -> Table:
    """Return what it costs to watch so many targets."""
    return Table(
        'Number of targets',
        ('part', 'tool', 'cores', 'period', 'lateness p50', 'p99', 'max',
         'too busy', 'error'),
        [[one['part'], one['tool'],
          '%.2f' % one['cpu_share'] if 'cpu_share' in one else '-',
          *times(one, 'achieved_period_s', *LATENESS),
          text(one.get('too_busy')), text(one.get('error'))]
         for one in several])


def runs(several: Sequence[results.Run]) -> Table:
    """Return what our prober says about itself."""
    return Table(
        'Our prober about itself',
        ('part', 'name', 'targets', 'cores', 'period', 'lateness p50', 'p99',
         'max', 'missed', 'too busy', 'remarks'),
        [[run.part, run.name, str(run.targets),
          '%.2f' % (run.cpu_s / run.wall_s),
          *times(run.about, 'achieved_period_s', *LATENESS),
          text(run.about['deadlines_missed']), text(run.about['too_busy']),
          ' '.join(run.about['remarks'] + run.troubles) or '-']
         for run in several])


def responders(several: Sequence[dict[str, Any]]) -> Table:
    """Return how punctual the truth was."""
    return Table(
        'The responder about itself',
        ('part', 'priority', 'requests', 'answers', 'lateness p50', 'p99',
         'max'),
        [[one['part'], one['priority'], str(one['requests']),
          str(one['answers']), *times(one, *LATENESS)]
         for one in several])


def verdicts(checked: Sequence[claims.Claim]) -> Table:
    """Return the claims."""
    return Table('Claims', ('', 'claim', 'verdict', 'figures'),
                 [[str(claim.number), claim.text, claim.verdict,
                   claim.figures] for claim in checked])


def times(one: dict[str, Any], *names: str) -> list[str]:
    """Return cells for some of the durations of a record."""
    return [units.ms(one.get(name)) for name in names]


def percent(share: float | None) -> str:
    """Return a share to be read."""
    return '-' if share is None else '%.1f %%' % (100 * share)


def text(value: Any) -> str:
    """Return a cell for anything that may be missing."""
    if value is None or value == '':
        return '-'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return str(value)
