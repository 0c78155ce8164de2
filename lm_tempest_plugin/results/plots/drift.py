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

"""Drift of durations and outages from round trip to round trip."""

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import summary

PLACE = 50
SHOWN = (('duration_s', 'duration (s)'), ('outage_s', 'longest outage (s)'))
MOST_CHOICES, MOST_ROWS, MOST_POINTS = 24, 60, 300
PART, GAP = 180, 34


def section(material: plots.Material) -> document.Section:
    """Return the section with a plot of each chosen group."""
    drifts = material.summary.drifts
    names = list(dict.fromkeys(
        material.names.group(each.conditions) for each in drifts))
    notes = []
    if len(names) > MOST_CHOICES:
        notes.append(f'The first {MOST_CHOICES} of {len(names)} combinations '
                     f'of settings are drawn.')
    if any(each.round_trips > MOST_POINTS for each in drifts):
        notes.append(f'More than {MOST_POINTS} round trips are drawn with '
                     f'gaps; the slope is that of all.')
    nodes: list[document.Node] = [document.Plot(
        'drift',
        'A point is the median of a round trip. The line has the slope of '
        'Theil and Sen, which single round trips do not change much. A '
        'drift is found if the 95 % interval of the slope excludes zero.',
        [(name, _figure(material, name)) for name in names[:MOST_CHOICES]],
        'Settings', missing='' if drifts else
        'There are too few round trips to find a drift.', notes=notes)]
    if not drifts:
        return document.Section('drift', 'Drift over round trips', nodes)
    found = [each for each in drifts if each.per_round_trip.excludes(0.0)]
    listed = f'; the first {MOST_ROWS} are listed' \
        if len(found) > MOST_ROWS else ''
    nodes.append(document.Note(
        f'{document.count(len(drifts), "series", "series")} of one quantity, '
        f'flavor and combination of settings: a drift was found in '
        f'{len(found)} of them{listed}. Where nothing drifts, 1 in 20 seems '
        f'to.'))
    if found:
        nodes.append(document.Table(
            'Drifts that were found: change with each round trip (95 % '
            'interval).',
            ('Settings', 'Flavor', 'Quantity', 'Per round trip (s)',
             'Round trips'),
            [document.TableRow((
                material.names.group(each.conditions),
                str(each.conditions.flavor),
                plots.QUANTITIES[each.quantity],
                document.estimate(each.per_round_trip, sign=True),
                f'{each.round_trips}')) for each in found[:MOST_ROWS]],
            words=3))
    return document.Section('drift', 'Drift over round trips', nodes)


def _figure(material: plots.Material, name: str) -> document.Figure:
    drifts = [each for each in material.summary.drifts
              if material.names.group(each.conditions) == name]
    rows = [(quantity, title) for quantity, title in SHOWN
            if any(each.quantity == quantity for each in drifts)]
    area = len(rows) * PART + max(0, len(rows) - 1) * GAP
    figure = theme.figure(area or PART, xaxis=theme.axis(
        'round trip', tickformat='d',
        anchor=f'y{len(rows) if len(rows) > 1 else ""}'))
    for row, (quantity, title) in enumerate(rows):
        top = 1 - row * (PART + GAP) / area
        axis = f'{row + 1}' if row else ''
        figure.layout[f'yaxis{axis}'] = theme.axis(
            title, domain=[max(0.0, top - PART / area), top],
            rangemode='tozero')
        for number, flavor in enumerate(material.flavors()):
            for drift in drifts:
                if (drift.quantity, drift.conditions.flavor) == (
                        quantity, flavor):
                    _add(figure, material, drift, number, axis)
    return figure


def _add(figure: document.Figure, material: plots.Material,
         drift: summary.Drift, number: int, axis: str) -> None:
    """Add the round trips of a flavor, and their slope."""
    values: dict[int, list[float]] = {}
    for each in material.measured(drift.conditions):
        value = summary.value(each, drift.quantity)
        if value is not None:
            values.setdefault(each.round_trip, []).append(value)
    if not values:
        return
    round_trips = sorted(values)
    medians = [float(numpy.median(values[each])) for each in round_trips]
    slope = drift.per_round_trip.value
    # The line of Theil and Sen goes through the median of the values
    # without their slope.
    at_zero = float(numpy.median(
        numpy.array(medians) - slope * numpy.array(round_trips)))
    ends = [min(round_trips), max(round_trips)]
    # More points than pixels show nothing more.
    every = -(-len(round_trips) // MOST_POINTS)
    common = {'yaxis': f'y{axis}', 'legendgroup': str(number)}
    flavor = drift.conditions.flavor
    figure.add(
        'scatter', **common, x=round_trips[::every], y=medians[::every],
        mode='markers', name=theme.short(flavor), showlegend=not axis,
        marker={'color': theme.colour(number), 'size': 7,
                'symbol': theme.symbol(number)},
        hoverinfo='text', hovertext=[theme.hover(
            flavor, f'round trip {each}: {document.number(value)} s')
            for each, value in zip(round_trips[::every], medians[::every])])
    figure.add(
        'scatter', **common, x=ends,
        y=[at_zero + slope * each for each in ends],
        mode='lines', showlegend=False,
        line={'color': theme.colour(number), 'width': 1.6,
              'dash': theme.dash(number)},
        hoverinfo='text', hovertext=theme.hover(
            flavor, f'{document.signed(slope)} s per round trip'
            f'{document.interval(drift.per_round_trip, sign=True)}'))
