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

"""Plots of groups: migrations under the same conditions, and their change."""

from collections.abc import Sequence
import dataclasses
import math

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary

MOST_ROWS = 40
ROW, PHASES_ROW = 26, 32
# Larger groups have a box and no points.
MOST_POINTS = 40
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_CURVES, MOST_STEPS, ECDF_HEIGHT = 8, 300, 280
DRIFTING = (('duration_s', 'duration (s)'), ('outage_s', 'longest outage (s)'))
MOST_CHOICES, MOST_DRIFTS, MOST_ROUND_TRIPS = 24, 60, 300
DRIFT_HEIGHT, DRIFT_GAP = 180, 34
FOREST_LINE, FOREST_GAP = 15, 18

_Placed = Sequence[tuple[float, summary.Group,
                         Sequence[schema.MigrationResult]]]


def durations(material: plots.Material) -> document.Section:
    """Return durations, durations by memory, and phases."""
    groups = [group for group in material.summary.groups
              if material.completed(group.conditions)]
    labels = list(dict.fromkeys(
        material.names.group(group.conditions) for group in groups))
    nodes: list[document.Node] = [document.Plot(
        'durations',
        'From the request to the end, including the time in the queue. A box '
        'holds the middle half of all migrations, its whiskers the middle '
        '90 %, the cross is the longest. The dot with a bar is the median '
        'with its 95 % interval.',
        [('', _durations(material, groups, labels[:MOST_ROWS]))]
        if groups else [],
        missing='No measured migration completed, so there is no duration '
        'to show.', notes=_left_out(labels, 'combinations'))]
    if material.summary.fits:
        nodes.append(document.Table(
            'Duration without queueing = fixed part + seconds per GiB × '
            'memory of the flavor (95 % intervals).',
            ('Settings', 'Fixed (s)', 'Per GiB (s)', 'Residual (s)',
             'Migrations'), [document.TableRow((
                 material.names.group(each.conditions),
                 document.estimate(each.line.seconds),
                 document.estimate(each.line.seconds_per_gib),
                 document.number(each.line.residual_s),
                 f'{each.line.count}')) for each in material.summary.fits]))
    with_phases = [group for group in material.summary.groups
                   if group.phases]
    nodes.append(document.Plot(
        'phases',
        'checks: nova chooses a host and asks both; queued: other '
        'migrations go first; setup: the destination prepares; copy: memory, '
        'and disks of a block migration; post and cleanup: nova finishes on '
        'the destination and on the source. Medians of different phases do '
        'not add up to the median of the duration.',
        [('', _phases(material, with_phases[:MOST_ROWS]))]
        if with_phases else [],
        missing='The phases of measured migrations are not known.',
        notes=_left_out(with_phases, 'combinations of settings and flavor')))
    return document.Section('durations', 'Duration and phases', nodes)


def _left_out(items: Sequence[object], noun: str) -> list[str]:
    return [f'The first {MOST_ROWS} of {len(items)} {noun} are shown; the '
            f'table of live migrations has all of them.'] \
        if len(items) > MOST_ROWS else []


