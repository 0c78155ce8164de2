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

"""What single settings do: cells that differ in one of them."""

import collections
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import itertools

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.statistics import comparison
from lm_tempest_plugin.results.summary import groups
from lm_tempest_plugin.results.summary import order
from lm_tempest_plugin.results.summary import shapes

STORAGE = 'storage'
# Values are compared one by one if no more than this part has no partner.
LONELY = 0.25

Attempts = Sequence[collection.Attempt]


def differences(gathered: groups.Gathered,
                seed: int) -> tuple[shapes.Difference, ...]:
    """Return what each setting does, where nothing else differs.

    :param gathered: attempts by what they have in common
    :param seed: of the random numbers
    """
    cells: dict[tuple[collection.Flavor, str], dict[
        collection.Cell, Attempts]] = collections.defaultdict(dict)
    for (cell, flavor, strategy), attempts in gathered.items():
        cells[flavor, strategy][cell] = attempts
    return tuple(
        shapes.Difference(setting, before, after, flavor, strategy, quantity,
                          effect)
        for (flavor, strategy), found in cells.items()
        for before, after in itertools.combinations(
            sorted(found, key=order.cell), 2)
        for setting in different(before, after)
        for quantity, effect in _effects(found[before], found[after], seed))


def different(before: collection.Cell,
              after: collection.Cell) -> tuple[str, ...]:
    """Return in what setting cells differ; none if it is not just one.

    What one of them leaves unsaid may or may not be the same.
    """
    first: Mapping[str, object] = {
        STORAGE: before.storage, **dict(before.settings)}
    second: Mapping[str, object] = {
        STORAGE: after.storage, **dict(after.settings)}
    if first.keys() != second.keys() or not first[STORAGE]:
        return ()
    names = tuple(name for name in first if first[name] != second[name])
    return names if len(names) == 1 and second[STORAGE] else ()


def _effects(before: Attempts, after: Attempts,
             seed: int) -> Iterator[tuple[str, comparison.Effect]]:
    for quantity in groups.QUANTITIES:
        if len(pairs := _pairs(before, after, quantity)) > 1:
            first, second = zip(*pairs)
            yield quantity, comparison.compare(first, second, True, seed)
            continue
        lot, other = (groups.values(each, quantity)
                      for each in (before, after))
        if lot.size and other.size:
            yield quantity, comparison.compare(lot, other, seed=seed)


def _pairs(before: Attempts, after: Attempts,
           quantity: str) -> list[tuple[float, float]]:
    """Return values of the same servers on the same trips.

    None if they are not the same servers, by and large, or if one of them
    was moved more than once on a trip from the same host.
    """
    first, second = (_by_server(each, quantity) for each in (before, after))
    common = first.keys() & second.keys()
    if len(common) < (1 - LONELY) * max(len(first), len(second)):
        return []
    return [(first[key], second[key]) for key in first if key in common]


def _by_server(attempts: Attempts, quantity: str) -> dict[
        tuple[str, str, int, str], float]:
    found = {}
    number = 0
    for each in attempts:
        value = groups.value(each, quantity)
        if value is not None:
            number += 1
            found[each.run, each.server_id, each.trip, each.source] = value
    return found if len(found) == number else {}
