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

"""Distribution of outages and stalls, and their bounds."""

from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import schema

PLACE = 40
MOST_LINES = 8
MOST_STEPS = 300
AREA = 280
KINDS = (('outages', 'outage', 'the time in which the guest did not answer '
          'ICMP'),
         ('stalls', 'stall', 'the time in which a TCP stream to the guest '
          'made no progress'))


def section(material: plots.Material) -> document.Section:
    """Return the section with both plots."""
    nodes: list[document.Node] = []
    for key, noun, explained in KINDS:
        lines, bounds = _lines(material, key)
        # The settings with the longest are the interesting ones.
        shown = set(sorted(
            lines, key=lambda name: -max(lines[name]))[:MOST_LINES])
        nodes.append(document.Plot(
            key, f'The longest {noun} of each migration: {explained}. A '
            f'curve shows the part of all migrations without a longer one '
            f'(ECDF). The vertical line is the limit.',
            [('', _figure(
                {name: lines[name] for name in lines if name in shown},
                bounds, _control(material) if key == 'outages' else (),
                noun))] if lines else [],
            missing='' if lines else
            f'No {noun} was measured: no guest was probed.',
            notes=[] if len(shown) == len(lines) else [
                f'The {len(shown)} of {len(lines)} combinations with the '
                f'longest {noun} are shown; the table of live migrations '
                f'has all of them.']))
    return document.Section('continuity', 'Outages and stalls', nodes)


def _lines(material: plots.Material,
           key: str) -> tuple[dict[str, list[float]], list[float]]:
    """Return lengths by the name of the settings, and the bounds."""
    found: dict[str, list[float]] = {}
    bounds = set()
    for group in material.summary.groups:
        for each in material.measured(group.conditions):
            figures: schema.OutageFigures | schema.StallFigures | None = None
            if each.continuity:
                figures = (each.continuity.outage if key == 'outages'
                           else each.continuity.stall)
            if figures:
                found.setdefault(material.names.group(
                    group.conditions), []).append(figures.longest_s)
                bounds.add(each.max_outage_s if key == 'outages'
                           else each.max_stall_s)
    return found, sorted(bounds)


def _control(material: plots.Material) -> list[float]:
    """Return the longest outages outside the migrations."""
    return [each.continuity.control.longest_s
            for group in material.summary.groups
            for each in material.measured(group.conditions)
            if each.continuity]


def _figure(lines: dict[str, list[float]], bounds: Sequence[float],
            control: Sequence[float], noun: str) -> document.Figure:
    largest = max([*bounds[:1], *control, *(
        each for found in lines.values() for each in found)])
    figure = theme.figure(
        AREA,
        xaxis=theme.axis(f'longest {noun} of a live migration (s)',
                         range=[0, 1.06 * largest]),
        yaxis=theme.axis('part of all migrations (%)', range=[0, 103]))
    for number, (name, found) in enumerate(lines.items()):
        _add(figure, name, found, color=theme.colour(number),
             dash=theme.dash(number))
    if control:
        _add(figure, 'at other times', control, color=theme.MUTED,
             dash='dot', width=1.2)
    for bound in bounds:
        # Beyond the right edge it can be reached by zooming out.
        figure.add(
            'scatter', x=[bound, bound], y=[0, 103], mode='lines',
            hoverinfo='text', hovertext=f'limit: {bound:g} s',
            name=f'limit: {bound:g} s',
            line={'color': theme.BAD, 'width': 2, 'dash': 'longdash'})
    return figure


def _add(figure: document.Figure, name: str, values: Sequence[float],
         color: str, dash: str, width: float = 2.0) -> None:
    """Add the ECDF of values."""
    places = numpy.linspace(0, len(values) - 1, min(
        MOST_STEPS, len(values))).round().astype(int)
    ordered = numpy.sort(values)[places].tolist()
    # A first step from zero, so that a single value is visible too.
    ordered = [ordered[0], *ordered]
    parts = [0.0, *((places + 1) * 100 / len(values)).tolist()]
    figure.add(
        'scatter', x=ordered, y=parts, mode='lines',
        name=theme.short(name, 44),
        line={'shape': 'hv', 'color': color, 'dash': dash, 'width': width},
        hoverinfo='text', hovertext=[
            theme.hover(name, f'{part:.1f} %: {document.number(value)} s or '
                        f'less') for part, value in zip(parts, ordered)])
