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

"""A server as an administrator sees it, and how it is waited for."""

from collections.abc import Callable
import dataclasses
import datetime
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions as lib_exc

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Server:
    """What is of interest about a server.

    :ivar server_id: UUID
    :ivar name: as its owner calls it
    :ivar status: ACTIVE, MIGRATING, ERROR and so on
    :ivar task_state: what nova is doing with it; None if nothing
    :ivar host: name of the compute host; empty if it has none yet
    :ivar fault: message of the last fault, if nova shows one
    :ivar vcpus: virtual CPUs of its flavor
    :ivar ram_gib: memory of its flavor
    :ivar disk_gib: its local disks: those of its flavor, without the root
        disk if that is a volume
    :ivar flavor: name of its flavor; empty if nova does not show it
    :ivar updated_at: when nova has last written to it, by the cloud's clock;
        None if nova does not say
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

    @property
    def state(self) -> str:
        """Status, task state and host, in words."""
        return 'status %s, task state %s, host %s' % (
            self.status, self.task_state, self.host or 'none')


def show(servers_client: Any, server_id: str) -> Server:
    """Return a server as it is now.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    """
    return _server(servers_client.show_server(server_id)['server'])


def find(servers_client: Any, server_id: str) -> Server | None:
    """Return a server as it is now; None if it is gone.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    """
    try:
        return show(servers_client, server_id)
    except lib_exc.NotFound:
        return None


def list_changed(servers_client: Any,
                 since: datetime.datetime) -> list[Server]:
    """Return the servers of all projects that have changed since a time.

    Those that were deleted since are among them, with status DELETED.

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
    """Return the servers of all projects that a query finds, page by page."""
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
        if body.get('updated') else None)


def wait_for(servers_client: Any, server_id: str, status: str,
             timeout_s: float, interval_s: float,
             clock: Callable[[], float] = time.monotonic,
             sleep: Callable[[float], None] = time.sleep) -> Server:
    """Wait until a server has a status and nova does nothing with it.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param status: such as ACTIVE
    :param timeout_s: how long to wait, in seconds
    :param interval_s: time between two looks, in seconds
    :raises TempestException: it went into ERROR
    :raises TimeoutException: it does not have it in that time
    """
    start_s = clock()
    while True:
        server = show(servers_client, server_id)
        if server.status == status and server.task_state is None:
            return server
        waited_s = clock() - start_s
        what = 'server %s (%s) to become %s with no task' % (
            server_id, server.name, status)
        if server.status == 'ERROR':
            raise lib_exc.TempestException(
                'Waited for %s, but after %.1f s: %s; fault: %s' % (
                    what, waited_s, server.state, server.fault or 'none'))
        if waited_s >= timeout_s:
            raise lib_exc.TimeoutException(
                'Waited %.1f s for %s; last seen: %s' % (
                    waited_s, what, server.state))
        sleep(interval_s)


def delete(servers_client: Any, server_id: str, timeout_s: float,
           interval_s: float,
           clock: Callable[[], float] = time.monotonic,
           sleep: Callable[[float], None] = time.sleep) -> None:
    """Delete a server, in whatever state it is, and wait until it is gone.

    A server in ERROR stays in ERROR while it is deleted, so that says
    nothing; one that is soft-deleted is deleted for good.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param timeout_s: how long to wait, in seconds
    :param interval_s: time between two looks, in seconds
    :raises TimeoutException: it is still there after that time
    """
    start_s = clock()
    try:
        servers_client.delete_server(server_id)
        while True:
            server = show(servers_client, server_id)
            if server.status == 'SOFT_DELETED':
                servers_client.force_delete_server(server_id)
            waited_s = clock() - start_s
            if waited_s >= timeout_s:
                raise lib_exc.TimeoutException(
                    'Waited %.1f s for server %s (%s) to be deleted; last '
                    'seen: %s; fault: %s' % (
                        waited_s, server_id, server.name, server.state,
                        server.fault or 'none'))
            sleep(interval_s)
    except lib_exc.NotFound:
        LOG.info('Server %s is gone after %.1f s', server_id,
                 clock() - start_s)
