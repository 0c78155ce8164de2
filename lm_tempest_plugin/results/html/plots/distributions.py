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

"""How long outages and stalls were, and how long they may be."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses

import numpy

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words

# So many lines can be told apart.
MOST_LINES = 8
# A line has so many corners at most, the largest value among them.
MOST_STEPS = 300
AREA = 280


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """What is shown.

    :ivar key: place in the page
    :ivar title: heading
    :ivar one: what one is called
    :ivar explained: what it is
    :ivar of: returns the longest of an attempt
    """

    key: str
    title: str
    one: str
    explained: str
    of: Callable[[collection.Attempt], collection.Longest | None]


OUTAGES = Quantity(
    'outages', 'Outages', 'outage',
    'how long a guest did not answer ICMP at a stretch',
    lambda attempt: attempt.outage)
STALLS = Quantity(
    'stalls', 'Stalls', 'stall',
    'how long a TCP connection to a guest made no progress',
    lambda attempt: attempt.stall)
Lines = dict[str, list[collection.Longest]]


def outages(material: materials.Material) -> plots.Plot:
    """Return the plot of outages.

    :param material: of the page
    """
    return _plot(material, OUTAGES)


def stalls(material: materials.Material) -> plots.Plot:
    """Return the plot of stalls.

    :param material: of the page
    """
    return _plot(material, STALLS)


def _plot(material: materials.Material, quantity: Quantity) -> plots.Plot:
    lines = _lines(material, quantity)
    if not lines:
        return plots.Plot(quantity.key, quantity.title, '', missing=(
            'No %s was looked for: no guest was probed while it was moved.' %
            quantity.one))
    # Those with the longest are those to look at.
    shown = sorted(lines, key=lambda name: -max(
        each.seconds for each in lines[name]))[:MOST_LINES]
    notes = []
    if len(shown) < len(lines):
        notes.append(
            'The %d of %d cells with the longest are shown; the table of '
            'cells has all of them.' % (len(shown), len(lines)))
    return plots.Plot(
        quantity.key, quantity.title,
        'The longest %s of each live migration: %s. A line says which part '
        'of all migrations had none that was longer. The vertical line is '
        'the bound.' % (quantity.one, quantity.explained),
        figures=[('', _figure(
            {name: lines[name] for name in lines if name in shown},
            _control(material) if quantity is OUTAGES else (), quantity))],
        notes=notes)


def _lines(material: materials.Material, quantity: Quantity) -> Lines:
    """Return what is known, by the name of the cell."""
    found: Lines = {}
    for group in material.summary.groups:
        known = [each for each in map(
            quantity.of, material.measured(group)) if each is not None]
        if known:
            found.setdefault(material.names.group(
                group.cell, group.way), []).extend(known)
    return found


def _control(material: materials.Material) -> list[float]:
    """Return the longest outages at other times."""
    return [each.control.seconds for group in material.summary.groups
            for each in material.measured(group) if each.control is not None]


def _figure(lines: Lines, control: Sequence[float],
            quantity: Quantity) -> figures.Figure:
    bounds = sorted({each.bound_s for found in lines.values()
                     for each in found})
    largest = max([*bounds[:1], *control, *(
        each.seconds for found in lines.values() for each in found)])
    figure = theme.figure(
        AREA,
        xaxis=theme.axis('longest %s of a live migration (s)' %
                         quantity.one, range=[0, 1.06 * largest]),
        yaxis=theme.axis('part of all migrations (%)', range=[0, 103]))
    for number, (name, found) in enumerate(lines.items()):
        _add(figure, name, [each.seconds for each in found],
             color=theme.colour(number), dash=theme.dash(number))
    if control:
        _add(figure, 'at other times', control, color=theme.MUTED,
             dash='dot', width=1.2)
    for bound in bounds:
        # Beyond the right edge it can be reached by zooming out.
        figure.add(
            'scatter',
            x=[bound, bound], y=[0, 103], mode='lines', hoverinfo='text',
            hovertext='bound: %g s' % bound, name='bound: %g s' % bound,
            line={'color': theme.BAD, 'width': 2, 'dash': 'longdash'})
    return figure


def _add(figure: figures.Figure, name: str, values: Sequence[float],
         color: str, dash: str, width: float = 2.0) -> None:
    """Add a line that says which part of all values is not above."""
    places = numpy.linspace(0, len(values) - 1, min(
        MOST_STEPS, len(values))).round().astype(int)
    ordered = numpy.sort(values)[places].tolist()
    # A step begins at zero, so that one value alone makes a line as well.
    ordered = [ordered[0], *ordered]
    parts = [0.0, *((places + 1) * 100 / len(values)).tolist()]
    figure.add(
        'scatter',
        x=ordered, y=parts, mode='lines',
        name=theme.short(name, 44),
        line={'shape': 'hv', 'color': color, 'dash': dash, 'width': width},
        hoverinfo='text', hovertext=[
            theme.hover(name, '%.1f %%: %s s or less' % (
                part, words.number(value)))
            for value, part in zip(ordered, parts)])
