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
import urllib3

from lm_tempest_plugin import cloud
from lm_tempest_plugin.cloud import microversions
from lm_tempest_plugin.cloud import servers

LOG = logging.getLogger(__name__)

# Since this microversion of the compute API nova can tell by itself.
AUTO = '2.25'


@dataclasses.dataclass(frozen=True)
class Move:
    """What is asked of nova for a server.

    :ivar destination: name of the host that it is to go to; empty to leave
        the choice to the scheduler
    :ivar block_migration: True to copy local disks, False for storage that
        both hosts share, 'auto' to leave it to nova
    :ivar microversion: with which to ask. Before 2.25 there is no 'auto',
        before 2.30 the scheduler has no say in a destination that is named,
        before 2.34 nova answers only when its checks are done.
    :ivar disk_over_commit: for microversions before 2.25: whether disks
        count by what they take now instead of by what they may grow to
    """

    destination: str = ''
    block_migration: str | bool = 'auto'
    microversion: str = cloud.MICROVERSION
    disk_over_commit: bool = False

    def __post_init__(self) -> None:
        if not self._knows(AUTO) and self.block_migration == 'auto':
            raise ValueError(
                "block_migration cannot be 'auto' with microversion %s: it "
                'is True or False before %s' % (self.microversion, AUTO))

    def _knows(self, version: str) -> bool:
        return microversions.at_least(self.microversion, version)

    @property
    def disks_copied(self) -> bool:
        """Whether local disks may go over the network."""
        return self.block_migration is not False

    def body(self) -> dict[str, Any]:
        """Return the arguments of os-migrateLive."""
        body: dict[str, Any] = {'host': self.destination or None,
                                'block_migration': self.block_migration}
        if not self._knows(AUTO):
            body['disk_over_commit'] = self.disk_over_commit
        return body


@dataclasses.dataclass(frozen=True)
class Refusal:
    """nova's answer where it did not accept a request.

    :ivar status: HTTP status; 0 if there was no answer
    :ivar message: what it said
    """

    status: int
    message: str

    @property
    def clean(self) -> bool:
        """Whether nova says that nothing was begun (HTTP 4xx)."""
        return 400 <= self.status < 500


@dataclasses.dataclass(frozen=True)
class Request:
    """A live migration that nova was asked for.

    :ivar server: the server as it was before
    :ivar move: what was asked
    :ivar request_id: nova's id of the request: req-...; empty if there was
        no answer
    :ivar requested_ns: just before the request was sent, CLOCK_MONOTONIC
    :ivar known_records: UUIDs of the server's records from before
    :ivar refusal: nova's answer if it did not accept; None if it did
    """

    server: servers.Server
    move: Move
    request_id: str
    requested_ns: int
    known_records: frozenset[str]
    refusal: Refusal | None = None

    @property
    def server_id(self) -> str:
        """UUID of the server."""
        return self.server.server_id

    @property
    def source(self) -> str:
        """Name of the host that the server was on."""
        return self.server.host

    def __str__(self) -> str:
        return 'live migration of server %s (%s) from %s to %s' % (
            self.server_id, self.server.name, self.source,
            self.move.destination or "the scheduler's choice")


def live_migrate(servers_client: Any, server: servers.Server, move: Move,
                 known_records: frozenset[str] = frozenset()) -> Request:
    """Ask nova to move a server.

    To be accepted says nothing about what becomes of it, nor does every
    refusal say that nothing was begun: nova's word is kept and the server
    followed.

    :param servers_client: tempest.lib's ServersClient, of one who may ask
    :param server: the server as it is
    :param move: what is asked
    :param known_records: UUIDs of the server's records from before
    """
    requested_ns = time.monotonic_ns()
    refusal = None
    try:
        with microversions.used(move.microversion):
            answer = servers_client.live_migrate_server(
                server.server_id, **move.body())
        headers = answer.response
    except lib_exc.TempestException as exc:
        headers = getattr(exc, 'resp', None)
        headers = {} if headers is None else headers
        refusal = Refusal(int(getattr(headers, 'status', 0)), str(exc))
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        headers = {}
        refusal = Refusal(0, '%s: %s' % (type(exc).__name__, exc))
    request = Request(
        server, move, headers.get('x-openstack-request-id', ''),
        requested_ns, known_records, refusal)
    if refusal:
        LOG.error('nova did not accept the %s: %s', request, refusal.message)
    else:
        LOG.info('Requested (%s) the %s', request.request_id, request)
    return request
