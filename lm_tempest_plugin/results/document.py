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

"""A report or a comparison as data: sections that consist of a few nodes.

``report.build()`` and ``compare.build()`` return a :class:`Document`. The
renderers know its nodes, and neither of the two commands. All texts are plain
texts of any origin: a renderer escapes them for its format. Numbers for
readers are formatted here, in one way for all formats.
"""

from collections.abc import Sequence
import dataclasses
import datetime
import json
from typing import Any

from lm_tempest_plugin.results import estimates

GOOD, BAD = 'good', 'bad'
#: Stands in a table for a value that is not known.
UNKNOWN = '–'


class Figure:
    """A plot as plotly.js takes it.

    Plain data: plotly's Python objects would add nothing but time (half a
    minute for a page of fifty figures). The unit tests check every figure
    against plotly's own schema.

    :param layout: axes, legend and so on
    :ivar traces: the curves, bars and boxes, in drawing order
    :ivar layout: the layout
    """

    def __init__(self, layout: dict[str, Any]) -> None:
        self.traces: list[dict[str, Any]] = []
        self.layout = layout

    def add(self, kind: str, **trace: Any) -> None:
        """Add a trace.

        :param kind: ``scatter``, ``bar``, ``box`` or ``heatmap``
        :param trace: plotly's attributes of the trace
        """
        self.traces.append({'type': kind, **trace})

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as plotly.js takes it."""
        return {'data': self.traces, 'layout': self.layout}

    def as_json(self) -> str:
        """Return the figure as JSON on one line.

        :raises ValueError: a value is not a number
        """
        return json.dumps(self.as_dict(), allow_nan=False,
                          separators=(',', ':'))


@dataclasses.dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table.

    :ivar cells: one text for each column; the first one names the row
    :ivar mark: ``good``, ``bad`` or empty
    """

    cells: Sequence[str]
    mark: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table.

    :ivar caption: its content, and how to read it
    :ivar columns: headings
    :ivar rows: rows with one cell for each heading
    :ivar words: number of leading columns that hold words; the others hold
        figures
    :ivar outcome: number of the column, from 1, that the marks of the rows
        colour; 0 for none
    :ivar brief: whether text and Markdown show only the rows that are marked
        as bad
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[TableRow]
    words: int = 1
    outcome: int = 0
    brief: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Bullets:
    """A list.

    :ivar lines: a text for each entry
    """

    lines: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """A paragraph.

    :ivar text: one or more sentences
    :ivar answer: whether it is the answer that a section gives, not a remark
    """

    text: str
    answer: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Plot:
    """A plot, or several to choose from. Only HTML shows it.

    :ivar key: its name in the page, unique in the document
    :ivar caption: its content, and how to read it
    :ivar figures: each with the label by which it is chosen
    :ivar choice: name of the list of labels; empty without a choice
    :ivar missing: the sentence that a page shows if there is no figure
    :ivar notes: a text for each omission
    """

    key: str
    caption: str
    figures: Sequence[tuple[str, Figure]] = ()
    choice: str = ''
    missing: str = ''
    notes: Sequence[str] = ()


Node = Table | Bullets | Note | Plot


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A heading with nodes below it.

    :ivar key: its name in links
    :ivar title: the heading
    :ivar nodes: its content, in order
    """

    key: str
    title: str
    nodes: Sequence[Node]


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """A whole report or comparison.

    :ivar title: the heading
    :ivar good: whether everything is as expected
    :ivar verdict: the result in one sentence
    :ivar remarks: facts that limit the result
    :ivar sections: the content, in order
    :ivar data: the same figures for programs: dataclasses, schema structs,
        dictionaries and sequences
    """

    title: str
    good: bool
    verdict: str
    remarks: Sequence[str]
    sections: Sequence[Section]
    data: Any


def number(value: float) -> str:
    """Return a number with three significant digits, at most 3 decimals."""
    size = abs(value)
    # Compare with the limit of rounding: 9.996 is 10.0, not 10.00.
    if size >= 99.95:
        return f'{value:.0f}'
    if size >= 9.995:
        return f'{value:.1f}'
    if size >= 0.9995 or not size:
        return f'{value:.2f}'
    return f'{value:.3f}'


def signed(value: float) -> str:
    """Return a number with its sign."""
    return number(value) if value < 0 else '+' + number(value)


def percent(fraction: float) -> str:
    """Return a fraction as percent, with its sign."""
    return f'{100 * fraction:+.{0 if abs(fraction) >= 0.1 else 1}f} %'


def interval(found: estimates.Estimate, sign: bool = False) -> str:
    """Return an interval in brackets, with a space before; '' without one.

    :param found: the estimate
    :param sign: whether the ends have signs
    """
    show = signed if sign else number
    if found.low is not None and found.high is not None:
        return f' ({show(found.low)} to {show(found.high)})'
    if found.low is not None:
        return f' ({show(found.low)} or more)'
    if found.high is not None:
        return f' ({show(found.high)} or less)'
    return ''


def estimate(found: estimates.Estimate, sign: bool = False) -> str:
    """Return a value with its interval, if that is known.

    :param found: the estimate
    :param sign: whether the numbers have signs
    """
    show = signed if sign else number
    return show(found.value) + interval(found, sign)


def count(size: int, one: str, many: str = '') -> str:
    """Return a number of things: '1 drain', '2 drains'.

    :param size: the number
    :param one: the noun in the singular
    :param many: the plural, if it is not the singular with an s
    """
    return f'{size} {one if size == 1 else many or one + "s"}'


def spread(low: int, high: int) -> str:
    """Return a range of whole numbers, or the number if both are equal."""
    return f'{low:d}' if low == high else f'{low:d} to {high:d}'


def time_of_day(moment: datetime.datetime) -> str:
    """Return a time in UTC, to the second."""
    return moment.astimezone(datetime.UTC).strftime('%Y-%m-%d %H:%M:%S UTC')


def printable(text: str) -> str:
    """Return a text on one line, without control characters.

    Characters that steer a terminal are shown as Python escapes.
    """
    return ''.join(
        each if each.isprintable() else each.encode(
            'unicode_escape').decode() for each in text)
