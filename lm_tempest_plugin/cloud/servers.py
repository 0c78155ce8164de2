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
"""Servers as an administrator sees them."""

import dataclasses
import datetime
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Server:
    """A server.

    :ivar server_id: UUID
    :ivar name: its name
    :ivar status: ACTIVE, MIGRATING, ERROR and so on
    :ivar task_state: nova's current task; None if there is none
    :ivar host: name of the compute host; empty if it has none yet
    :ivar fault: message of the last fault; empty if nova shows none
    :ivar vcpus: virtual CPUs of its flavor
    :ivar ram_gib: memory of its flavor
    :ivar disk_gib: local disks of its flavor, without the root disk if that
        is a volume
    :ivar flavor: name of its flavor; empty if nova does not show it
    :ivar updated_at: when nova last updated it, by the cloud's clock; None if
        nova does not say
    :ivar addresses: its fixed addresses, IPv4 and IPv6, of all ports
    :ivar progress: of nova's present task, in percent; 0 if nova shows none
    :ivar floating_addresses: its floating addresses
    :ivar vm_state: stable state, such as active, which a live migration does
        not change; empty if nova does not show it
    """

    server_id: str
    name: str
    status: str
    task_state: str | None
    host: str
    fault: str
    vcpus: int
    ram_gib: float
    disk_gib: float
    flavor: str = ''
    updated_at: datetime.datetime | None = None
    addresses: tuple[str, ...] = ()
    progress: int = 0
    floating_addresses: tuple[str, ...] = ()
    vm_state: str = ''

    @property
    def settled(self) -> bool:
        """Whether nova has no task with it and does not migrate it."""
        return self.task_state is None and self.status != 'MIGRATING'

    @property
    def state(self) -> str:
        """A text with status, task state and host."""
        return (f'status {self.status}, task state {self.task_state}, '
                f'host {self.host or "none"}')


def show(servers_client: Any, server_id: str) -> Server:
    """Return a server in its present state.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    """
    return _server(servers_client.show_server(server_id)['server'])


def find(servers_client: Any, server_id: str) -> Server | None:
    """Return a server in its present state; None if it is gone.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    """
    try:
        return show(servers_client, server_id)
    except exceptions.NotFound:
        return None


def list_changed(servers_client: Any,
                 since: datetime.datetime) -> list[Server]:
    """Return the servers of all projects that have changed since a time.

    Servers that were deleted since are included, with status DELETED.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param since: by the cloud's clock; with a zone
    """
    return _list(servers_client, {'changes-since': since.isoformat()})


def list_on_host(servers_client: Any, host: str) -> list[Server]:
    """Return the servers of all projects on a host.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param host: name of the host
    """
    return _list(servers_client, {'host': host})


def _list(servers_client: Any, query: dict[str, Any]) -> list[Server]:
    query = {'all_tenants': True, **query}
    found: list[Server] = []
    while True:
        answer = servers_client.list_servers(detail=True, **query)
        found.extend(map(_server, answer['servers']))
        if not answer.get('servers_links'):
            return found
        query['marker'] = found[-1].server_id


def _server(body: dict[str, Any]) -> Server:
    flavor = body['flavor']
    # A server without an image was booted from a volume.
    root_gib = flavor['disk'] if body.get('image') else 0
    return Server(
        server_id=body['id'], name=body['name'], status=body['status'],
        task_state=body['OS-EXT-STS:task_state'],
        host=body['OS-EXT-SRV-ATTR:host'] or '',
        fault=body.get('fault', {}).get('message', ''),
        vcpus=flavor['vcpus'], ram_gib=flavor['ram'] / 1024,
        disk_gib=root_gib + flavor['ephemeral'] + flavor['swap'] / 1024,
        flavor=flavor.get('original_name', ''),
        updated_at=datetime.datetime.fromisoformat(body['updated'])
        if body.get('updated') else None,
        addresses=_addresses(body, 'fixed'),
        floating_addresses=_addresses(body, 'floating'),
        # nova shows it in some states only, and null until it was ever set.
        progress=body.get('progress') or 0,
        vm_state=body.get('OS-EXT-STS:vm_state') or '')


def _addresses(body: dict[str, Any], kind: str) -> tuple[str, ...]:
    return tuple(
        address['addr'] for found in body.get('addresses', {}).values()
        for address in found
        if address.get('OS-EXT-IPS:type', 'fixed') == kind)


def wait_for(servers_client: Any, server_id: str, status: str,
             timeout_s: float, interval_s: float, **clock: Any) -> Server:
    """Wait until a server has a status and no task.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param status: such as ACTIVE
    :param timeout_s: time to wait, in seconds
    :param interval_s: time between two reads, in seconds
    :param clock: clock and sleep, as in utils.wait_until()
    :raises TempestException: it went into ERROR
    :raises TimeoutException: it did not reach that status in time
    """
    awaited = f'server {server_id} to become {status} with no task'

    def reached(server: Server) -> bool:
        return server.status == status and server.task_state is None

    def read() -> Server:
        server = show(servers_client, server_id)
        if server.status == 'ERROR' and not reached(server):
            raise exceptions.TempestException(
                f'waited for {awaited}; it went into ERROR: '
                f'{_describe(server)}')
        return server

    return utils.wait_until(
        reached, read, awaited, timeout_s, interval_s, _describe,
        exceptions.TimeoutException, **clock)


def delete(servers_client: Any, server_id: str, timeout_s: float,
           interval_s: float, **clock: Any) -> None:
    """Delete a server in any state, and wait until it is gone.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param timeout_s: time to wait, in seconds
    :param interval_s: time between two reads, in seconds
    :param clock: clock and sleep, as in utils.wait_until()
    :raises TimeoutException: it is still there after that time
    """
    # ERROR is no reason to stop waiting: a server in ERROR keeps this status
    # while it is deleted.
    def read() -> Server:
        server = show(servers_client, server_id)
        if server.status == 'SOFT_DELETED':
            # Where [DEFAULT]reclaim_instance_interval is set, it would stay.
            servers_client.force_delete_server(server_id)
        return server

    begin_s = time.monotonic()
    try:
        servers_client.delete_server(server_id)
        utils.wait_until(
            lambda server: False, read, f'server {server_id} to be deleted',
            timeout_s, interval_s, _describe, exceptions.TimeoutException,
            **clock)
    except exceptions.NotFound:
        LOG.info('Server %s is gone after %.1f s', server_id,
                 time.monotonic() - begin_s)


def _describe(server: Server) -> str:
    return f'{server.name}: {server.state}; fault: {server.fault or "none"}'
