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

"""Drains that belong together, beside the model of a queue."""

import collections
from collections.abc import Sequence
import dataclasses

import numpy

from lm_tempest_plugin.results import collection as collection_module
from lm_tempest_plugin.results.statistics import queueing
from lm_tempest_plugin.results.summary import groups as groups_module
from lm_tempest_plugin.results.summary import loads
from lm_tempest_plugin.results.summary import order
from lm_tempest_plugin.results.summary import shapes


@dataclasses.dataclass(frozen=True, slots=True)
class Leg:
    """A drain with its attempts."""

    drain: collection_module.Drain
    attempts: Sequence[collection_module.Attempt]

    @property
    def load(self) -> str:
        """What was moved, in words: 4 lm.small."""
        return (loads.load(self.attempts) or
                '%d servers' % self.drain.servers)

    @property
    def counts(self) -> bool:
        """Whether its wall time tells how long a drain takes.

        Not that of a warm-up; and servers that stay where they are take no
        time to get anywhere.
        """
        return (self.drain.measured and bool(self.attempts) and
                len(self.attempts) == self.drain.servers and
                all(each.completed for each in self.attempts))


def legs(collection: collection_module.Collection) -> tuple[Leg, ...]:
    """Return all drains, in the order in which they were made."""
    attempts = loads.together(collection.attempts)
    return tuple(Leg(drain, attempts.get((drain.run, drain.identifier), ()))
                 for drain in collection.drains)


def groups(found: Sequence[Leg],
           seed: int) -> tuple[shapes.DrainGroup, ...]:
    """Return what drains come to, by what they have in common.

    Left out are those of which none tells how long a drain takes.

    :param found: all of them
    :param seed: of the random numbers
    """
    together = collections.defaultdict(list)
    for leg in found:
        drain = leg.drain
        together[drain.cell, drain.way, leg.load].append(leg)
    keys = sorted(together, key=lambda key: (
        order.cell(key[0]), order.way(key[1]), key[2]))
    return tuple(_group(*key, together[key], seed) for key in keys
                 if any(leg.counts for leg in together[key]))


def _group(cell: collection_module.Cell, way: collection_module.Way,
           load: str, found: Sequence[Leg], seed: int) -> shapes.DrainGroup:
    ran = [leg.drain.ran for leg in found if leg.drain.ran is not None]
    queued = [leg.drain.queued for leg in found
              if leg.drain.queued is not None]
    counting = [leg for leg in found if leg.counts]
    return shapes.DrainGroup(
        cell, way, load, drains=len(found),
        wall=groups_module.spread(numpy.array(
            [leg.drain.wall_s for leg in counting])),
        ran=(min(ran), max(ran)) if ran else None,
        queued=max(queued, default=None),
        transports=tuple(sorted({
            leg.drain.transport for leg in found if leg.drain.transport})),
        model=_model(counting, seed))


def _model(found: Sequence[Leg], seed: int) -> queueing.Model | None:
    """Return what a queue would make of drains."""
    drained = [each for each in map(_drained, found) if each]
    return queueing.model(drained, seed) if drained else None


def _drained(leg: Leg) -> queueing.Drained | None:
    """Return a drain as the model takes it; None if too little is known.

    How many ran at once is what was seen: hosts that run one at a time make
    a queue of every window and of every batch.
    """
    parts = order.strategy_parts(leg.drain.strategy)
    services = [each.service_s for each in leg.attempts
                if each.service_s is not None]
    if not parts or not leg.drain.ran or not services:
        return None
    service_s = float(numpy.mean(services))
    if not service_s:
        return None
    return queueing.Drained(
        queueing.Queue(leg.drain.servers, leg.drain.ran, parts[1],
                       parts[0] == 'batch'),
        service_s, float(numpy.mean([
            each.duration_s for each in leg.attempts])), leg.drain.wall_s)
