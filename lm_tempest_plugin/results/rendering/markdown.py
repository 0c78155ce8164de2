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

"""Markdown, as tickets and reviews show it."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import html
import re

from lm_tempest_plugin.results import collection as collections
from lm_tempest_plugin.results.rendering import content
from lm_tempest_plugin.results.rendering import words
from lm_tempest_plugin.results import summary as summaries

# What would begin or end something within a line: code, emphasis, a link,
# a column, mathematics.
_SPECIAL = re.compile(r'([\\`*_\[\]|~$])')


def render(summary: summaries.Summary,
           collection: collections.Collection) -> str:
    """Return what there is to say of records.

    :param summary: what they come to
    :param collection: the same records
    """
    parts = ['# %s' % escape(content.title(summary)),
             escape(summary.sentence) + '.']
    for section in content.sections(summary, collection):
        parts += _section(section)
    return '\n\n'.join(parts) + '\n'


def escape(text: str) -> str:
    """Return a text that says nothing but itself, on one line.

    :param text: of whatever origin; not to stand at the begin of a line
    """
    return _SPECIAL.sub(r'\\\1', html.escape(
        words.printable(text), quote=False))


def _section(section: content.Section) -> Iterator[str]:
    yield '## %s' % escape(section.title)
    for name, rows in section.tables.items():
        yield '### %s' % escape(name)
        yield _table(rows)
    if section.lines:
        yield '\n'.join('* ' + escape(line) for line in section.lines)
    if section.note:
        yield escape(section.note)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    return '\n'.join([_row(list(rows[0])), _row(['---'] * len(rows[0])),
                      *(_row([escape(cell) for cell in row.values()])
                        for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return '| %s |' % ' | '.join(cells)
