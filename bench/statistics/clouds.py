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

"""A simulated cloud, whose every truth is known, and records of its drains.

Its hosts serve requests in the order in which they come. That is simulated
request by request, with service times drawn by lot, and owes nothing to the
model that the statistics have of it.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import heapq

import numpy

from lm_tempest_plugin.results import collection

Generator = numpy.random.Generator

#: Those of the white paper.
FLAVORS = tuple(collection.Flavor('lm.' + name, vcpus, ram_gib, disk_gib)
                for name, vcpus, ram_gib, disk_gib in (
                    ('small', 2, 4.0, 40.0), ('medium', 4, 8.0, 80.0),
                    ('large', 8, 16.0, 160.0)))
HOSTS = 'compute1', 'compute2'
BOUND_S = 1.0


@dataclasses.dataclass(frozen=True)
class Cloud:
    """What is true.

    :ivar settings: of nova-compute, by name
    :ivar at_once: how many live migrations a host runs
    :ivar seconds: what one takes whatever its server's memory
    :ivar seconds_per_gib: what each GiB adds
    :ivar times: by what both are multiplied
    :ivar drift_s: what each trip adds
    :ivar noise: standard deviation of the logarithm of a service time
    """

    settings: collections.abc.Mapping[str, int | bool]
    at_once: int = 1
    seconds: float = 7.0
    seconds_per_gib: float = 2.35
    times: float = 1.0
    drift_s: float = 0.0
    noise: float = 0.1

    @property
    def cell(self) -> collection.Cell:
        """What records say of it."""
        return collection.Cell('shared', tuple(self.settings.items()))

    def service_s(self, random: Generator, flavor: collection.Flavor,
                  trip: int) -> float:
        """Draw how long a host works on a server; its mean is the truth."""
        mean = self.times * (
            self.seconds + self.seconds_per_gib * flavor.ram_gib)
        return (mean * random.lognormal(-self.noise ** 2 / 2, self.noise) +
                self.drift_s * trip)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done.

    :ivar flavors: of the servers of a drain, in their order
    :ivar trips: how many drains there are
    :ivar size: of the windows, or of the batches
    :ivar batches: whether all of a batch have to end
    """

    flavors: collections.abc.Sequence[collection.Flavor]
    trips: int
    size: int = 1
    batches: bool = False

    @property
    def strategy(self) -> str:
        """What records say of it."""
        return f'{"batch" if self.batches else "window"} of {self.size}'


def run(random: Generator, clouds: collections.abc.Iterable[Cloud],
        plan: Plan) -> collection.Collection:
    """Return what the records of a run would say.

    :param random: draws what is left to chance
    :param clouds: one for each cell
    :param plan: what is done in each
    """
    attempts: list[collection.Attempt] = []
    drains = []
    for cell, cloud in enumerate(clouds):
        for trip in range(1, plan.trips + 1):
            found = _drain(random, cloud, plan, trip, f'{cell}-{trip}')
            attempts += found
            drains.append(_drained(cloud, plan, trip, found))
    return collection.Collection(
        [collection.Run('run', 'run.jsonl', 0.0, {})], attempts, drains, (),
        ())


def _drain(random: Generator, cloud: Cloud, plan: Plan, trip: int,
           name: str) -> list[collection.Attempt]:
    free = [0.0] * cloud.at_once
    flying: list[float] = []
    asked = 0.0
    found = []
    for number, flavor in enumerate(plan.flavors):
        if len(flying) == plan.size:
            asked = max(flying) if plan.batches else heapq.heappop(flying)
            if plan.batches:
                flying.clear()
        begin = max(asked, heapq.heappop(free))
        end = begin + cloud.service_s(random, flavor, trip)
        heapq.heappush(free, end)
        heapq.heappush(flying, end)
        found.append(_attempt(
            random, cloud, plan, trip, name, number, (asked, begin, end)))
    return found


def _attempt(random: Generator, cloud: Cloud, plan: Plan, trip: int,
             name: str, number: int,
             times: tuple[float, float, float]) -> collection.Attempt:
    asked, begin, end = times
    return collection.Attempt(
        run='run', drain=name, cell=cloud.cell, flavor=plan.flavors[number],
        strategy=plan.strategy, servers=len(plan.flavors), trip=trip,
        server_id=f'server-{number}',
        server_name=f'guest-{number}', source=HOSTS[0], destination=HOSTS[1],
        requested_s=asked, requested_monotonic_s=asked,
        duration_s=end - asked, queue_s=begin - asked,
        service_s=end - begin, phases=(), verdict=collection.COMPLETED,
        cause='', violations=(), measured=True,
        outage=collection.Longest(
            random.uniform(0.1, 0.4), 0.01, BOUND_S), control=None,
        stall=None, downtime_s=None, memory_bytes=None)


def _drained(cloud: Cloud, plan: Plan, trip: int,
             found: collections.abc.Sequence[collection.Attempt]
             ) -> collection.Drain:
    ran = min(cloud.at_once, plan.size, len(found))
    return collection.Drain(
        identifier=found[0].drain, run='run', name='drain', cell=cloud.cell,
        strategy=plan.strategy, trip=trip, source=HOSTS[0],
        destination=HOSTS[1], servers=len(found), measured=True, began_s=0.0,
        began_monotonic_s=0.0, wall_s=max(
            each.requested_s + each.duration_s for each in found),
        ran=ran, ran_mean=float(ran), queued=None, transport='direct',
        contradictions=(), left_over=(), samples={})
