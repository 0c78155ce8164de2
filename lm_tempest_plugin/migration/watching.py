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

"""Follow and judge live migrations that others request.

nova does not tell when others send a request, nor its arguments. A new
migration record, or a server that is MIGRATING, shows that there was one. From
then on it is followed and judged by the same code as a request of the tests,
as a drain of its own.
"""

import collections
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent import futures
import contextlib
import dataclasses
import datetime
import functools
import itertools
import threading
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import cloud_poller
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.migration import judging
from lm_tempest_plugin.migration import late_probes
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import progress
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import telemetry
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

NS = poll.NS
TEST = 'watch'
# To judge takes seconds, and 10 s more if there is a problem; nova must be
# asked meanwhile.
JUDGES = 4
HYPERVISORS_S = 30.0
# It would tell of a server that is stuck once more with each migration of its
# host.
LEFT_OUT = {'left-migrating': 'each server is followed by itself'}
OVERTAKEN = 'something else was done with the server since its migration ended'


class RecentHypervisors:
    """A client that lists the hypervisors at most twice a minute.

    nova takes seconds for a thousand hosts, and each migration is checked
    with the list.
    """

    def __init__(self, client: Any,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; nothing is asked yet.

        :param client: tempest.lib's HypervisorClient of an administrator
        :param clock: returns a monotonic time in seconds
        """
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._listed_s = -HYPERVISORS_S
        self._answer: Any = None

    def list_hypervisors(self, detail: bool) -> Any:
        """Return all hypervisors, or those of less than 30 s ago.

        :param detail: True; there are no other callers
        """
        with self._lock:
            if self._clock() - self._listed_s >= HYPERVISORS_S:
                # All pages in one answer, which has no link to a next one.
                self._answer = {'hypervisors':
                                compute_hosts.list_hypervisors(self._client)}
                self._listed_s = self._clock()
            return self._answer


class _ByOthers(plan.Strategy):
    """Nobody here decides how many live migrations are in flight."""

    def __str__(self) -> str:
        return schema.BY_OTHERS


BY_OTHERS = _ByOthers(1, barrier=False)


@dataclasses.dataclass(frozen=True)
class WatchContext:
    """Everything that migrations are judged with.

    :ivar clients: of an administrator
    :ivar options: values of the group live_migration_ha
    :ivar settings: settings of nova-compute and storage that are declared
    :ivar store: keeps the results
    :ivar hosts: SSH to the compute hosts; None without
    :ivar metrics: shows the migrations while they go on; None for none
    :ivar probed: kind of the addresses that are probed: floating or fixed;
        empty to probe none
    """

    clients: api.Clients
    options: Any
    settings: schema.Settings
    store: results_file.ResultsFile
    hosts: access.HostAccess | None = None
    metrics: telemetry.Telemetry | None = None
    probed: str = ''


class Watched:
    """A live migration that somebody else requested.

    :ivar migration: the migration
    :ivar record_uuid: UUID of its record; empty until nova has made one
    """

    def __init__(self, context: WatchContext, requested: request.Request,
                 seen_ns: int | None) -> None:
        """Prepare; nothing is asked or stored yet.

        :param context: everything that it is judged with
        :param requested: the request, as far as it is known
        :param seen_ns: as in :class:`follow.Migration`
        """
        timeouts = plan.Timeouts.of(context.options)
        self.migration = follow.Migration(
            requested, timeouts.migration_s(
                requested.server, requested.options.copies_disks),
            timeouts.settle_s, seen_ns)
        self.record_uuid = ''
        self._context = context
        self._clients = context.clients
        self._aborted: set[str] = set()
        self._probes: watch.Watch | None = None

    @property
    def server_id(self) -> str:
        """UUID of the server."""
        return self.migration.request.server_id

    def update(self, snapshot: poll.Snapshot,
               timed_out: Collection[str]) -> None:
        """Take a snapshot into account, without other migrations.

        :param snapshot: servers and migration records
        :param timed_out: UUIDs of servers whose migrations timed out
        """
        migration = self.migration
        records = snapshot.records.get(self.server_id, ())
        migration.request = dataclasses.replace(
            migration.request, known_records=frozenset(
                each.uuid for each in records) - {self.record_uuid})
        own = next((each for each in records
                    if each.uuid == self.record_uuid), None)
        later = next((each for each in records
                      if own and each.number > own.number), None)
        if own and later and migration_records.is_terminal(own):
            # nova accepts a request only for a server without a task. So this
            # is how the server was when the later one was requested.
            migration.overtaken = True
            snapshot = dataclasses.replace(
                snapshot, servers=collections.ChainMap(
                    {self.server_id: dataclasses.replace(
                        migration.request.server, host=later.source)},
                    dict(snapshot.servers)))
        migration.update(snapshot, timed_out)

    @property
    def refused(self) -> bool:
        """Whether the server is free again, and nova has made no record."""
        server = self.migration.server
        return (not self.record_uuid and server is not None and
                server.settled)

    def begin(self) -> None:
        """Start to probe, read facts to compare with later, and store that.

        Call it once, before conclude().
        """
        context, requested = self._context, self.migration.request
        address, self._probes = late_probes.start(
            requested.server, context.probed, context.options.probe_interval)
        planned = plan.MigrationPlan.of(
            context.options, destination='', options=requested.options,
            servers=(plan.PlannedServer(requested.server_id, address),),
            strategy=BY_OTHERS, settings=context.settings, test=TEST,
            leave_out={
                **LEFT_OUT, **late_probes.LEFT_OUT, **dict.fromkeys(
                    context.options.leave_out_checks,
                    'option leave_out_checks')})
        self._judge = judging.Judge(
            planned, context.clients, context.store, hosts=context.hosts,
            inspected_by=inspector.Inspector(
                planned, context.clients, self._probes, context.hosts, None),
            metrics=context.metrics, aborted=self._aborted, forced={})
        self._judge.begin([requested.server], requested.source, '')

    def stop(self) -> None:
        """Stop to probe."""
        if self._probes is not None:
            self._probes.stop()

    def conclude(self, concurrency: schema.Concurrency, polls: int,
                 poll_errors: int) -> judging.MigrationRun:
        """Judge the migration, which has ended, and store the results.

        :param concurrency: of its source host
        :param polls: number of snapshots since the request
        :param poll_errors: number of those that failed
        :raises ResultsError: a result cannot be written
        """
        migration, judge = self.migration, self._judge
        judge.store_ended([migration])
        if self._probes is not None:
            judge.inspector.await_guests([migration])
        self._complete()
        drained = drain.Drained(
            [migration], [concurrency], migration.request.requested_ns,
            migration.ended_ns or migration.request.requested_ns, polls,
            poll_errors)
        if migration.overtaken:
            self._leave_out_checks()
        found = judge.examine(drained)
        if found.problems and not migration.overtaken and (
                self._overtaken_since()):
            migration.overtaken = True
            self._leave_out_checks()
            found = judge.examine(drained)
        return judge.store(drained, found)

    def _complete(self) -> None:
        """Read other records, the id of the request, and a user's abort."""
        migration, clients = self.migration, self._clients
        newest = migration.newest
        own = {each.uuid for each in migration.records}
        # One after the other: the policy may hide instance actions.
        with self._without_answer('Records'):
            # The judge reads all records of the server, also older ones.
            migration.request = dataclasses.replace(
                migration.request, known_records=frozenset(
                    each.uuid for each in migration_records.list_of_server(
                        clients.migrations, self.server_id)) - own)
        with self._without_answer('Request'):
            migration.request = dataclasses.replace(
                migration.request, request_id=actions.find_request_id(
                    clients.servers, self.server_id,
                    newest.created_at if newest else ''))
        with self._without_answer('Later actions'):
            # An abort after that is one of the next migration.
            meanwhile = itertools.takewhile(
                lambda each: each.name != actions.LIVE_MIGRATION,
                self._later_actions())
            if migration.status != 'completed' and any(
                    each.name == actions.CANCEL for each in meanwhile):
                self._aborted.add(self.server_id)

    @contextlib.contextmanager
    def _without_answer(self, facts: str) -> Iterator[None]:
        """Go on without facts that nova does not tell."""
        try:
            yield
        except (exceptions.RestClientException, *api.NO_ANSWER):
            LOG.exception('%s of the %s', facts, self.migration)

    def _later_actions(self) -> tuple[schema.OtherAction, ...]:
        request_id = self.migration.request.request_id
        if not request_id:
            return ()
        return actions.list_later(
            self._clients.servers, self.server_id, request_id)

    def _overtaken_since(self) -> bool:
        """Return whether users acted on the server since the end.

        The next migration, or a stop of the server, is no fault of this one.
        nova accepts the next one only after the end; other times are compared
        by the cloud's clock.
        """
        newest = self.migration.newest
        if newest is None or not migration_records.is_terminal(newest):
            return False
        later: tuple[schema.OtherAction, ...] = ()
        with self._without_answer('Later actions'):
            later = self._later_actions()
        return any(each.name == actions.LIVE_MIGRATION or
                   each.started_at >= newest.updated_at for each in later)

    def _leave_out_checks(self) -> None:
        self._judge.plan = dataclasses.replace(
            self._judge.plan, leave_out={
                **self._judge.plan.leave_out,
                **dict.fromkeys(registry.CHECKS.keys() - {'verdict'},
                                OVERTAKEN)})


@dataclasses.dataclass
class _InFlight:
    """A migration that has not been judged yet.

    :ivar watched: the migration
    :ivar begun: ends when its first line is stored; None until nova has made
        a record: without one, nova may have refused the request
    :ivar polls: number of snapshots before it
    :ivar poll_errors: number of those that failed
    """

    watched: Watched
    begun: futures.Future[None] | None
    polls: int
    poll_errors: int


class Watcher:
    """Finds live migrations of others, follows them and has them judged.

    :ivar verdicts: number of judged migrations by verdict
    :ivar bad: number of judged migrations with problems
    :ivar failures: verdict of the last migration of each server that was not
        completed, by its UUID
    :ivar not_followed: number of migrations that went on before the first
        snapshot and are not followed
    :ivar adopted: number of migrations that went on before the first snapshot
        and are followed
    """

    def __init__(self, context: WatchContext,
                 poller: cloud_poller.CloudPoller, *, source: str = '',
                 adopt: bool = False, clock_ahead_s: float = 0.0,
                 on_begin: Callable[[follow.Migration], object],
                 on_judged: Callable[[judging.MigrationRun], object]) -> None:
        """Prepare; nothing is asked yet.

        :param context: everything that migrations are judged with
        :param poller: takes the snapshots
        :param source: name of the only host whose migrations are followed;
            empty for all hosts
        :param adopt: whether to follow those that go on already
        :param clock_ahead_s: the cloud's clock minus ours
        :param on_begin: called with each migration that is found
        :param on_judged: called with each migration that was judged, in the
            thread that polls
        """
        self._context = context
        self._poller = poller
        self._source = source
        self._adopt = adopt
        self._clock_ahead_s = clock_ahead_s
        self._on_begin = on_begin
        self._on_judged = on_judged
        self._progress = progress.ProgressReader(context.clients)
        self._pool = futures.ThreadPoolExecutor(JUDGES)
        self._in_flight: list[_InFlight] = []
        self._judging: list[futures.Future[judging.MigrationRun]] = []
        self._seen: set[str] = set()
        self._before: poll.Snapshot | None = None
        # MIGRATING without a record that goes on, in the last snapshot.
        self._unexplained: set[str] = set()
        # MIGRATING for another reason than a request that is to be found.
        self._explained: set[str] = set()
        # By the server's UUID, until nova ends the record.
        self._timed_out: dict[str, follow.Migration] = {}
        self._counts: dict[str, list[drain.Count]] = {}
        self.verdicts: collections.Counter[str] = collections.Counter()
        self.bad = 0
        self.failures: dict[str, str] = {}
        self.not_followed = self.adopted = 0

    @property
    def migrations(self) -> list[follow.Migration]:
        """The migrations that have not ended, the oldest first."""
        return [each.watched.migration for each in self._in_flight]

    @property
    def judging(self) -> int:
        """Number of migrations that have ended and are not judged yet."""
        return len(self._judging)

    def step(self) -> None:
        """Take a snapshot, and do everything that follows from it.

        :raises ApiUnavailable: the compute API did not answer for too long
        :raises ResultsError: a result cannot be written
        """
        snapshot = self._poller.snapshot()
        self._find(snapshot)
        self._count(snapshot)
        for each in self._in_flight:
            # One that was read by itself is in later snapshots.
            if each.watched.server_id in snapshot.servers:
                each.watched.update(snapshot, self._timed_out)
        # nova has refused these, and told so whoever requested them.
        self._in_flight = [each for each in self._in_flight
                           if not each.watched.refused]
        for each in [one for one in self._in_flight
                     if one.watched.migration.ended]:
            self._end(each)
        self._progress.read(self.migrations, snapshot.at_ns)
        if self._context.metrics is not None and self._seen_any:
            self._context.metrics.polled(
                snapshot, [*self.migrations, *self._timed_out.values()])
        self._poller.keep({
            each.request.server_id for each in self.migrations} |
            self._unexplained)
        self._seen &= {each.uuid for found in snapshot.records.values()
                       for each in found}
        self._before = snapshot
        self.collect()

    @property
    def _seen_any(self) -> bool:
        """Whether the results file was begun: metrics have its name."""
        return bool(self._in_flight or self.verdicts or self._judging)

    def pause(self) -> None:
        """Wait until the next snapshot is due."""
        self._poller.pause()

    def collect(self, timeout_s: float = 0.0) -> None:
        """Take results of migrations that were judged.

        :param timeout_s: time to wait for all of them
        :raises ResultsError: a result cannot be written
        """
        futures.wait(self._judging, timeout_s)
        # In the order in which they ended.
        done = [each for each in self._judging if each.done()]
        self._judging = [each for each in self._judging if each not in done]
        for each in done:
            run = each.result()
            result, = run.results
            self.verdicts[result.verdict] += 1
            self.bad += bool(run.problems)
            if result.completed:
                self.failures.pop(result.server_id, None)
            else:
                self.failures[result.server_id] = (
                    f'{result.verdict}: {result.cause}')
            self._on_judged(run)

    def close(self, wait: bool = True) -> None:
        """Stop the judges.

        :param wait: whether those that have not begun do their work first
        """
        self._pool.shutdown(wait=True, cancel_futures=not wait)
        for each in self._in_flight:
            each.watched.stop()
        if self._context.metrics is not None:
            self._context.metrics.rest()

    def _find(self, snapshot: poll.Snapshot) -> None:
        """Begin to follow migrations that the snapshot shows first."""
        new = sorted((each for found in snapshot.records.values()
                      for each in found if each.uuid not in self._seen),
                     key=lambda record: record.number)
        for record in new:
            self._seen.add(record.uuid)
            if self._source not in ('', record.source):
                continue
            if self._before is None:
                if migration_records.is_terminal(record):
                    continue
                if not self._adopt:
                    self.not_followed += 1
                    self._explained.add(record.server_id)
                    continue
                self.adopted += 1
            self._explained.discard(record.server_id)
            waiting = next((
                each for each in self._in_flight
                if each.watched.server_id == record.server_id and
                not each.watched.record_uuid), None)
            if waiting is not None:
                self._start(waiting, record)
            else:
                self._begin(snapshot, record.server_id, record)
        self._find_without_record(snapshot)

    def _find_without_record(self, snapshot: poll.Snapshot) -> None:
        """Follow servers that are MIGRATING, and have no record for it.

        nova calls a server MIGRATING before it makes a record. So that counts
        from the second snapshot on.
        """
        followed = {each.request.server_id for each in self.migrations}
        unexplained = {
            server_id for server_id, server in snapshot.servers.items()
            if server is not None and server.status == 'MIGRATING' and
            self._source in ('', server.host) and
            server_id not in followed | self._explained and
            all(map(migration_records.is_terminal,
                    snapshot.records.get(server_id, ())))}
        for server_id in unexplained & self._unexplained:
            # The snapshots may be too young to have its record.
            found = self._poller.repeat(functools.partial(
                migration_records.list_of_server,
                self._context.clients.migrations, server_id))
            if all(map(migration_records.is_terminal, found)):
                self._begin(snapshot, server_id, None)
            else:
                self._explained.add(server_id)
            unexplained.discard(server_id)
        self._unexplained = unexplained

    def _begin(self, snapshot: poll.Snapshot, server_id: str,
               record: schema.MigrationRecord | None) -> None:
        """Begin to follow a migration."""
        server = (snapshot.servers.get(server_id) or
                  self._poller.read(server_id))
        if server is None:
            LOG.warning('Server %s is gone, so its live migration is not '
                        'followed', server_id)
            return
        requested_ns, uncertainty_s = self._requested(snapshot, record)
        watched = Watched(self._context, request.Request(
            before(server, record), '', request.OPTIONS_OF_OTHERS, '',
            requested_ns, frozenset(), uncertainty_s=uncertainty_s),
            snapshot.asked_ns if self._before is None else None)
        each = _InFlight(
            watched, None, self._poller.polls - 1, self._poller.errors)
        self._in_flight.append(each)
        if record is not None:
            self._start(each, record)

    def _start(self, each: _InFlight, record: schema.MigrationRecord) -> None:
        """Follow a migration by its record, and store that it has begun."""
        each.watched.record_uuid = record.uuid
        each.begun = self._pool.submit(each.watched.begin)
        self._on_begin(each.watched.migration)

    def _requested(self, snapshot: poll.Snapshot,
                   record: schema.MigrationRecord | None
                   ) -> tuple[int, float]:
        """Return when a request was sent, CLOCK_MONOTONIC, and its error.

        The conductor stamps the record as soon as it has the request, by the
        cloud's clock. By ours it was between two snapshots.
        """
        skew_s = poll.SERVICES_SKEW.total_seconds()
        if record is None:
            created_ns = snapshot.at_ns
        else:
            created_s = datetime.datetime.fromisoformat(
                record.created_at).replace(tzinfo=datetime.UTC).timestamp()
            created_ns = round((created_s - self._clock_ahead_s) * NS) + (
                time.monotonic_ns() - time.time_ns())
        if self._before is None:
            return min(created_ns, snapshot.at_ns), skew_s
        first_ns, last_ns = self._before.asked_ns, snapshot.at_ns
        return (min(max(created_ns, first_ns), last_ns),
                min(skew_s, (last_ns - first_ns) / NS))

    def _count(self, snapshot: poll.Snapshot) -> None:
        """Count the work of each host that servers leave."""
        sources = {each.request.source for each in self.migrations}
        self._counts = {host: self._counts.get(host, []) for host in sources}
        for host, counts in self._counts.items():
            counts.append(drain.count(snapshot, host))
        # One that is stuck may end some day.
        going_on = {
            each.server_id for found in snapshot.records.values()
            for each in found if not migration_records.is_terminal(each)}
        self._timed_out = {
            server_id: each for server_id, each in self._timed_out.items()
            if server_id in going_on}

    def _end(self, each: _InFlight) -> None:
        """Have a migration judged that has ended."""
        self._in_flight.remove(each)
        migration = each.watched.migration
        if migration.timed_out:
            self._timed_out[each.watched.server_id] = migration
            self._explained.add(each.watched.server_id)
        source = migration.request.source
        concurrency = drain.concurrency(source, [
            count for count in self._counts[source]
            if count.at_ns >= migration.request.requested_ns])

        def judge() -> judging.MigrationRun:
            try:
                if each.begun is None:
                    each.watched.begin()
                else:
                    each.begun.result()
                return each.watched.conclude(
                    concurrency, self._poller.polls - each.polls,
                    self._poller.errors - each.poll_errors)
            finally:
                each.watched.stop()

        self._judging.append(self._pool.submit(judge))


def before(server: servers.Server,
           record: schema.MigrationRecord | None) -> servers.Server:
    """Return a server as it was before its live migration.

    nova accepts ACTIVE and PAUSED servers without a task, and keeps this
    state of the virtual machine apart while it migrates the server.

    :param server: the server now
    :param record: its migration record; None if there is none
    """
    status = server.vm_state.upper()
    return dataclasses.replace(
        server, task_state=None,
        status=status if status in preflight.MIGRATABLE else 'ACTIVE',
        host=record.source if record else server.host, fault='')


def left(clients: api.Clients, host: str, failures: Mapping[str, str]
         ) -> list[str]:
    """Return why each server is still on a host, one text for each.

    :param clients: of an administrator
    :param host: name of the host
    :param failures: verdict of the last migration of servers, by their UUID
    """
    texts = []
    for server in servers.list_on_host(clients.servers, host):
        reason = failures.get(server.server_id, '')
        if not reason and server.status not in (
                *preflight.MIGRATABLE, 'MIGRATING'):
            reason = ('nova live-migrates only servers that are '
                      f'{" or ".join(preflight.MIGRATABLE)}')
        if not reason:
            records = migration_records.list_of_server(
                clients.migrations, server.server_id)
            reason = (f'no live migration of it was judged; the last one: '
                      f'{migration_records.describe(records[-1:])}')
        texts.append(
            f'server {server.server_id} ({server.name}): status '
            f'{server.status}, task {server.task_state or "none"}; {reason}')
    return texts
