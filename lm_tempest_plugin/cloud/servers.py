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
    :ivar ram_gib: memory of its flavor
    :ivar disk_gib: root and ephemeral disk of its flavor
    """

    server_id: str
    name: str
    status: str
    task_state: str | None
    host: str
    fault: str
    ram_gib: float
    disk_gib: float

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
    body = servers_client.show_server(server_id)['server']
    flavor = body['flavor']
    return Server(
        server_id=body['id'], name=body['name'], status=body['status'],
        task_state=body['OS-EXT-STS:task_state'],
        host=body['OS-EXT-SRV-ATTR:host'] or '',
        fault=body.get('fault', {}).get('message', ''),
        ram_gib=flavor['ram'] / 1024,
        disk_gib=float(flavor['disk'] + flavor['ephemeral']))


def wait_until_active(servers_client: Any, server_id: str, timeout_s: float,
                      interval_s: float,
                      clock: Callable[[], float] = time.monotonic,
                      sleep: Callable[[float], None] = time.sleep) -> Server:
    """Wait until a new server is ACTIVE and nova does nothing with it.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param timeout_s: how long to wait, in seconds
    :param interval_s: time between two looks, in seconds
    :raises TempestException: it went into ERROR
    :raises TimeoutException: it is not ACTIVE in that time
    """
    start_s = clock()
    while True:
        server = show(servers_client, server_id)
        if server.status == 'ACTIVE' and server.task_state is None:
            return server
        waited_s = clock() - start_s
        what = 'server %s (%s) to become ACTIVE with no task' % (
            server_id, server.name)
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
