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

"""Runs of simulated clouds, for unit tests of comparisons."""

from collections.abc import Sequence
import dataclasses
import math
import random

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.tests.unit.results import builders

CELL = collection.Cell('block', (('max_concurrent_live_migrations', 1),
                                 ('tunnelled', False)))
FLAVORS = (collection.Flavor('lm.tiny', 1, 0.125, 1.0),
           collection.Flavor('lm.small', 1, 0.25, 1.0),
           collection.Flavor('lm.medium', 2, 1.0, 1.0))
STRATEGIES = ('window of 2', 'batches of 2')


@dataclasses.dataclass(frozen=True)
class Cloud:
    """A cloud as it may be.

    :ivar factor: how many times as long as usual all takes
    :ivar outage_factor: how many times as long guests are away
    :ivar drain_noise: by how much drains differ, as part of themselves
    :ivar noise: by how much live migrations of a drain differ
    """

    factor: float = 1.0
    outage_factor: float = 1.0
    drain_noise: float = 0.03
    noise: float = 0.08


def run(seed: int, cloud: Cloud, drains: int = 4, servers: int = 4,
        flavors: Sequence[collection.Flavor] = FLAVORS,
        strategies: Sequence[str] = STRATEGIES,
        cell: collection.Cell = CELL) -> collection.Collection:
    """Return what the records of a run would say.

    :param seed: of the random numbers
    :param cloud: where it was
    :param drains: so many of each flavor and strategy
    :param servers: in each
    :param flavors: of the servers
    :param strategies: how many at once, in words
    :param cell: what was configured
    """
    rng = random.Random(seed)
    attempts: list[collection.Attempt] = []
    legs: list[collection.Drain] = []
    for strategy in strategies:
        for flavor in flavors:
            for number in range(drains):
                _drain(rng, cloud, attempts, legs, (
                    '%d-%s-%s-%d' % (seed, strategy, flavor.name, number),
                    number, servers), (cell, flavor, strategy))
    return collection.Collection([], attempts, legs, [], [])


def _drain(rng: random.Random, cloud: Cloud,
           attempts: list[collection.Attempt],
           drains: list[collection.Drain], what: tuple[str, int, int],
           where: tuple[collection.Cell, collection.Flavor, str]) -> None:
    identifier, number, servers = what
    cell, flavor, strategy = where
    source, destination = ('a', 'b') if number % 2 else ('b', 'a')
    pace = cloud.factor * math.exp(rng.gauss(0, cloud.drain_noise))
    waited = 0.0
    for place in range(servers):
        service = ((3 + 4 * flavor.ram_gib) * pace *
                   math.exp(rng.gauss(0, cloud.noise)))
        outage = 0.2 * cloud.outage_factor * math.exp(rng.gauss(0, 0.3))
        if rng.random() < 0.05:
            # Now and then one is away for much longer.
            outage += rng.expovariate(1)
        attempts.append(collection.Attempt(
            run='r', drain=identifier, cell=cell, flavor=flavor,
            strategy=strategy, servers=servers, trip=1 + number // 2,
            server_id='server-%d' % place, server_name='guest',
            source=source, destination=destination, requested_s=0.0,
            requested_monotonic_s=0.0, duration_s=waited + service,
            queue_s=waited, service_s=service, phases=(),
            verdict='completed', cause='', violations=(), measured=True,
            outage=collection.Longest(outage, 0.015, 1.0), control=None,
            stall=collection.Longest(
                outage + 0.2 * rng.random(), 0.06, 3.0),
            downtime_s=0.05 * math.exp(rng.gauss(0, 0.4)),
            memory_bytes=None))
        waited += service
    drains.append(collection.Drain(
        identifier=identifier, run='r', name='drain', cell=cell,
        strategy=strategy, trip=1 + number // 2, source=source,
        destination=destination, servers=servers, measured=True,
        began_s=0.0, began_monotonic_s=0.0,
        wall_s=waited + 0.5 * rng.random(), ran=1, ran_mean=1.0,
        queued=servers - 1, transport='direct', contradictions=(),
        left_over=(), samples={}))


def write(directory: str, name: str, factor: float = 1.0, seed: int = 1,
          concurrency: int = 1, failures: int = 0, flavor: str = 'lm.small',
          drains: int = 4) -> str:
    """Write records of drains of four servers, and return the file's path.

    :param directory: where
    :param name: of the run
    :param factor: how many times as long as usual all takes
    :param seed: of the random numbers
    :param concurrency: how many run at once; each then takes longer
    :param failures: how many of the first attempts were rolled back
    :param flavor: name of all servers' flavor
    :param drains: how many
    """
    rng = random.Random(seed)
    cell = builders.cell(max_concurrent_live_migrations=concurrency)
    strategy = 'window of %d' % (concurrency + 1)
    lines = []
    for number in range(drains):
        drain = 'drain-%d' % number
        waited = 0.0
        for place in range(4):
            service = 6 * factor * rng.uniform(0.97, 1.03) * (
                1 + 0.2 * (concurrency - 1))
            count = 4 * number + place
            build = (builders.failed_line if count < failures
                     else builders.attempt_line)
            lines.append(('attempt', build(
                count, drain=drain, strategy=strategy, cell=cell,
                trip=1 + number // 2, duration_s=waited + service,
                queue_s=waited, service={'seconds': service},
                flavor={'name': flavor, 'vcpus': 1, 'ram_gib': 0.1875,
                        'disk_gib': 1.0},
                icmp=builders.outage(0.25 * factor *
                                     rng.uniform(0.95, 1.05)))))
            waited += service / concurrency
        lines.append(('drain', builders.drain_line(
            drain, strategy=strategy, cell=cell, trip=1 + number // 2,
            servers=4, wall_s=waited, source='ab'[number % 2],
            destination='ba'[number % 2])))
    return str(builders.write(directory, name, lines))
