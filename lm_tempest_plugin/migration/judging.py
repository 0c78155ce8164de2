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

"""Judge the migrations of one drain, and store its lines.

Whoever requested them: the engine, or somebody else while they are watched.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import clock
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import checks  # noqa: F401 (registers them)
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration import phases
from lm_tempest_plugin.migration.plan import MigrationPlan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import telemetry
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class MigrationRun:
    """The result of a plan: migrations, verdicts, problems, stored lines.

    :ivar plan: the plan
    :ivar drained: the migrations together, with their concurrency
    :ivar migrations: each migration with its verdict
    :ivar problems: everything that is not as expected
    :ivar results: the stored line of each migration
    :ivar drain: the stored line of the drain
    :ivar lines: everything that was stored, as bytes without line ends
    """

    plan: MigrationPlan
    drained: drain.Drained
    migrations: Sequence[registry.Judged]
    problems: Sequence[schema.Problem]
    results: Sequence[schema.MigrationResult]
    drain: schema.DrainResult
    lines: Sequence[bytes]


@dataclasses.dataclass(frozen=True)
class Findings:
    """Judged migrations and the outcome of the checks, not stored yet.

    :ivar judged: each migration with its verdict
    :ivar problems: everything that is not as expected
    :ivar outcomes: which checks ran
    :ivar sockets: connections between both hosts; None without access
    :ivar samples: samples of both hosts
    """

    judged: Sequence[registry.Judged]
    problems: Sequence[schema.Problem]
    outcomes: Sequence[schema.CheckOutcome]
    sockets: schema.Sockets | None = None
    samples: tuple[schema.HostSamples, ...] = ()


class Judge:
    """Judges the migrations of one drain, and stores its lines.

    :ivar plan: the plan; for migrations of others, one that describes them
    :ivar inspector: inspects guests and hosts
    :ivar clock_ahead_s: the cloud's clock minus ours; None until it was read,
        and if it is not known
    """

    def __init__(self, plan: MigrationPlan,
                 clients: api.Clients,
                 store: results_file.ResultsFile, *,
                 hosts: access.HostAccess | None,
                 inspected_by: inspector.Inspector,
                 metrics: telemetry.Telemetry | None,
                 aborted: Collection[str],
                 forced: Mapping[str, int]) -> None:
        """Prepare; nothing is asked or stored yet.

        The parameters are those of :func:`engine.run`, and:

        :param inspected_by: inspects guests and hosts
        """
        self.plan = plan
        self._clients = clients
        self._store = store
        self._hosts = hosts
        self.inspector = inspected_by
        self._metrics = metrics
        self._aborted = aborted
        self._forced = forced
        self.clock_ahead_s: float | None = None
        self._ended: set[str] = set()
        self._lines: list[bytes] = []
        self._drain_fields: dict[str, Any] = {}
        # CLOCK_MONOTONIC at 1970-01-01.
        self._epoch_ns = time.monotonic_ns() - time.time_ns()

    def begin(self, before: Sequence[servers.Server], source: str,
              destination: str) -> None:
        """Read the clock, inspect the guests, and store the first line.

        :param before: the servers before the first request
        :param source: name of the source host; empty for several
        :param destination: name of the destination; empty if it is not known
            in advance
        """
        plan = self.plan
        self._read_clock()
        self.inspector.before(before)
        self._drain_fields = {
            'drain': self._store.next_drain(), 'test': plan.test,
            'settings': plan.settings, 'workload': plan.workload,
            'strategy': str(plan.strategy),
            'servers': len(before), 'round_trip': plan.round_trip,
            'measured': plan.measured,
            'source': source, 'destination': destination}
        self._append(schema.DrainStarted(
            server_ids=tuple(server.server_id for server in before),
            **self._drain_fields))

    def examine(self, drained: drain.Drained,
                observed: access.HostsObserver | None = None) -> Findings:
        """Judge the migrations, and run the checks.

        :param drained: the migrations, which have all ended
        :param observed: sockets and samples of two hosts; None without any
        """
        inspected, reachable = self.inspector.inspect(drained.migrations)
        judged = self._judge_all(drained.migrations, inspected)
        sockets: schema.Sockets | None = None
        samples: tuple[schema.HostSamples, ...] = ()
        if observed:
            try:
                sockets, samples = observed.results()
            except remote.HostError as exc:
                self.inspector.host_errors.append(str(exc))
        problems, outcomes = registry.run(registry.Observation(
            self.plan, self._clients, judged, drained.concurrency,
            observed.sockets if observed else None,
            self.inspector.host_errors, self.inspector.traces,
            self.inspector.reachability,
            {each.server_id: each.verdict.evidence.traces
             for each in judged if each.verdict.evidence.traces},
            reachable), time.sleep)
        return Findings(judged, problems, outcomes, sockets, samples)

    def _read_clock(self) -> None:
        """Read the cloud's clock; tell a difference that a person can see."""
        self.clock_ahead_s = clock.ahead_s(self._clients.services)
        if abs(self.clock_ahead_s or 0.0) >= clock.TOLD_S:
            LOG.warning("The cloud's clock and ours differ by %+.0f s; no "
                        'verdict depends on it', self.clock_ahead_s)

    def _services(self) -> Sequence[compute_hosts.ComputeService]:
        """Return the compute services, as evidence; none if nova is away."""
        try:
            return compute_hosts.list_hosts(self._clients.services)
        except (exceptions.RestClientException, *api.NO_ANSWER):
            LOG.exception('The compute services cannot be listed')
            return ()

    def _append(self, line: schema.Line) -> None:
        stored = self._store.append(line)
        self._lines.append(stored)
        if self._metrics is not None:
            self._metrics.stored(stored)

    def store_ended(self, migrations: Sequence[follow.Migration]) -> None:
        """Store migrations that have ended since the last snapshot.

        :param migrations: of the drain
        """
        for each in migrations:
            server_id = each.request.server_id
            if not each.ended or server_id in self._ended:
                continue
            self._ended.add(server_id)
            self._append(schema.MigrationEnded(
                drain=self._drain_fields['drain'], server_id=server_id,
                source=each.request.source,
                destination=each.newest.destination if each.newest
                else each.request.destination,
                requested_at=self._time(each.request.requested_ns),
                duration_s=each.duration_s, record_status=each.status,
                server_status=each.server.status if each.server else 'GONE',
                timed_out=each.timed_out))

    def _judge_all(self, migrations: Sequence[follow.Migration],
                   inspected: Mapping[str, inspector.Inspected]
                   ) -> list[registry.Judged]:
        """Judge each migration.

        nova goes on after the end of the record: it deletes allocations, and
        rolls the destination back with an RPC cast. So an unexpected verdict
        is judged again some seconds later, and the second one counts.
        """
        judged = self._judge_each(migrations, inspected)
        doubtful = [each.migration for each in judged
                    if each.verdict.kind not in each.expected]
        if doubtful:
            time.sleep(registry.AGAIN_S)
            again = {each.server_id: each
                     for each in self._judge_each(doubtful, inspected)}
            judged = [again.get(each.server_id, each) for each in judged]
        return list(map(self._explain, judged))

    def _judge_each(self, migrations: Sequence[follow.Migration],
                    inspected: Mapping[str, inspector.Inspected]
                    ) -> list[registry.Judged]:
        services = self._services()
        # One command on each host, for all servers.
        traces = self.inspector.traces(
            [host for each in migrations if not each.overtaken
             for host in inspector.hosts_of(each)],
            [each.request.server_id for each in migrations])
        return [self._judge(each, inspected[each.request.server_id],
                            services, traces.get(each.request.server_id, ()))
                for each in migrations]

    def _judge(self, migration: follow.Migration,
               inspected: inspector.Inspected,
               services: Sequence[compute_hosts.ComputeService],
               traces: tuple[schema.HostTraces, ...]) -> registry.Judged:
        """Collect the evidence of a migration that has ended, and judge it."""
        server_id = migration.request.server_id
        aborted = server_id in self._aborted
        # A later action has changed the hosts since.
        hosts = ([] if migration.overtaken
                 else inspector.hosts_of(migration))
        known = {each.host: each for each in traces}
        facts = evidence.collect(
            self._clients, migration, services=services,
            guest=inspected.guest, abort_requested=aborted,
            cloud_clock_ahead_s=self.clock_ahead_s,
            traces=tuple(known[host] for host in hosts if host in known),
            silent_hosts=tuple(
                host for host in hosts if host not in known and
                self._hosts is not None and self._hosts.has(host)))
        judged = verdict.judge(facts)
        return registry.Judged(
            migration, judged,
            (verdict.Kind.CANCELLED,) if aborted else self.plan.expected,
            inspected.continuity,
            # Only the destination of a completed migration has statistics.
            self.inspector.completed_job(
                judged.evidence.destination, server_id)
            if judged.kind is verdict.Kind.COMPLETED else None,
            inspected.workloads, inspected.inspection,
            self.inspector.reachable_before.get(server_id),
            self._forced.get(server_id),
            self.inspector.hardware_before.get(server_id),
            inspected.work)

    def _explain(self, judged: registry.Judged) -> registry.Judged:
        """Add the reason to the verdict on a migration that went wrong.

        It costs seconds for each server, and a good migration has none.
        """
        migration, kind = judged.migration, judged.verdict.kind
        if (kind is verdict.Kind.COMPLETED or
                # Who has aborted it if we have not?
                kind is verdict.Kind.CANCELLED and kind in judged.expected or
                migration.request.cleanly_refused):
            return judged
        facts = judged.verdict.evidence
        ours = [name for name, ids in (
            (actions.CANCEL, self._aborted),
            (actions.FORCE_COMPLETE, self._forced))
            if judged.server_id in ids]
        return dataclasses.replace(judged, verdict=verdict.judge(
            dataclasses.replace(
                facts, other_actions=evidence.list_other_actions(
                    self._clients, migration.request, ours),
                copy=self.inspector.copy(migration)
                # A domain on both hosts: the copy may go on behind nova. A
                # source that is silent is not waited for again.
                if (migration.timed_out or len(facts.alive_on or ()) > 1) and
                facts.source not in facts.silent_hosts else None,
                logs=self.inspector.logs(migration, self._time(
                    migration.request.requested_ns)))))

    def store(self, drained: drain.Drained,
              found: Findings) -> MigrationRun:
        """Store one line for each migration, and one for the drain.

        :param drained: the migrations
        :param found: what was found about them
        """
        judged, problems = found.judged, found.problems
        known = {each.server_id for each in judged}
        results = []
        for number, each in enumerate(judged, 1):
            result = self._result(number, each, tuple(
                problem for problem in problems
                if problem.server_id == each.server_id))
            results.append(result)
            self._append(result)
            LOG.info('%s', messages.summary_line(result))
        drain_result = schema.DrainResult(
            started_at=self._time(drained.started_ns),
            started_monotonic_s=drained.started_ns / poll.NS,
            wall_s=drained.wall_s, concurrency=tuple(drained.concurrency),
            polls=drained.polls, poll_errors=drained.poll_errors,
            checks=tuple(found.outcomes),
            problems=tuple(problem for problem in problems
                           if problem.server_id not in known),
            sockets=found.sockets, hosts=found.samples,
            cloud_clock_ahead_s=self.clock_ahead_s, **self._drain_fields)
        self._append(drain_result)
        # Last of all: a full disk costs no result.
        for result, each in zip(results, judged, strict=True):
            self._store.keep_logs(result.migration, each.verdict.evidence.logs)
        LOG.info('Drained %s to %s in %.1f s, %s',
                 drain_result.source or 'several hosts',
                 drain_result.destination or 'other hosts',
                 drain_result.wall_s, drain_result.strategy)
        return MigrationRun(self.plan, drained, judged, problems, results,
                            drain_result, self._lines)

    def _result(self, number: int, judged: registry.Judged,
                problems: tuple[schema.Problem, ...]
                ) -> schema.MigrationResult:
        """Return the line of a migration."""
        facts = judged.verdict.evidence
        requested = facts.request
        server = requested.server
        known_phases = tuple(phases.phases(
            judged.migration, facts.action))
        return schema.MigrationResult(
            migration=f'{self._drain_fields["drain"]}/{number}',
            server_id=server.server_id, server_name=server.name,
            flavor=schema.Flavor(name=server.flavor, vcpus=server.vcpus,
                                 ram_gib=server.ram_gib,
                                 disk_gib=server.disk_gib),
            block_migration=requested.options.block_migration,
            microversion=requested.options.microversion,
            request_id=requested.request_id, refusal=requested.refusal,
            requested_at=self._time(requested.requested_ns),
            requested_monotonic_s=requested.requested_ns / poll.NS,
            duration_s=judged.migration.duration_s,
            queue_s=sum(phase.seconds for phase in known_phases
                        if phase.name == 'queued'),
            phases=known_phases,
            service=phases.service(judged.migration, facts.action),
            verdict=str(judged.verdict.kind),
            expected_verdicts=tuple(map(str, judged.expected)),
            cause=judged.verdict.cause, signature=judged.verdict.signature,
            problems=problems, records=facts.records,
            transitions=tuple(facts.transitions),
            progress=tuple(facts.progress),
            events=tuple(map(str, facts.action.events))
            if facts.action else (),
            server_status=facts.server_status,
            server_task_state=facts.server.task_state
            if facts.server else None,
            server_host=facts.server.host if facts.server else None,
            guest=facts.guest, continuity=judged.continuity,
            job=judged.job, work=judged.work, traces=facts.traces,
            hardware_before=judged.hardware_before,
            other_actions=facts.other_actions,
            reason=facts.reason.slug if facts.reason else '',
            max_outage_s=self.plan.bounds.max_outage_s,
            max_stall_s=self.plan.bounds.max_stall_s,
            **{**self._drain_fields, 'source': facts.source,
               'destination': facts.destination})

    def _time(self, at_ns: int) -> datetime.datetime:
        """Return the time of day of a time by CLOCK_MONOTONIC."""
        return datetime.datetime.fromtimestamp(
            (at_ns - self._epoch_ns) / poll.NS, datetime.UTC)
