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

"""CPU and network traffic of the hosts during a drain."""

from collections.abc import Callable
from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results.plots import timeline
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary

PLACE = 60
MOST_POINTS = 500
MOST_BANDS = 60
MOST_DRAINS = 12
PART, GAP = 130, 30

_Value = Callable[[schema.HostSample], float | None]
ROWS: Sequence[tuple[str, str, _Value, float]] = (
    ('', 'CPU (%)', lambda sample: sample.cpu_busy_fraction, 100),
    ('2', 'sent (MB/s)', lambda sample: sample.sent_bytes_per_s, 1e-6),
    ('3', 'received (MB/s)', lambda sample: sample.received_bytes_per_s,
     1e-6))


def section(material: plots.Material) -> document.Section:
    """Return the section with a plot of each chosen drain."""
    drains = [drain for drain in material.drains
              if any(len(each.samples) > 1 for each in drain.result.hosts)]
    chosen = timeline.choose(drains, MOST_DRAINS)
    return document.Section('hosts', 'Load of the hosts', [document.Plot(
        'hosts',
        'Busy CPUs, and the bytes that all interfaces of a host sent and '
        'received. Each live migration is shaded while the hosts worked on '
        'it: the darker, the more at once.',
        [(timeline.drain_label(material, drain), _figure(drain))
         for drain in chosen], 'Drain', missing='' if drains else
        'The tests had no access to the hosts (group live_migration_ha_hosts '
        'of tempest.conf), so their load is not known.',
        notes=timeline.drain_notes(drains, chosen))])


def _figure(drain: summary.DrainWithMigrations) -> document.Figure:
    area = len(ROWS) * PART + (len(ROWS) - 1) * GAP
    spans = timeline.running(drain.result, drain.migrations)[:MOST_BANDS]
    figure = theme.figure(
        area, hovermode='x', xaxis=theme.axis(
            'seconds after the drain began', anchor=f'y{len(ROWS)}'),
        shapes=[{
            'type': 'rect', 'xref': 'x', 'yref': 'paper', 'y0': 0, 'y1': 1,
            'x0': span.begin_s, 'x1': span.end_s, 'layer': 'below',
            'fillcolor': 'rgba(0, 114, 178, 0.08)',
            'line': {'width': 1, 'color': 'rgba(0, 114, 178, 0.25)'}}
            for span in spans])
    for row, (axis, title, value, factor) in enumerate(ROWS):
        bottom = (len(ROWS) - 1 - row) * (PART + GAP) / area
        figure.layout[f'yaxis{axis}'] = theme.axis(
            title, domain=[bottom, bottom + PART / area], rangemode='tozero')
        for number, host in enumerate(sorted(
                drain.result.hosts, key=lambda each: each.host)):
            times, values = _points(drain.result, host.samples, value, factor)
            figure.add(
                'scatter', x=times, y=values, yaxis=f'y{axis}', mode='lines',
                name=theme.short(host.host), legendgroup=str(number),
                showlegend=not axis,
                line={'color': theme.colour(number), 'width': 1.8,
                      'dash': theme.dash(number)},
                hoverinfo='text', hovertext=[
                    theme.hover(f'{host.host}: {document.number(each)}')
                    for each in values])
    return figure


def _points(drain: schema.DrainResult, samples: Sequence[schema.HostSample],
            value: _Value, factor: float) -> tuple[list[float], list[float]]:
    """Return times and values; means of neighbours if there are many."""
    known = [
        (sample.at_monotonic_s - drain.started_monotonic_s, found * factor)
        for sample in samples if (found := value(sample)) is not None]
    parts = numpy.array_split(
        numpy.array(known).reshape(-1, 2),
        max(1, min(len(known), MOST_POINTS)))
    means = [part.mean(axis=0) for part in parts if len(part)]
    return ([round(float(each[0]), 3) for each in means],
            [float(each[1]) for each in means])
