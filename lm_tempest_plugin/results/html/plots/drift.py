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

"""How durations and outages change from round trip to round trip."""

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
from lm_tempest_plugin.results.summary import groups

KEY, TITLE = 'drift', 'Drift over round trips'
# What is plotted of a trip, in the names of the summary, and what it is
# called.
QUANTITIES = (('duration_s', 'duration (s)'),
              ('outage_s', 'longest outage (s)'))
NAMES = {'duration_s': 'duration', 'queue_s': 'queue', 'service_s': 'service',
         'outage_s': 'longest outage', 'stall_s': 'longest stall',
         'downtime_s': "libvirt's downtime"}
MOST_CHOICES, MOST_ROWS, MOST_POINTS = 24, 60, 300
PART, GAP = 180, 34


def plot(material: materials.Material) -> plots.Plot:
    """Return the plot.

    :param material: of the page
    """
    drifts = material.summary.drifts
    if not drifts:
        return plots.Plot(KEY, TITLE, '', missing=(
            'No cell has as many round trips as it takes to tell whether '
            'anything changes from one to the next.'))
    cells = list(dict.fromkeys((each.cell, each.way) for each in drifts))
    shown = cells[:MOST_CHOICES]
    notes = [_counted(drifts)]
    if len(shown) < len(cells):
        notes.append('The first %d of %d cells are shown.' % (
            len(shown), len(cells)))
    if any(each.trips > MOST_POINTS for each in drifts):
        notes.append('Of more than %d trips, every second, third or so has '
                     'a point; the slope is of all.' % MOST_POINTS)
    return plots.Plot(
        KEY, TITLE,
        'A point is the median of a round trip; the line has the slope of '
        'Theil and Sen, which single trips cannot pull away. A drift is '
        'found where the 95 % interval of the slope has no zero in it.',
        figures=[(material.names.group(*cell), _figure(material, cell))
                 for cell in shown],
        choice='Cell', notes=notes,
        tables=[_table(material)] if any(map(found, drifts)) else ())


def found(each: summary.Drift) -> bool:
    """Return whether there is a drift, as far as one can tell."""
    return each.per_trip.excludes(0.0)


def _table(material: materials.Material) -> table.Table:
    drifts = [each for each in material.summary.drifts if found(each)]
    return table.Table(
        'Drifts that were found: change with each round trip (95 % interval)',
        ('Cell', 'Flavor', 'What', 'Seconds per trip', 'Trips'),
        [table.Row((
            material.names.group(each.cell, each.way), str(each.flavor),
            NAMES.get(each.quantity, each.quantity),
            words.signed(each.per_trip.value) + words.interval(
                each.per_trip, sign=True),
            '%d' % each.trips)) for each in drifts[:MOST_ROWS]], words=3)


def _counted(drifts: Sequence[summary.Drift]) -> str:
    """Return how many drifts were found, in words."""
    number = sum(map(found, drifts))
    return (
        'Looked at: %s, each of one quantity, flavor and cell. A drift was '
        'found in %d of them%s. Where nothing drifts, one in 20 seems to.' % (
            words.count(len(drifts), 'series', 'series'), number,
            ', of which the first %d are listed' % MOST_ROWS
            if number > MOST_ROWS else ''))


def _figure(material: materials.Material,
            cell: tuple[collection.Cell, collection.Way]
            ) -> figures.Figure:
    drifts = [each for each in material.summary.drifts
              if (each.cell, each.way) == cell]
    rows = [(quantity, name) for quantity, name in QUANTITIES
            if any(each.quantity == quantity for each in drifts)]
    area = len(rows) * PART + max(0, len(rows) - 1) * GAP
    figure = theme.figure(area or PART, xaxis=theme.axis(
        'round trip', tickformat='d',
        anchor='y%s' % (len(rows) if len(rows) > 1 else '')))
    for row, (quantity, name) in enumerate(rows):
        top = 1 - row * (PART + GAP) / area
        axis = '' if not row else '%d' % (row + 1)
        figure.layout['yaxis' + axis] = theme.axis(
            name, domain=[max(0.0, top - PART / area), top],
            rangemode='tozero')
        for number, flavor in enumerate(material.flavors()):
            for drift in drifts:
                if (drift.quantity, drift.flavor) == (quantity, flavor):
                    _add(figure, material, drift, number, axis)
    return figure


def _add(figure: figures.Figure, material: materials.Material,
         drift: summary.Drift, number: int, axis: str) -> None:
    """Add the trips of a flavor, and their slope."""
    trips, medians = _trips(material, drift)
    if not trips:
        return
    slope = drift.per_trip.value
    # The line of Theil and Sen goes through the median of what is left when
    # the slope is taken away.
    at_zero = float(numpy.median(
        numpy.array(medians) - slope * numpy.array(trips)))
    ends = [min(trips), max(trips)]
    # More points than pixels show nothing more.
    every = -(-len(trips) // MOST_POINTS)
    trips, medians = trips[::every], medians[::every]
    shared = {'yaxis': 'y' + axis, 'legendgroup': str(number)}
    figure.add(
        'scatter',
        **shared, x=trips, y=medians, mode='markers',
        name=theme.short(drift.flavor), showlegend=not axis,
        marker={'color': theme.colour(number), 'size': 7,
                'symbol': theme.symbol(number)},
        hoverinfo='text', hovertext=[
            theme.hover(drift.flavor, 'trip %d: %s s' % (
                trip, words.number(value)))
            for trip, value in zip(trips, medians)])
    figure.add(
        'scatter',
        **shared, x=ends, y=[at_zero + slope * trip for trip in ends],
        mode='lines', showlegend=False,
        line={'color': theme.colour(number), 'width': 1.6,
              'dash': theme.dash(number)},
        hoverinfo='text', hovertext=theme.hover(
            drift.flavor, '%s s per trip%s' % (
                words.signed(slope),
                words.interval(drift.per_trip, sign=True))))


def _trips(material: materials.Material,
           drift: summary.Drift) -> tuple[list[int], list[float]]:
    """Return the trips and the median of each."""
    values: dict[int, list[float]] = {}
    for group in material.summary.groups:
        if (group.cell, group.flavor, group.way) != (
                drift.cell, drift.flavor, drift.way):
            continue
        for each in material.measured(group):
            value = groups.value(each, drift.quantity)
            if value is not None:
                values.setdefault(each.trip, []).append(value)
    trips = sorted(values)
    return trips, _medians([values[trip] for trip in trips])


def _medians(values: Sequence[Sequence[float]]) -> list[float]:
    return [float(numpy.median(each)) for each in values]
