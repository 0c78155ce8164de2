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


"""A nova of many hosts that answers over HTTP and migrates no real server.

It shows the services, hypervisors, servers, migration records and actions
that the plugin reads, with the answers, pages and stamps of nova 2.84, and
the allocation candidates of placement. Live migrations go through nova's
states, in the time that an option gives.

    python -m bench.simulated_nova [--hosts N] [--servers N] [--copy-s S]
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import heapq
from http import server as http_server
import itertools
import json
import subprocess
import sys
import threading
import time
from typing import Any
from urllib import parse
from urllib import request
import uuid

from tempest.lib.services import compute
from tempest.lib.services import network
from tempest.lib.services.placement import placement_client
from tempest.lib.services.placement import resource_providers_client

from lm_tempest_plugin.cloud import api

HOSTS, SERVERS = 1000, 20_000
# Records of former migrations, which nova keeps: they are a day old.
HISTORY, DAY_S = 5000, 86400.0
ZONES = 7
# nova's [api]max_limit.
MAX_LIMIT = 1000
# nova asks libvirt this often, and updates the record each time.
MONITOR_S = 5.0
PREPARE_S = 0.2
MEMORY_BYTES = 2 ** 32
Answer = tuple[int, Any]


def _uuid(kind: int, number: int) -> str:
    return str(uuid.UUID(int=(kind << 64) + number))


def _stamp(at_s: float) -> str:
    """Return a time as migration records have it."""
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime(
        '%Y-%m-%dT%H:%M:%S.%f')


def _whole_s(at_s: float) -> str:
    """Return a time as servers have it."""
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime(
        '%Y-%m-%dT%H:%M:%SZ')


@dataclasses.dataclass
class SimulatedServer:
    """A server.

    :ivar number: from 0, in the order of creation
    :ivar host: name of its host
    :ivar updated_s: time of the last change
    :ivar migrating: whether a live migration goes on
    :ivar actions: id and time of each request
    """

    number: int
    host: str
    updated_s: float
    migrating: bool = False
    actions: list[tuple[str, float]] = dataclasses.field(default_factory=list)

    @property
    def server_id(self) -> str:
        """Its UUID."""
        return _uuid(1, self.number)

    def body(self) -> dict[str, Any]:
        """Return its JSON, with all that nova tells an administrator."""
        return {
            'id': self.server_id, 'name': f'guest{self.number}',
            'status': 'MIGRATING' if self.migrating else 'ACTIVE',
            'OS-EXT-STS:task_state': 'migrating' if self.migrating else None,
            'OS-EXT-STS:vm_state': 'active', 'OS-EXT-STS:power_state': 1,
            'OS-EXT-SRV-ATTR:host': self.host,
            'OS-EXT-SRV-ATTR:hypervisor_hostname': self.host,
            'OS-EXT-SRV-ATTR:instance_name': f'instance-{self.number:08x}',
            'OS-EXT-SRV-ATTR:hostname': f'guest{self.number}',
            'OS-EXT-SRV-ATTR:reservation_id': 'r-simulated',
            'OS-EXT-SRV-ATTR:launch_index': 0,
            'OS-EXT-SRV-ATTR:kernel_id': '',
            'OS-EXT-SRV-ATTR:ramdisk_id': '',
            'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
            'OS-EXT-SRV-ATTR:user_data': None,
            'OS-EXT-AZ:availability_zone': 'nova',
            'OS-DCF:diskConfig': 'AUTO', 'OS-SRV-USG:terminated_at': None,
            'OS-SRV-USG:launched_at': '2026-01-01T00:00:00.000000',
            'accessIPv4': '', 'accessIPv6': '', 'config_drive': '',
            'created': '2026-01-01T00:00:00Z',
            'updated': _whole_s(self.updated_s), 'description': None,
            'hostId': 'f' * 56, 'host_status': 'UP', 'key_name': None,
            'locked': False, 'locked_reason': None, 'metadata': {},
            'tags': [], 'trusted_image_certificates': None,
            'tenant_id': 'project', 'user_id': 'user', 'links': [],
            'os-extended-volumes:volumes_attached': [], 'progress': 0,
            'security_groups': [{'name': 'default'}],
            'image': {'id': _uuid(4, 0), 'links': []},
            'flavor': {'original_name': 'small', 'vcpus': 1, 'ram': 4096,
                       'disk': 10, 'ephemeral': 0, 'swap': 0,
                       'extra_specs': {}},
            'addresses': {'net': [{
                'version': 4, 'addr': (
                    f'198.18.{self.number // 250 % 250}.'
                    f'{self.number % 250 + 1}'),
                'OS-EXT-IPS:type': 'fixed',
                'OS-EXT-IPS-MAC:mac_addr': 'fa:16:3e:00:00:01'}]}}


@dataclasses.dataclass
class SimulatedMigration:
    """A live migration with its record.

    :ivar number: id of the record, from 1
    :ivar guest: its server
    :ivar source: name of the host
    :ivar destination: name of the host
    :ivar status: as nova calls it
    :ivar created_s: time of the request
    :ivar updated_s: time of the last change; None if there was none
    :ivar started_s: when the copy began
    """

    number: int
    guest: SimulatedServer
    source: str
    destination: str
    status: str
    created_s: float
    updated_s: float | None = None
    started_s: float = 0.0

    def body(self) -> dict[str, Any]:
        """Return the JSON of the record."""
        return {
            'id': self.number, 'uuid': _uuid(2, self.number),
            'instance_uuid': self.guest.server_id, 'status': self.status,
            'source_compute': self.source, 'source_node': self.source,
            'dest_compute': self.destination, 'dest_node': self.destination,
            'dest_host': None, 'migration_type': 'live-migration',
            'new_instance_type_id': 1, 'old_instance_type_id': 1,
            'project_id': 'project', 'user_id': 'user',
            'created_at': _stamp(self.created_s),
            'updated_at': self.updated_s and _stamp(self.updated_s)}


class SimulatedNova:
    """The state of the cloud, which changes as time goes on."""

    def __init__(self, hosts: int = HOSTS, servers: int = SERVERS,
                 copy_s: float = 10.0, limit: int = 1, history: int = HISTORY,
                 clock: Callable[[], float] = time.time) -> None:
        """Create a cloud whose servers are spread evenly.

        :param hosts: number of compute hosts
        :param servers: number of servers
        :param copy_s: duration of a copy
        :param limit: max_concurrent_live_migrations of each host
        :param history: number of migrations that ended a day ago
        :param clock: returns the time, in seconds since the epoch
        """
        self._clock = clock
        self._copy_s, self._limit = copy_s, limit
        yesterday_s = clock() - DAY_S
        self.hosts = [f'host{number}' for number in range(hosts)]
        self.guests = {each.server_id: each for each in (
            SimulatedServer(number, self.hosts[number % hosts], yesterday_s)
            for number in range(servers))}
        guests = itertools.cycle(self.guests.values())
        self.moves = [
            SimulatedMigration(number, guest, guest.host, guest.host,
                               'completed', yesterday_s, yesterday_s)
            for number, guest in zip(range(1, history + 1), guests)]
        # What was changed last is at the end, for changes-since.
        self._changed_guests = dict(self.guests)
        self._changed_moves = {each.number: each for each in self.moves}
        self._queues: dict[str, list[SimulatedMigration]] = {}
        self._busy: dict[str, int] = {}
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count(1)

    def answer(self, method: str, path: str, query: dict[str, str],
               body: Any = None) -> Answer:
        """Return status and JSON of the answer to a request.

        :param method: GET or POST
        :param path: without a slash at its begin
        :param query: arguments of the address
        :param body: JSON of the request
        """
        self._advance()
        match method, path.split('/'):
            case 'GET', ['']:
                return 200, {'versions': [{
                    'id': 'v2.1', 'status': 'CURRENT', 'version': '2.96',
                    'min_version': '2.1', 'links': [],
                    'updated': '2013-07-23T11:33:21Z'}]}
            case 'GET', ['servers', 'detail']:
                return 200, self._list_servers(query)
            case 'GET', ['os-migrations']:
                return 200, self._list_moves(query)
            case 'GET', ['os-services']:
                return 200, {'services': list(map(self._service, self.hosts))}
            case 'GET', ['os-hypervisors', 'detail']:
                return 200, _page(
                    'hypervisors', map(self._hypervisor, self.hosts), query)
            case 'GET', ['os-aggregates']:
                return 200, {'aggregates': []}
            case 'GET', ['allocation_candidates']:
                return 200, {'provider_summaries': {}, 'allocation_requests': [
                    {'allocations': {_uuid(3, number): {'resources': {}}}}
                    for number in range(len(self.hosts))]}
            case 'GET', ['resource_providers', _, 'inventories']:
                return 200, {'inventories': {
                    name: {'total': total, 'reserved': 0,
                           'allocation_ratio': 1.0} for name, total in (
                               ('VCPU', 64), ('MEMORY_MB', 2 ** 19),
                               ('DISK_GB', 4000))}}
            case 'GET', ['resource_providers', _, 'usages']:
                return 200, {'usages': {
                    'VCPU': 20, 'MEMORY_MB': 2 ** 17, 'DISK_GB': 200}}
            case _, ['servers', server_id, *rest] if (
                    server_id in self.guests):
                return self._of_guest(self.guests[server_id], method, rest,
                                      body)
        return 404, {'itemNotFound': {'code': 404, 'message': path}}

    def _of_guest(self, guest: SimulatedServer, method: str, rest: list[str],
                  body: Any) -> Answer:
        """Return the answer to a request about one server."""
        match method, rest:
            case 'GET', []:
                return 200, {'server': {**guest.body(), 'server_groups': []}}
            case 'GET', ['migrations']:
                return 200, {'migrations': [
                    self._progress(each) for each in self.moves[::-1]
                    if each.guest is guest and each.status == 'running'][:1]
                    if guest.migrating else []}
            case 'GET', ['os-instance-actions']:
                return 200, {'instanceActions': [
                    self._action(guest, *each) for each in guest.actions[::-1]
                ]}
            case 'GET', ['os-instance-actions', request_id]:
                for found, at_s in guest.actions:
                    if found == request_id:
                        return 200, {'instanceAction': {
                            **self._action(guest, found, at_s),
                            'events': []}}
            case 'POST', ['action'] if 'os-migrateLive' in body:
                return self._migrate(guest, body['os-migrateLive']['host'])
        return 404, {'itemNotFound': {'code': 404, 'message': str(rest)}}

    def _migrate(self, guest: SimulatedServer,
                 destination: str | None) -> Answer:
        if guest.migrating:
            return 409, {'conflictingRequest': {
                'code': 409, 'message': 'task_state migrating'}}
        # The scheduler's choice: hosts in turn.
        destination = destination or self.hosts[
            (int(guest.host[4:]) + 1 + len(self.moves) % max(
                1, len(self.hosts) - 1)) % len(self.hosts)]
        if destination not in self.hosts or destination == guest.host:
            return 400, {'badRequest': {
                'code': 400, 'message': f'No valid host: {destination}'}}
        now_s = self._clock()
        move = SimulatedMigration(len(self.moves) + 1, guest, guest.host,
                                  destination, 'queued', now_s)
        self.moves.append(move)
        self._change_guest(guest, now_s, migrating=True)
        guest.actions.append((f'req-{_uuid(5, move.number)}', now_s))
        self._queues.setdefault(guest.host, []).append(move)
        self._start(guest.host, now_s)
        return 202, None

    def _start(self, host: str, now_s: float) -> None:
        """Start queued migrations while the host has a place for them."""
        queue = self._queues[host]
        while queue and self._busy.get(host, 0) < self._limit:
            self._busy[host] = self._busy.get(host, 0) + 1
            self._prepare(queue.pop(0), now_s)

    def _prepare(self, move: SimulatedMigration, now_s: float) -> None:
        """Let a migration go through its states."""
        def run(at_s: float) -> None:
            move.started_s = at_s
            self._later(at_s + self._copy_s, end)
            self._change_move(move, at_s, 'running')
            monitor(at_s)

        def monitor(at_s: float) -> None:
            if move.status == 'running':
                self._change_move(move, at_s, 'running')
                self._later(at_s + MONITOR_S, monitor)

        def end(at_s: float) -> None:
            # The server first, as nova does.
            self._change_guest(move.guest, at_s, migrating=False,
                               host=move.destination)
            self._change_move(move, at_s, 'completed')
            self._busy[move.source] -= 1
            self._start(move.source, at_s)

        self._change_move(move, now_s, 'preparing')
        self._later(now_s + PREPARE_S, run)

    def _later(self, at_s: float, event: Callable[[float], None]) -> None:
        # The number is unique, so that events are never compared.
        heapq.heappush(self._due, (at_s, next(self._numbers), event))

    def _advance(self) -> None:
        """Let happen all that is due."""
        now_s = self._clock()
        while self._due and self._due[0][0] <= now_s:
            at_s, _number, event = heapq.heappop(self._due)
            event(at_s)

    def _change_guest(self, guest: SimulatedServer, at_s: float,
                      **changes: Any) -> None:
        for name, value in {**changes, 'updated_s': at_s}.items():
            setattr(guest, name, value)
        self._changed_guests.pop(guest.server_id, None)
        self._changed_guests[guest.server_id] = guest

    def _change_move(self, move: SimulatedMigration, at_s: float,
                     status: str) -> None:
        move.status, move.updated_s = status, at_s
        self._changed_moves.pop(move.number, None)
        self._changed_moves[move.number] = move

    def _list_servers(self, query: dict[str, str]) -> Any:
        found: Iterable[SimulatedServer] = self.guests.values()
        if 'changes-since' in query:
            since_s = _since_s(query)
            found = itertools.takewhile(
                # Servers are stamped to the second.
                lambda each: int(each.updated_s) >= int(since_s),
                reversed(self._changed_guests.values()))
        if 'host' in query:
            found = [each for each in found if each.host == query['host']]
        return _page('servers', (each.body() for each in found), query)

    def _list_moves(self, query: dict[str, str]) -> Any:
        if 'changes-since' in query:
            since_s = _since_s(query)
            changed = itertools.takewhile(
                lambda each: (each.updated_s or 0.0) >= since_s,
                reversed(self._changed_moves.values()))
            found: Iterable[SimulatedMigration] = sorted(
                changed, key=lambda each: -each.number)
        else:
            found = reversed(self.moves)
        if 'instance_uuid' in query:
            found = [each for each in found
                     if each.guest.server_id == query['instance_uuid']]
        return _page('migrations', (each.body() for each in found), query,
                     'uuid')

    def _progress(self, move: SimulatedMigration) -> dict[str, Any]:
        """Return the JSON of a copy that is under way."""
        share = min(1.0, (self._clock() - move.started_s) / self._copy_s)
        done = round(MEMORY_BYTES * share)
        body = move.body()
        for name in ('instance_uuid', 'migration_type', 'new_instance_type_id',
                     'old_instance_type_id'):
            del body[name]
        return {**body, 'server_uuid': move.guest.server_id,
                'memory_total_bytes': MEMORY_BYTES,
                'memory_processed_bytes': done,
                'memory_remaining_bytes': MEMORY_BYTES - done,
                'disk_total_bytes': 0, 'disk_processed_bytes': 0,
                'disk_remaining_bytes': 0}

    def _action(self, guest: SimulatedServer, request_id: str,
                at_s: float) -> dict[str, Any]:
        return {'action': 'live-migration', 'request_id': request_id,
                'instance_uuid': guest.server_id, 'message': None,
                'project_id': 'project', 'user_id': 'user',
                'start_time': _stamp(at_s), 'updated_at': _stamp(at_s)}

    def _service(self, host: str) -> dict[str, Any]:
        number = int(host[4:])
        return {'id': _uuid(6, number), 'binary': 'nova-compute',
                'host': host, 'zone': f'zone{number % ZONES}',
                'status': 'enabled', 'state': 'up', 'disabled_reason': None,
                'forced_down': False, 'updated_at': _stamp(self._clock())}

    def _hypervisor(self, host: str) -> dict[str, Any]:
        number = int(host[4:])
        return {
            'id': _uuid(3, number), 'hypervisor_hostname': host,
            'service': {'host': host, 'id': _uuid(6, number),
                        'disabled_reason': None},
            'state': 'up', 'status': 'enabled', 'hypervisor_type': 'QEMU',
            'hypervisor_version': 10_000_002 - number % 2 * 997_998,
            'host_ip': '192.0.2.1', 'vcpus': 64, 'vcpus_used': 20,
            'memory_mb': 2 ** 19, 'memory_mb_used': 2 ** 17,
            'free_ram_mb': 2 ** 18, 'local_gb': 4000, 'local_gb_used': 200,
            'free_disk_gb': 3800, 'disk_available_least': 3000,
            'running_vms': 20, 'current_workload': 0,
            'cpu_info': {
                'arch': 'x86_64', 'vendor': 'Intel', 'model': 'Cascadelake',
                'topology': {'cells': 1, 'sockets': 2, 'cores': 16,
                             'threads': 2},
                'features': [f'feature{each}' for each in range(90)]}}


def _since_s(query: dict[str, str]) -> float:
    """Return the time of changes-since; nova takes it as UTC."""
    found = datetime.datetime.fromisoformat(query['changes-since'])
    return (found if found.tzinfo else
            found.replace(tzinfo=datetime.UTC)).timestamp()


def _page(name: str, bodies: Iterable[dict[str, Any]],
          query: dict[str, str], key: str = 'id') -> dict[str, Any]:
    """Return a page of a list, with a link to the next one as nova's.

    :param name: of the list
    :param bodies: of all items in order
    :param query: with limit and marker
    :param key: name of the field that the marker has
    """
    limit = min(int(query.get('limit', MAX_LIMIT)), MAX_LIMIT)
    rest = iter(bodies)
    if 'marker' in query:
        for body in rest:
            if body[key] == query['marker']:
                break
    page = list(itertools.islice(rest, limit))
    if len(page) < limit:
        return {name: page}
    # As nova does, also if the next page is empty.
    following = parse.urlencode({**query, 'marker': page[-1][key]})
    return {name: page, f'{name}_links': [
        {'rel': 'next', 'href': f'http://127.0.0.1/{name}?{following}'}]}


class NovaHandler(http_server.BaseHTTPRequestHandler):
    """Answers requests, and counts them."""

    server: 'NovaEndpoint'

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer(None)

    def do_POST(self) -> None:
        """Answer a request for an action."""
        self._answer(json.loads(self.rfile.read(
            int(self.headers['Content-Length']))))

    def _answer(self, sent: Any) -> None:
        address = parse.urlsplit(self.path)
        query = dict(parse.parse_qsl(address.query))
        path = address.path.strip('/')
        with self.server.lock:
            counters = self.server.counters
            if path == 'counters':
                status, body = 200, dict(counters)
            else:
                status, body = self.server.nova.answer(
                    self.command, path, query, sent)
            text = b'' if body is None else json.dumps(body).encode()
            if path != 'counters':
                counters['requests'] += 1
                counters['bytes'] += len(text)
            moves = len(self.server.nova.moves)
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        # Clients check that the microversion was understood.
        for name in ('X-OpenStack-Nova-API-Version', 'OpenStack-API-Version'):
            if name in self.headers:
                self.send_header(name, self.headers[name])
        self.send_header('x-openstack-request-id',
                         f'req-{_uuid(5, moves)}')
        self.end_headers()
        self.wfile.write(text)


class NovaEndpoint(http_server.ThreadingHTTPServer):
    """Serves one simulated nova.

    :ivar nova: its state
    :ivar lock: held by the thread that answers
    :ivar counters: requests and bytes of answers so far
    """

    daemon_threads = True
    # tempest.lib opens a connection for each request.
    request_queue_size = 1000

    def __init__(self, nova: SimulatedNova, port: int = 0) -> None:
        """Listen on the loopback.

        :param nova: the state of the cloud
        :param port: 0 for a free one
        """
        super().__init__(('127.0.0.1', port), NovaHandler)
        self.nova = nova
        self.lock = threading.Lock()
        self.counters = {'requests': 0, 'bytes': 0}

    @property
    def url(self) -> str:
        """Its address."""
        return f'http://127.0.0.1:{self.server_port}'


class FixedEndpoint:
    """Stands in for Tempest's provider of tokens: there is no keystone.

    :ivar url: address of the simulated nova
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def auth_request(self, _method: str, url: str, headers: Any = None,
                     body: Any = None, _filters: Any = None) -> Any:
        """Return the parts of a request, with a token."""
        return (f'{self.url}/{url.strip("/")}',
                {**(headers or {}), 'X-Auth-Token': 'simulated'}, body)

    def base_url(self, **_kwargs: Any) -> str:
        """Return the address of the service."""
        return self.url


