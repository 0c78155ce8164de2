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

"""Print the results, and write them to files."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import tempfile

from rich import box
from rich import console
from rich import table as rich_table

from bench.precision import claims
from bench.precision import plot
from bench.precision import results
from bench.precision import tables

# Wide enough for every table where the output is no terminal.
PLAIN_COLUMNS = 200


def publish(found: results.Results, checked: Sequence[claims.Claim],
            folder: pathlib.Path) -> None:
    """Print all tables, and write them, all raw figures and the plot.

    :param found: what was seen
    :param checked: the claims
    :param folder: where to; it is made, and git will ignore it
    """
    made = tables.tables(found, checked)
    show(made)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / '.gitignore', lambda path: path.write_text('*\n'))
    write(folder / 'report.md', lambda path: path.write_text(
        markdown(found, made)))
    raw = {**dataclasses.asdict(found),
           'claims': [dataclasses.asdict(claim) for claim in checked]}
    write(folder / 'results.json', lambda path: path.write_text(
        json.dumps(raw, indent=1) + '\n'))
    if plot.trials(found.readings):
        for kind in ('png', 'svg'):
            write(folder / ('errors.%s' % kind),
                  lambda path, kind=kind: plot.draw(  # type: ignore[misc]
                      found.readings, path, kind))
    print('Written to %s' % folder)


def write(path: pathlib.Path,
          fill: Callable[[pathlib.Path], object]) -> None:
    """Write a file as a whole or not at all.

    :param path: where to
    :param fill: writes to the path that it is given
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix='.' + path.name)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        fill(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def show(made: Sequence[tables.Table]) -> None:
    """Print tables as plain text."""
    screen = console.Console(highlight=False, markup=False, emoji=False)
    if not screen.is_terminal:
        screen.width = PLAIN_COLUMNS
    for table in made:
        shown = rich_table.Table(title=table.title, box=box.ASCII2,
                                 title_justify='left')
        for name in table.columns:
            shown.add_column(name, overflow='fold')
        for line in table.cells:
            shown.add_row(*line)
        screen.print(shown)


def markdown(found: results.Results, made: Sequence[tables.Table]) -> str:
    """Return the whole report as Markdown."""
    parts = ['# Precision of downtime figures\n\n%s\n' % '\n'.join(
        '- %s: %s' % fact for fact in found.facts.items())]
    if plot.trials(found.readings):
        parts.append('![errors by length](errors.png)\n')
    parts.extend(as_markdown(table) for table in made)
    return '\n'.join(parts)


def as_markdown(table: tables.Table) -> str:
    """Return one table as Markdown."""
    lines = [table.columns, ['---'] * len(table.columns), *table.cells]
    return '## %s\n\n%s\n' % (table.title, '\n'.join(
        '| %s |' % ' | '.join(cell.replace('|', '\\|') for cell in line)
        for line in lines))
