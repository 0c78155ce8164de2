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

"""Documents as text, Markdown, JSON and HTML.

The HTML page is one file that requests nothing from the network. Its
template escapes all texts; in plots, ``plots.theme.text()`` does.
"""

from collections.abc import Sequence
import dataclasses
import itertools
import re
import textwrap
from typing import Any
from xml.sax import saxutils

import msgspec
import prettytable

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin import utils

COLUMNS = 100
MOST_LINES = 50
# A browser has to lay out every line.
MOST_LINES_HTML = 1000
# Longer tables can be searched and sorted, and scroll by themselves.
LONG_TABLE = 20
#: Extra of the package with the libraries of HTML pages.
EXTRA = 'report'
_SPACE = 2
_SPECIAL = re.compile(r'([\\`*_\[\]|~$])')


def json(found: document.Document) -> str:
    """Return a document's figures as JSON, for programs.

    Names of figures end in their units. A value that is not known or not
    defined is null.
    """
    # msgspec encodes NaN and infinity as null.
    return msgspec.json.format(
        msgspec.json.encode(found.data), indent=1).decode() + '\n'


def text(found: document.Document) -> str:
    """Return a document for a terminal that is 100 columns wide."""
    parts = ['\n'.join(_underlined(found.title, '=')),
             _wrapped(found.verdict),
             *(_wrapped(f'Note: {remark}') for remark in found.remarks)]
    for section in found.sections:
        blocks = []
        for node in section.nodes:
            match node:
                case document.Table() if (table := brief(node)):
                    blocks.append(
                        f'{_wrapped(table.caption)}\n{_text_table(table)}')
                case document.Bullets():
                    blocks.append('\n'.join(
                        _wrapped(line, '* ', '  ')
                        for line in first_lines(node.lines, MOST_LINES)))
                case document.Note():
                    blocks.append(_wrapped(node.text))
        if blocks:
            parts += ['\n'.join([*_underlined(section.title, '-'),
                                 blocks[0]]), *blocks[1:]]
    if len(parts) > 2:
        # A terminal shows the end of a long text.
        parts.append(_wrapped(found.verdict))
    return '\n\n'.join(parts) + '\n'


def markdown(found: document.Document) -> str:
    """Return a document as Markdown, for tickets and reviews."""
    parts = [f'# {escape(found.title)}', f'**{escape(found.verdict)}**',
             *(f'Note: {escape(remark)}' for remark in found.remarks)]
    for section in found.sections:
        blocks = []
        for node in section.nodes:
            match node:
                case document.Table() if (table := brief(node)):
                    blocks += [escape(table.caption), '\n'.join(
                        '| ' + ' | '.join(line) + ' |' for line in (
                            table.columns, ['---'] * len(table.columns),
                            *(map(escape, row.cells)
                              for row in table.rows)))]
                case document.Bullets():
                    blocks.append('\n'.join(
                        f'* {escape(line)}'
                        for line in first_lines(node.lines, MOST_LINES)))
                case document.Note():
                    text = escape(node.text)
                    blocks.append(f'**{text}**' if node.answer else text)
        if blocks:
            parts += [f'## {escape(section.title)}', *blocks]
    return '\n\n'.join(parts) + '\n'


def html(page: document.Document) -> str:
    """Return a document as a page that works without any other file.

    :param page: the document
    :raises MissingLibrary: a library of the extra is not installed
    """
    jinja2 = utils.import_optional('jinja2', EXTRA)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    environment.filters.update(
        embedded=embedded,
        # Jinja has no isinstance().
        kinds=lambda nodes: [(type(node).__name__, node) for node in nodes],
        first_lines=lambda lines: first_lines(lines, MOST_LINES_HTML))
    nodes = [node for section in page.sections for node in section.nodes]
    drawn = any(isinstance(node, document.Plot) and node.figures
                for node in nodes)
    searched = any(isinstance(node, document.Table) and
                   len(node.rows) > LONG_TABLE for node in nodes)
    return environment.get_template('page.html.j2').render(
        page=page, theme=theme, long_table=LONG_TABLE, searched=searched,
        plotly=plotly_script() if drawn else '')


def embedded(figures: Sequence[tuple[str, document.Figure]]
             ) -> Any:
    """Return figures as JSON that is safe inside a script element.

    A script element ends at the first ``</script``, even in a JSON string;
    after ``<!--`` it may not end where it should (HTML standard,
    "Restrictions for contents of script elements"). So these letters are
    written as escapes of JSON.

    :param figures: labels, which are left out, and figures
    """
    text = f'[{",".join(figure.as_json() for _label, figure in figures)}]'
    for letter in '<>&\u2028\u2029':
        text = text.replace(letter, f'\\u{ord(letter):04x}')
    return utils.import_optional('markupsafe', EXTRA).Markup(text)


