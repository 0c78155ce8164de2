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

"""CPU and network of hosts, beside the live migrations."""

from collections.abc import Callable
from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import drains as choosing
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html import spans
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words

# More points than pixels show nothing more.
MOST_POINTS = 500
MOST_BANDS = 60
MOST_DRAINS = 12
PART, GAP = 130, 30
KEY, TITLE = 'hosts', 'Hosts meanwhile'


def plot(material: materials.Material) -> plots.Plot:
    """Return the plot.

    :param material: of the page
    """
    drains = [drain for drain in material.records.drains
              if any(len(each) > 1 for each in drain.samples.values())]
    if not drains:
        return plots.Plot(KEY, TITLE, '', missing=(
            'The tests had no access to hosts (group '
            'live_migration_ha_hosts of tempest.conf), so that nothing is '
            'known of their CPUs and networks.'))
    shown = choosing.chosen(material, drains, MOST_DRAINS)
    return plots.Plot(
        KEY, TITLE,
        'CPUs at work, and what all interfaces of a host sent and received. '
        'Each live migration is shaded while the hosts were at work on it: '
        'the darker, the more of them at once.',
        figures=[(choosing.label(material, drain),
                  _figure(drain, material.of(drain))) for drain in shown],
        choice='Drain', notes=choosing.notes(drains, shown))


def _figure(drain: collection.Drain,
            attempts: Sequence[collection.Attempt]) -> figures.Figure:
    area = 3 * PART + 2 * GAP
    step, height = (PART + GAP) / area, PART / area
    figure = theme.figure(
        area, hovermode='x', shapes=_bands(drain, attempts),
        xaxis=theme.axis('seconds after the drain began', anchor='y3'),
        yaxis=theme.axis('CPU (%)', domain=[2 * step, 2 * step + height],
                         rangemode='tozero'),
        yaxis2=theme.axis('sent (MB/s)', domain=[step, step + height],
                          rangemode='tozero'),
        yaxis3=theme.axis('received (MB/s)', domain=[0, height],
                          rangemode='tozero'))
    rows: tuple[tuple[str, Callable[[collection.Sample], float | None],
                      float], ...] = (
        ('y', lambda sample: sample.cpu, 100),
        ('y2', lambda sample: sample.sent_bytes_per_s, 1e-6),
        ('y3', lambda sample: sample.received_bytes_per_s, 1e-6))
    for number, (host, samples) in enumerate(sorted(drain.samples.items())):
        for axis, value, factor in rows:
            points = _points(drain, samples, value, factor)
            figure.add(
                'scatter',
                x=points[0], y=points[1], yaxis=axis, mode='lines',
                name=theme.short(host), legendgroup=str(number),
                showlegend=axis == 'y',
                line={'color': theme.colour(number), 'width': 1.8,
                      'dash': theme.dash(number)},
                hoverinfo='text', hovertext=[
                    theme.hover('%s: %s' % (host, words.number(each)))
                    for each in points[1]])
    return figure


def _points(drain: collection.Drain, samples: Sequence[collection.Sample],
            value: Callable[[collection.Sample], float | None],
            factor: float) -> tuple[list[float], list[float]]:
    """Return times and values; means of neighbours if there are many."""
    known = [(sample.at_monotonic_s - drain.began_monotonic_s, found * factor)
             for sample in samples if (found := value(sample)) is not None]
    parts = numpy.array_split(
        numpy.array(known).reshape(-1, 2),
        max(1, min(len(known), MOST_POINTS)))
    means = [part.mean(axis=0) for part in parts if len(part)]
    return ([round(float(each[0]), 3) for each in means],
            [float(each[1]) for each in means])


def _bands(drain: collection.Drain,
           attempts: Sequence[collection.Attempt]) -> list[dict[str, object]]:
    """Return when the hosts were at work on servers, as shaded areas."""
    return [{
        'type': 'rect', 'xref': 'x', 'yref': 'paper', 'y0': 0, 'y1': 1,
        'x0': span.begin_s, 'x1': span.end_s, 'layer': 'below',
        'fillcolor': 'rgba(0, 114, 178, 0.08)',
        'line': {'width': 1, 'color': 'rgba(0, 114, 178, 0.25)'}}
        for span in spans.running(drain, attempts)[:MOST_BANDS]]
