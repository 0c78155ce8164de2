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
#: Our deadline for a migration, and for a server to be without a task.
#: A compute service counts as down, and is seen to be up again, after these.

"""One fault from the first server to the last trace of it."""

from __future__ import annotations

import collections.abc
import dataclasses
import re

import openstack

from lab import errors
from lab.faults import injections
from lab import fleet
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.migration.verdict import Verdict
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin import utils

TIMEOUTS = plan.Timeouts(
    base_s=90, per_gib_ram_s=0, per_gib_disk_s=0, settle_s=30,
    poll_interval_s=0.25, poll_error_s=60, return_s=60, grace_s=2)
#: A guest whose last outage is longer and goes on does not answer any more.
BOUNDS = plan.Bounds(max_outage_s=1, max_stall_s=1)
PROBE_INTERVAL_S = 0.05
ANSWER_TIMEOUT_S = 120
#: Time until a compute service counts as down, and is seen to be up again.
SERVICE_TIMEOUT_S = 120
ENDED = ('completed', 'failed', 'error', 'cancelled')


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The verdict on a fault, and whether it is right.

    :ivar fault: the fault
    :ivar verdict: verdict on the migration that was hit
    :ivar others: verdicts on the other migrations
    :ivar running_on: names of the hosts whose libvirt runs the guest
    :ivar errors: everything that is wrong with the verdict or left over
    """

    fault: injections.Fault
    verdict: Verdict
    others: collections.abc.Sequence[Verdict]
    running_on: collections.abc.Sequence[str]
    errors: collections.abc.Sequence[str]


class Scene:
    """Injects faults and compares the verdicts with the truth.

    :param cloud: connection of an administrator
    :param clients: the same for the engine
    :param place: lab and hosts
    """

    def __init__(self, cloud: openstack.connection.Connection,
                 clients: api.Clients,
                 place: injections.Place) -> None:
        self._cloud = cloud
        self._clients = clients
        self._place = place
        self._results = results_file.ResultsFile(
            '', 'faults', lambda: results_file.run_started('', clients))

    def play(self, fault: injections.Fault) -> Outcome:
        """Inject a fault, judge, undo the fault, look for leftovers.

        :param fault: the fault
        :raises errors.LabError: no migration was in the state to be hit, or
            a compute service stays down
        """
        self._await_services()
        with fleet.Fleet(self._cloud, fault.servers,
                         self._place.source) as built:
            ids = built.ids
            probes = watch.Watch([built.address(server_id)
                                  for server_id in ids], PROBE_INTERVAL_S)
            try:
                probes.start()
                probes.await_answers(ANSWER_TIMEOUT_S)
                outcome = self._migrate(fault, built, probes)
            finally:
                probes.stop()
                fault.heal(self._place)
                self._await_services()
        left = [f'port {port.id} is left'
                for port in self._cloud.network.ports()
                if port.device_id in ids]
        left += [f'QEMU process {pid} of server {server_id} is left'
                 for server_id in ids
                 for pid in fleet.qemu_processes(server_id)]
        return dataclasses.replace(outcome, errors=[*outcome.errors, *left])

    def _migrate(self, fault: injections.Fault, built: fleet.Fleet,
                 probes: watch.Watch) -> Outcome:
        """Migrate the servers, inject the fault meanwhile, and judge."""
        hit: list[str] = []

        def inject(snapshot: poll.Snapshot,
                   migrations: collections.abc.Sequence[follow.Migration]
                   ) -> None:
            for each in migrations:
                if not hit and each.status == fault.when:
                    hit.append(each.request.server_id)
                    fault.inject(self._place)

        if fault.when == injections.BEFORE:
            fault.inject(self._place)
            hit.append(built.ids[0])
        run = engine.run(plan.MigrationPlan(
            servers=tuple(plan.PlannedServer(
                server_id, built.address(server_id))
                for server_id in built.ids),
            destination=self._place.destination, timeouts=TIMEOUTS,
            bounds=BOUNDS, strategy=plan.window(len(built.ids)),
            test=f'fault {fault.name}', measured=False,
            # A fault is a problem by design: only its verdict counts here.
            leave_out=dict.fromkeys(registry.CHECKS, 'a fault is injected')),
            self._clients, store=self._results, probes=probes,
            on_poll=inject)
        judged = {each.server_id: each.verdict for each in run.migrations}
        if not hit:
            found = '; '.join(map(str, judged.values()))
            raise errors.LabError(f'{fault.name}: no migration was seen '
                                  f'{fault.when}: {found}.')
        verdict = judged.pop(hit[0])
        running_on = fleet.running_on(
            (self._place.source, self._place.destination)).get(hit[0], ())
        return Outcome(
            fault, verdict, list(judged.values()), running_on,
            _errors(fault, verdict, truth(self._place, hit[0], running_on)))

    def _await_services(self) -> None:
        """Wait until the compute services of all hosts are up."""
        utils.wait_until(
            lambda hosts: all(host.usable for host in hosts),
            lambda: compute_hosts.list_hosts(self._clients.services),
            'all compute services to be up', SERVICE_TIMEOUT_S,
            describe=compute_hosts.describe, error=errors.LabError)


def truth(place: injections.Place, server_id: str,
          running_on: collections.abc.Sequence[str]) -> Kind:
    """Return the verdict by nova's database and libvirt, without the engine.

    :param place: lab and hosts
    :param server_id: UUID of the server
    :param running_on: names of the hosts whose libvirt runs it
    """
    rows = [row for uuid, *row in fleet.sql(place.layout, fleet.STATES)
            if uuid == server_id]
    if not rows:
        return Kind.LOST
    host, state, task, record = rows[-1]
    if task != 'NULL' or record not in ENDED:
        return Kind.STUCK
    if state != 'active':
        return (Kind.INCONSISTENT if running_on
                else Kind.FAILED)
    if list(running_on) != [host] or (
            (host == place.destination) != (record == 'completed')):
        return Kind.INCONSISTENT
    return {'completed': Kind.COMPLETED,
            'cancelled': Kind.CANCELLED}.get(
                record, Kind.ROLLED_BACK)


def _errors(fault: injections.Fault, verdict: Verdict,
            true_kind: Kind) -> list[str]:
    """Return everything that is wrong with a verdict."""
    found = []
    if verdict.kind not in fault.expected:
        found.append(f'the verdict is {verdict.kind}, not '
                     f'{" or ".join(fault.expected)}')
    if not re.search(fault.cause, verdict.cause):
        found.append(f'the cause does not match {fault.cause!r}')
    if verdict.kind != true_kind:
        found.append(f"nova's database and libvirt show {true_kind}, not "
                     f'{verdict.kind}')
    return found
