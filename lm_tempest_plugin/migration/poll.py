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

"""Snapshots of all servers and migration records.

A snapshot takes two requests to the compute API, and one more for each further
1,000 migration records that the cloud has made since shortly before the first
one (the first snapshot with new records: for each further 100). The number of
servers does not matter.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
import functools
import logging
import time
from typing import TypeVar

from oslo_log import log
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.results import schema

LOG = log.getLogger(__name__)

NS = 1_000_000_000
# The cloud's clock is known to some seconds, or not at all. Asking for older
# changes as well does no harm.
CLOCK_SKEW = datetime.timedelta(minutes=5)
# The clocks of nova's own services, which stamp their updates, may differ by
# this much.
SERVICES_SKEW = datetime.timedelta(seconds=10)
DELETED = 'DELETED'
Answer = TypeVar('Answer')


class ApiUnavailable(exceptions.TempestException):
    """The compute API did not answer for too long."""

    message = 'Live migrations could not be followed'


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Servers and migration records at one time.

    :ivar asked_ns: before the first request, CLOCK_MONOTONIC
    :ivar at_ns: when the last answer had arrived
    :ivar servers: by UUID; None for a server that does not exist any more
    :ivar records: migration records of the whole cloud since the beginning,
        the oldest first, by the server's UUID
    """

    asked_ns: int
    at_ns: int
    servers: Mapping[str, servers.Server | None]
    records: Mapping[str, tuple[schema.MigrationRecord, ...]]

    def leaving(self, host: str) -> list[schema.MigrationRecord]:
        """Return the records of migrations that leave a host and go on.

        :param host: name of the source host
        """
        return self._leaving.get(host, [])

    @functools.cached_property
    def _leaving(self) -> Mapping[str, list[schema.MigrationRecord]]:
        """All records that go on, by the source host.

        A thousand hosts may ask, and each would go through all records.
        """
        found: dict[str, list[schema.MigrationRecord]] = {}
        for records in self.records.values():
            for record in records:
                if not migration_records.is_terminal(record):
                    found.setdefault(record.source, []).append(record)
        return found


@contextlib.contextmanager
def _without_request_log() -> Iterator[None]:
    """Keep tempest.lib from logging each request and its answer.

    There are many snapshots, and the log of a test is part of its result,
    which subunit limits to 4 MiB. Changes are logged by us.
    """
    logger = logging.getLogger('tempest.lib.common.rest_client')
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class Poller:
    """Takes snapshots, and tolerates an API that is away for a while."""

    def __init__(self, clients: api.Clients,
                 watched: Iterable[servers.Server], interval_s: float,
                 error_timeout_s: float, clock_ahead_s: float = 0.0,
                 clock: Callable[[], int] = time.monotonic_ns,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        """Prepare; nothing is asked yet.

        :param clients: of an administrator
        :param watched: the servers before the first request
        :param interval_s: time between two snapshots
        :param error_timeout_s: time without a successful snapshot after
            which the poller gives up
        :param clock_ahead_s: the cloud's clock minus ours
        :param clock: returns CLOCK_MONOTONIC, in nanoseconds
        :param sleep: takes seconds
        """
        self._clients = clients
        self._servers: dict[str, servers.Server | None] = {
            server.server_id: server for server in watched}
        self._since = (
            datetime.datetime.now(datetime.UTC) +
            datetime.timedelta(seconds=clock_ahead_s) - CLOCK_SKEW)
        self._changed_since = self._since
        self._interval_s = interval_s
        self._error_timeout_s = error_timeout_s
        self._clock = clock
        self._sleep = sleep
        self._last_ns = clock()
        # At this time, no clock of nova's services was behind _changed_since.
        self._changed_since_ns = self._last_ns
        # Begin of the last snapshot, and number of the records that it listed.
        self._asked_ns = self._last_ns
        self._record_count = 0
        self.polls = 0
        self.errors = 0

    def pause(self) -> None:
        """Wait until the next snapshot is due."""
        self._sleep(self._interval_s)

    def snapshot(self) -> Snapshot:
        """Return a snapshot; repeat the request while the API is away.

        :raises ApiUnavailable: no snapshot succeeded for too long
        """
        def take() -> Snapshot:
            self.polls += 1
            return self._take()

        return self.repeat(take)

    def repeat(self, ask: Callable[[], Answer]) -> Answer:
        """Return the answer of the API; ask again while it is away.

        :param ask: sends requests
        :raises ApiUnavailable: there was no answer for too long
        """
        while True:
            try:
                with _without_request_log():
                    answer = ask()
            except (exceptions.RestClientException,
                    *api.NO_ANSWER) as exc:
                if not api.is_transient(exc):
                    raise
                self.errors += 1
                away_s = (self._clock() - self._last_ns) / NS
                LOG.warning('Snapshot %d failed, none for %.1f s: %s',
                            self.polls, away_s, exc)
                if away_s >= self._error_timeout_s:
                    raise ApiUnavailable(
                        f'the compute API has not answered for {away_s:.1f} '
                        f's (limit {self._error_timeout_s:g} s by option '
                        f'poll_error_timeout); last error: {exc}') from exc
                self.pause()
            else:
                self._last_ns = self._clock()
                return answer

    def _take(self) -> Snapshot:
        """Ask for the records, then for the servers.

        In this order: when a record has ended, the server is seen after it.
        """
        asked_ns = self._clock()
        records: dict[str, list[schema.MigrationRecord]] = {}
        listed = migration_records.list_since(
            self._clients.migrations, self._since, self._record_count)
        for record in listed:
            records.setdefault(record.server_id, []).append(record)
        changed = self._list_changed(asked_ns)
        for server in changed:
            if server.server_id in self._servers:
                self._servers[server.server_id] = (
                    None if server.status == DELETED else server)
        # A host whose clock is behind stamps its changes with times that were
        # asked for already. So a server that should be free is read itself.
        for server_id, known in self._servers.items():
            found = records.get(server_id)
            if found and known is not None and not known.settled and all(
                    map(migration_records.is_terminal, found)):
                self._servers[server_id] = servers.find(
                    self._clients.servers, server_id)
        self._record_count = len(listed)
        return Snapshot(
            asked_ns, self._clock(), dict(self._servers),
            {server_id: tuple(each) for server_id, each in records.items()})

    def _list_changed(self, asked_ns: int) -> list[servers.Server]:
        """Return the servers that have changed since the last snapshot began.

        It is nova's slowest answer, for nova asks neutron about each server.

        :param asked_ns: begin of this snapshot
        """
        # nova's clocks have gone on since the newest change as ours has. From
        # that change alone, each snapshot would list the same servers again, a
        # thousand of them after a thousand requests.
        since = self._changed_since + datetime.timedelta(microseconds=max(
            0, self._asked_ns - self._changed_since_ns) // 1000)
        changed = servers.list_changed(self._clients.servers, since)
        newest = max((server.updated_at - SERVICES_SKEW for server in changed
                      if server.updated_at is not None), default=since)
        if newest > since:
            self._changed_since = newest
            self._changed_since_ns = self._clock()
        self._asked_ns = asked_ns
        return changed
