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

"""How long live migrations took, by cell and flavor."""

from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html import table
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words
from lm_tempest_plugin.results import summary

# Up to so many attempts of a group have a point each.
MOST_POINTS = 40
# So many rows can be looked at.
MOST_ROWS = 40
ROW = 26
# Quartiles for the box, and what 90 % lie between for its whiskers.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KEY, TITLE = 'durations', 'Duration by flavor and cell'


def plot(material: materials.Material) -> plots.Plot:
    """Return the plot.

    :param material: of the page
    """
    groups = [group for group in material.summary.groups
              if material.moved(group)]
    if not groups:
        return plots.Plot(KEY, TITLE, '', missing=(
            'No server was moved in an attempt that was measured, so that '
            'there is no duration to show.'))
    labels = list(dict.fromkeys(
        (group.cell, group.way) for group in groups))
    shown = labels[:MOST_ROWS]
    groups = [group for group in groups
              if (group.cell, group.way) in shown]
    notes = []
    if len(labels) > len(shown):
        notes.append(
            'The first %d of %d cells are shown; the table of cells has all '
            'of them.' % (len(shown), len(labels)))
    return plots.Plot(
        KEY, TITLE,
        'From the request to the end, with the time in the queue. A box has '
        'the middle half of all migrations, its whiskers the middle 90 %, '
        'and the cross is the longest. The dot with a bar is the median with '
        'its 95 % interval.',
        figures=[('', _figure(material, groups, shown))],
        tables=_fits(material), notes=notes)


def _figure(material: materials.Material, groups: Sequence[summary.Group],
            labels: Sequence[tuple[collection.Cell, collection.Way]]
            ) -> figures.Figure:
    flavors = [flavor for flavor in material.flavors() if any(
        group.flavor == flavor for group in groups)]
    height = 1 / (len(flavors) + 0.5)
    figure = theme.figure(
        max(160, len(labels) * max(2 * ROW, ROW * len(flavors))))
    figure.layout.update(
        xaxis=theme.axis('seconds', rangemode='tozero'),
        yaxis=theme.rows([theme.wrapped(material.names.group(*label))
                          for label in labels]))
    for number, flavor in enumerate(flavors):
        offset = (number - (len(flavors) - 1) / 2) * height
        _add(figure, flavor, number, height * 0.72,
             [(labels.index((group.cell, group.way)) + offset, group,
               material.moved(group)) for group in groups
              if group.flavor == flavor])
    return figure


def _add(figure: figures.Figure, flavor: collection.Flavor,
         number: int, width: float,
         placed: Sequence[tuple[float, summary.Group,
                                Sequence[collection.Attempt]]]) -> None:
    """Add what there is of a flavor.

    :param figure: to add to
    :param flavor: which
    :param number: its number from 0, for its colour
    :param width: of a box
    :param placed: groups with their places and attempts
    """
    colour = theme.colour(number)
    quantiles = [numpy.quantile([each.duration_s for each in attempts],
                                QUANTILES) for _at, _group, attempts in placed]
    columns = numpy.transpose(quantiles).tolist()
    shared = {'legendgroup': str(number), 'y': [each[0] for each in placed]}
    figure.add(
        'box',
        **shared, orientation='h', name=theme.short(flavor), width=width,
        lowerfence=columns[0], q1=columns[1], median=columns[2],
        q3=columns[3], upperfence=columns[4], boxpoints=False,
        line={'color': colour, 'width': 1.2}, hoverinfo='skip')
    _add_points(figure, placed, number, width)
    figure.add(
        'scatter',
        **shared, mode='markers', showlegend=False, hoverinfo='skip',
        x=[max(each.duration_s for each in attempts)
           for _at, _group, attempts in placed],
        marker={'symbol': 'x-thin', 'size': 7, 'color': colour,
                'line': {'width': 1.5, 'color': colour}})
    medians = [group.spreads['duration_s'].median
               for _at, group, _attempts in placed]
    figure.add(
        'scatter',
        **shared, mode='markers', showlegend=False,
        x=[each.value for each in medians],
        error_x=figures.error_bars(medians, thickness=2.5, color=theme.INK),
        marker={'size': 7, 'color': theme.INK,
                'symbol': theme.symbol(number)},
        hoverinfo='text', hovertext=[
            theme.hover(
                group.cell, '%s, %s' % (group.flavor, group.way),
                'median %s s' % words.estimate(
                    group.spreads['duration_s'].median),
                'p95 %s s, longest %s s, of %d' % (
                    words.estimate(group.spreads['duration_s'].p95),
                    words.number(group.spreads['duration_s'].largest),
                    len(attempts)))
            for _at, group, attempts in placed])


def _add_points(figure: figures.Figure,
                placed: Sequence[tuple[float, summary.Group,
                                       Sequence[collection.Attempt]]],
                number: int, width: float) -> None:
    """Add a point for each attempt of the groups that have only few."""
    points = [
        (each.duration_s, at + width * 0.36 * (-1, 0, 1)[place % 3], each)
        for at, _group, attempts in placed if len(attempts) <= MOST_POINTS
        for place, each in enumerate(attempts)]
    if not points:
        return
    figure.add(
        'scatter',
        x=[point[0] for point in points], y=[point[1] for point in points],
        mode='markers', showlegend=False, legendgroup=str(number),
        marker={'size': 5, 'opacity': 0.45, 'color': theme.colour(number),
                'symbol': theme.symbol(number)},
        hoverinfo='text', hovertext=[theme.hover(
            point[2].server_name, '%s to %s, trip %d' % (
                point[2].source, point[2].destination, point[2].trip),
            '%s s' % words.number(point[0])) for point in points])


def _fits(material: materials.Material) -> list[table.Table]:
    """Return how duration grows with memory, where that is known."""
    rows = [table.Row((
        material.names.group(each.cell, each.way),
        words.estimate(each.fit.seconds),
        words.estimate(each.fit.seconds_per_gib),
        words.number(each.fit.residual_s), '%d' % each.fit.count))
        for each in material.summary.fits]
    if not rows:
        return []
    return [table.Table(
        'Duration against memory: what a live migration takes at any rate, '
        'and for each GiB of the flavor (95 % intervals)',
        ('Cell', 'Seconds', 'Seconds per GiB', 'Residual (s)', 'Attempts'),
        rows)]
