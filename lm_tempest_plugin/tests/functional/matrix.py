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

"""Results of a whole matrix, as the tests of a cloud would write them.

Servers queue before the source host as in nova, so that durations, phases,
samples of hosts and the observed concurrency match each other.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import heapq
import random
from typing import Any

import msgspec

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit.results import builders

HOSTS = ('compute1', 'compute2')
FLAVORS = tuple(
    schema.Flavor(name=name, vcpus=vcpus, ram_gib=ram_gib, disk_gib=disk_gib)
    for name, vcpus, ram_gib, disk_gib in (
        ('lm.small', 1, 0.1875, 1.0), ('lm.medium', 2, 0.375, 2.0),
        ('lm.large', 4, 0.75, 4.0)))
MATRIX = tuple(
    builders.settings(storage, tunnelled=tunnelled,
                      max_concurrent_live_migrations=at_once)
    for storage, tunnelled, at_once in (
        ('block', False, 1), ('shared', False, 1), ('shared', True, 1),
        ('shared', False, 3)))
START_S, PER_GIB_S, PER_DISK_GIB_S, TUNNEL = 2.0, 6.0, 0.7, 1.9
OUTAGE_S, STALL_S, CHECKS_S = 0.18, 0.42, 0.9
MAX_OUTAGE_S, MAX_STALL_S = 1.0, 3.0
DRIFT_S, DRIFTING_ROUND_TRIPS = 0.12, 10


@dataclasses.dataclass(frozen=True)
class SimulatedRun:
    """A run to simulate.

    :ivar matrix: its settings, one after the other
    :ivar hosts: each is drained once in a round trip, to another one each
        time
    :ivar round_trips: of a drain of each host
    :ivar of_each: servers of each flavor
    :ivar seed: of the random numbers
    :ivar sampled: whether hosts are sampled
    :ivar names: names of servers by number; the others are guest-NUMBER
    """

    matrix: Sequence[schema.Settings] = MATRIX
    hosts: Sequence[str] = HOSTS
    round_trips: int = 8
    of_each: int = 2
    seed: int = 0
    sampled: bool = True
    names: tuple[tuple[int, str], ...] = ()


def lines(run: SimulatedRun) -> Iterator[schema.Line]:
    """Yield each line after the first."""
    return _Simulator(run).lines()


class _Simulator:
    """Simulates one run."""

    def __init__(self, run: SimulatedRun) -> None:
        self._run = run
        self._random = random.Random(run.seed)
        self._now_s = 0.0
        self._migrations = 0
        self._drains = 0

    def lines(self) -> Iterator[schema.Line]:
        hosts = self._run.hosts
        for settings in self._run.matrix:
            # Round trip 0 is a warm-up.
            for round_trip in range(self._run.round_trips + 1):
                away = 1 + round_trip % (len(hosts) - 1)
                for place, source in enumerate(hosts):
                    yield from self._drain(
                        settings, round_trip, source,
                        hosts[(place + away) % len(hosts)])

    def _drain(self, settings: schema.Settings, round_trip: int, source: str,
               destination: str) -> Iterator[schema.Line]:
        self._drains += 1
        flavors = [flavor for flavor in FLAVORS
                   for _number in range(self._run.of_each)]
        at_once = settings.values.get('max_concurrent_live_migrations', 1)
        common = {
            'drain': f'drain-{self._drains}', 'settings': settings,
            'strategy': f'window of {len(flavors)}',
            'servers': len(flavors), 'round_trip': max(1, round_trip),
            'measured': round_trip > 0, 'source': source,
            'destination': destination}
        free, ends, spans = [0.0] * at_once, [], []
        for number, flavor in enumerate(flavors):
            asked_s = 0.05 * number
            queue_s = max(0.0, heapq.heappop(free) - asked_s - CHECKS_S)
            service_s = self._service_s(settings, flavor, round_trip)
            begin_s = asked_s + CHECKS_S + queue_s
            heapq.heappush(free, begin_s + service_s)
            spans.append((begin_s, begin_s + service_s))
            ends.append((begin_s + service_s, number, self._migration(
                common, number, flavor, asked_s, queue_s, service_s)))
        for _end_s, _number, line in sorted(ends, key=lambda end: end[:2]):
            yield schema.MigrationEnded(
                record_status='completed', server_status='ACTIVE',
                timed_out='', **{name: getattr(line, name) for name in (
                    'drain', 'server_id', 'source', 'destination',
                    'requested_at', 'duration_s')})
        for _end_s, _number, line in ends:
            yield line
        wall_s = max(end[0] for end in ends)
        yield self._drain_result(common, spans, wall_s, at_once)
        self._now_s += wall_s + 5

    def _service_s(self, settings: schema.Settings, flavor: schema.Flavor,
                   round_trip: int) -> float:
        copy_s = PER_GIB_S * flavor.ram_gib
        if settings.values.get('tunnelled'):
            copy_s *= TUNNEL
        if settings.storage == 'block':
            copy_s += PER_DISK_GIB_S * flavor.disk_gib
        drift_s = DRIFT_S * min(round_trip, DRIFTING_ROUND_TRIPS)
        return (START_S + copy_s + drift_s) * self._random.lognormvariate(
            0, 0.07)

    def _migration(self, common: dict[str, Any], number: int,
                   flavor: schema.Flavor, asked_s: float, queue_s: float,
                   service_s: float) -> schema.MigrationResult:
        self._migrations += 1
        monotonic_s = builders.STARTED_MONOTONIC_S + self._now_s + asked_s
        outage_s = OUTAGE_S * self._random.lognormvariate(0, 0.35)
        setup_s, after_s = 0.25 * service_s, 0.1 * service_s
        copy_s = service_s - setup_s - after_s
        copied_s = monotonic_s + CHECKS_S + queue_s + setup_s + copy_s
        control_s = 0.02 if self._random.random() < 0.3 else 0.0
        stall_s = STALL_S * self._random.lognormvariate(0, 0.3)
        line = builders.migration(
            self._migrations, **common, server_id=f'server-{number}',
            server_name=dict(self._run.names).get(number, f'guest-{number}'),
            server_host=common['destination'], flavor=flavor,
            requested_at=builders.time_of_day(self._now_s + asked_s),
            requested_monotonic_s=monotonic_s,
            duration_s=CHECKS_S + queue_s + service_s, queue_s=queue_s,
            phases=tuple(builders.phase(*each) for each in (
                ('checks', CHECKS_S), ('queued', queue_s),
                ('setup', setup_s), ('copy', copy_s),
                ('post', after_s / 2), ('cleanup', after_s / 2))),
            service=builders.phase('service', service_s),
            job=schema.LibvirtJob(
                downtime_ms=int(700 * outage_s),
                memory_bytes_processed=int(flavor.ram_gib * 2 ** 30)),
            max_outage_s=MAX_OUTAGE_S, max_stall_s=MAX_STALL_S)
        return msgspec.structs.replace(line, continuity=builders.continuity(
            outage=builders.outage(outage_s, copied_s - outage_s / 2),
            control=builders.outage(control_s),
            stall=builders.stall(stall_s)))

    def _drain_result(self, common: dict[str, Any],
                      spans: Sequence[tuple[float, float]], wall_s: float,
                      at_once: int) -> schema.DrainResult:
        started_s = builders.STARTED_MONOTONIC_S + self._now_s
        sockets = None
        hosts: tuple[schema.HostSamples, ...] = ()
        if self._run.sampled:
            tunnelled = common['settings'].values.get('tunnelled')
            sockets = schema.Sockets(
                transport='tunnelled' if tunnelled else 'direct', samples=40,
                qemu_ports=(49152,), qemu_connections=at_once,
                libvirt_ports=())
            hosts = tuple(schema.HostSamples(
                host=host, period_s=1.0, samples=tuple(
                    self._sample(started_s, second, spans,
                                 host == common['source'])
                    for second in range(int(wall_s) + 3)))
                for host in sorted((common['source'],
                                    common['destination'])))
        return builders.drain(
            common['drain'], wall_s=wall_s, sockets=sockets, hosts=hosts,
            started_at=builders.time_of_day(self._now_s),
            started_monotonic_s=started_s, concurrency=(schema.Concurrency(
                host=common['source'], running=min(at_once, len(spans)),
                queued=max(0, len(spans) - at_once), mean=float(at_once),
                busy_s=wall_s, idle_s=0.2, full=at_once),), **{
                    name: value for name, value in common.items()
                    if name != 'drain'})

    def _sample(self, started_s: float, second: int,
                spans: Sequence[tuple[float, float]],
                source: bool) -> schema.HostSample:
        busy = sum(begin <= second < end for begin, end in spans)
        noise = self._random.random()
        before_ns = int((started_s + second) * 1e9)
        sent = busy * 4.5e7 * (0.8 + 0.2 * noise) + 2e4
        rates = {
            'seconds': 1.0,
            'cpu_busy_fraction': 0.08 + 0.18 * busy + 0.05 * noise,
            'sent_bytes_per_s': sent if source else 3e5,
            'received_bytes_per_s': 3e5 if source else sent,
        } if second else {}
        return builders.sample(0, before_ns=before_ns,
                               after_ns=before_ns + 9_000_000, **rates)
