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

"""The report: tables and a plot, printed and written to files."""

from collections.abc import Sequence
import dataclasses
import io
import json
import pathlib
from typing import Any

import matplotlib
from matplotlib import axes
from matplotlib import figure
import numpy
from rich import box
from rich import console
from rich import table as rich_table

from bench.precision import claims
from bench.precision import episodes
from bench.precision import results
from lm_tempest_plugin import utils

# Wide enough for every table where the output is no terminal.
PLAIN_COLUMNS = 200

ERROR_COLUMNS = (
    'trials', 'no figure', 'read 0', 'median error', 'median |error|',
    'p95 |error|', 'max |error|', '<= period', 'in bound', 'median bound')
LATENESS = ('lateness_p50_s', 'lateness_p99_s', 'lateness_max_s')

# The axis of the errors is linear up to this value, and logarithmic beyond
# it; in milliseconds.
LINEAR_MS = 10
BAND_MS = 10
LIMIT_MS = 10_000
# Trials of the same length are drawn side by side, tool by tool.
SPREAD = 0.22
MARKERS = 'osv^DPX'


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table whose cells are text."""

    title: str
    columns: Sequence[str]
    cells: Sequence[Sequence[str]]


def publish(found: results.BenchResults, checked: Sequence[claims.Claim],
            folder: pathlib.Path) -> None:
    """Print all tables, and write them, all raw figures and the plot.

    :param found: the results
    :param checked: the claims
    :param folder: created if necessary, and ignored by git
    """
    made = tables(found, checked)
    show(made)
    folder.mkdir(parents=True, exist_ok=True)
    raw = {**dataclasses.asdict(found),
           'claims': [dataclasses.asdict(claim) for claim in checked]}
    files: dict[str, str | bytes] = {
        '.gitignore': '*\n',
        'report.md': markdown(found, made),
        'results.json': json.dumps(raw, indent=1) + '\n'}
    if plotted(found.readings):
        for kind in ('png', 'svg'):
            files[f'errors.{kind}'] = draw(found.readings, kind)
    for name, content in files.items():
        utils.write_atomically(folder / name, content, 0o644)
    print(f'Written to {folder}')


def show(made: Sequence[TextTable]) -> None:
    """Print tables as plain text."""
    screen = console.Console(highlight=False, markup=False, emoji=False)
    if not screen.is_terminal:
        screen.width = PLAIN_COLUMNS
    for table in made:
        shown = rich_table.Table(title=table.title, box=box.ASCII2,
                                 title_justify='left')
        for name in table.columns:
            shown.add_column(name, overflow='fold')
        for line in table.cells:
            shown.add_row(*line)
        screen.print(shown)


def markdown(found: results.BenchResults, made: Sequence[TextTable]) -> str:
    """Return the whole report as Markdown."""
    facts = '\n'.join(f'- {name}: {fact}'
                      for name, fact in found.facts.items())
    parts = [f'# Precision of downtime figures\n\n{facts}\n']
    if plotted(found.readings):
        parts.append('![errors by length](errors.png)\n')
    parts.extend(as_markdown(table) for table in made)
    return '\n'.join(parts)


def as_markdown(table: TextTable) -> str:
    """Return one table as Markdown."""
    lines = [table.columns, ['---'] * len(table.columns), *table.cells]
    rows = (' | '.join(cell.replace('|', r'\|') for cell in line)
            for line in lines)
    return f'## {table.title}\n\n' + ''.join(
        f'| {row} |\n' for row in rows)


def tables(found: results.BenchResults,
           checked: Sequence[claims.Claim]) -> list[TextTable]:
    """Return all tables that are not empty."""
    made = [errors(found.readings, part)
            for part in results.values(found.readings, 'part')]
    if results.select(found.readings, part='trials'):
        made.insert(1, by_length(found.readings))
    made += [scenarios(found.scenarios), tcp(found.tcp), scale(found.scale),
             runs(found.runs), responders(found.responders),
             verdicts(checked)]
    return [table for table in made if table.cells]


def errors(several: Sequence[results.OutageError], part: str) -> TextTable:
    """Return the errors of each tool in one part, by kind."""
    told = results.select(several, part=part)
    return TextTable(
        f'Errors by tool: {part}', ('tool', 'kind', *ERROR_COLUMNS),
        error_cells(told, ('tool', 'kind')))


def by_length(several: Sequence[results.OutageError]) -> TextTable:
    """Return the errors of each tool in the trials, by kind and length."""
    told = sorted(results.select(several, part='trials'),
                  key=lambda one: (one.kind, one.length_s))
    return TextTable('Errors by tool and length: trials',
                     ('kind', 'length from', 'tool', *ERROR_COLUMNS),
                     error_cells(told, ('kind', 'length_s', 'tool')))


def error_cells(several: Sequence[results.OutageError],
                names: Sequence[str]) -> list[list[str]]:
    """Return a line for each combination of values of these fields."""
    groups: dict[tuple[Any, ...], list[results.OutageError]] = {}
    for one in several:
        groups.setdefault(tuple(getattr(one, name) for name in names),
                          []).append(one)
    return [[*(key if isinstance(key, str) else f'{key:g} s'
               for key in keys),
             *summary_cells(results.summarise(group), len(group))]
            for keys, group in groups.items()]


def summary_cells(summary: results.ErrorSummary | None,
                  trials: int) -> list[str]:
    """Return statistics as cells; None is a tool without any figure."""
    if summary is None:
        return [str(trials), str(trials)] + ['-'] * (len(ERROR_COLUMNS) - 2)
    return [
        str(summary.trials), str(summary.silent), str(summary.zero),
        f'{1000 * summary.median_s:+.1f} ms',
        *map(results.ms, (summary.median_abs_s, summary.p95_abs_s,
                          summary.max_abs_s)),
        percent(summary.in_period), percent(summary.in_bound),
        results.ms(summary.bound_s)]


def scenarios(several: Sequence[dict[str, Any]]) -> TextTable:
    """Return the figures of each tool for each scenario."""
    return TextTable(
        'Scenarios',
        ('scenario', 'seconds', 'dropped', 'kept', 'tool', 'figure', 'bound',
         'outages', 'their sum', 'lost', 'late'),
        [[one['scenario'], f'{one["length_s"]:.1f}', str(one['dropped']),
          str(one['kept']), one['tool'], results.ms(one['figure_s']),
          results.ms(one.get('bound_s')), text(one.get('count')),
          results.ms(one.get('sum_s')), text(one.get('lost')),
          text(one.get('late'))] for one in several])


def tcp(several: Sequence[dict[str, Any]]) -> TextTable:
    """Return the stalls of TCP streams."""
    return TextTable(
        'TCP streams, our probe',
        ('kind', 'true length', 'stall', 'stall - length', 'bound',
         'ICMP outage', 'resets', 'error'),
        [[one['kind'],
          *times(one, 'truth_s', 'stall_s', 'excess_s', 'bound_s', 'icmp_s'),
          text(one['resets']), text(one['error'])]
         for one in sorted(several, key=lambda one: (
             one['kind'], one['length_s']))])


def scale(several: Sequence[dict[str, Any]]) -> TextTable:
    """Return the costs of many targets."""
    return TextTable(
        'Number of targets',
        ('part', 'tool', 'cores', 'period', 'lateness p50', 'p99', 'max',
         'too busy', 'error'),
        [[one['part'], one['tool'],
          f'{one["cpu_share"]:.2f}' if 'cpu_share' in one else '-',
          *times(one, 'achieved_period_s', *LATENESS),
          text(one.get('too_busy')), text(one.get('error'))]
         for one in several])


def runs(several: Sequence[results.ProbeRun]) -> TextTable:
    """Return our prober's figures about itself."""
    return TextTable(
        'Our prober about itself',
        ('part', 'name', 'targets', 'cores', 'period', 'lateness p50', 'p99',
         'max', 'missed', 'too busy', 'remarks'),
        [[run.part, run.name, str(run.targets),
          f'{run.cpu_s / run.wall_s:.2f}',
          *times(run.about, 'achieved_period_s', *LATENESS),
          text(run.about['deadlines_missed']), text(run.about['too_busy']),
          ' '.join(run.about['remarks'] + run.troubles) or '-']
         for run in several])


