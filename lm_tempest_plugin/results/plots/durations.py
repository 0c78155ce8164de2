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

"""Duration of live migrations and of their phases."""

from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary

PLACE = 10
MOST_POINTS = 40
MOST_ROWS = 40
ROW, PHASES_ROW = 26, 32
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_Placed = Sequence[tuple[float, summary.Group,
                         Sequence[schema.MigrationResult]]]


def section(material: plots.Material) -> document.Section:
    """Return the section with both plots, and duration by memory."""
    groups = [group for group in material.summary.groups
              if material.completed(group.conditions)]
    labels = list(dict.fromkeys(
        material.names.group(group.conditions) for group in groups))
    figures = [('', _figure(material, groups, labels[:MOST_ROWS]))] \
        if groups else []
    plot = document.Plot(
        'durations',
        'From the request to the end, including the time in the queue. A box '
        'holds the middle half of all migrations, its whiskers the middle '
        '90 %, the cross is the longest. The dot with a bar is the median '
        'with its 95 % interval.', figures, missing='' if groups else
        'No measured migration completed, so there is no duration to show.',
        notes=plots.left_out(labels, MOST_ROWS, 'combinations'))
    return document.Section('durations', 'Duration and phases',
                            [plot, *_fits(material), _phases(material)])


def _figure(material: plots.Material, groups: Sequence[summary.Group],
            labels: Sequence[str]) -> document.Figure:
    flavors = [flavor for flavor in material.flavors() if any(
        group.conditions.flavor == flavor for group in groups)]
    height = 1 / (len(flavors) + 0.5)
    figure = theme.figure(
        max(160, len(labels) * max(2 * ROW, ROW * len(flavors))),
        xaxis=theme.axis('seconds', rangemode='tozero'),
        yaxis=theme.rows([theme.wrapped(label) for label in labels]))
    rows = {label: row for row, label in enumerate(labels)}
    for number, flavor in enumerate(flavors):
        offset = (number - (len(flavors) - 1) / 2) * height
        placed = [
            (rows[name] + offset, group, material.completed(group.conditions))
            for group in groups if group.conditions.flavor == flavor and
            (name := material.names.group(group.conditions)) in rows]
        if placed:
            _add(figure, flavor, number, height * 0.72, placed)
    return figure


def _add(figure: document.Figure, flavor: schema.Flavor, number: int,
         width: float, placed: _Placed) -> None:
    """Add the boxes, points and medians of a flavor."""
    colour = theme.colour(number)
    low, q1, median, q3, high = numpy.transpose([
        numpy.quantile([each.duration_s for each in migrations], QUANTILES)
        for _at, _group, migrations in placed]).tolist()
    common = {'legendgroup': str(number), 'y': [each[0] for each in placed]}
    figure.add(
        'box', **common, orientation='h', name=theme.short(flavor),
        width=width, lowerfence=low, q1=q1, median=median, q3=q3,
        upperfence=high, boxpoints=False,
        line={'color': colour, 'width': 1.2}, hoverinfo='skip')
    _add_points(figure, placed, number, width)
    figure.add(
        'scatter', **common, mode='markers', showlegend=False,
        hoverinfo='skip',
        x=[max(each.duration_s for each in migrations)
           for _at, _group, migrations in placed],
        marker={'symbol': 'x-thin', 'size': 7, 'color': colour,
                'line': {'width': 1.5, 'color': colour}})
    spreads = [group.spreads['duration_s'] for _at, group, _all in placed]
    figure.add(
        'scatter', **common, mode='markers', showlegend=False,
        x=[each.median.value for each in spreads],
        error_x=theme.error_bars([each.median for each in spreads],
                                 thickness=2.5, color=theme.INK),
        marker={'size': 7, 'color': theme.INK,
                'symbol': theme.symbol(number)},
        hoverinfo='text', hovertext=[theme.hover(
            group.conditions.settings,
            f'{flavor}, {group.conditions.drained_together}',
            f'median {document.estimate(spread.median)} s',
            f'p95 {document.estimate(spread.p95)} s, longest '
            f'{document.number(spread.largest)} s, of {len(migrations)}')
            for (_at, group, migrations), spread in zip(placed, spreads)])


