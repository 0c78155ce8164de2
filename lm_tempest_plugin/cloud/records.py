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

"""nova's migration records, as os-migrations shows them."""

from collections.abc import Iterable
import dataclasses
import datetime
import json
from typing import Any
from urllib import parse

# None of these is left by nova, but for an error that becomes failed when
# the rollback is done.
TERMINAL = frozenset(['completed', 'failed', 'error', 'cancelled'])
POST_COPY = 'running (post-copy)'
# The source host is at work on it; what it works on at once is limited by
# its max_concurrent_live_migrations. All others wait or have ended.
IN_SERVICE = frozenset(['preparing', 'running', POST_COPY])
PAGE = 100


@dataclasses.dataclass(frozen=True)
class Record:
    """One migration record.

    :ivar number: its id: later records have higher ones
    :ivar uuid: the consumer of its allocation in placement
    :ivar server_id: UUID of the server
    :ivar status: accepted, queued, preparing, running and so on
    :ivar source: name of the host that the server leaves
    :ivar destination: name of the host that it goes to; empty as long as
        the scheduler has not chosen one
    :ivar created_at: when nova made it, in UTC, as ISO 8601 without a zone
    :ivar updated_at: when nova last wrote it; empty if it never did
    """

    number: int
    uuid: str
    server_id: str
    status: str
    source: str
    destination: str
    created_at: str
    updated_at: str

    @property
    def terminal(self) -> bool:
        """Whether nova is done with it."""
        return self.status in TERMINAL

    @property
    def in_service(self) -> bool:
        """Whether the source host is at work on it."""
        return self.status in IN_SERVICE

    def __str__(self) -> str:
        return 'record %d %s from %s to %s' % (
            self.number, self.status, self.source or 'nowhere',
            self.destination or 'nowhere')


def describe(records: Iterable[Record]) -> str:
    """Return records with their status and hosts, in words."""
    return '; '.join(map(str, records)) or 'no record'


def list_since(migrations_client: Any,
               since: datetime.datetime) -> list[Record]:
    """Return all live migration records since a time, the oldest first.

    nova's own filter for changes leaves out what it has never written to
    since it made it, so the newest are read, as many pages as it takes.

    :param migrations_client: tempest.lib's MigrationsClient, of an admin
    :param since: when the first of them was made or later; with a zone
    """
    begin = since.astimezone(datetime.UTC).replace(
        tzinfo=None).isoformat(timespec='microseconds')
    records: list[Record] = []
    query: dict[str, Any] = {'migration_type': 'live-migration',
                             'limit': PAGE}
    while True:
        page = _page(migrations_client, **query)
        records.extend(
            record for record in page if record.created_at >= begin)
        if len(page) < PAGE or page[-1].created_at < begin:
            return sorted(records, key=lambda record: record.number)
        query['marker'] = page[-1].uuid


def list_of_server(migrations_client: Any, server_id: str) -> list[Record]:
    """Return a server's live migration records, the oldest first.

    :param migrations_client: tempest.lib's MigrationsClient, of an admin
    :param server_id: the server's UUID
    """
    found = _page(migrations_client, instance_uuid=server_id,
                  migration_type='live-migration')
    return sorted(found, key=lambda record: record.number)


def _page(migrations_client: Any, **query: Any) -> list[Record]:
    """Return the records that a query finds, as many as nova shows at once.

    tempest.lib's own list_migrations() refuses an answer that says where the
    next page is (migrations_links, as of Tempest 47.0.0), which nova's does
    as soon as there are more records than the limit.
    """
    resp, body = migrations_client.get(
        'os-migrations?%s' % parse.urlencode(query))
    migrations_client.expected_success(200, resp.status)
    return [_record(each) for each in json.loads(body)['migrations']]


def _record(body: dict[str, Any]) -> Record:
    return Record(
        number=body['id'], uuid=body['uuid'],
        server_id=body['instance_uuid'], status=body['status'],
        source=body['source_compute'] or '',
        destination=body['dest_compute'] or '',
        created_at=body['created_at'] or '',
        updated_at=body['updated_at'] or '')
