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

"""Records of a whole matrix: what the tests of a cloud would have written.

Servers queue before the source host as nova lets them, so that durations,
phases, samples of hosts and what ran at once belong together.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import heapq
import random
from typing import Any

from lm_tempest_plugin.tests.unit.results import builders

HOSTS = ('compute1', 'compute2')
# GiB of memory; vCPUs are 1, 2, 4.
FLAVORS = (('lm.small', 1, 0.1875, 1.0), ('lm.medium', 2, 0.375, 2.0),
           ('lm.large', 4, 0.75, 4.0))
CELLS = tuple(
    builders.cell(storage, tunnelled=tunnelled,
                  max_concurrent_live_migrations=at_once)
    for storage, tunnelled, at_once in (
        ('block', False, 1), ('shared', False, 1), ('shared', True, 1),
        ('shared', False, 3)))
# As nova and QEMU have it with memory that changes little.
START_S, PER_GIB_S, PER_DISK_GIB_S, TUNNEL = 2.0, 6.0, 0.7, 1.9
OUTAGE_S, STALL_S, CHECKS_S = 0.18, 0.42, 0.9
MAX_OUTAGE_S, MAX_STALL_S = 1.0, 3.0
# A guest's memory fills for some trips, and then no more.
DRIFT_S, DRIFTING_TRIPS = 0.12, 10


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be simulated.

    :ivar cells: as records have them
    :ivar trips: round trips, of two drains each
    :ivar of_each: servers of each flavor
    :ivar seed: of the random numbers
    :ivar sampled: whether hosts are sampled
    :ivar names: of servers, by their numbers; others are guest-NUMBER
    """

    cells: Sequence[dict[str, Any]] = CELLS
    trips: int = 8
    of_each: int = 2
    seed: int = 0
    sampled: bool = True
    names: tuple[tuple[int, str], ...] = ()


