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

"""For a terminal, a hundred columns wide."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import textwrap

import prettytable

from lm_tempest_plugin.results import collection as collections
from lm_tempest_plugin.results.rendering import content
from lm_tempest_plugin.results.rendering import words
from lm_tempest_plugin.results import summary as summaries

COLUMNS = 100
# Columns whose texts have no end; the others leave so much.
NARROW = {'Flavor': 13, 'Servers': 13, 'Strategy': 12, 'Transport': 10}


def render(summary: summaries.Summary,
           collection: collections.Collection) -> str:
    """Return what there is to say of records.

    :param summary: what they come to
    :param collection: the same records
    """
    parts = [content.title(summary), _wrapped(summary.sentence + '.')]
    for section in content.sections(summary, collection):
        parts.append('\n'.join(_section(section)))
    return '\n\n'.join(parts) + '\n'


def _section(section: content.Section) -> Iterator[str]:
    yield section.title
    yield '=' * len(section.title)
    for name, rows in section.tables.items():
        yield _wrapped(name)
        yield _table(rows)
    for line in section.lines:
        yield _wrapped(line, '* ', '  ')
    if section.note:
        yield _wrapped(section.note)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    table = prettytable.PrettyTable(
        list(rows[0]), border=False, left_padding_width=0,
        right_padding_width=2)
    table.align = 'l'
    table.add_rows([[_narrow(*cell) for cell in row.items()] for row in rows])
    return '\n'.join(line.rstrip() for line in str(table).splitlines())


def _narrow(heading: str, text: str) -> str:
    text = words.printable(text)
    if heading not in NARROW:
        return text
    return '\n'.join(textwrap.wrap(text, NARROW[heading]))


def _wrapped(text: str, first: str = '', rest: str = '') -> str:
    return textwrap.fill(words.printable(text), COLUMNS,
                         initial_indent=first, subsequent_indent=rest)