def responders(several: Sequence[dict[str, Any]]) -> TextTable:
    """Return how punctual the truth was."""
    return TextTable(
        'The responder about itself',
        ('part', 'priority', 'requests', 'answers', 'lateness p50', 'p99',
         'max'),
        [[one['part'], one['priority'], str(one['requests']),
          str(one['answers']), *times(one, *LATENESS)]
         for one in several])


def verdicts(checked: Sequence[claims.Claim]) -> TextTable:
    """Return the claims."""
    return TextTable('Claims', ('', 'claim', 'verdict', 'figures'),
                     [[str(claim.number), claim.text, claim.verdict,
                       claim.figures] for claim in checked])


def times(one: dict[str, Any], *names: str) -> list[str]:
    """Return cells for some durations."""
    return [results.ms(one.get(name)) for name in names]


def percent(share: float | None) -> str:
    """Return a cell for a share."""
    return '-' if share is None else f'{100 * share:.1f} %'


def text(value: Any) -> str:
    """Return a cell for a value that may be missing."""
    if value is None or value == '':
        return '-'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return str(value)


def plotted(several: Sequence[results.OutageError]
            ) -> list[results.OutageError]:
    """Return the trials that the plot shows."""
    return [one for one in results.select(several, part='trials')
            if one.error_s is not None]


