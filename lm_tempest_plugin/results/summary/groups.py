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

"""Live migrations of one flavor and cell, moved in one way."""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results.summary import order
from lm_tempest_plugin.results.summary import shapes

Key = tuple[collection.Cell, collection.Flavor, collection.Way]
Gathered = Mapping[Key, Sequence[collection.Attempt]]

# Of servers that were moved; one that was not took no time to get there.
_MOVED: Mapping[str, Callable[[collection.Attempt], float | None]] = {
    'duration_s': lambda each: each.duration_s,
    'queue_s': lambda each: each.queue_s,
    'service_s': lambda each: each.service_s,
    'downtime_s': lambda each: each.downtime_s,
}
# Of all: a server that stays has to answer as well.
_ALL: Mapping[str, Callable[[collection.Attempt], float | None]] = {
    'outage_s': lambda each: each.outage.seconds if each.outage else None,
    'stall_s': lambda each: each.stall.seconds if each.stall else None,
}
QUANTITIES = ('duration_s', 'queue_s', 'service_s', 'outage_s', 'stall_s',
              'downtime_s')


def gather(attempts: Iterable[collection.Attempt]) -> Gathered:
    """Return attempts by what they have in common, in an order to read."""
    found: dict[Key, list[collection.Attempt]] = collections.defaultdict(
        list)
    for each in attempts:
        found[each.cell, each.flavor, each.way].append(each)
    return {key: found[key] for key in sorted(found, key=_place)}


def value(attempt: collection.Attempt, quantity: str) -> float | None:
    """Return a quantity of an attempt; None if it is not known, or none.

    :param attempt: any
    :param quantity: one of QUANTITIES
    """
    if not attempt.measured:
        return None
    if quantity in _ALL:
        return _ALL[quantity](attempt)
    return _MOVED[quantity](attempt) if attempt.completed else None


def values(attempts: Iterable[collection.Attempt],
           quantity: str) -> numpy.ndarray:
    """Return a quantity of all attempts of which it is known."""
    return numpy.array([
        found for found in (value(each, quantity) for each in attempts)
        if found is not None])


def spread(numbers: numpy.ndarray) -> shapes.Spread:
    """Return how values lie.

    :raises ValueError: there are none
    """
    return shapes.Spread(
        intervals.median(numbers),
        intervals.quantile(numbers, intervals.P95), float(numbers.max()))


def groups(gathered: Gathered) -> tuple[shapes.Group, ...]:
    """Return what attempts come to, by what they have in common."""
    return tuple(_group(*key, attempts)
                 for key, attempts in gathered.items())


def _group(cell: collection.Cell, flavor: collection.Flavor,
           way: collection.Way,
           attempts: Sequence[collection.Attempt]) -> shapes.Group:
    found = {quantity: values(attempts, quantity) for quantity in QUANTITIES}
    return shapes.Group(
        cell, flavor, way, attempts=len(attempts),
        completed=sum(each.completed for each in attempts),
        good=sum(each.good for each in attempts),
        verdicts=dict(collections.Counter(
            each.verdict for each in attempts).most_common()),
        spreads={quantity: spread(numbers)
                 for quantity, numbers in found.items() if numbers.size},
        phases=_phases(attempts))


def _phases(attempts: Iterable[collection.Attempt]) -> dict[str, float]:
    moved = [each.phases for each in attempts
             if each.measured and each.completed]
    # One that lacks none has all of them in their order.
    longest = max(moved, key=len, default=())
    found: dict[str, list[float]] = {name: [] for name, _ in longest}
    for phases in moved:
        for name, seconds in phases:
            found.setdefault(name, []).append(seconds)
    return {name: float(numpy.median(seconds))
            for name, seconds in found.items()}


def _place(key: Key) -> tuple[Any, ...]:
    cell, flavor, way = key
    return order.cell(cell), order.flavor(flavor), order.way(way)
