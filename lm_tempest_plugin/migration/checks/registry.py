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

"""Observation, and the list of checks that run on it."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import time
from typing import Any

from oslo_log import log as logging

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud.servers import find
from lm_tempest_plugin.cloud.servers import Server
from lm_tempest_plugin.hosts.sockets import SocketWatch
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration.plan import MigrationPlan
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.migration.verdict import Verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

PASSED, FAILED, SKIPPED = 'passed', 'failed', 'skipped'

# nova writes "completed" before it deletes the allocation of the migration,
# and a rollback on the destination is an RPC cast. So a problem counts only
# if it is found a second time after this.
AGAIN_S = 5.0

ReadTraces = Callable[[Sequence[str], Sequence[str]],
                      Mapping[str, tuple[schema.HostTraces, ...]]]
ReadReachability = Callable[[Iterable[Server]],
                            Mapping[str, schema.Reachability]]


def _nothing(*_: object) -> Mapping[str, Any]:
    return {}


class SkipCheck(Exception):
    """A check does not apply; the text says why."""


@dataclasses.dataclass(frozen=True)
class Judged:
    """One migration with everything that was observed of it.

    :ivar migration: the migration
    :ivar verdict: the verdict, with its evidence
    :ivar expected: the verdicts that are no problem
    :ivar continuity: figures of the probes; None if it was not probed
    :ivar job: libvirt's statistics; None if they are not known
    :ivar workloads: the problem that each workload of the guest found, by
        its name; empty for a workload without a problem
    :ivar inspection: facts that were read in the guest; None if none were
    :ivar reachable_before: answers to single packets before the migration;
        None if none were sent
    :ivar forced_ns: when nova was asked to force its end, CLOCK_MONOTONIC;
        None if it was not
    :ivar hardware_before: virtual hardware of the guest before the migration;
        None if it is not known
    :ivar work: figures of the guest's workload; None if none are known
    """

    migration: follow.Migration
    verdict: Verdict
    expected: tuple[Kind, ...]
    continuity: schema.Continuity | None = None
    job: schema.LibvirtJob | None = None
    workloads: Mapping[str, str] = dataclasses.field(default_factory=dict)
    inspection: schema.GuestInspection | None = None
    reachable_before: schema.Reachability | None = None
    forced_ns: int | None = None
    hardware_before: schema.GuestHardware | None = None
    work: schema.WorkloadFigures | None = None

    @property
    def server_id(self) -> str:
        """UUID of the server."""
        return self.migration.request.server_id

    def problem(self, check_: str, text: str) -> schema.Problem:
        """Return a problem of this server, with all facts as evidence.

        :param check_: slug of the check
        :param text: the problem
        """
        return schema.Problem(
            check=check_, text=text, server_id=self.server_id,
            evidence=tuple(self.verdict.evidence.lines()))


@dataclasses.dataclass(frozen=True)
class Observation:
    """A drain that has ended, as the checks see it.

    :ivar plan: the plan of the drain
    :ivar clients: of an administrator
    :ivar migrations: one for each server
    :ivar concurrency: of each source host
    :ivar sockets: connections between both hosts; None without access
    :ivar host_errors: why hosts could not be asked
    :ivar read_traces: returns the traces of servers on hosts, by the
        server's UUID; takes names of hosts and UUIDs of servers
    :ivar read_reachability: returns the answers to single packets, by the
        server's UUID; takes the servers
    :ivar known_traces: traces that the verdicts rest on; None to read them
    :ivar known_reachable: answers to single packets that were sent while the
        guests were inspected; None to send some
    """

    plan: MigrationPlan
    clients: api.Clients
    migrations: Sequence[Judged]
    concurrency: Sequence[schema.Concurrency] = ()
    sockets: SocketWatch | None = None
    host_errors: Sequence[str] = ()
    read_traces: ReadTraces = _nothing
    read_reachability: ReadReachability = _nothing
    known_traces: Mapping[str, tuple[schema.HostTraces, ...]] | None = None
    known_reachable: Mapping[str, schema.Reachability] | None = None

    @functools.cached_property
    def servers(self) -> Mapping[str, Server | None]:
        """The servers now, by UUID; None for one that does not exist."""
        return {each.server_id: find(
            self.clients.servers, each.server_id) for each in self.migrations}

    @functools.cached_property
    def traces(self) -> Mapping[str, tuple[schema.HostTraces, ...]]:
        """Traces of each server on the hosts of the drain.

        Hosts without access are missing.
        """
        if self.known_traces is not None:
            return self.known_traces
        return self.read_traces(
            sorted({host for each in self.migrations for host in (
                each.verdict.evidence.source,
                each.verdict.evidence.destination) if host}),
            [each.server_id for each in self.migrations])

    @functools.cached_property
    def reachable(self) -> Mapping[str, schema.Reachability]:
        """Answers of each server to single packets.

        A server without them was not asked.
        """
        if self.known_reachable is not None:
            return self.known_reachable
        return self.read_reachability(
            [server for _, server in self.existing()])

    @functools.cached_property
    def records(self) -> Mapping[str, tuple[schema.MigrationRecord, ...]]:
        """The records of each request now, by the server's UUID."""
        return {each.server_id: migration_records.list_of_server(
            self.clients.migrations, each.server_id,
            each.migration.request.known_records) for each in self.migrations}

    @functools.cached_property
    def providers(self) -> Mapping[str, str]:
        """UUID of the resource provider of each host, by the host's name."""
        return compute_hosts.provider_uuids(self.clients.hypervisors)

    def existing(self) -> Iterator[tuple[Judged, Server]]:
        """Yield the migrations whose servers still exist, with the servers."""
        for each in self.migrations:
            server = self.servers[each.server_id]
            if server is not None:
                yield each, server