def plotly_script() -> Any:
    """Return plotly.js, safe inside a script element.

    :raises ValueError: this version would end the element too early
    """
    plotly = utils.import_optional('plotly', EXTRA)
    script = plotly.offline.get_plotlyjs()
    if re.search('</script|<!--', script, re.IGNORECASE):
        raise ValueError('this version of plotly.js cannot be embedded')
    return utils.import_optional('markupsafe', EXTRA).Markup(script)


def escape(value: str) -> str:
    """Return a text on one line in which nothing is Markdown.

    :param value: a text of any origin; not for the begin of a line
    """
    return _SPECIAL.sub(r'\\\1', saxutils.escape(
        document.printable(value)))


def brief(table: document.Table) -> document.Table | None:
    """Return the part of a table that text and Markdown show.

    :returns: None if they show none of its rows
    """
    if not table.brief:
        return table
    rows = [row for row in table.rows if row.mark == document.BAD]
    caption = table.caption
    if len(rows) > MOST_LINES:
        caption += (f' The first {MOST_LINES} of {len(rows)} rows; the '
                    f'report as HTML or JSON has all of them.')
    return dataclasses.replace(
        table, caption=caption, rows=rows[:MOST_LINES]) if rows else None


def first_lines(lines: Sequence[str], most: int) -> list[str]:
    """Return the first lines, and how many there are beside.

    :param lines: all lines
    :param most: number of lines that a format shows
    """
    shown = list(lines[:most])
    if len(lines) > most:
        shown.append(f'and {len(lines) - most} more; the report as JSON has '
                     f'all of them')
    return shown


def _text_table(node: document.Table) -> str:
    cells = [[document.printable(cell) for cell in line] for line in (
        node.columns, *(row.cells for row in node.rows))]
    names = [''] * len(node.rows)
    words = {*range(node.words), node.outcome - 1}
    natural = sum(max(map(len, column)) for column in zip(*cells))
    if node.words > 2 and natural > COLUMNS - _SPACE * len(cells[0]):
        # The first cell becomes a heading of its rows, which leaves more
        # room for the other columns.
        names = [line[0] for line in cells[1:]]
        cells = [line[1:] for line in cells]
        words = {place - 1 for place in words}
    widths = _widths(cells, words)
    heading = [cells[0], ['-' * width for width in widths]]
    parts = [_text_rows(heading, widths)]
    for name, lines in itertools.groupby(
            zip(names, cells[1:]), key=lambda each: each[0]):
        if name:
            parts.append(_wrapped(name))
        parts.append(_text_rows([line for _name, line in lines], widths))
    return '\n'.join(parts)


def _text_rows(lines: Sequence[Sequence[str]],
               widths: Sequence[int]) -> str:
    table = prettytable.PrettyTable(
        [f'column {place}' for place, _ in enumerate(widths)])
    table.header = table.border = False
    table.align = 'l'
    table.left_padding_width, table.right_padding_width = 0, _SPACE
    table.min_width = {f'column {place}': width
                       for place, width in enumerate(widths)}
    # PrettyTable would break long words and narrow figures, so its cells
    # come wrapped.
    table.add_rows([
        ['\n'.join(textwrap.wrap(cell, width))
         for cell, width in zip(line, widths)] for line in lines])
    return '\n'.join(line.rstrip() for line in str(table).splitlines())


def _widths(cells: Sequence[Sequence[str]], words: set[int]) -> list[int]:
    """Return widths of columns with which a table fits the terminal.

    Headings are wrapped first, then words, and figures last, since a wrapped
    figure is hard to read. Words are broken only where nothing else helps.

    :param cells: rows, with the headings
    :param words: places of the columns with words
    """
    columns = list(zip(*cells))
    widths = [max(map(len, column)) for column in columns]
    body = [max(map(len, column[1:]), default=0) for column in columns]
    least = [max(len(word) for cell in column for word in cell.split() or [''])
             for column in columns]

    def preference(place: int) -> tuple[bool, bool, bool, int]:
        width = widths[place]
        fits = width > least[place]
        return (fits, fits and width > body[place], fits and place in words,
                width)
    room = COLUMNS - _SPACE * len(widths)
    while sum(widths) > room:
        widths[max(range(len(widths)), key=preference)] -= 1
    return widths


def _underlined(title: str, mark: str) -> list[str]:
    title = document.printable(title)
    return [title, mark * len(title)]


def _wrapped(value: str, first: str = '', rest: str = '') -> str:
    return textwrap.fill(document.printable(value), COLUMNS,
                         initial_indent=first, subsequent_indent=rest)