def _add_points(figure: document.Figure, placed: _Placed, number: int,
                width: float) -> None:
    """Add a point for each migration of small groups."""
    points = [
        (each.duration_s, at + width * 0.36 * (-1, 0, 1)[place % 3], each)
        for at, _group, migrations in placed
        if len(migrations) <= MOST_POINTS
        for place, each in enumerate(migrations)]
    if points:
        figure.add(
            'scatter', x=[point[0] for point in points],
            y=[point[1] for point in points], mode='markers',
            showlegend=False, legendgroup=str(number),
            marker={'size': 5, 'opacity': 0.45,
                    'color': theme.colour(number),
                    'symbol': theme.symbol(number)},
            hoverinfo='text', hovertext=[theme.hover(
                each.server_name, f'{each.source} to {each.destination}, '
                f'round trip {each.round_trip}',
                f'{document.number(seconds)} s')
                for seconds, _at, each in points])


def _fits(material: plots.Material) -> list[document.Table]:
    rows = [document.TableRow((
        material.names.group(each.conditions),
        document.estimate(each.line.seconds),
        document.estimate(each.line.seconds_per_gib),
        document.number(each.line.residual_s), f'{each.line.count}'))
        for each in material.summary.fits]
    return [document.Table(
        'Duration without queueing = fixed part + seconds per GiB × memory '
        'of the flavor (95 % intervals).',
        ('Settings', 'Fixed (s)', 'Per GiB (s)', 'Residual (s)',
         'Migrations'), rows)] if rows else []


def _phases(material: plots.Material) -> document.Plot:
    known = [group for group in material.summary.groups if group.phases]
    return document.Plot(
        'phases',
        'checks: nova chooses a host and asks both; queued: other '
        'migrations go first; setup: the destination prepares; copy: memory, '
        'and disks of a block migration; post and cleanup: nova finishes on '
        'the destination and on the source. Medians of different phases do '
        'not add up to the median of the duration.',
        [('', _phases_figure(material))] if known else [],
        missing='' if known else
        'The phases of measured migrations are not known.',
        notes=plots.left_out(known, MOST_ROWS,
                             'combinations of settings and flavor'))


def _phases_figure(material: plots.Material) -> document.Figure:
    groups = [group for group in material.summary.groups
              if group.phases][:MOST_ROWS]
    labels = [
        f'{theme.wrapped(material.names.group(each.conditions), lines=3)}'
        f'<br><b>{theme.short(each.conditions.flavor, theme.LABEL_WIDTH)}'
        f'</b>' for each in groups]
    figure = theme.figure(
        max(120, sum(PHASES_ROW + 13 * label.count('<br>')
                     for label in labels)),
        barmode='stack', bargap=0.35,
        xaxis=theme.axis('seconds (median of each phase)',
                         rangemode='tozero'),
        yaxis=theme.rows(labels))
    names = dict.fromkeys([
        *theme.PHASES, *(name for group in groups for name in group.phases)])
    for number, name in enumerate(names):
        if any(name in group.phases for group in groups):
            seconds = [group.phases.get(name, 0.0) for group in groups]
            figure.add(
                'bar', name=theme.text(name), orientation='h',
                y=list(range(len(groups))), x=seconds,
                marker={'color': theme.PHASES.get(
                    name, theme.colour(number)),
                    'line': {'width': 0.5, 'color': '#ffffff'}},
                hoverinfo='text', hovertext=[theme.hover(
                    f'{group.conditions.settings}, '
                    f'{group.conditions.flavor}',
                    f'{name}: {document.number(each)} s')
                    for group, each in zip(groups, seconds)])
    return figure
