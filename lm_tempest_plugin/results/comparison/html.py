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

"""A comparison as a page, with a forest plot of each quantity."""

from collections.abc import Sequence
import math

import jinja2
import markupsafe
from plotly import offline

from lm_tempest_plugin.results.comparison import judgement
from lm_tempest_plugin.results.comparison import quantities
from lm_tempest_plugin.results.comparison import words
from lm_tempest_plugin.results import html as report
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import page
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html import table
from lm_tempest_plugin.results.html import theme

# Height of a line of a label, and what is between two rows, in pixels.
LINE, GAP = 16, 22
# Colour and symbol of each word.
_LOOKS = {
    judgement.WORSE: (theme.BAD, 'square'),
    judgement.WITHIN: (theme.COLOURS[4], 'triangle-up'),
    judgement.BETTER: (theme.GOOD, 'diamond'),
    judgement.NONE: (theme.MUTED, 'circle-open'),
    judgement.FEW: (theme.MUTED, 'x-thin')}


def render(comparison: judgement.Comparison, title: str) -> str:
    """Return the page, which needs nothing but itself.

    :param comparison: what was found
    :param title: of the page
    """
    forest = _plot(comparison)
    return _environment().get_template('comparison.html.j2').render(
        title=title, theme=theme, worse=comparison.worse,
        sentence=words.sentence(comparison), notes=words.notes(comparison),
        tables=_tables(comparison), plot=forest,
        plotly=_script() if forest.figures else '')


def _script() -> markupsafe.Markup:
    """Return plotly.js, which stands within a script element.

    :raises ValueError: it would end that element
    """
    script = offline.get_plotlyjs()
    if '</script' in script.lower() or '<!--' in script:
        raise ValueError('this version of plotly.js cannot be embedded')
    return markupsafe.Markup(script)


def _environment() -> jinja2.Environment:
    """Return what makes the page: our template, the report's style."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([
            jinja2.PackageLoader(__package__),
            jinja2.PackageLoader(report.__name__)]),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    environment.filters['embedded'] = page.embedded
    return environment


def _tables(comparison: judgement.Comparison) -> list[table.Table]:
    found = []
    if comparison.failures:
        found.append(table.Table(
            'Failures', words.FAILURE_COLUMNS, [
                table.Row(words.failure_cells(each), _mark(each.word))
                for each in comparison.failures]))
    for group in comparison.common:
        rows = [table.Row(words.cells(row), _mark(row.word))
                for row in comparison.rows if row.group == group]
        if rows:
            found.append(table.Table(str(group), words.COLUMNS, rows))
    return found


def _mark(word: str) -> str:
    return {judgement.WORSE: 'bad', judgement.BETTER: 'good'}.get(word, '')


def _plot(comparison: judgement.Comparison) -> plots.Plot:
    shown = []
    for name, title in quantities.TITLES.items():
        rows = [row for row in comparison.rows if row.quantity == name and
                math.isfinite(row.change)]
        if rows:
            shown.append((title, _figure(
                rows, comparison.tolerance_percent)))
    return plots.Plot(
        'change', 'What changed',
        'By how much each group takes longer after than before, with its '
        '95 % interval. Left of the line is better, right of it worse; '
        'dotted is the tolerance. Hollow: no difference was found.',
        shown, 'Quantity',
        missing='' if shown else 'There is no figure to compare.')


def _figure(rows: Sequence[judgement.Row],
            tolerance_percent: float) -> figures.Figure:
    labels = [theme.wrapped(label, lines=6) for label in words.labels(
        [row.group for row in rows])]
    # All rows are equally high.
    lines = 1 + max(label.count('<br>') for label in labels)
    figure = theme.figure(
        max(110, len(labels) * (lines * LINE + GAP)),
        xaxis=theme.axis('change (%)', rangemode='tozero', zeroline=True,
                         zerolinecolor=theme.MUTED, zerolinewidth=1.5),
        yaxis=theme.rows(labels), shapes=[{
            'type': 'line', 'xref': 'x', 'yref': 'paper',
            'x0': tolerance_percent, 'x1': tolerance_percent, 'y0': 0,
            'y1': 1, 'layer': 'below', 'line': {
                'dash': 'dot', 'color': theme.BAD, 'width': 1}}])
    for word, (colour, symbol) in _LOOKS.items():
        told = [(place, row) for place, row in enumerate(rows)
                if row.word == word]
        if told:
            _add(figure, word, colour, symbol, told)
    return figure


def _add(figure: figures.Figure, word: str, colour: str, symbol: str,
         told: Sequence[tuple[int, judgement.Row]]) -> None:
    """Add the rows of a word, each in its place."""
    reach = [_reach(row) for _place, row in told]
    figure.add(
        'scatter', name=word, mode='markers',
        x=[100 * row.change for _place, row in told],
        y=[place for place, _row in told],
        error_x={'type': 'data', 'symmetric': False, 'thickness': 2,
                 'width': 5, 'arrayminus': [low for low, _high in reach],
                 'array': [high for _low, high in reach]},
        marker={'color': colour, 'symbol': symbol, 'size': 10,
                'line': {'color': colour, 'width': 2}},
        hoverinfo='text', hovertext=[
            theme.hover(str(row.group), *('%s: %s' % pair for pair in zip(
                words.COLUMNS, words.cells(row)))) for _place, row in told])


def _reach(row: judgement.Row) -> tuple[float, float]:
    """Return how far an interval reaches below and above, in percent."""
    interval = words.error(row.effect.ratio)
    if interval is None or math.isnan(row.effect.ratio.value):
        return 0.0, 0.0
    low, high = (100 * (end - 1 - row.change) for end in interval)
    return max(0.0, -low), max(0.0, high)
