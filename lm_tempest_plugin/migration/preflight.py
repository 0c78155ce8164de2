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

from collections.abc import Iterable
from collections.abc import Sequence
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


def check(clients: api.Clients,
          known: Iterable[compute_hosts.ComputeService],
          servers: Sequence[Server], destination: str) -> None:
    """Refuse servers and hosts that cannot take part in a live migration.

    A disabled source is fine: operators disable a host before they drain it.

    :param clients: of an administrator
    :param known: the compute services of the cloud
    :param servers: the servers to migrate
    :param destination: name of the host; empty for the scheduler's choice
    :raises CannotMigrate: names the server or the host and the reason
    """
    if not servers:
        raise CannotMigrate('there is no server to live-migrate')
    for server in servers:
        if server.status not in MIGRATABLE or server.task_state is not None:
            raise CannotMigrate(
                f'server {server.server_id} ({server.name}) cannot be '
                f'live-migrated in its state: {server.state}; it has to be '
                f'{" or ".join(MIGRATABLE)}, without a task')
    known = list(known)
    for source in sorted({server.host for server in servers}):
        check_source(known, source)
    if not destination:
        return
    host = _find(known, 'destination', destination)
    if not host.usable:
        raise CannotMigrate(f'the destination, host {host.name}, is '
                            f'{host.status} and {host.state}')
    for server in servers:
        if server.host == destination:
            raise CannotMigrate(
                f'server {server.server_id} ({server.name}) is already on '
                f'host {destination}, the destination')
    needed = functools.reduce(
        operator.add, map(placement.Resources.of, servers), placement.NOTHING)
    lacking = needed.beyond(placement.free_on_host(clients, destination))
    if lacking:
        raise CannotMigrate(
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
    host = _find(known, 'source', source)
    if host.state != 'up':
        raise CannotMigrate(f'the source, host {host.name}, is {host.state}')


def _find(known: Iterable[compute_hosts.ComputeService], role: str,
          name: str) -> compute_hosts.ComputeService:
    known = list(known)
    for host in known:
        if host.name == name:
            return host
    raise CannotMigrate(
        f'the {role}, host {name}, has no nova-compute service; hosts with '
        f'one: {compute_hosts.describe(known)}')
