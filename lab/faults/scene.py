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
import dataclasses
import re
import time

import openstack

from lab import errors
from lab.faults import injections
from lab import fleet as fleets
from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import deadline
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.probes import watch

#: Our deadline for a migration, and for a server to be without a task.
ALLOWANCE = deadline.Allowance(90, 0, 0)
SETTLE_SECONDS = 30
POLL_SECONDS = 0.25
PROBE_SECONDS = 0.05
ANSWER_SECONDS = 120
#: A compute service counts as down, and is seen to be up again, after these.
SERVICE_SECONDS = 120
AWAY_SECONDS = 60
ENDED = ('completed', 'failed', 'error', 'cancelled')


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    :ivar fault: what was done
    :ivar verdict: what was said of the migration that it struck
    :ivar others: what was said of the others
    :ivar running_on: names of the hosts whose libvirt runs the guest
    :ivar faults: everything that is not as it should be
    """

    fault: injections.Fault
    verdict: verdicts.Verdict
    others: collections.abc.Sequence[verdicts.Verdict]
    running_on: collections.abc.Sequence[str]
    faults: collections.abc.Sequence[str]


class Scene:
    """Injects faults and sees what is said of them.

    :param cloud: connection as administrator
    :param clients: the same for the engine
    :param place: where
    """

    def __init__(self, cloud: openstack.connection.Connection,
                 clients: cloud_clients.Clients,
                 place: injections.Place) -> None:
        self._cloud = cloud
        self._clients = clients
        self._place = place

    def play(self, fault: injections.Fault) -> Outcome:
        """Inject a fault, judge, undo it, and look for what is left over.

        :param fault: which
        """
        self._await_services()
        with fleets.Fleet(self._cloud, fault.servers,
                          self._place.source) as fleet:
            ids = fleet.ids
            watches = {server_id: watch.Watch(
                [fleet.address(server_id)], PROBE_SECONDS)
                for server_id in ids}
            try:
                for each in watches.values():
                    each.start()
                    each.await_answers(ANSWER_SECONDS)
                outcome = self._break(fault, ids, watches)
            finally:
                for each in watches.values():
                    each.stop()
                fault.heal(self._place)
                self._await_services()
        return dataclasses.replace(
            outcome, faults=[*outcome.faults, *self._left_over(ids)])

    def _break(self, fault: injections.Fault,
               ids: collections.abc.Sequence[str],
               watches: collections.abc.Mapping[str, watch.Watch]
               ) -> Outcome:
        """Move the servers while the fault is injected, and judge."""
        struck: list[str] = []

        def strike(look: poll.Look,
                   followed: collections.abc.Sequence[attempts.Attempt]
                   ) -> None:
            for each in followed:
                if not struck and each.newest is not None and (
                        each.newest.status == fault.when):
                    struck.append(each.request.server_id)
                    fault.inject(self._place)

        if fault.when == injections.BEFORE:
            fault.inject(self._place)
            struck.append(ids[0])
        moved = [servers.show(self._clients.servers, server_id)
                 for server_id in ids]
        drained = drain.move(
            self._clients, moved,
            requests.Move(self._place.destination),
            drain.Terms(strategies.window(len(moved)), ALLOWANCE,
                        SETTLE_SECONDS, POLL_SECONDS, AWAY_SECONDS),
            on_look=strike)
        services = compute_hosts.list_hosts(self._clients.services)
        judged = {
            attempt.request.server_id: verdicts.judge(evidences.collect(
                self._clients, attempt, services, evidences.Guest(
                    watches[attempt.request.server_id].answering() == 1)))
            for attempt in drained.attempts}
        if not struck:
            said = '; '.join(map(str, judged.values()))
            raise errors.LabError(f'{fault.name}: no migration was seen '
                                  f'{fault.when}: {said}.')
        verdict = judged.pop(struck[0])
        there = fleets.running_on(
            (self._place.source, self._place.destination))
        return Outcome(
            fault, verdict, list(judged.values()),
            there.get(struck[0], ()),
            _wrong(fault, verdict, truth(
                self._place, struck[0], there.get(struck[0], ()))))

    def _await_services(self) -> None:
        """Wait until nova's services on both hosts are up.

        :raises errors.LabError: if one does not come up
        """
        end = time.monotonic() + SERVICE_SECONDS
        while True:
            found = compute_hosts.list_hosts(self._clients.services)
            if all(host.usable for host in found):
                return
            if time.monotonic() > end:
                raise errors.LabError(
                    f'Not every compute service is up: '
                    f'{compute_hosts.describe(found)}.')
            time.sleep(1)

    def _left_over(self, ids: collections.abc.Sequence[str]) -> list[str]:
        """What is left of servers that were deleted, in words."""
        ports = [port for port in self._cloud.network.ports()
                 if port.device_id in ids]
        return [
            *(f'port {port.id} is left' for port in ports),
            *(f'QEMU process {pid} of server {server_id} is left'
              for server_id in ids
              for pid in fleets.qemu_processes(server_id))]


def truth(place: injections.Place, server_id: str,
          running_on: collections.abc.Sequence[str]) -> verdicts.Kind:
    """The verdict by nova's database and libvirt, without the engine.

    :param place: where
    :param server_id: UUID of the server
    :param running_on: names of the hosts whose libvirt runs it
    """
    rows = [row for uuid, *row in fleets.sql(place.layout, fleets.STATES)
            if uuid == server_id]
    if not rows:
        return verdicts.Kind.LOST
    host, state, task, record = rows[-1]
    if task != 'NULL' or record not in ENDED:
        return verdicts.Kind.STUCK
    if state != 'active':
        return (verdicts.Kind.INCONSISTENT if running_on
                else verdicts.Kind.FAILED)
    if list(running_on) != [host] or (
            (host == place.destination) != (record == 'completed')):
        return verdicts.Kind.INCONSISTENT
    return {'completed': verdicts.Kind.COMPLETED,
            'cancelled': verdicts.Kind.CANCELLED}.get(
                record, verdicts.Kind.ROLLED_BACK)


def _wrong(fault: injections.Fault, verdict: verdicts.Verdict,
           true_kind: verdicts.Kind) -> list[str]:
    """What is wrong with a verdict, in words."""
    found = []
    if verdict.kind not in fault.expected:
        found.append(f'the verdict is {verdict.kind}, not '
                     f'{" or ".join(fault.expected)}')
    if not re.search(fault.words, verdict.cause):
        found.append(f'the cause does not match {fault.words!r}')
    if verdict.kind != true_kind:
        found.append(f"by nova's database and libvirt it is {true_kind}, "
                     f'not {verdict.kind}')
    return found