def lines(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kind and body of each line, after the first."""
    return _Matrix(plan).lines()


class _Matrix:
    """Simulates one run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._now_s = 0.0
        self._attempts = 0
        self._drains = 0

    def lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for cell in self._plan.cells:
            for trip in range(self._plan.trips + 1):
                for source, destination in (HOSTS, HOSTS[::-1]):
                    yield from self._drain(cell, trip, source, destination)

    def _drain(self, cell: dict[str, Any], trip: int, source: str,
               destination: str) -> Iterator[tuple[str, dict[str, Any]]]:
        self._drains += 1
        servers = [flavor for flavor in FLAVORS
                   for _number in range(self._plan.of_each)]
        at_once = cell['settings'].get('max_concurrent_live_migrations', 1)
        common = {
            'drain': 'drain-%d' % self._drains, 'cell': cell,
            'strategy': 'window of %d' % len(servers), 'trip': max(1, trip),
            'measured': trip > 0, 'source': source,
            'destination': destination}
        free, ends, spans = [0.0] * at_once, [], []
        for number, flavor in enumerate(servers):
            asked_s = 0.05 * number
            queue_s = max(0.0, heapq.heappop(free) - asked_s - CHECKS_S)
            service_s = self._service_s(cell, flavor, trip)
            begin_s = asked_s + CHECKS_S + queue_s
            heapq.heappush(free, begin_s + service_s)
            spans.append((begin_s, begin_s + service_s))
            ends.append((begin_s + service_s, number, self._attempt(
                common, number, flavor, asked_s, queue_s, service_s)))
        for _end_s, _number, body in sorted(ends, key=lambda end: end[:2]):
            yield 'ended', self._ended(body)
        for _end_s, _number, body in ends:
            yield 'attempt', body
        wall_s = max(end[0] for end in ends)
        yield 'drain', self._drain_body(common, spans, wall_s, at_once)
        self._now_s += wall_s + 5

    def _service_s(self, cell: dict[str, Any], flavor: tuple[Any, ...],
                   trip: int) -> float:
        _name, _vcpus, ram_gib, disk_gib = flavor
        copy_s = PER_GIB_S * ram_gib
        if cell['settings'].get('tunnelled'):
            copy_s *= TUNNEL
        if cell['storage'] == 'block':
            copy_s += PER_DISK_GIB_S * disk_gib
        return (START_S + copy_s + DRIFT_S * min(trip, DRIFTING_TRIPS)) * \
            self._random.lognormvariate(0, 0.07)

    def _attempt(self, common: dict[str, Any], number: int,
                 flavor: tuple[Any, ...], asked_s: float, queue_s: float,
                 service_s: float) -> dict[str, Any]:
        self._attempts += 1
        monotonic_s = builders.BEGAN_MONOTONIC_S + self._now_s + asked_s
        outage_s = OUTAGE_S * self._random.lognormvariate(0, 0.35)
        setup_s, after_s = 0.25 * service_s, 0.1 * service_s
        copy_s = service_s - setup_s - after_s
        copied_s = monotonic_s + CHECKS_S + queue_s + setup_s + copy_s
        name, vcpus, ram_gib, disk_gib = flavor
        return builders.attempt_line(
            self._attempts, **common,
            server_id='server-%d' % number,
            server_name=dict(self._plan.names).get(
                number, 'guest-%d' % number),
            server_host=common['destination'],
            flavor={'name': name, 'vcpus': vcpus, 'ram_gib': ram_gib,
                    'disk_gib': disk_gib},
            requested_at=builders.iso(self._now_s + asked_s),
            requested_monotonic_s=monotonic_s,
            duration_s=CHECKS_S + queue_s + service_s, queue_s=queue_s,
            phases=[_phase(*each) for each in (
                ('checks', CHECKS_S), ('queued', queue_s),
                ('setup', setup_s), ('copy', copy_s),
                ('post', after_s / 2), ('cleanup', after_s / 2))],
            service=_phase('service', service_s),
            icmp=builders.outage(
                outage_s, copied_s - outage_s / 2, error_s=0.015),
            icmp_control=builders.outage(
                0.02 if self._random.random() < 0.3 else 0.0, None),
            tcp=builders.stall(
                STALL_S * self._random.lognormvariate(0, 0.3)),
            job={'downtime_ms': int(700 * outage_s),
                 'memory_bytes_processed': int(ram_gib * 2 ** 30)},
            max_outage_s=MAX_OUTAGE_S, max_stall_s=MAX_STALL_S)

    def _ended(self, body: dict[str, Any]) -> dict[str, Any]:
        return {
            **{name: body[name] for name in (
                'attempt', 'drain', 'server_id', 'source', 'destination',
                'requested_at', 'duration_s')},
            'record_status': 'completed', 'server_status': 'ACTIVE',
            'given_up': False}

    def _drain_body(self, common: dict[str, Any],
                    spans: Sequence[tuple[float, float]], wall_s: float,
                    at_once: int) -> dict[str, Any]:
        began_s = builders.BEGAN_MONOTONIC_S + self._now_s
        hosts = None
        if self._plan.sampled:
            tunnelled = common['cell']['settings'].get('tunnelled')
            hosts = {
                'sockets': {
                    'transport': 'tunnelled' if tunnelled else 'direct',
                    'qemu_ports': [49152], 'libvirt_ports': [],
                    'samples': 40},
                'samples': [
                    {**builders.samples(host, 0), 'samples': [
                        self._sample(began_s, second, spans,
                                     host == common['source'])
                        for second in range(int(wall_s) + 3)]}
                    for host in HOSTS]}
        return builders.drain_line(**{
            **common, 'name': '%s to %s, %s, trip %d' % (
                common['source'], common['destination'], common['strategy'],
                common['trip']),
            'servers': len(spans), 'began_at': builders.iso(self._now_s),
            'began_monotonic_s': began_s, 'wall_s': wall_s,
            'observed_concurrency': [{
                'host': common['source'],
                'running': min(at_once, len(spans)),
                'queued': max(0, len(spans) - at_once),
                'mean': float(at_once), 'busy_s': wall_s, 'idle_s': 0.2,
                'full': at_once}],
            'hosts': hosts})

    def _sample(self, began_s: float, second: int,
                spans: Sequence[tuple[float, float]],
                source: bool) -> dict[str, Any]:
        busy = sum(begin <= second < end for begin, end in spans)
        noise = self._random.random()
        before_ns = int((began_s + second) * 1e9)
        sent = busy * 4.5e7 * (0.8 + 0.2 * noise) + 2e4
        return {
            **builders.samples('', 1)['samples'][0],
            'before_ns': before_ns, 'after_ns': before_ns + 9_000_000,
            'seconds': 1.0 if second else None,
            'cpu_busy_fraction': 0.08 + 0.18 * busy + 0.05 * noise
            if second else None,
            'sent_bytes_per_s': (sent if source else 3e5)
            if second else None,
            'received_bytes_per_s': (3e5 if source else sent)
            if second else None}


def _phase(name: str, seconds: float) -> dict[str, Any]:
    return {'name': name, 'seconds': seconds, 'resolution_s': 0.5,
            'origin': 'polls'}
