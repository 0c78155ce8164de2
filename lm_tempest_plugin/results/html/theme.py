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

"""How plots look: colours, fonts, axes, and text that stays text."""

import html
import textwrap
from typing import Any

from lm_tempest_plugin.results.html import figure as figures

INK, MUTED, GRID = '#1f2933', '#5b6770', '#e1e5ea'
GOOD, BAD = '#1a7f4b', '#b3261e'
# Those of Okabe and Ito (Color Universal Design, 2008), which people who see
# colours differently can tell apart; the yellow is left out: on white it
# cannot be read.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9',
           '#000000', '#7f7f7f')
# Nothing is told by its colour alone.
SYMBOLS = ('circle', 'square', 'diamond', 'triangle-up', 'x', 'star',
           'pentagon', 'hexagon')
DASHES = ('solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot')
# Phases of a live migration in their order; see migration.phases.
PHASES = {
    'checks': '#8da0b3', 'queued': '#d3dae1', 'setup': '#f0b35c',
    'copy': '#0072b2', 'post': '#009e73', 'cleanup': '#86cdb6'}
OUTAGE = '#b3261e'
FONT = ('system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", '
        'Arial, sans-serif')
FONT_SIZE = 12
# What a label has room for on a phone, in letters, and how many lines.
LABEL_WIDTH, LABEL_LINES = 20, 4
NAME_WIDTH, HOVER_WIDTH = 28, 60


def colour(number: int) -> str:
    """Return the colour of something, by its number from 0."""
    return COLOURS[number % len(COLOURS)]


def symbol(number: int) -> str:
    """Return the shape of something, by its number from 0."""
    return SYMBOLS[number % len(SYMBOLS)]


def dash(number: int) -> str:
    """Return the kind of line of something, by its number from 0."""
    return DASHES[number % len(DASHES)]


def text(value: object) -> str:
    """Return what plotly shows as it is.

    It takes labels and hover texts for a small part of HTML.
    """
    return html.escape(str(value), quote=False)


def short(value: object, width: int = NAME_WIDTH) -> str:
    """Return a text of limited length, as plotly shows it as it is.

    :param value: such as the name of a server, which may be long
    :param width: in letters
    """
    words = ' '.join(str(value).split())
    return text(words if len(words) <= width else words[:width - 1] + '…')


def wrapped(value: object, width: int = LABEL_WIDTH,
            lines: int = LABEL_LINES) -> str:
    """Return a text on several short lines, as plotly shows it as it is.

    :param value: the text
    :param width: of a line, in letters
    :param lines: how many there may be; the rest is left out
    """
    found = textwrap.wrap(str(value), width, max_lines=lines,
                          placeholder=' …')
    return '<br>'.join(map(text, found))


def hover(*lines: object) -> str:
    """Return a hover text of several lines that plotly shows as they are."""
    return '<br>'.join(_hover_line(str(line)) for line in lines)


def _hover_line(line: str) -> str:
    # Wrapping takes time, and most lines need none.
    if len(line) <= HOVER_WIDTH and '\n' not in line:
        return text(line)
    return '<br>'.join(map(text, textwrap.wrap(line, HOVER_WIDTH)))


def figure(area: int, **layout: Any) -> figures.Figure:
    """Return a figure without traces.

    :param area: height of the space between the axes, in pixels; the page
        adds what axes and legend need
    :param layout: what it has beside what all have
    """
    return figures.Figure({
        'template': 'none', 'height': area + 110, 'meta': {'area': area},
        'autosize': True,
        'font': {'family': FONT, 'size': FONT_SIZE, 'color': INK},
        'paper_bgcolor': '#ffffff', 'plot_bgcolor': '#ffffff',
        'margin': {'l': 12, 'r': 14, 't': 36, 'b': 12},
        'legend': {'orientation': 'h', 'traceorder': 'normal', 'x': 0,
                   'xanchor': 'left', 'xref': 'container', 'y': 0,
                   'yanchor': 'bottom', 'yref': 'container'},
        'hoverlabel': {'align': 'left', 'font': {'family': FONT}},
        'hovermode': 'closest', **layout})


_AXIS: dict[str, Any] = {
    'automargin': True, 'gridcolor': GRID, 'zerolinecolor': GRID,
    'linecolor': MUTED, 'ticks': 'outside', 'tickcolor': GRID, 'ticklen': 4,
    'title': {'font': {'size': FONT_SIZE}, 'standoff': 8}}


def axis(title: str = '', **more: Any) -> dict[str, Any]:
    """Return an axis.

    :param title: what it shows, with the unit
    :param more: of plotly's settings
    """
    return {**_AXIS, 'title': {**_AXIS['title'], 'text': text(title)},
            **more}


def rows(labels: list[str], **more: Any) -> dict[str, Any]:
    """Return a vertical axis of rows, the first on top.

    :param labels: of each row, as plotly shows them as they are
    :param more: of plotly's settings
    """
    return axis(**{
        'tickmode': 'array', 'tickvals': list(range(len(labels))),
        'ticktext': labels, 'range': [len(labels) - 0.5, -0.5],
        'showgrid': False, 'zeroline': False, 'ticks': '', **more})
