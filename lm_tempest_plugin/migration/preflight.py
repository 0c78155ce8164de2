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

"""Refusal of a plan that cannot succeed, before anything is migrated."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import enum
import functools
import operator

from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud.servers import Server

# nova refuses servers in another status with HTTP 409.
MIGRATABLE = ('ACTIVE', 'PAUSED')


class CannotMigrate(exceptions.TempestException):
    """A plan that cannot succeed; nothing was begun."""

    message = 'Cannot live-migrate'


class Obstacle(enum.StrEnum):
    """Reasons for which nova has to refuse a live migration."""

    SERVER_STATE = 'state of the server'
    UNKNOWN_HOST = 'unknown destination'
    HOST_DISABLED = 'disabled destination'
    HOST_DOWN = 'destination that is down'
    SAME_HOST = 'destination that is the source'
    NO_ROOM = 'destination without room'


def check(clients: api.Clients,
          known: Iterable[compute_hosts.ComputeService],
          servers: Sequence[Server],
          destination_of: Callable[[str], str],
          expected: Obstacle | None = None) -> None:
    """Refuse servers and hosts that cannot take part in a live migration.

    A disabled source is fine: operators disable a host before they drain it.

    :param clients: of an administrator
    :param known: the compute services of the cloud
    :param servers: the servers to migrate
    :param destination_of: returns the name of the host to which the server
        with a UUID goes; empty for the scheduler's choice
    :param expected: the only obstacle that is accepted, and that has to be
        there; None to accept none
    :raises CannotMigrate: names the server or the host and the reason
    """
    if not servers:
        raise CannotMigrate('there is no server to live-migrate')
    known = list(known)
    for source in sorted({server.host for server in servers}):
        check_source(known, source)
    found = False
    for obstacle, text in _obstacles(clients, known, servers, destination_of):
        if obstacle is not expected:
            raise CannotMigrate(text)
        found = True
    if expected is not None and not found:
        raise CannotMigrate(
            f'nova is expected to refuse because of a certain obstacle, '
            f'{expected}, and it is not there')


def _obstacles(clients: api.Clients,
               known: Sequence[compute_hosts.ComputeService],
               servers: Sequence[Server],
               destination_of: Callable[[str], str]
               ) -> Iterator[tuple[Obstacle, str]]:
    """Yield the obstacles with their descriptions."""
    for server in servers:
        if server.status not in MIGRATABLE or server.task_state is not None:
            yield Obstacle.SERVER_STATE, (
                f'server {server.server_id} ({server.name}) cannot be '
                f'live-migrated in its state: {server.state}; it has to be '
                f'{" or ".join(MIGRATABLE)}, without a task')
    arriving: dict[str, list[Server]] = {}
    for server in servers:
        arriving.setdefault(destination_of(server.server_id), []).append(
            server)
    # The scheduler looks for room by itself.
    arriving.pop('', None)
    for destination, group in list(arriving.items()):
        host = _find(known, destination)
        if host is None:
            del arriving[destination]
            yield Obstacle.UNKNOWN_HOST, _describe_unknown(
                known, 'destination', destination)
            continue
        text = (f'the destination, host {host.name}, is {host.status} and '
                f'{host.state}')
        if host.status != 'enabled':
            yield Obstacle.HOST_DISABLED, text
        if host.state != 'up':
            yield Obstacle.HOST_DOWN, text
        for server in group:
            if server.host == destination:
                # They hold their room already.
                arriving.pop(destination, None)
                yield Obstacle.SAME_HOST, (
                    f'server {server.server_id} ({server.name}) is already '
                    f'on host {destination}, the destination')
    yield from _lacks_of_room(clients, arriving)


def _lacks_of_room(clients: api.Clients,
                   arriving: Mapping[str, Sequence[Server]]
                   ) -> Iterator[tuple[Obstacle, str]]:
    """Yield the destinations without room.

    :param arriving: the servers that go to each host
    """
    free = placement.free_on_hosts(clients, arriving)
    for destination, servers in arriving.items():
        needed = functools.reduce(
            operator.add, map(placement.Resources.of, servers),
            placement.NOTHING)
        lacking = needed.beyond(free[destination])
        if lacking:
            yield Obstacle.NO_ROOM, (
                f'the destination, host {destination}, has no room for '
                f'{len(servers)} servers: {"; ".join(lacking)}')


def check_source(known: Iterable[compute_hosts.ComputeService],
                 source: str | None) -> None:
    """Refuse a source that does not exist or is down.

    :param known: the compute services of the cloud
    :param source: name of the host; None or empty if it is not decided yet
    :raises CannotMigrate: names the host and the reason
    """
    if not source:
        return
    known = list(known)
    host = _find(known, source)
    if host is None:
        raise CannotMigrate(_describe_unknown(known, 'source', source))
    if host.state != 'up':
        raise CannotMigrate(f'the source, host {host.name}, is {host.state}')


def _find(known: Iterable[compute_hosts.ComputeService],
          name: str) -> compute_hosts.ComputeService | None:
    return next((host for host in known if host.name == name), None)


def _describe_unknown(known: Iterable[compute_hosts.ComputeService],
                      role: str, name: str) -> str:
    return (f'the {role}, host {name}, has no nova-compute service; hosts '
            f'with one: {compute_hosts.describe(known)}')
