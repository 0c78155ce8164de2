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

"""What cells are called in a report: by what differs between them."""

from collections.abc import Iterable

from lm_tempest_plugin.results import collection

# What settings with long names are called here.
SHORT = {'max_concurrent_live_migrations': 'limit'}


class Names:
    """Short names of cells, and of ways in which servers went.

    What all cells have in common is said once, so that names have room on
    a phone.

    :param groups: cells and ways that the report is about
    :ivar common: what all cells have in common, in words; empty if there
        is one cell only, whose name says all
    :ivar explained: what is not called by its own name, in words
    """

    def __init__(self, groups: Iterable[tuple[
            collection.Cell, collection.Way]]) -> None:
        pairs = dict.fromkeys(groups)
        parts = {cell: _parts(cell) for cell, _way in pairs}
        self._common = set[str]()
        if len(parts) > 1:
            self._common = set.intersection(*map(set, parts.values()))
        self.common = ', '.join(
            part for part in next(iter(parts.values()), [])
            if part in self._common)
        self.explained = '; '.join(
            '%s: %s' % (short, name) for name, short in SHORT.items()
            if any(name in dict(cell.settings) for cell in parts))
        self._ways = len({way for _cell, way in pairs}) > 1

    def cell(self, cell: collection.Cell) -> str:
        """Return what a cell is called."""
        parts = _parts(cell)
        return ', '.join(part for part in parts if part not in self._common
                         ) or ', '.join(parts) or str(cell)

    def group(self, cell: collection.Cell, way: collection.Way) -> str:
        """Return what a cell is called where servers went in some way.

        :param cell: the cell
        :param way: how many, and how many at once; it is left out if it
            is the same everywhere
        """
        return self.cell(cell) + (
            ' – %s' % way if self._ways else '')

    def label(self, cell: collection.Cell, flavor: collection.Flavor,
              way: collection.Way) -> str:
        """Return what a cell is called, and a flavor in it."""
        return '%s, %s' % (self.group(cell, way), flavor)


def setting(name: str) -> str:
    """Return what a setting is called."""
    return SHORT.get(name, name.replace('_', ' '))


def value(found: int | bool) -> str:
    """Return the value of a setting in words."""
    if isinstance(found, bool):
        return 'on' if found else 'off'
    return str(found)


def _parts(cell: collection.Cell) -> list[str]:
    """Return what a cell consists of, in words."""
    found = [cell.storage] if cell.storage else []
    return found + ['%s %s' % (setting(name), value(each))
                    for name, each in cell.settings]