@dataclasses.dataclass(frozen=True)
class RunningNova:
    """A simulated nova that runs as a process.

    :ivar clients: clients of an administrator
    :ivar url: its address
    """

    clients: api.Clients
    url: str

    def counters(self) -> dict[str, int]:
        """Return the number of requests and of bytes answered so far."""
        with request.urlopen(f'{self.url}/counters') as answer:
            return dict(json.load(answer))


def connect(url: str) -> RunningNova:
    """Return the clients of a simulated nova.

    :param url: its address
    """
    provider = FixedEndpoint(url)

    def client(kind: Any) -> Any:
        return kind(provider, 'simulated', 'region')

    return RunningNova(api.Clients(
        servers=client(compute.ServersClient),
        migrations=client(compute.MigrationsClient),
        services=client(compute.ServicesClient),
        hypervisors=client(compute.HypervisorClient),
        versions=client(compute.VersionsClient),
        quotas=client(compute.QuotasClient),
        providers=client(resource_providers_client.ResourceProvidersClient),
        placement=client(placement_client.PlacementClient),
        ports=client(network.PortsClient)), url)


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[RunningNova]:
    """Run a simulated nova as a process of its own.

    :param arguments: as of the command
    :raises ChildProcessError: it did not start
    """
    process = subprocess.Popen(
        [sys.executable, '-m', 'bench.simulated_nova', *arguments],
        stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        if not url:
            raise ChildProcessError(
                f'the simulated nova ended with exit code {process.wait()}')
        yield connect(url)
    finally:
        process.kill()
        process.communicate()


def main(arguments: list[str]) -> int:
    """Print the address, and answer requests until it is ended.

    :param arguments: of the command line
    """
    parser = argparse.ArgumentParser(
        prog='python -m bench.simulated_nova', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--port', type=int, default=0,
                        help='port on the loopback (default: a free one)')
    for name, value in (('hosts', HOSTS), ('servers', SERVERS),
                        ('limit', 1), ('history', HISTORY)):
        parser.add_argument(f'--{name}', type=int, default=value,
                            metavar='N', help=f'{_HELP[name]} (default: '
                            '%(default)s)')
    parser.add_argument('--copy-s', type=float, default=10.0, metavar='S',
                        help='seconds that each copy takes (default: '
                        '%(default)s)')
    options = vars(parser.parse_args(arguments))
    port = options.pop('port')
    server = NovaEndpoint(SimulatedNova(**options), port)
    print(server.url, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


_HELP = {'hosts': 'number of compute hosts', 'servers': 'number of servers',
         'limit': 'migrations that leave a host at a time',
         'history': 'migrations that ended a day ago'}


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
