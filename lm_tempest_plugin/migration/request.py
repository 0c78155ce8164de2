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

"""Asking nova for a live migration."""

import dataclasses
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.cloud import servers

LOG = logging.getLogger(__name__)


class RequestRefused(lib_exc.TempestException):
    """nova did not accept a request."""

    message = 'Live migration refused'


@dataclasses.dataclass(frozen=True)
class Request:
    """A live migration that nova has accepted.

    :ivar server: the server as it was before
    :ivar destination: name of the host that it was asked to go to
    :ivar block_migration: 'auto', True or False
    :ivar request_id: nova's id of the request: req-...
    :ivar requested_ns: just before the request was sent, CLOCK_MONOTONIC
    :ivar known_records: numbers of the records from before
    """

    server: servers.Server
    destination: str
    block_migration: str | bool
    request_id: str
    requested_ns: int
    known_records: frozenset[int]

    @property
    def source(self) -> str:
        """Name of the host that the server was on."""
        return self.server.host

    def __str__(self) -> str:
        return 'live migration of server %s (%s) from %s to %s' % (
            self.server.server_id, self.server.name, self.source,
            self.destination)


def live_migrate(servers_client: Any, migrations_client: Any, server_id: str,
                 destination: str,
                 block_migration: str | bool = 'auto') -> Request:
    """Ask nova to move a server.

    nova answers at once and checks afterwards, so that to be accepted says
    nothing about what becomes of it.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param migrations_client: tempest.lib's MigrationsClient, of an admin
    :param server_id: the server's UUID
    :param destination: name of the host to which it is to go
    :param block_migration: True to copy local disks, False for storage that
        both hosts share, 'auto' to leave it to nova
    :raises RequestRefused: nova answered with an error that says why
    """
    server = servers.show(servers_client, server_id)
    known = records.list_live_migrations(migrations_client, server_id)
    requested_ns = time.monotonic_ns()
    try:
        body = servers_client.live_migrate_server(
            server_id, host=destination, block_migration=block_migration)
    except (lib_exc.ClientRestClientException,
            lib_exc.ServerRestClientException) as exc:
        raise RequestRefused(
            'nova refused to live-migrate server %s (%s; %s) to host %s: '
            '%s' % (server_id, server.name, server.state, destination,
                    exc)) from exc
    request = Request(
        server=server, destination=destination,
        block_migration=block_migration,
        request_id=body.response['x-openstack-request-id'],
        requested_ns=requested_ns,
        known_records=frozenset(record.number for record in known))
    LOG.info('Requested (%s) the %s', request.request_id, request)
    return request
