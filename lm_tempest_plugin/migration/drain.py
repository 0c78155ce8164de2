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

"""Requests, snapshots and concurrency of one drain."""

import collections
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import time
import types
from typing import Any

from oslo_log import log as logging

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud.servers import Server
from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration.plan import MigrationPlan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import progress
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

NS = poll.NS
# A person who reads the log sees that a long migration is no standstill.
TOLD_INTERVAL_NS = 30 * NS

OnPoll = Callable[[poll.Snapshot, Sequence[follow.Migration]], None]


@dataclasses.dataclass(frozen=True)
class Count:
    """Work of one source host in one snapshot.

    :ivar at_ns: CLOCK_MONOTONIC
    :ivar running: migrations that it works on: preparing and running
    :ivar queued: UUIDs of the migration records that wait for it
    """

    at_ns: int
    running: int
    queued: frozenset[str]


def count(snapshot: poll.Snapshot, host: str) -> Count:
    """Return the work of a source host in a snapshot.

    :param snapshot: the migration records of the whole cloud
    :param host: name of the host
    """
    leaving = snapshot.leaving(host)
    return Count(
        snapshot.at_ns, sum(map(migration_records.in_service, leaving)),
        frozenset(record.uuid for record in leaving
                  if record.status == 'queued'))


def concurrency(host: str, counts: Sequence[Count]) -> schema.Concurrency:
    """Sum up the work of a source host during a drain.

    :param host: name of the host
    :param counts: in order of time
    """
    busy_ns = idle_ns = weighted_ns = 0
    for one, following in zip(counts, counts[1:]):
        span_ns = following.at_ns - one.at_ns
        if one.queued and not one.running:
            idle_ns += span_ns
        if one.running:
            busy_ns += span_ns
            weighted_ns += span_ns * one.running
    # Every migration is queued for a moment, and a place that was left is
    # empty for a moment. So a record counts as waiting only if it is queued
    # in three snapshots in a row.
    full = [
        middle.running
        for before, middle, after in zip(counts, counts[1:], counts[2:])
        if before.queued & middle.queued & after.queued]
    return schema.Concurrency(
        host=host,
        running=max((one.running for one in counts), default=0),
        queued=max((len(one.queued) for one in counts), default=0),
        mean=weighted_ns / busy_ns if busy_ns else 0.0,
        busy_s=busy_ns / NS, idle_s=idle_ns / NS,
        full=max(full, default=None))


@dataclasses.dataclass(frozen=True)
class Drained:
    """Migrations of one drain that have all ended, not judged yet.

    :ivar migrations: one for each server, in the order of the requests
    :ivar concurrency: of each source host
    :ivar started_ns: just before the first request, CLOCK_MONOTONIC
    :ivar ended_ns: end of the last migration
    :ivar polls: number of snapshots that were tried
    :ivar poll_errors: number of those that failed
    """

    migrations: Sequence[follow.Migration]
    concurrency: Sequence[schema.Concurrency]
    started_ns: int
    ended_ns: int
    polls: int
    poll_errors: int

    @property
    def wall_s(self) -> float:
        """Time from the first request to the last end, in seconds."""
        return (self.ended_ns - self.started_ns) / NS


