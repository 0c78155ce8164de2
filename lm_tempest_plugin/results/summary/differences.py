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

Attempts = Sequence[collection.Attempt]


def differences(gathered: groups.Gathered,
                seed: int) -> tuple[shapes.Difference, ...]:
    """Return what each setting does, where nothing else differs.

    :param gathered: attempts by what they have in common
    :param seed: of the random numbers
    """
    cells: dict[tuple[collection.Flavor, collection.Way], dict[
        collection.Cell, Attempts]] = collections.defaultdict(dict)
    for (cell, flavor, way), attempts in gathered.items():
        cells[flavor, way][cell] = attempts
    return tuple(
        shapes.Difference(setting, before, after, flavor, way, quantity,
                          effect)
        for (flavor, way), found in cells.items()
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
        lot, other = (groups.values(each, quantity)
                      for each in (before, after))
        if lot.size and other.size:
            yield quantity, comparison.compare(lot, other, seed=seed)
