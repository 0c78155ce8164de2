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

"""The engine: execute a plan and return the judged run.

One call requests the migrations, follows them, inspects the guests, judges
each migration, runs the checks and stores the results. All migrations of
servers go through :func:`run`.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import types
from typing import Any

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.migration.judging import Judge
from lm_tempest_plugin.migration.judging import MigrationRun
from lm_tempest_plugin.migration.plan import MigrationPlan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import telemetry
from lm_tempest_plugin.probes import watch


def run(plan: MigrationPlan, clients: api.Clients, *,
        store: results_file.ResultsFile,
        probes: watch.Watch | None = None,
        hosts: access.HostAccess | None = None,
        guests: inspector.GuestAccess | None = None,
        requester: Any = None,
        on_poll: drain.OnPoll | None = None,
        metrics: telemetry.Telemetry | None = None,
        aborted: Collection[str] = (),
        forced: Mapping[str, int] = types.MappingProxyType({})
        ) -> MigrationRun:
    """Carry out a plan: migrate, follow, inspect, judge, check, store.

    :param plan: the plan
    :param clients: of an administrator
    :param store: keeps the results
    :param probes: probes of the guests' addresses, already started
    :param hosts: SSH to the compute hosts
    :param guests: commands in the guests
    :param requester: tempest.lib's ServersClient for the requests; None for
        the administrator's
    :param on_poll: called after each snapshot, such as to abort a migration
    :param metrics: shows the run while it goes on
    :param aborted: UUIDs of servers whose migrations on_poll aborts; the
        expected verdict of these is cancelled
    :param forced: when on_poll forced migrations to complete, CLOCK_MONOTONIC
        in ns, by the server's UUID
    :raises CannotMigrate: the plan cannot succeed, or the obstacle that it
        names is not there; nothing was requested
    :raises ApiUnavailable: the compute API did not answer for too long
    :raises ResultsError: a result cannot be written
    """
    before = [servers.show(clients.servers, each.server_id)
              for each in plan.servers]
    refusal = plan.expected_refusal
    preflight.check(
        clients, compute_hosts.list_hosts(clients.services, plan.avoid),
        before, plan.destination_of, refusal.obstacle if refusal else None)
    # Empty for several, as for the choice of the scheduler.
    source, destination = (
        found.pop() if len(found) == 1 else '' for found in (
            {server.host for server in before},
            {plan.destination_of(server.server_id) for server in before}))
    # Checks read all records of a server, and snapshots recent ones only.
    known = {server.server_id: frozenset(
        record.uuid for record in migration_records.list_of_server(
            clients.migrations, server.server_id))
        for server in before}
    judge = Judge(
        plan, clients, store, hosts=hosts, inspected_by=inspector.Inspector(
            plan, clients, probes, hosts, guests),
        metrics=metrics, aborted=aborted, forced=forced)
    judge.begin(before, source, destination)

    def polled(snapshot: poll.Snapshot,
               migrations: Sequence[follow.Migration]) -> None:
        judge.store_ended(migrations)
        if metrics is not None:
            metrics.polled(snapshot, migrations)
        if on_poll is not None:
            on_poll(snapshot, migrations)

    # Where the scheduler chooses, nobody knows in advance which host to
    # observe. Sockets are those of one pair of hosts. Requests that are
    # refused send nothing between hosts.
    observed = (hosts.observe(source, destination)
                if hosts and source and destination and not refusal
                else None)
    with observed or contextlib.nullcontext():
        drained = drain.Drain(
            clients, poll.Poller(
                clients, before, plan.timeouts.poll_interval_s,
                plan.timeouts.poll_error_s, judge.clock_ahead_s or 0.0),
            plan, before, requester, polled, known).run()
    # One that ended in the last snapshot is in no later one.
    judge.store_ended(drained.migrations)
    judge.inspector.await_guests(drained.migrations)
    return judge.store(drained, judge.examine(drained, observed))
