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

"""Snapshots of every live migration of a cloud, whoever requested it.

A snapshot takes three requests to the compute API, whatever the number of
servers: the migration records that are new, those that have changed, and the
servers that have changed. Two cases take more:

* one more request for each further page of records or servers that are new or
  have changed since the last snapshot, or up to 10 s before; nova changes the
  records of running copies every 5 s. A page has nova's [api]max_limit: 1,000.
  New records come by the hundred until their number is known, and a page of
  100 records or more is not taken for the last one;
* one request, at most, for a server and a record that contradict each other.

A server whose migration is new and that nova does not list among those that
have changed is read once.
"""

from collections.abc import Collection
import datetime
from typing import Any

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.results import schema


class CloudPoller(poll.Poller):
    """Takes snapshots of all live migrations.

    Each snapshot has the records that go on, those that are new, and those of
    servers that are kept; and the servers of these records, and those that
    nova calls MIGRATING.
    """

    def __init__(self, clients: api.Clients, interval_s: float,
                 error_timeout_s: float, since_s: float = 0.0,
                 clock_ahead_s: float = 0.0, **clock: Any) -> None:
        """Prepare; nothing is asked yet.

        :param clients: of an administrator
        :param interval_s: time between two snapshots
        :param error_timeout_s: time without a successful snapshot after
            which the poller gives up
        :param since_s: age of the oldest records in the first snapshot, and
            at least :data:`poll.CLOCK_SKEW`
        :param clock_ahead_s: the cloud's clock minus ours
        :param clock: clock and sleep, as in :class:`poll.Poller`
        """
        super().__init__(clients, (), interval_s, error_timeout_s,
                         clock_ahead_s, **clock)
        self._created_since = self._since - datetime.timedelta(
            seconds=since_s)
        self._updated_since = self._created_since
        self._records: dict[str, schema.MigrationRecord] = {}
        self._kept: frozenset[str] = frozenset()
        # When a server was last read itself, by its UUID.
        self._read_ns: dict[str, int] = {}

    def keep(self, server_ids: Collection[str]) -> None:
        """Keep servers and their records in snapshots, and drop all others.

        :param server_ids: UUIDs of the servers
        """
        self._kept = frozenset(server_ids)
        self._records = {
            uuid: record for uuid, record in self._records.items()
            if record.server_id in self._kept or
            not migration_records.is_terminal(record)}
        self._servers = {
            server_id: server for server_id, server in self._servers.items()
            if server_id in self._kept}
        self._read_ns = {server_id: at_ns for server_id, at_ns
                         in self._read_ns.items() if server_id in self._kept}

    def read(self, server_id: str) -> servers.Server | None:
        """Return a server that is not in the last snapshot.

        The next snapshots have it, if it is kept.

        :param server_id: its UUID
        :returns: None if it is gone
        :raises ApiUnavailable: the compute API did not answer for too long
        """
        found = self.repeat(lambda: servers.find(
            self._clients.servers, server_id))
        self._servers[server_id] = found
        return found

    def _take(self) -> poll.Snapshot:
        """Ask for the records, then for the servers."""
        asked_ns = self._clock()
        created = migration_records.list_since(
            self._clients.migrations, self._created_since,
            self._record_count)
        updated = migration_records.list_changed(
            self._clients.migrations, self._updated_since)
        records = self._records | {each.uuid: each for each in created}
        # One that is not known was created too long ago.
        records |= {each.uuid: each for each in updated
                    if each.uuid in records}
        changed = self._list_changed(asked_ns)
        involved = self._kept | {
            each.server_id for each in created
            if each.uuid not in self._records}
        for server in changed:
            if server.server_id in involved or not server.settled:
                self._servers[server.server_id] = (
                    None if server.status == poll.DELETED else server)
        # nova hides the records of a server that was deleted.
        gone = {server.server_id for server in changed
                if server.status == poll.DELETED}
        records = {uuid: each for uuid, each in records.items()
                   if each.server_id not in gone}
        # Only now: after an error, a new record is still a new one.
        self._records = records
        by_server: dict[str, list[schema.MigrationRecord]] = {}
        for record in records.values():
            by_server.setdefault(record.server_id, []).append(record)
        self._resolve(by_server)
        self._advance(created, updated)
        return poll.Snapshot(
            asked_ns, self._clock(), dict(self._servers),
            {server_id: tuple(sorted(each, key=lambda one: one.number))
             for server_id, each in by_server.items()})

    def _resolve(self, by_server: dict[str, list[schema.MigrationRecord]]
                 ) -> None:
        """Read one server anew whose record contradicts its state.

        A host whose clock is behind stamps its changes with times that were
        asked for already, and they are missed.
        """
        doubtful = [
            server_id for server_id in self._kept
            if (server := self._servers.get(server_id)) is not None and
            server_id in by_server and server.settled != all(map(
                migration_records.is_terminal, by_server[server_id]))]
        if not doubtful:
            return
        chosen = min(doubtful, key=lambda each: self._read_ns.get(each, 0))
        self._read_ns[chosen] = self._clock()
        server = self._servers[chosen]
        if server is None or not server.settled:
            self._servers[chosen] = servers.find(
                self._clients.servers, chosen)
            return
        for record in migration_records.list_of_server(
                self._clients.migrations, chosen):
            if record.uuid in self._records:
                self._records[record.uuid] = record
        by_server[chosen] = [each for each in self._records.values()
                             if each.server_id == chosen]

    def _advance(self, created: list[schema.MigrationRecord],
                 updated: list[schema.MigrationRecord]) -> None:
        """Ask only for later records from now on."""
        self._record_count = len(created)
        self._created_since = _latest(self._created_since, (
            each.created_at for each in created))
        self._updated_since = _latest(self._updated_since, (
            each.updated_at for each in updated))


def _latest(since: datetime.datetime, stamps: Any) -> datetime.datetime:
    """Return the time from which later changes are certain to be found."""
    return max([since, *(
        datetime.datetime.fromisoformat(each).replace(tzinfo=datetime.UTC) -
        poll.SERVICES_SKEW for each in stamps if each)])
