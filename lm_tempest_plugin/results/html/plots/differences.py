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

"""What difference a setting makes, between cells that differ in it alone."""

from collections.abc import Sequence
import math

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import names
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html.plots import drift
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words
from lm_tempest_plugin.results import summary

MOST_ROWS = 40
LINE, GAP = 15, 18
KEY, TITLE = 'differences', 'What a setting changes'


def plot(material: materials.Material) -> plots.Plot:
    """Return the plot.

    :param material: of the page
    """
    differences = material.summary.differences
    if not differences:
        return plots.Plot(KEY, TITLE, '', missing=(
            'No two cells differ in one setting alone, so that nothing can '
            'be said of what a setting changes.'))
    quantities: dict[str, list[summary.Difference]] = {
        name: [] for name in drift.NAMES}
    for each in differences:
        quantities.setdefault(each.quantity, []).append(each)
    kept = {name: found for name, found in quantities.items() if found}
    notes = [
        'Of %s, the %d with the largest change are shown, of %d.' % (
            drift.NAMES.get(name, name), MOST_ROWS, len(found))
        for name, found in kept.items() if len(found) > MOST_ROWS]
    return plots.Plot(
        KEY, TITLE,
        'How much longer something takes with the second value of a setting '
        'than with the first, with its 95 % interval. Where the interval '
        'has the zero line in it, no difference was found (hollow).',
        figures=[(drift.NAMES.get(name, name),
                  _figure(material, _largest(found)))
                 for name, found in kept.items()],
        choice='Quantity', notes=notes)


def _largest(found: Sequence[summary.Difference]
             ) -> list[summary.Difference]:
    """Return those that can be shown, in their order."""
    largest = sorted(range(len(found)), key=lambda place: -abs(
        found[place].effect.difference.value))[:MOST_ROWS]
    return [found[place] for place in sorted(largest)]


def _figure(material: materials.Material,
            found: Sequence[summary.Difference]) -> figures.Figure:
    labels = [_label(material, each) for each in found]
    # All rows are equally high.
    lines = 1 + max(label.count('<br>') for label in labels)
    figure = theme.figure(
        max(110, len(labels) * (lines * LINE + GAP)),
        xaxis=theme.axis('difference (s)', zeroline=True,
                         zerolinecolor=theme.MUTED, zerolinewidth=1.5),
        yaxis=theme.rows(labels))
    for name, colour, symbol, chosen in (
            ('longer', theme.BAD, 'circle',
             lambda each: each.effect.found and
             each.effect.difference.value > 0),
            ('shorter', theme.GOOD, 'diamond',
             lambda each: each.effect.found and
             each.effect.difference.value <= 0),
            ('no difference found', theme.MUTED, 'circle-open',
             lambda each: not each.effect.found)):
        rows = [(row, each) for row, each in enumerate(found)
                if chosen(each)]
        if rows:
            _add(figure, name, colour, symbol, rows)
    return figure


def _add(figure: figures.Figure, name: str, colour: str, symbol: str,
         rows: Sequence[tuple[int, summary.Difference]]) -> None:
    values = [each.effect.difference for _row, each in rows]
    figure.add(
        'scatter',
        name=name, mode='markers', y=[row for row, _each in rows],
        x=[each.value for each in values],
        error_x=figures.error_bars(values),
        marker={'color': colour, 'symbol': symbol, 'size': 10,
                'line': {'color': colour, 'width': 2}},
        hoverinfo='text', hovertext=[_hover(each) for _row, each in rows])


def _label(material: materials.Material, each: summary.Difference) -> str:
    rest = material.names.label(
        collection.Cell(
            '' if each.setting == 'storage' else each.before.storage,
            tuple(pair for pair in each.before.settings
                  if pair[0] != each.setting)),
        each.flavor, each.way)
    return '<b>%s</b><br>%s' % (
        theme.wrapped('%s: %s → %s' % (
            names.setting(each.setting), _value(each.before, each.setting),
            _value(each.after, each.setting)), 24, 2),
        theme.wrapped(rest, 24, 3))


def _value(cell: collection.Cell, setting: str) -> str:
    """Return the value of a setting in a cell, in words."""
    if setting == 'storage':
        return cell.storage
    return ', '.join(names.value(value) for name, value in cell.settings
                     if name == setting)


def _hover(each: summary.Difference) -> str:
    effect = each.effect
    return theme.hover(
        '%s → %s' % (each.before, each.after),
        '%s, %s' % (each.flavor, each.way),
        'before %s s, after %s s' % (
            words.estimate(effect.before), words.estimate(effect.after)),
        'difference %s s%s' % (
            words.signed(effect.difference.value),
            words.interval(effect.difference, sign=True)),
        *([] if math.isnan(effect.ratio.value) else [
            'ratio %s' % words.estimate(effect.ratio)]),
        '' if effect.found else 'no difference found')
