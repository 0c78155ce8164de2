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

"""Requests for a live migration."""

import dataclasses
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions
import urllib3

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

# The first microversion with block_migration='auto'.
AUTO = '2.25'


@dataclasses.dataclass(frozen=True)
class RequestOptions:
    """Arguments of a live migration request, apart from the destination.

    :ivar block_migration: True to copy local disks, False for shared storage,
        'auto' to leave it to nova, 'unknown' for a request of somebody else
    :ivar microversion: of the request; empty for one of somebody else. Before
        2.25 there is no 'auto', before 2.30 the scheduler does not check a
        named destination, before 2.34 nova answers only after its checks.
    :ivar disk_over_commit: for microversions before 2.25: whether disks
        count by their present size instead of their virtual size
    """

    block_migration: str | bool = 'auto'
    microversion: str = api.MICROVERSION
    disk_over_commit: bool = False

    @classmethod
    def of(cls, conf: Any, microversion: str,
           **fields: Any) -> 'RequestOptions':
        """Return the arguments for a cloud.

        :param conf: values of Tempest's groups
        :param microversion: of the request; where it has no 'auto', the
            configuration says whether disks are copied
        :param fields: other fields
        """
        if not api.at_least(microversion, AUTO):
            features = conf.compute_feature_enabled
            fields.setdefault('block_migration',
                              features.block_migration_for_live_migration)
        return cls(microversion=microversion, **fields)

    def __post_init__(self) -> None:
        if self.block_migration == 'auto' and not self._supports(AUTO):
            raise ValueError(
                f"block_migration cannot be 'auto' with microversion "
                f'{self.microversion}: it is True or False before {AUTO}')

    def _supports(self, version: str) -> bool:
        return api.at_least(self.microversion, version)

    @property
    def copies_disks(self) -> bool:
        """Whether local disks may be copied."""
        return self.block_migration is not False

    def body(self, destination: str) -> dict[str, Any]:
        """Return the arguments of os-migrateLive.

        :param destination: name of the host; empty for the scheduler's choice
        """
        body: dict[str, Any] = {'host': destination or None,
                                'block_migration': self.block_migration}
        if not self._supports(AUTO):
            body['disk_over_commit'] = self.disk_over_commit
        return body


# nova does not tell the arguments of others' requests.
OPTIONS_OF_OTHERS = RequestOptions('unknown', microversion='')


@dataclasses.dataclass(frozen=True)
class Request:
    """A live migration that was requested, whether nova accepted or not.

    :ivar server: the server before the request
    :ivar destination: name of the host; empty for the scheduler's choice
    :ivar options: arguments of the request
    :ivar request_id: nova's id of the request (req-...); empty if there was
        no answer
    :ivar requested_ns: just before the request was sent, CLOCK_MONOTONIC
    :ivar known_records: UUIDs of the server's earlier migration records
    :ivar refusal: nova's answer if it did not accept; None if it did
    :ivar uncertainty_s: error bound of ``requested_ns``: 0 but for a request
        of somebody else
    """

    server: servers.Server
    destination: str
    options: RequestOptions
    request_id: str
    requested_ns: int
    known_records: frozenset[str]
    refusal: schema.Refusal | None = None
    uncertainty_s: float = 0.0

    @property
    def server_id(self) -> str:
        """UUID of the server."""
        return self.server.server_id

    @property
    def source(self) -> str:
        """Name of the source host."""
        return self.server.host

    @property
    def cleanly_refused(self) -> bool:
        """Whether nova says that it began nothing (HTTP 4xx)."""
        return self.refusal is not None and 400 <= self.refusal.status < 500

    def __str__(self) -> str:
        destination = self.destination or "the scheduler's choice"
        return (f'live migration of server {self.server_id} '
                f'({self.server.name}) from {self.source} to {destination}')


def live_migrate(servers_client: Any, server: servers.Server,
                 destination: str, options: RequestOptions,
                 known_records: frozenset[str] = frozenset()) -> Request:
    """Ask nova to live-migrate a server.

    An accepted request may fail later, and a refusal does not always mean
    that nothing was begun. So the answer is kept, and the server is followed
    in either case.

    :param servers_client: tempest.lib's ServersClient of the requester
    :param server: the server before the request
    :param destination: name of the host; empty for the scheduler's choice
    :param options: arguments of the request
    :param known_records: UUIDs of the server's earlier migration records
    """
    requested_ns = time.monotonic_ns()
    headers: Any = {}
    refusal = None
    try:
        with api.use_microversion(options.microversion):
            answer = servers_client.live_migrate_server(
                server.server_id, **options.body(destination))
        headers = answer.response
    except exceptions.TempestException as exc:
        resp = getattr(exc, 'resp', None)
        headers = {} if resp is None else resp
        refusal = schema.Refusal(
            status=int(getattr(headers, 'status', 0)), message=str(exc))
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        refusal = schema.Refusal(
            status=0, message=f'{type(exc).__name__}: {exc}')
    request = Request(
        server, destination, options,
        headers.get('x-openstack-request-id', ''), requested_ns,
        known_records, refusal)
    if refusal:
        LOG.error('nova did not accept the %s: %s', request, refusal.message)
    else:
        LOG.info('Requested (%s) the %s', request.request_id, request)
    return request
