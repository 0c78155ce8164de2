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

"""Migrations of a server, with nova's services as they are just then."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import functools
import os
import signal
import time

import openstack
from tempest import config

from bench.drains import moves
from bench.mutants import facts
from lab import fleet
from lab import layout
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import test_intervention

HOSTS = ('compute1', 'compute2')
ROUND_TRIP, ABORT, FORCE = 'round-trip', 'abort', 'force-complete'
#: Without it, nova 34 leaves the server of an aborted migration in ERROR.
CORRECTION = 'abort_corrected'
#: Memory that a guest keeps writing, in MiB: the copy of an idle guest would
#: end before nova has acted on a request.
WRITTEN_MIB = 24
#: A mutant that hangs costs more time than a lab that is slow.
TIMEOUTS = plan.Timeouts(
    base_s=90, per_gib_ram_s=0, per_gib_disk_s=0, settle_s=30,
    poll_interval_s=0.25, poll_error_s=60, return_s=30, grace_s=2)
#: Times that facts are read: nova may be cleaning up yet.
ATTEMPTS = 3


class NotActed(Exception):
    """No migration was seen copying, so nova was not asked to intervene."""


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Migrations that are judged with a mutant.

    :ivar name: its name
    :ivar destinations: name of the host of each migration, in their order
    :ivar corrections: corrections of nova that are active meanwhile
    """

    name: str
    destinations: tuple[str, ...]
    corrections: tuple[str, ...] = ()


#: A call that several of them execute is played in the first of these.
SCENARIOS = {each.name: each for each in (
    Scenario(ROUND_TRIP, HOSTS[::-1]),
    Scenario(ABORT, HOSTS[1:], (CORRECTION,)),
    Scenario(FORCE, HOSTS[1:]))}