def draw(several: Sequence[results.OutageError], kind: str) -> bytes:
    """Plot error against length for each tool, of all trials.

    :param several: all outages
    :param kind: png or svg
    :returns: the content of the file
    """
    told = plotted(several)
    drawing = figure.Figure(figsize=(11, 8), layout='constrained')
    panels = drawing.subplots(len(episodes.TRIAL_KINDS), 1, sharex=True)
    for panel, name in zip(panels, episodes.TRIAL_KINDS):
        draw_panel(panel, results.select(told, kind=name),
                   results.values(told, 'tool'))
        panel.set_title({'drop': 'packets dropped',
                         'hold': 'packets held, then all answered'}[name])
    panels[-1].set_xlabel('true length of the outage (s)')
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc='outside right upper')
    # Text stays text, and two files differ only if their figures do.
    with matplotlib.rc_context({'svg.fonttype': 'none',
                                'svg.hashsalt': 'bench'}):
        content = io.BytesIO()
        drawing.savefig(content, format=kind, dpi=130)
    return content.getvalue()


def draw_panel(panel: axes.Axes, told: Sequence[results.OutageError],
               names: Sequence[str]) -> None:
    """Plot the trials of one kind."""
    panel.axhspan(-BAND_MS, BAND_MS, color='0.9', zorder=0,
                  label='± one period (10 ms)')
    panel.axhline(0, color='0.6', linewidth=0.8, zorder=1)
    offsets = numpy.linspace(-SPREAD, SPREAD, len(names))
    for number, tool in enumerate(names):
        some = results.select(told, tool=tool)
        panel.plot(
            [one.truth_s * numpy.exp(offsets[number]) for one in some],
            [1000 * (one.error_s or 0) for one in some],
            linestyle='none', marker=MARKERS[number % len(MARKERS)],
            markersize=4, alpha=0.7, color=f'C{number}', label=tool)
    panel.set_xscale('log')
    panel.set_xticks(episodes.LENGTHS_S,
                     [f'{length:g}' for length in episodes.LENGTHS_S])
    panel.minorticks_off()
    panel.set_yscale('symlog', linthresh=LINEAR_MS)
    panel.yaxis.set_major_formatter('{x:+g}')
    panel.set_ylim(-LIMIT_MS, LIMIT_MS)
    panel.set_ylabel('error (ms)')
    panel.grid(axis='y', color='0.93')