Check = Callable[[Observation], Iterable[schema.Problem]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Add a check to the list; its name, with hyphens, becomes its slug.

    :param function: the check
    """
    CHECKS[function.__name__.replace('_', '-')] = function
    return function


def run(observation: Observation,
        sleep: Callable[[float], None] = time.sleep
        ) -> tuple[list[schema.Problem], list[schema.CheckOutcome]]:
    """Run all checks, and return the problems and which checks ran.

    A check that finds problems is run again AGAIN_S later, with everything
    read anew, and only the second result counts, unless it is skipped then.

    :param observation: a drain that has ended
    :param sleep: takes seconds
    """
    checks: dict[str, Check] = CHECKS | {
        # Each workload is a check of its own, such as disk.
        name: functools.partial(workload_problems, name)
        for each in observation.migrations for name in sorted(each.workloads)
        if name not in CHECKS}
    results = {name: _run(name, function, observation)
               for name, function in checks.items()}
    again = [name for name, (found, _) in results.items() if found]
    if again:
        sleep(AGAIN_S)
        # A copy has none of the cached answers.
        fresh = dataclasses.replace(
            observation, known_traces=None, known_reachable=None)
        for name in again:
            found, outcome = _run(name, checks[name], fresh)
            # A host that does not answer the second time proves nothing.
            if outcome.outcome != SKIPPED:
                results[name] = found, outcome
    problems = [problem for found, _ in results.values() for problem in found]
    # The verdict is the most important news.
    problems.sort(key=lambda problem: problem.check != 'verdict')
    return problems, [outcome for _, outcome in results.values()]


def _run(name: str, function: Check, observation: Observation
         ) -> tuple[list[schema.Problem], schema.CheckOutcome]:
    """Run one check, and return its problems and its outcome."""
    reason = observation.plan.leave_out.get(name, '')
    found: list[schema.Problem] = []
    if not reason:
        try:
            # One by one: an error does not cost the problems before it.
            found.extend(function(observation))
        except SkipCheck as exc:
            reason = '' if found else str(exc)
        except Exception as exc:
            # An API that does not answer, or a bug in one check, must not
            # cost the results.
            LOG.exception('Check %s', name)
            found.append(schema.Problem(
                check=name, text='the check itself failed: '
                f'{utils.describe_error(exc)}'))
    return found, schema.CheckOutcome(
        check=name, reason=reason,
        outcome=SKIPPED if reason else FAILED if found else PASSED)


def workload_problems(name: str, observation: Observation
                      ) -> Iterator[schema.Problem]:
    """Yield the problem that a workload found in each guest.

    :param name: slug of the workload's check
    :param observation: a drain that has ended
    """
    for each in observation.migrations:
        if each.workloads.get(name):
            yield each.problem(name, each.workloads[name])
