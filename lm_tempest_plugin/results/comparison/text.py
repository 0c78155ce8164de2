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

"""A comparison for a terminal."""

from collections.abc import Iterator

import prettytable

from lm_tempest_plugin.results.comparison import judgement
from lm_tempest_plugin.results.comparison import words
from lm_tempest_plugin.results.rendering import words as rendered


def render(comparison: judgement.Comparison) -> str:
    """Return the comparison, with the overall sentence at its end."""
    return '\n\n'.join([
        *_tables(comparison),
        *map(rendered.printable, words.notes(comparison)),
        rendered.printable(words.sentence(comparison))]) + '\n'


def _tables(comparison: judgement.Comparison) -> Iterator[str]:
    if comparison.failures:
        yield _table('Failures', words.FAILURE_COLUMNS, (
            words.failure_cells(each) for each in comparison.failures))
    for group in comparison.common:
        rows = [words.cells(row) for row in comparison.rows
                if row.group == group]
        if rows:
            yield _table(str(group), words.COLUMNS, iter(rows))
    if comparison.rows:
        yield words.INTERVALS


def _table(title: str, columns: tuple[str, ...],
           rows: Iterator[list[str]]) -> str:
    table = prettytable.PrettyTable(columns)
    table.align = 'r'
    table.align[columns[0]] = 'l'
    table.align[columns[-1]] = 'l'
    table.add_rows([[rendered.printable(cell) for cell in row]
                    for row in rows])
    return '%s\n%s' % (rendered.printable(title), table.get_string())