class Drain:
    """Requests migrations by a strategy and follows all of them."""

    def __init__(self, clients: api.Clients, poller: poll.Poller,
                 plan: MigrationPlan,
                 servers: Sequence[Server],
                 requester: Any = None,
                 on_poll: OnPoll | None = None,
                 known_records: Mapping[str, frozenset[str]] =
                 types.MappingProxyType({})) -> None:
        """Prepare; nothing is requested yet.

        :param clients: of an administrator
        :param poller: takes snapshots of the servers
        :param plan: destination, strategy, time-outs
        :param servers: the servers before the first request, in order
        :param requester: tempest.lib's ServersClient for the requests; None
            for the administrator's
        :param on_poll: called after each snapshot, such as to abort one
        :param known_records: UUIDs of earlier migration records by the
            server's UUID; snapshots have recent ones only
        """
        self._poller = poller
        self._plan = plan
        self._waiting = list(servers)
        self._known = known_records
        self._requester = requester or clients.servers
        self._on_poll = on_poll
        self._migrations: list[follow.Migration] = []
        self._counts: dict[str, list[Count]] = {
            server.host: [] for server in servers}
        self._progress = progress.ProgressReader(clients)
        self._told_ns: dict[str, int] = {}

    def run(self) -> Drained:
        """Migrate all servers, and return when every migration has ended.

        :raises ApiUnavailable: the compute API did not answer for too long
        """
        snapshot = self._poller.snapshot()
        started_ns = time.monotonic_ns()
        while self._waiting or self._in_flight:
            for _ in range(self._plan.strategy.room(len(self._in_flight))):
                server = self._next()
                if server is not None:
                    self._request(server, snapshot)
            self._poller.pause()
            snapshot = self._poller.snapshot()
            self._update(snapshot)
        return Drained(
            migrations=self._migrations,
            concurrency=[concurrency(host, counts)
                         for host, counts in self._counts.items()],
            started_ns=started_ns,
            ended_ns=max((each.ended_ns or 0 for each in self._migrations),
                         default=started_ns),
            polls=self._poller.polls, poll_errors=self._poller.errors)

    @property
    def _in_flight(self) -> list[follow.Migration]:
        return [each for each in self._migrations if not each.ended]

    def _next(self) -> Server | None:
        """Return the next server; None if its hosts are all busy."""
        limit = self._plan.strategy.per_host
        busy = collections.Counter(
            host for each in self._in_flight
            for host in (each.request.source, each.request.destination))
        for place, server in enumerate(self._waiting):
            hosts = (server.host,
                     self._plan.destination_of(server.server_id))
            if not limit or all(busy[host] < limit for host in hosts):
                return self._waiting.pop(place)
        return None

    def _request(self, server: Server,
                 snapshot: poll.Snapshot) -> None:
        server_id = server.server_id
        requested = request.live_migrate(
            self._requester, snapshot.servers.get(server_id) or server,
            self._plan.destination_of(server_id), self._plan.options,
            self._known.get(server_id, frozenset()) | {
                record.uuid for record in snapshot.records.get(server_id, ())})
        timeouts = self._plan.timeouts
        self._migrations.append(follow.Migration(
            requested, timeouts.migration_s(
                server, self._plan.options.copies_disks), timeouts.settle_s))

    def _update(self, snapshot: poll.Snapshot) -> None:
        """Pass a snapshot on to every migration."""
        for host, counts in self._counts.items():
            counts.append(count(snapshot, host))
        timed_out = {each.request.server_id for each in self._migrations
                     if each.timed_out}
        in_flight = self._in_flight
        for each in in_flight:
            each.update(snapshot, timed_out)
        if self._on_poll is not None:
            self._on_poll(snapshot, self._migrations)
        self._progress.read(self._in_flight, snapshot.at_ns)
        for each in self._in_flight:
            self._tell(each, snapshot.at_ns)
        if len(in_flight) > len(self._in_flight):
            LOG.info('%d of %d live migrations have ended, %d are in flight',
                     sum(each.ended for each in self._migrations),
                     len(self._migrations) + len(self._waiting),
                     len(self._in_flight))

    def _tell(self, migration: follow.Migration, at_ns: int) -> None:
        """Log the state of a long migration, now and then."""
        server_id = migration.request.server_id
        if migration.status == 'queued':
            self._told_ns[server_id] = at_ns
        told_ns = self._told_ns.setdefault(server_id, at_ns)
        if at_ns - told_ns < TOLD_INTERVAL_NS:
            return
        self._told_ns[server_id] = at_ns
        LOG.info('%s, %.0f s after the request: record %s; %s', migration,
                 migration.since_request_s(at_ns),
                 migration.status or 'missing',
                 copying.of_progress(migration.progress) or
                 'the pace of a copy is not known')
