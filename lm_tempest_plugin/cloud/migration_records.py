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

"""nova's migration records (os-migrations), and one that is under way."""

from collections.abc import Container
from collections.abc import Iterable
import datetime
import json
from typing import Any
from urllib import parse

from tempest.lib import exceptions

from lm_tempest_plugin.results import schema

# Final states. The exception is error, which nova changes to failed when the
# rollback is done.
TERMINAL = frozenset(['completed', 'failed', 'error', 'cancelled'])
POST_COPY = 'running (post-copy)'
# The source host works on these, max_concurrent_live_migrations at a time. All
# others wait or have ended.
IN_SERVICE = frozenset(['preparing', 'running', POST_COPY])
# MAX_PAGE is nova's default of [api]max_limit.
PAGE, MAX_PAGE = 100, 1000
_PROGRESS = ('memory_total_bytes', 'memory_processed_bytes',
             'memory_remaining_bytes', 'disk_total_bytes',
             'disk_processed_bytes', 'disk_remaining_bytes')


def is_terminal(record: schema.MigrationRecord) -> bool:
    """Return whether the migration has ended."""
    return record.status in TERMINAL


def in_service(record: schema.MigrationRecord) -> bool:
    """Return whether the source host is working on the migration."""
    return record.status in IN_SERVICE


def describe(records: Iterable[schema.MigrationRecord]) -> str:
    """Return a text that lists the records with status and hosts."""
    return '; '.join(
        f'record {record.number} {record.status} '
        f'from {record.source or "nowhere"} '
        f'to {record.destination or "nowhere"}'
        for record in records) or 'no record'


def list_since(migrations_client: Any, since: datetime.datetime,
               expected: int = 0) -> list[schema.MigrationRecord]:
    """Return all live migration records since a time, oldest first.

    :param migrations_client: tempest.lib's MigrationsClient, of an admin
    :param since: earliest time at which a record was created; with a zone
    :param expected: number of these records, if it is known; one request then
        has all, up to MAX_PAGE
    """
    # nova's filter changes-since leaves out records that were never updated
    # since they were created. So read the newest first, page by page.
    begin = since.astimezone(datetime.UTC).replace(
        tzinfo=None).isoformat(timespec='microseconds')
    records: list[schema.MigrationRecord] = []
    query: dict[str, Any] = {'migration_type': 'live-migration',
                             'limit': min(expected + PAGE, MAX_PAGE)}
    while True:
        page = _page(migrations_client, **query)
        records.extend(
            record for record in page if record.created_at >= begin)
        # Not the limit: nova gives fewer where its own one is lower.
        if len(page) < PAGE or page[-1].created_at < begin:
            return sorted(records, key=lambda record: record.number)
        query['marker'] = page[-1].uuid


def list_changed(migrations_client: Any, since: datetime.datetime
                 ) -> list[schema.MigrationRecord]:
    """Return the live migration records that nova has changed since a time.

    Records that were never changed since they were created are missing.

    :param migrations_client: tempest.lib's MigrationsClient, of an admin
    :param since: by the cloud's clock; with a zone
    """
    query: dict[str, Any] = {
        'migration_type': 'live-migration', 'limit': MAX_PAGE,
        'changes-since': since.isoformat()}
    records: list[schema.MigrationRecord] = []
    while True:
        page = _page(migrations_client, **query)
        records.extend(page)
        if len(page) < PAGE:
            return records
        query['marker'] = page[-1].uuid


def list_of_server(migrations_client: Any, server_id: str,
                   known: Container[str] = ()
                   ) -> tuple[schema.MigrationRecord, ...]:
    """Return a server's live migration records, oldest first.

    :param migrations_client: tempest.lib's MigrationsClient, of an admin
    :param server_id: the server's UUID
    :param known: UUIDs of records to leave out
    """
    found = _page(migrations_client, instance_uuid=server_id,
                  migration_type='live-migration')
    return tuple(sorted(
        (record for record in found if record.uuid not in known),
        key=lambda record: record.number))


def _page(migrations_client: Any,
          **query: Any) -> list[schema.MigrationRecord]:
    # tempest.lib's list_migrations() rejects an answer with migrations_links
    # (as of Tempest 47.0.0), which nova adds when there are more records than
    # the limit.
    resp, body = migrations_client.get(
        f'os-migrations?{parse.urlencode(query)}')
    migrations_client.expected_success(200, resp.status)
    return [schema.MigrationRecord(
        number=each['id'], uuid=each['uuid'],
        server_id=each['instance_uuid'], status=each['status'],
        source=each['source_compute'] or '',
        destination=each['dest_compute'] or '',
        created_at=each['created_at'] or '',
        updated_at=each['updated_at'] or '')
        for each in json.loads(body)['migrations']]


def show_progress(servers_client: Any, server_id: str,
                  at_s: float = 0.0) -> schema.Progress | None:
    """Return the progress of a server's live migration.

    nova asks libvirt for it every [libvirt]live_migration_monitor_interval
    seconds, 5 by default. All values are 0 until it has done so once.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param at_s: seconds from the migration's request until now
    :returns: None if nova shows no live migration of the server
    """
    try:
        found = servers_client.list_in_progress_live_migration(
            server_id)['migrations']
    except exceptions.NotFound:
        # The server is gone.
        return None
    if not found:
        return None
    # The values of a migration that is queued are null.
    return schema.Progress(
        at_s=at_s, **{name: found[-1][name] or 0 for name in _PROGRESS})


def is_progress_known(progress: schema.Progress) -> bool:
    """Return whether nova has asked libvirt for the progress yet."""
    return progress.memory_total_bytes > 0


def abort(servers_client: Any, server_id: str, number: int) -> None:
    """Request that nova aborts a live migration.

    :param servers_client: tempest.lib's ServersClient, of an admin; with
        microversion 2.24, or 2.65 for a migration that is queued
    :param server_id: the server's UUID
    :param number: id of the migration record
    """
    resp, _ = servers_client.delete(
        f'servers/{server_id}/migrations/{number}')
    servers_client.expected_success(202, resp.status)


def force_complete(servers_client: Any, server_id: str, number: int) -> None:
    """Request that nova pauses the guest or switches to post-copy.

    :param servers_client: tempest.lib's ServersClient, of an admin; with
        microversion 2.22
    :param server_id: the server's UUID
    :param number: id of the migration record
    """
    # tempest.lib's own method sends the string 'null' and parses a body that
    # the answer does not have.
    resp, _ = servers_client.post(
        f'servers/{server_id}/migrations/{number}/action',
        json.dumps({'force_complete': None}))
    servers_client.expected_success(202, resp.status)
