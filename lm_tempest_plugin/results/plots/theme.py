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

"""Style of plots: colours, fonts, axes, and texts that stay text."""

from collections.abc import Sequence
import html
import textwrap
from typing import Any

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import estimates

INK, MUTED, GRID = '#1f2933', '#5b6770', '#e1e5ea'
GOOD, BAD = '#1a7f4b', '#b3261e'
# Okabe and Ito: colour-blind readers can tell them apart.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9',
           '#000000', '#7f7f7f')
SYMBOLS = ('circle', 'square', 'diamond', 'triangle-up', 'x', 'star',
           'pentagon', 'hexagon')
DASHES = ('solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot')
PHASES = {
    'checks': '#8da0b3', 'queued': '#d3dae1', 'setup': '#f0b35c',
    'copy': '#0072b2', 'post': '#009e73', 'cleanup': '#86cdb6'}
OUTAGE = '#b3261e'
FONT = ('system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", '
        'Arial, sans-serif')
FONT_SIZE = 12
LABEL_WIDTH, LABEL_LINES = 20, 4
NAME_WIDTH, HOVER_WIDTH = 28, 60


def colour(number: int) -> str:
    """Return a colour; numbers count from 0."""
    return COLOURS[number % len(COLOURS)]


def symbol(number: int) -> str:
    """Return the shape of a marker; numbers count from 0."""
    return SYMBOLS[number % len(SYMBOLS)]


def dash(number: int) -> str:
    """Return the style of a line; numbers count from 0."""
    return DASHES[number % len(DASHES)]


def text(value: object) -> str:
    """Return a text so that plotly shows it unchanged.

    plotly interprets a subset of HTML in labels and hover texts.
    """
    return html.escape(str(value), quote=False)


def short(value: object, width: int = NAME_WIDTH) -> str:
    """Return a text of limited length, escaped for plotly.

    :param value: such as the name of a server, which may be long
    :param width: maximum number of letters
    """
    words = ' '.join(str(value).split())
    return text(words if len(words) <= width else words[:width - 1] + '…')


def wrapped(value: object, width: int = LABEL_WIDTH,
            lines: int = LABEL_LINES) -> str:
    """Return a text on several short lines, escaped for plotly.

    :param value: the text
    :param width: maximum number of letters in a line
    :param lines: maximum number of lines; the rest is cut off
    """
    found = textwrap.wrap(str(value), width, max_lines=lines,
                          placeholder=' …')
    return '<br>'.join(map(text, found))


def hover(*lines: object) -> str:
    """Return a hover text of several lines, escaped for plotly."""
    found: list[str] = []
    for line in map(str, lines):
        # Wrapping takes time, and most lines are short.
        if len(line) <= HOVER_WIDTH and '\n' not in line:
            found.append(text(line))
        else:
            found += map(text, textwrap.wrap(line, HOVER_WIDTH))
    return '<br>'.join(found)


def figure(area: int, width: int = 0, **layout: Any) -> document.Figure:
    """Return a figure without traces.

    :param area: height of the space between the axes, in pixels; the page
        adds the height of axes and legend
    :param width: least width of the figure, in pixels; a page that is
        narrower scrolls it
    :param layout: attributes beside those that all figures share
    """
    return document.Figure({
        'template': 'none', 'height': area + 110,
        'meta': {'area': area, 'width': width},
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

    :param title: the quantity with its unit
    :param more: plotly's attributes
    """
    return {**_AXIS, 'title': {**_AXIS['title'], 'text': text(title)},
            **more}


def rows(labels: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return a vertical axis with a label for each row, the first on top.

    :param labels: escaped for plotly
    :param more: plotly's attributes
    """
    return axis(**{
        'tickmode': 'array', 'tickvals': list(range(len(labels))),
        'ticktext': list(labels), 'range': [len(labels) - 0.5, -0.5],
        'showgrid': False, 'zeroline': False, 'ticks': '', **more})


def error_bars(found: Sequence[estimates.Estimate],
               **more: Any) -> dict[str, Any]:
    """Return the intervals of estimates as error bars.

    :param found: an end that is not known gets no bar
    :param more: plotly's attributes
    """
    return {
        'type': 'data', 'symmetric': False, 'width': 5, 'thickness': 2,
        'array': [0.0 if each.high is None else each.high - each.value
                  for each in found],
        'arrayminus': [0.0 if each.low is None else each.value - each.low
                       for each in found], **more}


def forest(area: int, labels: Sequence[str], title: str,
           styles: Sequence[tuple[str, str, str, Sequence[int]]],
           found: Sequence[estimates.Estimate],
           hovers: Sequence[str], **layout: Any) -> document.Figure:
    """Return a forest plot: a row with an interval for each comparison.

    :param area: height between the axes, in pixels
    :param labels: of the rows, escaped for plotly
    :param title: of the horizontal axis
    :param styles: name, colour and symbol of each outcome, and its rows
    :param found: of the rows
    :param hovers: of the rows, escaped for plotly
    :param layout: more attributes
    """
    made = figure(
        area, yaxis=rows(labels), xaxis=axis(
            title, rangemode='tozero', zeroline=True, zerolinecolor=MUTED,
            zerolinewidth=1.5), **layout)
    for name, fill, shape, places in styles:
        if places:
            made.add(
                'scatter', name=name, mode='markers', y=list(places),
                x=[found[place].value for place in places],
                error_x=error_bars([found[place] for place in places]),
                marker={'color': fill, 'symbol': shape, 'size': 10,
                        'line': {'color': fill, 'width': 2}},
                hoverinfo='text',
                hovertext=[hovers[place] for place in places])
    return made