Accepted = collections.abc.Mapping[str, collections.abc.Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Played:
    """A scenario that has ended.

    :ivar problems: everything that the checks found
    :ivar verdicts: the verdict on each migration
    :ivar facts: facts about the server after each migration; none after one
        with a problem
    """

    problems: tuple[schema.Problem, ...]
    verdicts: tuple[str, ...]
    facts: tuple[facts.Facts, ...]

    @property
    def checks(self) -> list[str]:
        """Slugs of the checks that found problems."""
        return sorted({problem.check for problem in self.problems})


class Stage:
    """Plays scenarios, each on a server of its own.

    :param cloud: connection of an administrator
    :param clients: the same for the engine
    :param paths: paths of the lab
    :param interruptible: returns a context that a signal ends
    """

    def __init__(self, cloud: openstack.connection.Connection,
                 clients: api.Clients, paths: layout.Layout,
                 interruptible: collections.abc.Callable[
                     [], contextlib.AbstractContextManager[None]]) -> None:
        self._interruptible = interruptible
        self._cloud = cloud
        self._clients = clients
        self._paths = paths
        # The evidence, also of a mutant that survives.
        self._results = results_file.ResultsFile(
            str(paths.workspace / 'mutants'), '',
            lambda: results_file.run_started('', clients))

    def play(self, scenario: Scenario,
             changed: contextlib.AbstractContextManager[object],
             accepted: collections.abc.Sequence[Accepted] = ()) -> Played:
        """Play a scenario, and remove everything that it leaves.

        The server is built before nova is changed, and deleted when nova is
        unchanged again.

        :param scenario: the scenario
        :param changed: nova's services are changed while it is entered
        :param accepted: values of the facts after each migration that need
            no second look; none for a run of unchanged nova
        :raises NotActed: nothing was wrong, but nova was not asked to
            intervene either
        """
        ports: dict[str, list[str]] = {}
        try:
            with fleet.Fleet(self._cloud, 1, HOSTS[0]) as built:
                ports |= built.ports
                with moves.observed(
                        self._clients, built, HOSTS) as observed, \
                        changed, self._interruptible():
                    return self._migrate(scenario, built, observed, accepted)
        finally:
            for server_id, of_server in ports.items():
                self._sweep(server_id, of_server)

    def _migrate(self, scenario: Scenario, built: fleet.Fleet,
                 observed: moves.Observed,
                 accepted: collections.abc.Sequence[Accepted]) -> Played:
        guest, = observed.guests.guests
        server_id = guest.server_id
        maker = fleet.guest_builder(self._clients)
        if scenario.name != ROUND_TRIP:
            maker.start(guest, memory.MemoryWorkload(WRITTEN_MIB))
        subject = facts.Subject(
            server_id, tuple(built.ports[server_id]), guest.address,
            observed.guests.inspections[server_id].boot_id)

        def read() -> facts.Facts:
            return facts.read(self._paths, HOSTS, subject,
                              lambda command: maker.run(guest, command))

        problems: list[schema.Problem] = []
        verdicts: list[str] = []
        found: list[facts.Facts] = []
        for leg, destination in enumerate(scenario.destinations):
            run = self._run(scenario, destination, observed)
            problems += run.problems
            verdicts += [str(each.verdict.kind) for each in run.migrations]
            if problems:
                break
            found.append(_settled(
                read, accepted[leg] if leg < len(accepted) else None))
        if not problems:
            problems += observed.guests.final_problems()
        return Played(tuple(problems), tuple(verdicts), tuple(found))

    def _run(self, scenario: Scenario, destination: str,
             observed: moves.Observed) -> engine.MigrationRun:
        """Migrate the server once; abort that or force it, if asked to."""
        options = config.CONF.live_migration_ha
        act = (migration_records.force_complete if scenario.name == FORCE
               else migration_records.abort)
        client = self._clients.servers
        intervention = test_intervention.Intervention(
            functools.partial(test_intervention.is_copying, client),
            functools.partial(act, client))
        guest, = observed.guests.guests
        intervenes = scenario.name != ROUND_TRIP
        run = engine.run(
            plan.MigrationPlan.of(
                options, servers=(plan.PlannedServer(
                    guest.server_id, guest.address,
                    observed.guests.inspections[guest.server_id]),),
                destination=destination, timeouts=TIMEOUTS,
                bounds=plan.Bounds.forced(options)
                if scenario.name == FORCE else plan.Bounds.of(options),
                # Those that raise false alarms in the lab.
                leave_out=dict.fromkeys(options.leave_out_checks,
                                        'option leave_out_checks'),
                test=f'bench.mutants {scenario.name}', measured=False),
            self._clients, store=self._results, probes=observed.guests.probes,
            hosts=observed.hosts, guests=observed.guests,
            on_poll=intervention if intervenes else None,
            aborted=intervention.done if scenario.name == ABORT else (),
            forced=intervention.done if scenario.name == FORCE else {})
        if intervenes and not intervention.done and not run.problems:
            raise NotActed('no migration was seen copying: the guest has to '
                           'write more memory')
        return run

    def _sweep(self, server_id: str,
               ports: collections.abc.Sequence[str]) -> None:
        """Remove the traces of a server that is deleted.

        An allocation that a migration record keeps would fill the hosts, in
        the end.
        """
        for of_server, record in fleet.sql(self._paths, facts.RECORDS):
            if of_server == server_id:
                # It answers 404 for a record without an allocation.
                self._cloud.placement.delete(f'/allocations/{record}')
        for host in HOSTS:
            fleet.remove_traces(self._paths, host, server_id, ports)
        for pid in fleet.qemu_processes(server_id):
            os.kill(int(pid), signal.SIGKILL)


def _settled(read: collections.abc.Callable[[], facts.Facts],
             accepted: Accepted | None) -> facts.Facts:
    """Return facts that do not change any more, or are accepted.

    A rollback on the destination is an RPC cast, and nova deletes allocations
    after it has written that the migration is completed.
    """
    found = read()
    for _ in range(1, ATTEMPTS):
        if accepted is not None and not facts.differences(found, accepted):
            break
        time.sleep(registry.AGAIN_S)
        before, found = found, read()
        if accepted is None and found == before:
            break
    return found