def _durations(material: plots.Material, groups: Sequence[summary.Group],
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
            _add_flavor(figure, flavor, number, height * 0.72, placed)
    return figure


def _add_flavor(figure: document.Figure, flavor: schema.Flavor, number: int,
                width: float, placed: _Placed) -> None:
    """Add the boxes, points and medians of a flavor."""
    colour, symbol = theme.colour(number), theme.symbol(number)
    low, q1, median, q3, high = numpy.transpose([
        numpy.quantile([each.duration_s for each in migrations], QUANTILES)
        for _at, _group, migrations in placed]).tolist()
    common = {'legendgroup': str(number), 'y': [each[0] for each in placed]}
    figure.add(
        'box', **common, orientation='h', name=theme.short(flavor),
        width=width, lowerfence=low, q1=q1, median=median, q3=q3,
        upperfence=high, boxpoints=False,
        line={'color': colour, 'width': 1.2}, hoverinfo='skip')
    points = [
        (each, at + width * 0.36 * (-1, 0, 1)[place % 3])
        for at, _group, migrations in placed
        if len(migrations) <= MOST_POINTS
        for place, each in enumerate(migrations)]
    if points:
        figure.add(
            'scatter', x=[each.duration_s for each, _at in points],
            y=[at for _each, at in points], mode='markers',
            showlegend=False, legendgroup=str(number),
            marker={'size': 5, 'opacity': 0.45, 'color': colour,
                    'symbol': symbol},
            hoverinfo='text', hovertext=[theme.hover(
                each.server_name, f'{each.source} to {each.destination}, '
                f'round trip {each.round_trip}',
                f'{document.number(each.duration_s)} s')
                for each, _at in points])
    spreads = [group.spreads['duration_s'] for _at, group, _all in placed]
    figure.add(
        'scatter', **common, mode='markers', showlegend=False,
        hoverinfo='skip', x=[spread.largest for spread in spreads],
        marker={'symbol': 'x-thin', 'size': 7, 'color': colour,
                'line': {'width': 1.5, 'color': colour}})
    figure.add(
        'scatter', **common, mode='markers', showlegend=False,
        x=[each.median.value for each in spreads],
        error_x=theme.error_bars([each.median for each in spreads],
                                 thickness=2.5, color=theme.INK),
        marker={'size': 7, 'color': theme.INK, 'symbol': symbol},
        hoverinfo='text', hovertext=[theme.hover(
            group.conditions.settings,
            f'{flavor}, {group.conditions.drained_together}',
            f'median {document.estimate(spread.median)} s',
            f'p95 {document.estimate(spread.p95)} s, longest '
            f'{document.number(spread.largest)} s, of {len(migrations)}')
            for (_at, group, migrations), spread in zip(placed, spreads)])


def _phases(material: plots.Material,
            groups: Sequence[summary.Group]) -> document.Figure:
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


def continuity(material: plots.Material) -> document.Section:
    """Return the distributions of outages and stalls, with their limits."""
    probed = [(material.names.group(group.conditions), each, each.continuity)
              for group in material.summary.groups
              for each in material.measured(group.conditions)
              if each.continuity]
    return document.Section('continuity', 'Outages and stalls', [
        _ecdf('outages', 'outage', 'the time in which the guest did not '
              'answer ICMP',
              [(name, found.outage.longest_s, each.max_outage_s)
               for name, each, found in probed],
              [found.control.longest_s for _name, _each, found in probed]),
        _ecdf('stalls', 'stall', 'the time in which a TCP stream to the '
              'guest made no progress',
              [(name, found.stall.longest_s, each.max_stall_s)
               for name, each, found in probed if found.stall])])


def _ecdf(key: str, noun: str, explained: str,
          found: Sequence[tuple[str, float, float]],
          control: Sequence[float] = ()) -> document.Plot:
    """Return the plot of one quantity.

    :param key: of the plot
    :param noun: name of the quantity
    :param explained: its meaning
    :param found: name of the settings, length in seconds and limit of each
        migration
    :param control: lengths outside of the migrations
    """
    lengths: dict[str, list[float]] = {}
    for name, length_s, _limit_s in found:
        lengths.setdefault(name, []).append(length_s)
    # The settings with the longest are the interesting ones.
    longest = sorted(
        lengths, key=lambda name: -max(lengths[name]))[:MOST_CURVES]
    shown = {name: each for name, each in lengths.items() if name in longest}
    limits = sorted({limit_s for _name, _length_s, limit_s in found})
    plot = document.Plot(
        key, f'The longest {noun} of each migration: {explained}. A curve '
        f'shows the part of all migrations without a longer one (ECDF). The '
        f'vertical line is the limit.',
        missing=f'No {noun} was measured: no guest was probed.',
        notes=[] if len(shown) == len(lengths) else [
            f'The {len(shown)} of {len(lengths)} combinations with the '
            f'longest {noun} are shown; the table of live migrations has '
            f'all of them.'])
    if not found:
        return plot
    figure = theme.figure(
        ECDF_HEIGHT,
        xaxis=theme.axis(
            f'longest {noun} of a live migration (s)',
            range=[0, 1.06 * max([
                limits[0], *control, *map(max, shown.values())])]),
        yaxis=theme.axis('part of all migrations (%)', range=[0, 103]))
    for number, (name, each) in enumerate(shown.items()):
        _add_curve(figure, name, each, color=theme.colour(number),
                   dash=theme.dash(number), width=2.0)
    if control:
        _add_curve(figure, 'at other times', control, color=theme.MUTED,
                   dash='dot', width=1.2)
    for limit_s in limits:
        # Beyond the right edge it can be reached by zooming out.
        figure.add(
            'scatter', x=[limit_s, limit_s], y=[0, 103], mode='lines',
            hoverinfo='text', hovertext=f'limit: {limit_s:g} s',
            name=f'limit: {limit_s:g} s',
            line={'color': theme.BAD, 'width': 2, 'dash': 'longdash'})
    return dataclasses.replace(plot, figures=[('', figure)])


def _add_curve(figure: document.Figure, name: str, values: Sequence[float],
               **line: str | float) -> None:
    """Add the ECDF of values."""
    places = numpy.linspace(0, len(values) - 1, min(
        MOST_STEPS, len(values))).round().astype(int)
    ordered = numpy.sort(values)[places].tolist()
    # A first step from zero, so that a single value is visible too.
    ordered = [ordered[0], *ordered]
    parts = [0.0, *((places + 1) * 100 / len(values)).tolist()]
    figure.add(
        'scatter', x=ordered, y=parts, mode='lines',
        name=theme.short(name, 44), line={'shape': 'hv', **line},
        hoverinfo='text', hovertext=[
            theme.hover(name, f'{part:.1f} %: {document.number(value)} s or '
                        f'less') for part, value in zip(parts, ordered)])


def drift(material: plots.Material) -> document.Section:
    """Return the change of durations and outages over round trips."""
    drifts = material.summary.drifts
    by_name: dict[str, list[summary.Drift]] = {}
    for each in drifts:
        by_name.setdefault(
            material.names.group(each.conditions), []).append(each)
    notes = []
    if len(by_name) > MOST_CHOICES:
        notes.append(f'The first {MOST_CHOICES} of {len(by_name)} '
                     f'combinations of settings are drawn.')
    if any(each.round_trips > MOST_ROUND_TRIPS for each in drifts):
        notes.append(f'More than {MOST_ROUND_TRIPS} round trips are drawn '
                     f'with gaps; the slope is that of all.')
    nodes: list[document.Node] = [document.Plot(
        'drift',
        'A point is the median of a round trip. The line has the slope of '
        'Theil and Sen, which single round trips do not change much. A '
        'drift is found if the 95 % interval of the slope excludes zero.',
        [(name, _drift(material, each))
         for name, each in list(by_name.items())[:MOST_CHOICES]],
        'Settings',
        missing='There are too few round trips to find a drift.',
        notes=notes)]
    found = [each for each in drifts if each.per_round_trip.excludes(0.0)]
    if drifts:
        listed = f'; the first {MOST_DRIFTS} are listed' \
            if len(found) > MOST_DRIFTS else ''
        nodes.append(document.Note(
            f'{document.count(len(drifts), "series", "series")} of one '
            f'quantity, flavor and combination of settings: a drift was '
            f'found in {len(found)} of them{listed}. Where nothing drifts, 1 '
            f'in 20 seems to.'))
    if found:
        nodes.append(document.Table(
            'Drifts that were found: change with each round trip (95 % '
            'interval).',
            ('Settings', 'Flavor', 'Quantity', 'Per round trip (s)',
             'Round trips'),
            [document.TableRow((
                material.names.group(each.conditions),
                str(each.conditions.flavor),
                summary.QUANTITIES[each.quantity],
                document.estimate(each.per_round_trip, sign=True),
                f'{each.round_trips}')) for each in found[:MOST_DRIFTS]],
            words=3))
    return document.Section('drift', 'Drift over round trips', nodes)


def _drift(material: plots.Material,
           drifts: Sequence[summary.Drift]) -> document.Figure:
    rows = [(quantity, title) for quantity, title in DRIFTING
            if any(each.quantity == quantity for each in drifts)]
    area = max(1, len(rows)) * (DRIFT_HEIGHT + DRIFT_GAP) - DRIFT_GAP
    figure = theme.figure(area, xaxis=theme.axis(
        'round trip', tickformat='d',
        anchor=f'y{len(rows) if len(rows) > 1 else ""}'))
    flavors = material.flavors()
    for row, (quantity, title) in enumerate(rows):
        top = 1 - row * (DRIFT_HEIGHT + DRIFT_GAP) / area
        axis = f'{row + 1}' if row else ''
        figure.layout[f'yaxis{axis}'] = theme.axis(
            title, domain=[max(0.0, top - DRIFT_HEIGHT / area), top],
            rangemode='tozero')
        for each in drifts:
            if each.quantity == quantity and each.conditions.flavor:
                _add_drift(figure, material, each,
                           flavors.index(each.conditions.flavor), axis)
    return figure


def _add_drift(figure: document.Figure, material: plots.Material,
               found: summary.Drift, number: int, axis: str) -> None:
    """Add the round trips of a flavor, and their slope."""
    values: dict[int, list[float]] = {}
    for each in material.measured(found.conditions):
        value = summary.value(each, found.quantity)
        if value is not None:
            values.setdefault(each.round_trip, []).append(value)
    round_trips = sorted(values)
    medians = [float(numpy.median(values[each])) for each in round_trips]
    slope = found.per_round_trip.value
    # The line of Theil and Sen goes through the median of the values
    # without their slope.
    at_zero = float(numpy.median(
        numpy.array(medians) - slope * numpy.array(round_trips)))
    ends = [min(round_trips), max(round_trips)]
    # More points than pixels show nothing more.
    every = -(-len(round_trips) // MOST_ROUND_TRIPS)
    common = {'yaxis': f'y{axis}', 'legendgroup': str(number)}
    flavor, colour = found.conditions.flavor, theme.colour(number)
    figure.add(
        'scatter', **common, x=round_trips[::every], y=medians[::every],
        mode='markers', name=theme.short(flavor), showlegend=not axis,
        marker={'color': colour, 'size': 7, 'symbol': theme.symbol(number)},
        hoverinfo='text', hovertext=[theme.hover(
            flavor, f'round trip {each}: {document.number(value)} s')
            for each, value in zip(round_trips[::every], medians[::every])])
    figure.add(
        'scatter', **common, x=ends,
        y=[at_zero + slope * each for each in ends],
        mode='lines', showlegend=False,
        line={'color': colour, 'width': 1.6, 'dash': theme.dash(number)},
        hoverinfo='text', hovertext=theme.hover(
            flavor, f'{document.signed(slope)} s per round trip'
            f'{document.interval(found.per_round_trip, sign=True)}'))


def settings(material: plots.Material) -> document.Section:
    """Return the effect of each setting, as plots and as a table."""
    differences = material.summary.differences
    quantities = {title: found for name, title in summary.QUANTITIES.items()
                  if (found := [each for each in differences
                                if each.quantity == name])}
    nodes: list[document.Node] = [document.Plot(
        'settings',
        'The time that the second value of a setting adds, with its 95 % '
        'interval. If the interval includes zero, no difference was found '
        '(hollow).',
        [(title, _settings(material, found))
         for title, found in quantities.items()], 'Quantity',
        missing='No two combinations differ in exactly one setting, so the '
        'effect of a setting is not known.', notes=[
            f'{title}: the {MOST_ROWS} largest of {len(found)} differences '
            f'are drawn.' for title, found in quantities.items()
            if len(found) > MOST_ROWS])]
    found = [each for each in differences if each.effect.found]
    if found:
        nodes.append(document.Table(
            'Differences that were found, in seconds: medians, and the '
            'difference with its 95 % interval.',
            ('Setting', 'Other conditions', 'Quantity', 'Before', 'After',
             'Difference', 'Ratio'), [document.TableRow((
                 *_conditions(material, each),
                 summary.QUANTITIES[each.quantity],
                 document.number(each.effect.before.value),
                 document.number(each.effect.after.value),
                 document.estimate(each.effect.difference, sign=True),
                 document.UNKNOWN if math.isnan(each.effect.ratio.value)
                 else document.number(each.effect.ratio.value)))
                 for each in found], words=3))
    if differences:
        nodes.append(document.Note(
            f'No difference found in {len(differences) - len(found)} of '
            f'{document.count(len(differences), "comparison")}. Where '
            f'nothing differs, 1 in 20 seems to.'))
    return document.Section('settings', 'Effect of settings', nodes)


def _settings(material: plots.Material,
              found: Sequence[summary.Difference]) -> document.Figure:
    largest = sorted(range(len(found)), key=lambda place: -abs(
        found[place].effect.difference.value))[:MOST_ROWS]
    shown = [found[place] for place in sorted(largest)]
    labels = [
        f'<b>{theme.wrapped(setting, 24, 2)}</b><br>'
        f'{theme.wrapped(others, 24, 3)}' for setting, others in (
            _conditions(material, each) for each in shown)]
    hovers = [theme.hover(
        f'{each.before.settings} → {each.after.settings}',
        f'{each.before.flavor}, {each.before.drained_together}',
        f'before {document.estimate(each.effect.before)} s, after '
        f'{document.estimate(each.effect.after)} s',
        f'difference {document.estimate(each.effect.difference, sign=True)} '
        f's', *([] if math.isnan(each.effect.ratio.value) else [
            f'ratio {document.estimate(each.effect.ratio)}']),
        *([] if each.effect.found else ['no difference found']))
        for each in shown]
    # All rows have the height of the highest.
    lines = 1 + max(label.count('<br>') for label in labels)

    def outcome(each: summary.Difference) -> str:
        if not each.effect.found:
            return 'no difference found'
        return 'longer' if each.effect.difference.value > 0 else 'shorter'
    return theme.forest(
        max(110, len(labels) * (lines * FOREST_LINE + FOREST_GAP)), labels,
        'difference (s)', [
            (name, colour, symbol, [place for place, each in enumerate(shown)
                                    if outcome(each) == name])
            for name, colour, symbol in (
                ('longer', theme.BAD, 'circle'),
                ('shorter', theme.GOOD, 'diamond'),
                ('no difference found', theme.MUTED, 'circle-open'))],
        [each.effect.difference for each in shown], hovers)


def _conditions(material: plots.Material,
                each: summary.Difference) -> tuple[str, str]:
    """Return the setting with both values, and the other conditions."""
    before, after = (
        plots.setting_value(conditions.settings, each.setting)
        for conditions in (each.before, each.after))
    shared = schema.Settings(
        storage='' if each.setting == summary.STORAGE
        else each.before.settings.storage,
        values={name: value for name, value
                in each.before.settings.values.items()
                if name != each.setting})
    name = material.names.group(dataclasses.replace(
        each.before, settings=shared))
    return (f'{plots.setting(each.setting)}: {before} → {after}',
            f'{name}, {each.before.flavor}')
