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
from typing import Any

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit.results import builders

SETTINGS = builders.settings(
    'block', max_concurrent_live_migrations=1, tunnelled=False)
FLAVORS = tuple(
    schema.Flavor(name=name, vcpus=vcpus, ram_gib=ram_gib, disk_gib=1.0)
    for name, vcpus, ram_gib in (
        ('lm.tiny', 1, 0.125), ('lm.small', 1, 0.25), ('lm.medium', 2, 1.0)))
STRATEGIES = ('window of 2', 'batches of 2')


@dataclasses.dataclass(frozen=True)
class SimulatedCloud:
    """Properties of a cloud.

    :ivar factor: all durations are multiplied by it
    :ivar outage_factor: all outages are multiplied by it
    :ivar drain_noise: standard deviation of the logarithm of a drain's pace
    :ivar noise: the same of a migration within its drain
    """

    factor: float = 1.0
    outage_factor: float = 1.0
    drain_noise: float = 0.03
    noise: float = 0.08


def run(seed: int, cloud: SimulatedCloud, drains: int = 4, servers: int = 4,
        flavors: Sequence[schema.Flavor] = FLAVORS,
        strategies: Sequence[str] = STRATEGIES,
        settings: schema.Settings = SETTINGS) -> store.Results:
    """Return the results of a simulated run.

    :param seed: of the random numbers
    :param cloud: on which it ran
    :param drains: number of drains of each flavor with each strategy
    :param servers: of each drain
    :param flavors: of the servers
    :param strategies: such as ``window of 2``
    :param settings: of all drains
    """
    rng = random.Random(seed)
    results = store.Results()
    for strategy in strategies:
        for flavor in flavors:
            for number in range(drains):
                source, destination = (
                    ('a', 'b') if number % 2 else ('b', 'a'))
                _add_drain(rng, cloud, results, flavor, {
                    'drain': f'{seed}-{strategy}-{flavor.name}-{number}',
                    'run': 'r', 'settings': settings, 'strategy': strategy,
                    'servers': servers, 'round_trip': 1 + number // 2,
                    'source': source, 'destination': destination})
    return results


def _add_drain(rng: random.Random, cloud: SimulatedCloud,
               results: store.Results, flavor: schema.Flavor,
               shared: dict[str, Any]) -> None:
    pace = cloud.factor * math.exp(rng.gauss(0, cloud.drain_noise))
    waited = 0.0
    for place in range(shared['servers']):
        service = ((3 + 4 * flavor.ram_gib) * pace *
                   math.exp(rng.gauss(0, cloud.noise)))
        outage = 0.2 * cloud.outage_factor * math.exp(rng.gauss(0, 0.3))
        if rng.random() < 0.05:
            # A few outages are much longer.
            outage += rng.expovariate(1)
        stall = outage + 0.2 * rng.random()
        downtime_s = 0.05 * math.exp(rng.gauss(0, 0.4))
        results.migrations.append(builders.migration(
            place, **shared, flavor=flavor, duration_s=waited + service,
            queue_s=waited, service=builders.phase('service', service),
            phases=(), outage=builders.outage(outage),
            stall=builders.stall(stall), job=schema.LibvirtJob(
                downtime_ms=round(downtime_s * 1000))))
        waited += service
    results.drains.append(builders.drain(
        **shared, wall_s=waited + 0.5 * rng.random(),
        concurrency=(schema.Concurrency(
            host=shared['source'], running=1, queued=shared['servers'] - 1,
            mean=1.0, busy_s=waited, idle_s=0.0, full=1),), hosts=()))


def write(directory: str, name: str, factor: float = 1.0, seed: int = 1,
          concurrency: int = 1, failures: int = 0, flavor: str = 'lm.small',
          drains: int = 4) -> str:
    """Write results of drains of four servers, and return the file's path.

    :param directory: of the file
    :param name: of the run
    :param factor: all durations and outages are multiplied by it
    :param seed: of the random numbers
    :param concurrency: number that runs at once; each then takes longer
    :param failures: number of migrations, from the first, that are rolled
        back
    :param flavor: name of all servers' flavor
    :param drains: number of drains
    """
    rng = random.Random(seed)
    lines: list[schema.Line] = []
    for number in range(drains):
        shared: dict[str, Any] = {
            'drain': f'drain-{number}',
            'strategy': f'window of {concurrency + 1}', 'servers': 4,
            'settings': builders.settings(
                max_concurrent_live_migrations=concurrency),
            'round_trip': 1 + number // 2}
        waited = 0.0
        for place in range(4):
            service = 6 * factor * rng.uniform(0.97, 1.03) * (
                1 + 0.2 * (concurrency - 1))
            count = 4 * number + place
            build = (builders.failed if count < failures
                     else builders.migration)
            lines.append(build(
                count, **shared, duration_s=waited + service,
                queue_s=waited, service=builders.phase('service', service),
                flavor=schema.Flavor(name=flavor, vcpus=1, ram_gib=0.1875,
                                     disk_gib=1.0),
                outage=builders.outage(
                    0.25 * factor * rng.uniform(0.95, 1.05))))
            waited += service / concurrency
        lines.append(builders.drain(
            **shared, wall_s=waited, source='ab'[number % 2],
            destination='ba'[number % 2]))
    return str(builders.write(directory, name, lines))
