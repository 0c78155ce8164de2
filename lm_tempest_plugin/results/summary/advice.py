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

"""How many live migrations at once for a drain, from drains."""

import collections
from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.statistics import recommendation
from lm_tempest_plugin.results.summary import drains
from lm_tempest_plugin.results.summary import order

LIMIT = 'max_concurrent_live_migrations'


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """All that drains have in common, but for how many ran at once."""

    cell: collection.Cell
    strategy: str
    load: str

    def __str__(self) -> str:
        return '%s, %s, %s' % (self.cell, self.load, self.strategy)


def recommend(legs: Sequence[drains.Leg],
              seed: int) -> recommendation.Recommendation:
    """Return how many live migrations a host should run at once.

    What counts is how many were seen to run: where a host is limited to
    one, larger windows and batches do nothing but queue.

    :param legs: drains with their attempts
    :param seed: of the random numbers
    """
    places: dict[_Place, dict[int, list[drains.Leg]]] = (
        collections.defaultdict(lambda: collections.defaultdict(list)))
    for leg in legs:
        # A single server is none to choose a number for.
        if leg.drain.ran and leg.drain.servers > 1:
            places[_place(leg)][leg.drain.ran].append(leg)
    return recommendation.recommend({
        str(place): [_level(at_once, found)
                     for at_once, found in levels.items()]
        for place, levels in places.items()}, seed)


def _place(leg: drains.Leg) -> _Place:
    cell = leg.drain.cell
    parts = order.strategy_parts(leg.drain.strategy)
    return _Place(
        collection.Cell(cell.storage, tuple(
            each for each in cell.settings if each[0] != LIMIT)),
        {'batch': 'batches', 'window': 'windows'}[parts[0]] if parts
        else leg.drain.strategy,
        leg.load)


def _level(at_once: int,
           found: Sequence[drains.Leg]) -> recommendation.Level:
    attempts = [each for leg in found for each in leg.attempts]
    return recommendation.Level(
        at_once,
        [leg.drain.wall_s / leg.drain.servers for leg in found
         if leg.counts],
        len(attempts), sum(not each.good for each in attempts),
        [each.outage.seconds for each in attempts
         if each.measured and each.outage])
