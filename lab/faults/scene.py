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

"""One fault from the first server to the last trace of it."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import re
import time

import openstack
from oslo_log import log as logging
from tempest import config

from lab import errors
from lab.faults import fault
from lab.faults import settings
from lab import fleet
from lab import inside
from lab.layout import Layout
from lab.services import base
from lab.topology import Topology
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
import lm_tempest_plugin.guests.fleet
from lm_tempest_plugin.guests.fleet import ProbeOptions
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.migration.verdict import Verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

#: Time until a compute service counts as down, and is seen to be up again.
SERVICE_TIMEOUT_S = 120
#: State of a domain whose libvirtd does not answer: that may be the fault.
UNKNOWN = 'unknown'
ENDED = ('completed', 'failed', 'error', 'cancelled')
RUNNING = 'running'
#: libvirt's states of a guest that is not dead.
ALIVE = (RUNNING, 'idle', 'paused', 'pmsuspended', UNKNOWN)
#: The check that has to tell each trace on a host that is not the server's.
TOLD_BY = {'domain': 'domains', 'directory': 'instance-directories',
           'interface': 'interfaces'}


@dataclasses.dataclass(frozen=True)
class Truth:
    """A server by nova's database, libvirt and the hosts, without the engine.

    :ivar kind: the verdict that follows
    :ivar row: host, state, task, and status of the migration record
    :ivar states: libvirt's state of the domain, by the name of the host;
        empty where libvirt knows none
    :ivar traces: traces of the server on each host, by the name of the host
    """

    kind: Kind
    row: collections.abc.Sequence[str]
    states: collections.abc.Mapping[str, str]
    traces: collections.abc.Mapping[str, collections.abc.Sequence[str]]

    def __str__(self) -> str:
        states = ', '.join(f'{host}: {state}' for host, state
                           in self.states.items() if state)
        return (f'{self.kind}: {" ".join(self.row) or "deleted"}; '
                f'{states or "no domain"}')

    @property
    def left(self) -> list[str]:
        """The traces on hosts that are not the server's, one word each."""
        return sorted({trace for host, found in self.traces.items()
                       for trace in found if [host] != list(self.row[:1])})


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The verdict on a fault, and whether it is right.

    :ivar fault: the fault
    :ivar verdict: verdict on the migration that was hit
    :ivar others: verdicts on the other migrations
    :ivar problems: everything that the checks found
    :ivar truth: the same without the engine
    :ivar errors: everything that is wrong, or left over
    :ivar duration_s: time from the first server to the last trace
    """

    fault: fault.Fault
    verdict: Verdict
    others: collections.abc.Sequence[Verdict]
    problems: collections.abc.Sequence[schema.Problem]
    truth: Truth
    errors: collections.abc.Sequence[str]
    duration_s: float = 0.0

    @property
    def failed(self) -> list[str]:
        """Slugs of the checks that failed."""
        return sorted({problem.check for problem in self.problems})


class Scene:
    """Injects faults and compares the verdicts with the truth.

    :param cloud: connection of an administrator
    :param clients: the same for the engine
    :param topology: the hosts of the lab
    :param layout: paths of the lab
    :param source: name of the host that servers leave
    :param destination: name of the host that they go to
    """

    def __init__(self, cloud: openstack.connection.Connection,
                 clients: api.Clients, topology: Topology, layout: Layout,
                 source: str, destination: str) -> None:
        self._cloud = cloud
        self._clients = clients
        self._lab = base.Lab(layout, topology)
        self._place = fault.Place(layout, source, destination, '')
        # The evidence of a verdict that is wrong.
        self._results = results_file.ResultsFile(
            str(layout.workspace / 'faults'), '',
            lambda: results_file.run_started('', clients))

    @property
    def _hosts(self) -> tuple[str, str]:
        return self._place.source, self._place.destination

    def play(self, chosen: fault.Fault) -> Outcome:
        """Inject a fault, judge, undo the fault, look for leftovers.

        :param chosen: the fault
        :raises fault.Missing: this lab lacks something for it
        :raises errors.LabError: no migration was in the state to be hit, or
            a service stays down
        """
        began_s = time.monotonic()
        self._await_services()
        needs = chosen.needs
        with fleet.Fleet(
                self._cloud, needs.servers, self._place.source, fleet.Shape(
                    ephemeral=needs.ephemeral, second_port=needs.second_port,
                    subport=needs.subport)) as built:
            ports = dict(built.ports)
            outcome = self._observe(chosen, built)
        left = list(self._sweep(ports, outcome.failed))
        return dataclasses.replace(
            outcome, errors=[*outcome.errors, *left],
            duration_s=time.monotonic() - began_s)

    def recover(self) -> None:
        """Restart nova-compute on both hosts, and wait for all services.

        One that has lost libvirt may hang for ever, although it reports that
        it is up (findings.rst): every later server would stay in BUILD.

        :raises errors.LabError: if a service stays down
        """
        settings.restart_compute(self._place.layout, *self._hosts)
        self._await_services()

    def _observe(self, chosen: fault.Fault, built: fleet.Fleet) -> Outcome:
        """Play a fault on servers that are built."""
        options = config.CONF.live_migration_ha
        maker = fleet.guest_builder(self._clients)
        hosts = access.HostAccess(
            config.CONF.live_migration_ha_hosts, self._clients.services,
            self._hosts)
        with contextlib.closing(hosts):
            hosts.check()
            with lm_tempest_plugin.guests.fleet.Fleet(
                    maker, built.guests,
                    ProbeOptions.of(options)) as observed:
                mib = chosen.needs.memory_mib
                for guest in observed.guests if mib else ():
                    maker.start(guest, memory.MemoryWorkload(mib))
                place = dataclasses.replace(
                    self._place, server_id=built.ids[0])
                try:
                    return self._migrate(chosen, built, place, hosts,
                                         observed)
                finally:
                    # The servers are deleted through the same services.
                    chosen.heal(place)
                    self._await_services()

    def _migrate(self, chosen: fault.Fault, built: fleet.Fleet,
                 place: fault.Place, hosts: access.HostAccess,
                 observed: lm_tempest_plugin.guests.fleet.Fleet) -> Outcome:
        """Migrate the servers, inject the fault meanwhile, and judge."""
        hit: list[str] = []

        def inject(snapshot: poll.Snapshot,
                   migrations: collections.abc.Sequence[follow.Migration]
                   ) -> None:
            for each in migrations:
                if not hit and _is_due(chosen, place, each):
                    hit.append(each.request.server_id)
                    chosen.inject(dataclasses.replace(
                        place, server_id=hit[0]))

        chosen.prepare(place)
        if chosen.when is fault.When.BEFORE:
            hit.append(place.server_id)
            chosen.inject(place)
        run = engine.run(
            _plan(chosen, built, place, observed), self._clients,
            store=self._results, probes=observed.probes, hosts=hosts,
            guests=observed, on_poll=inject)
        judged = {each.server_id: each.verdict for each in run.migrations}
        if not hit:
            found = '; '.join(map(str, judged.values()))
            raise errors.LabError(f'{chosen.name}: no migration was seen '
                                  f'{chosen.when}: {found}.')
        place = dataclasses.replace(place, server_id=hit[0])
        verdict = judged.pop(hit[0])
        true = truth(place, built.ports[hit[0]])
        outcome = Outcome(chosen, verdict, list(judged.values()),
                          run.problems, true, ())
        absent, untold = chosen.present(place), chosen.told(run.drain)
        return dataclasses.replace(outcome, errors=[
            *_errors(outcome),
            *([f'the fault was not there: {absent}'] if absent else ()),
            *([f'the result does not tell: {untold}'] if untold else ())])

    def _sweep(self, ports: collections.abc.Mapping[
            str, collections.abc.Sequence[str]],
            told: collections.abc.Sequence[str]
            ) -> collections.abc.Iterator[str]:
        """Remove all traces of servers that are deleted.

        Yield those that no check told.
        """
        for port in self._cloud.network.ports():
            if port.device_id in ports:
                yield f'port {port.id} is left'
        for server_id, of_server in ports.items():
            for host in self._hosts:
                for trace in fleet.traces(self._place.layout, host,
                                          server_id, of_server):
                    # A host that did not answer shows no traces.
                    if not {TOLD_BY[trace], 'host-access'} & {*told}:
                        yield (f'{trace} of server {server_id} is left on '
                               f'{host}')
                fleet.remove_traces(self._place.layout, host, server_id,
                                    of_server)
            for pid in fleet.qemu_processes(server_id):
                yield f'QEMU process {pid} of server {server_id} is left'

    def _await_services(self) -> None:
        """Wait until all services of all hosts can be used."""
        inside.wait_until_ready(self._cloud, self._lab, SERVICE_TIMEOUT_S)
        utils.wait_until(
            lambda hosts: all(host.usable for host in hosts),
            lambda: compute_hosts.list_hosts(self._clients.services),
            'all compute services to be up', SERVICE_TIMEOUT_S,
            describe=compute_hosts.describe, error=errors.LabError)


def _plan(chosen: fault.Fault, built: fleet.Fleet, place: fault.Place,
          observed: lm_tempest_plugin.guests.fleet.Fleet
          ) -> plan.MigrationPlan:
    """Return the plan: all checks, and every failure is a problem."""
    options = config.CONF.live_migration_ha
    return plan.MigrationPlan.of(
        options,
        servers=tuple(plan.PlannedServer(
            guest.server_id, guest.address,
            observed.inspections[guest.server_id])
            for guest in observed.guests),
        destination=place.destination,
        timeouts=plan.Timeouts(
            base_s=chosen.needs.timeout_s, per_gib_ram_s=0,
            per_gib_disk_s=0, settle_s=30, poll_interval_s=0.25,
            poll_error_s=60, return_s=chosen.needs.return_s,
            grace_s=options.grace_time),
        strategy=plan.window(len(built.ids)), test=f'fault {chosen.name}',
        measured=False)


def _is_due(chosen: fault.Fault, place: fault.Place,
            migration: follow.Migration) -> bool:
    """Return whether a migration is at the moment of the injection."""
    if chosen.when is not fault.When.ARRIVED:
        return migration.status == chosen.when
    server = migration.server
    return migration.status == 'completed' or (
        server is not None and server.host == place.destination)


def truth(place: fault.Place, ports: collections.abc.Iterable[str]) -> Truth:
    """Return the truth by nova's database, libvirt and the hosts.

    :param place: lab, hosts and server
    :param ports: UUIDs of the server's ports
    """
    states, traces = {}, {}
    for host in (place.source, place.destination):
        try:
            states[host] = fleet.domain_state(host, place.server_id)
            traces[host] = fleet.traces(place.layout, host, place.server_id,
                                        ports)
        except errors.LabError:
            LOG.exception('Host %s', host)
            states[host] = UNKNOWN
    rows = [row for uuid, *row in fleet.sql(place.layout, fleet.STATES)
            if uuid == place.server_id]
    row = rows[-1] if rows else []
    return Truth(_kind(place, row, states), row, states, traces)


def _kind(place: fault.Place, row: collections.abc.Sequence[str],
          states: collections.abc.Mapping[str, str]) -> Kind:
    """Return the verdict that follows from database and libvirt."""
    running = [host for host, state in states.items() if state == RUNNING]
    alive = [host for host, state in states.items() if state in ALIVE]
    if len(running) > 1:
        return Kind.RUNS_TWICE
    if not row or not alive:
        return Kind.LOST
    host, state, task, record = row
    if task != 'NULL' or record not in ENDED:
        return Kind.STUCK
    if host not in (running or alive):
        return Kind.INCONSISTENT
    if not running:
        return Kind.LOST
    if state != 'active' or (
            (host == place.destination) != (record == 'completed')):
        return Kind.INCONSISTENT
    return {'completed': Kind.COMPLETED,
            'cancelled': Kind.CANCELLED}.get(record, Kind.ROLLED_BACK)


def _errors(outcome: Outcome) -> collections.abc.Iterator[str]:
    """Yield everything that is wrong with a verdict and its checks."""
    chosen, kind = outcome.fault, outcome.verdict.kind
    if kind not in chosen.expected:
        yield (f'the verdict is {kind}, not '
               f'{" or ".join(chosen.expected)}')
    # The database does not say whether anything had begun. Neither it nor
    # libvirt says whether packets reach a guest.
    if kind != outcome.truth.kind and (kind, outcome.truth.kind) not in (
            (Kind.FAILED, Kind.ROLLED_BACK), (Kind.LOST, Kind.COMPLETED)):
        yield (f"nova's database and libvirt show {outcome.truth}, not "
               f'{kind}')
    texts = [outcome.verdict.cause,
             *(problem.text for problem in outcome.problems)]
    if not any(re.search(chosen.cause, text) for text in texts):
        yield f'neither cause nor problem matches {chosen.cause!r}'
    failed, left = set(outcome.failed), set()
    # While a migration goes on, nothing is left over, and a host that does not
    # answer hides its leftovers.
    if kind is not Kind.STUCK and 'host-access' not in failed:
        left = {TOLD_BY[trace] for trace in outcome.truth.left}
    wanted = {*chosen.checks, *left}
    if kind is not Kind.COMPLETED:
        wanted.add('verdict')
    for check in sorted(wanted - failed):
        yield f'check {check} does not fail'
    for problem in outcome.problems:
        if problem.check not in {*wanted, *chosen.consequences}:
            yield f'check {problem.check} fails as well: {problem.text}'
