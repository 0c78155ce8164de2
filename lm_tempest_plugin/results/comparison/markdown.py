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

"""A comparison as Markdown, such as for a review or an issue."""

from collections.abc import Iterator
from collections.abc import Sequence

from lm_tempest_plugin.results.comparison import judgement
from lm_tempest_plugin.results.comparison import words
from lm_tempest_plugin.results.rendering import markdown


def render(comparison: judgement.Comparison) -> str:
    """Return the comparison."""
    return '\n'.join(_lines(comparison)) + '\n'


def _lines(comparison: judgement.Comparison) -> Iterator[str]:
    yield from ('# Comparison', '', '**%s**' % markdown.escape(
        words.sentence(comparison)), '')
    notes = words.notes(comparison)
    yield from ('* %s' % markdown.escape(note) for note in notes)
    if notes:
        yield ''
    if comparison.failures:
        yield from ('## Failures', '')
        yield from _table(words.FAILURE_COLUMNS, [
            words.failure_cells(each) for each in comparison.failures])
    for group in comparison.common:
        rows = [words.cells(row) for row in comparison.rows
                if row.group == group]
        if rows:
            yield from ('## %s' % markdown.escape(str(group)), '')
            yield from _table(words.COLUMNS, rows)
    yield markdown.escape(words.INTERVALS)


def _table(columns: Sequence[str],
           rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _line(columns)
    yield '|%s' % ('---|' * len(columns))
    yield from map(_line, rows)
    yield ''


def _line(cells: Sequence[str]) -> str:
    return '| %s |' % ' | '.join(map(markdown.escape, cells))
