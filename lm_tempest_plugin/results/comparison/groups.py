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

"""What of two lots of records may be compared with each other.

That is what happened under the same conditions: the same cell, flavor and
strategy, and the same servers moved together. A live migration among four
waits for others and shares the link with them, so it is held against those
that were among four as well.
"""

from collections.abc import Collection as AnyOf
from collections.abc import Mapping
import dataclasses
from typing import TypeVar

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.summary import drains as legs
from lm_tempest_plugin.results.summary import loads

STORAGE, STRATEGY = 'storage', 'strategy'


class NotComparable(Exception):
    """Nothing can be compared; the message says what each lot has."""


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Conditions of attempts, or, without a flavor, of drains.

    :ivar cell: what was configured, without what is ignored
    :ivar flavor: how large the servers are; None for drains
    :ivar strategy: how many at once, in words; empty if it is ignored, and
        for a single server, to which all are the same
    :ivar load: what was moved together, in words: 4 lm.small
    """

    cell: collection.Cell
    flavor: collection.Flavor | None
    strategy: str
    load: str

    def __str__(self) -> str:
        return '; '.join(part for part in (
            str(self.cell), self.flavor and str(self.flavor), self.strategy,
            'drain of %s' % self.load) if part)


@dataclasses.dataclass
class Lot:
    """The attempts or drains of one side in one group.

    :ivar attempts: of this group, also those that failed
    :ivar drains: of this group
    :ivar walls: those whose wall time counts: of no warm-up, and nothing
        stayed where it was
    :ivar conditions: cells and strategies as they are, without anything
        ignored
    """

    attempts: list[collection.Attempt] = dataclasses.field(
        default_factory=list)
    drains: list[collection.Drain] = dataclasses.field(default_factory=list)
    walls: list[collection.Drain] = dataclasses.field(default_factory=list)
    conditions: set[tuple[collection.Cell, str]] = dataclasses.field(
        default_factory=set)


Lots = dict[Group, Lot]


def gather(collected: collection.Collection, ignored: AnyOf[str] = (),
           only: Mapping[str, str] | None = None) -> Lots:
    """Return what there is in each group, in the order of the records.

    :param collected: what the records of one side say
    :param ignored: names of settings that do not matter; strategy and
        storage may be among them
    :param only: values, in words, of what else is left out
    """
    lots: Lots = {}
    for together in loads.together(collected.attempts).values():
        load = loads.load(together)
        for attempt in together:
            if _wanted(attempt, only or {}):
                lot = _lot(lots, attempt, attempt.flavor, ignored, load)
                lot.attempts.append(attempt)
    for leg in legs.legs(collected):
        drain = leg.drain
        if _wanted(drain, only or {}):
            lot = _lot(lots, drain, None, ignored, leg.load)
            lot.drains.append(drain)
            if leg.counts:
                lot.walls.append(drain)
    return lots


def common(before: Lots, after: Lots) -> list[Group]:
    """Return the groups that both have, in the order of the first.

    :raises NotComparable: there are none, or what is ignored is not the
        same within one lot
    """
    found = [group for group in before if group in after]
    if not found:
        raise NotComparable(_nothing(before, after))
    for name, lots in (('BEFORE', before), ('AFTER', after)):
        for group in found:
            if len(lots[group].conditions) > 1:
                raise NotComparable(_several(name, lots[group]))
    return found


def settings(collected: collection.Collection) -> set[str]:
    """Return the names that there are to ignore."""
    cells = {*(each.cell for each in collected.attempts),
             *(each.cell for each in collected.drains)}
    return {STORAGE, STRATEGY, *(
        name for cell in cells for name, _ in cell.settings)}


def value(each: collection.Attempt | collection.Drain, name: str) -> str:
    """Return a setting of what an attempt or a drain was in, in words.

    :param each: the attempt or drain
    :param name: of the setting, or strategy or storage
    :returns: such as on, off, 3; empty if it has none such
    """
    if name == STRATEGY:
        return each.strategy
    if name == STORAGE:
        return each.cell.storage
    found = dict(each.cell.settings).get(name, '')
    if isinstance(found, bool):
        return 'on' if found else 'off'
    return str(found)


def told(condition: tuple[collection.Cell, str]) -> str:
    """Return cell and strategy in words."""
    return '; '.join(filter(None, map(str, condition)))


_Each = TypeVar('_Each', collection.Attempt, collection.Drain)


def _wanted(each: _Each, only: Mapping[str, str]) -> bool:
    return all(value(each, name) == wanted for name, wanted in only.items())


def _lot(lots: Lots, each: _Each, flavor: collection.Flavor | None,
         ignored: AnyOf[str], load: str) -> Lot:
    """Return the lot to which an attempt or a drain belongs."""
    cell = collection.Cell(
        '' if STORAGE in ignored else each.cell.storage,
        # Their order in a file is nothing that matters.
        tuple(sorted((name, value) for name, value in each.cell.settings
                     if name not in ignored)))
    lot = lots.setdefault(Group(
        cell, flavor, '' if STRATEGY in ignored else each.way.strategy, load),
        Lot())
    lot.conditions.add((collection.Cell(each.cell.storage, tuple(
        sorted(each.cell.settings))), each.way.strategy))
    return lot


def _nothing(before: Lots, after: Lots) -> str:
    """Return why nothing can be compared, and what may help."""
    said = 'these records cannot be compared: BEFORE has %s; AFTER has %s' % (
        _what(before), _what(after))
    differing = _differing(before, after)
    if differing:
        said += '; they differ in %s: %s compares them none the less' % (
            ' and '.join(differing),
            ' '.join('--ignore %s' % name for name in differing))
    return said


def _what(lots: Lots) -> str:
    names = list(map(str, lots))
    if len(names) > 3:
        names[3:] = ['%d more' % (len(names) - 3)]
    return ' | '.join('(%s)' % name for name in names) or 'nothing'


def _differing(before: Lots, after: Lots) -> list[str]:
    """Return the names in which two groups differ that are closest."""
    best: list[str] = []
    for one in before:
        for other in after:
            if (one.flavor, one.load) == (other.flavor, other.load):
                names = _names(one, other)
                if names and (not best or len(names) < len(best)):
                    best = names
    return best


def _names(one: Group, other: Group) -> list[str]:
    first, second = dict(one.cell.settings), dict(other.cell.settings)
    return [
        *([STORAGE] if one.cell.storage != other.cell.storage else []),
        *(name for name in {**first, **second}
          if first.get(name) != second.get(name)),
        *([STRATEGY] if one.strategy != other.strategy else [])]


def _several(name: str, lot: Lot) -> str:
    return ('%s has more than one of what is to be compared as one: %s; '
            'choose with --%s-only SETTING=VALUE' % (
                name, ' | '.join('(%s)' % each for each in sorted(
                    map(told, lot.conditions))), name.lower()))
