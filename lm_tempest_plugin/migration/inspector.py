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

"""Inspect guests and hosts after a drain, before anything is judged."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import datetime
import time
from typing import Protocol

import msgspec
from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import libvirt
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration.plan import MigrationPlan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

# Time between two snapshots of guests that are silent.
RETURN_INTERVAL_S = 5.0
# A shorter silence is a lost probe or two, not the start of an outage.
HUSH_S = 0.5
# Tempest tries SSH to each guest for [validation]ssh_timeout, 300 s by
# default. After so much time in vain, the sum of all guests, the others are
# not tried: the results would come too late, or never.
LOST_S = 450.0
# Time between two readings of the figures of a copy.
COPY_INTERVAL_S = 5.0
# Checks that need single packets.
PACKET_CHECKS = frozenset(
    ('addresses', 'full-size-packets', 'closed-port', 'neighbour'))
# Lines of a log belong to a migration from this long before its request: the
# clocks of hosts differ.
LOG_MARGIN = datetime.timedelta(seconds=5)


class GuestAccess(Protocol):
    """Commands in guests."""

    def inspect(self, server_id: str) -> schema.GuestInspection:
        """Return facts that are read in a guest.

        :param server_id: UUID of its server
        """

    def verify(self, server_id: str) -> Mapping[str, str]:
        """Return the problem of each workload of a guest, by its name.

        :param server_id: UUID of its server
        """

    def progress(self, server_id: str, begin_ns: int,
                 end_ns: int) -> schema.WorkloadFigures | None:
        """Return figures of a guest's workload; None for an idle guest.

        :param server_id: UUID of its server
        :param begin_ns: when its migration was requested, CLOCK_MONOTONIC
        :param end_ns: when it had ended, the same
        """

    def seen_from_neighbour(
            self, addresses: Mapping[str, Sequence[str]]
            ) -> Mapping[str, tuple[str, ...]]:
        """Return the addresses that answer a guest that is not migrated.

        :param addresses: of each server, by its UUID
        :returns: by the server's UUID; empty if there is no such guest, or
            it cannot be asked
        """


def hosts_of(migration: follow.Migration) -> list[str]:
    """Return the names of the hosts that may have a server's domain.

    :param migration: of the server
    """
    return list(dict.fromkeys(filter(None, (
        migration.request.source, migration.request.destination,
        *(record.destination for record in migration.records),
        migration.server.host if migration.server else ''))))


@dataclasses.dataclass(frozen=True)
class Inspected:
    """State of one guest after its migration.

    :ivar continuity: figures of the probes; None if it was not probed
    :ivar guest: whether it answers, and whether it has booted again
    :ivar inspection: facts that were read in it; None if none were
    :ivar workloads: the problem that each workload found, by its name; empty
        for a workload without a problem
    :ivar work: figures of the chosen workload; None if none are known
    """

    continuity: schema.Continuity | None
    guest: schema.GuestState
    inspection: schema.GuestInspection | None = None
    workloads: Mapping[str, str] = dataclasses.field(default_factory=dict)
    work: schema.WorkloadFigures | None = None


class Inspector:
    """Inspects guests and hosts after a drain.

    :ivar host_errors: why hosts could not be asked
    :ivar reachable_before: answers to single packets before the migrations,
        by the server's UUID
    :ivar hardware_before: virtual hardware of the guests then, the same;
        without those of hosts that cannot be asked
    """

    def __init__(self, plan: MigrationPlan, clients: api.Clients,
                 probes: watch.Watch | None,
                 hosts: access.HostAccess | None,
                 guests: GuestAccess | None) -> None:
        """Prepare; nothing is asked yet.

        :param plan: the plan
        :param clients: of an administrator
        :param probes: probes of the guests' addresses
        :param hosts: SSH to the compute hosts
        :param guests: commands in the guests
        """
        self._plan = plan
        self._clients = clients
        self._probes = probes
        self._hosts = hosts
        self._guests = guests
        self._watched_ns: dict[str, int] = {}
        # A list, since several threads add to it.
        self._lost_s: list[float] = []
        self.reachable_before: Mapping[str, schema.Reachability] = {}
        self.hardware_before: dict[str, schema.GuestHardware] = {}
        self._dirty_before: dict[str, float] = {}
        self.host_errors: list[str] = []

    def before(self, planned: Iterable[servers.Server]) -> None:
        """Read facts to compare with later: answers and virtual hardware.

        :param planned: the servers before the first request
        """
        planned = list(planned)
        self.reachable_before = self.reachability(planned)
        by_host: dict[str, list[str]] = {}
        for each in planned:
            by_host.setdefault(each.host, []).append(each.server_id)
        for host, server_ids in by_host.items():
            for server_id, found in self.traces([host], server_ids).items():
                if found[0].hardware is not None:
                    self.hardware_before[server_id] = found[0].hardware
            self._dirty_before |= self._dirty_rates(host, server_ids)

    def _dirty_rates(self, host: str,
                     server_ids: Sequence[str]) -> Mapping[str, float]:
        """Return the bytes of memory that guests write each second.

        Not of idle guests, because it takes seconds.
        """
        if self._hosts is None or not self._hosts.has(host) or (
                not self._plan.workload.unit):
            return {}
        try:
            return self._hosts.dirty_rates(host, server_ids)
        except remote.HostError as exc:
            LOG.warning('The dirty rate is not known: %s', exc)
            return {}

    def reachability(self, planned: Iterable[servers.Server]
                     ) -> Mapping[str, schema.Reachability]:
        """Send single packets to servers, and return their answers.

        :param planned: the servers as they are now
        :returns: by the server's UUID; without those that are not probed and
            so cannot answer, such as paused ones
        """
        if self._probes is None or PACKET_CHECKS <= set(self._plan.leave_out):
            return {}
        probed = [(each, address) for each in planned
                  if (address := self._plan.planned(each.server_id).address)]
        with futures.ThreadPoolExecutor(1) as pool:
            # The probed address may be a floating one.
            found = pool.submit(
                reachability.look,
                {each.server_id: (address, *each.addresses)
                 for each, address in probed}, self.reachable_before)
            if self._guests is None or not probed:
                return found.result()
            seen = self._guests.seen_from_neighbour(
                {each.server_id: each.addresses for each, _ in probed})
        return {server_id: msgspec.structs.replace(
            each, from_neighbour=seen.get(server_id))
            for server_id, each in found.result().items()}

    def await_guests(self, migrations: Sequence[follow.Migration]) -> None:
        """Wait for the grace time, then for guests that are silent too long.

        A network that follows late is an outage with a length, not a lost
        guest. So a silent guest is watched for as long as it may return.

        :param migrations: have all ended
        """
        timeouts = self._plan.timeouts
        time.sleep(timeouts.grace_s)
        hushed = [each for each in migrations
                  if self._silence_s(each) > HUSH_S]
        if hushed:
            # Nobody knows yet whether it is silent for too long.
            time.sleep(self._plan.bounds.max_outage_s)
            self._watched(hushed)
        silent = self._silent(hushed)
        if silent:
            LOG.warning(
                'Guests of servers %s do not answer; they are watched for up '
                'to %g s', ', '.join(each.request.server_id
                                     for each in silent), timeouts.return_s)
        deadline_s = time.monotonic() + timeouts.return_s
        while silent and time.monotonic() < deadline_s:
            time.sleep(RETURN_INTERVAL_S)
            self._watched(silent)
            silent = [each for each in self._silent(silent)
                      if self._may_return(each)]

    def _watched(self, migrations: Iterable[follow.Migration]) -> None:
        """Note that guests were watched until now."""
        now_ns = time.monotonic_ns()
        for each in migrations:
            self._watched_ns[each.request.server_id] = now_ns

    def _silent(self, migrations: Iterable[follow.Migration]
                ) -> list[follow.Migration]:
        """Return the migrations of guests that are silent for too long."""
        return [each for each in migrations if
                self._silence_s(each) > self._plan.bounds.max_outage_s]

    def _silence_s(self, migration: follow.Migration) -> float:
        """Return the time since a guest's last answer; 0 if not probed."""
        address = self._plan.planned(migration.request.server_id).address
        if self._probes is None or not address:
            return 0.0
        return self._probes.silent_s(address)

    def _may_return(self, migration: follow.Migration) -> bool:
        """Return whether a silent guest may answer again by itself."""
        server_id = migration.request.server_id
        try:
            server = servers.find(self._clients.servers, server_id)
        except (exceptions.RestClientException, *api.NO_ANSWER) as exc:
            LOG.warning('Server %s cannot be read: %s', server_id, exc)
            return True
        if server is None or server.status != 'ACTIVE':
            return False
        # libvirt restarts no guest by itself. A host that cannot be asked may
        # have the guest.
        traces = self._traces_of(migration)
        return not {*hosts_of(migration), server.host} <= {
            each.host for each in traces} or any(
                each.state in libvirt.ALIVE for each in traces)

    def _traces_of(self, migration: follow.Migration
                   ) -> tuple[schema.HostTraces, ...]:
        server_id = migration.request.server_id
        return self.traces(hosts_of(migration), [server_id]).get(
            server_id, ())

    def inspect(self, migrations: Sequence[follow.Migration]) -> tuple[
            Mapping[str, Inspected], Mapping[str, schema.Reachability]]:
        """Return states of guests, and their answers to single packets.

        Call it once: each guest's facts are compared with those before.

        :param migrations: have all ended
        :returns: both by the server's UUID; answers of existing servers only
        """
        with futures.ThreadPoolExecutor(inspection.AT_ONCE + 1) as pool:
            reachable = pool.submit(self.reachability, [
                each.server for each in migrations if each.server])
            inspected = {
                each.request.server_id: pool.submit(self._inspect, each)
                for each in migrations}
            return ({server_id: each.result()
                     for server_id, each in inspected.items()},
                    reachable.result())

    def _inspect(self, migration: follow.Migration) -> Inspected:
        """Return the state of a guest.

        SSH to a guest that does not answer would be tried for minutes, so
        libvirt is asked instead.
        """
        server_id = migration.request.server_id
        planned = self._plan.planned(server_id)
        continuity = self._continuity(migration)
        before = planned.inspection.boot_id if planned.inspection else ''
        answers, silent_s = None, None
        if continuity is not None:
            silent_s = max((
                each.duration_s for each in continuity.outage.outages
                if each.open and
                each.duration_s > self._plan.bounds.max_outage_s),
                default=None)
            answers = silent_s is None
        if answers is False:
            return Inspected(continuity, schema.GuestState(
                answers=False, boot_id_before=before, silent_s=silent_s,
                libvirt_state=self._activity(migration)))
        if planned.inspection is None or self._guests is None:
            return Inspected(continuity, schema.GuestState(
                answers=answers, boot_id_before=before))
        facts, workloads, work, error = self._read(self._guests, migration)
        return Inspected(
            continuity, schema.GuestState(
                answers=answers, boot_id_before=before,
                boot_id_after=facts.boot_id if facts else '',
                boot_id_error='' if facts else error),
            facts, workloads, work)

    def _read(self, guests: GuestAccess, migration: follow.Migration) -> tuple[
            schema.GuestInspection | None, Mapping[str, str],
            schema.WorkloadFigures | None, str]:
        """Return facts and workloads of a guest, and why there are none."""
        server_id = migration.request.server_id
        lost_s = sum(self._lost_s)
        if lost_s >= LOST_S:
            return None, {}, None, (f'not tried: SSH to other guests took '
                                    f'{lost_s:.0f} s in vain')
        facts = None
        begin_s = time.monotonic()
        try:
            facts = guests.inspect(server_id)
            problems = guests.verify(server_id)
            work = guests.progress(
                server_id, migration.request.requested_ns,
                migration.ended_ns or time.monotonic_ns())
            return facts, problems, work and msgspec.structs.replace(
                work, dirty_bytes_per_s=self._dirty_before.get(server_id)), ''
        except (exceptions.TempestException, OSError, EOFError,
                # It printed no text.
                ValueError) as exc:
            # Whatever the guest does, its migration is judged.
            error = utils.describe_error(exc)
            LOG.error('Guest of server %s cannot be inspected: %s',
                      server_id, error)
        self._lost_s.append(time.monotonic() - begin_s)
        workloads: Mapping[str, str] = {}
        if facts:
            # Nobody knows which of them it was.
            workloads = {'workloads': f'cannot be verified: {error}'}
        return facts, workloads, None, error

    def _continuity(self, migration: follow.Migration
                    ) -> schema.Continuity | None:
        server_id = migration.request.server_id
        address = self._plan.planned(server_id).address
        if self._probes is None or not address:
            return None
        end_ns = max((migration.ended_ns or 0) + round(
            self._plan.timeouts.grace_s * poll.NS),
            self._watched_ns.get(server_id, 0))
        # In a drain, a guest may return before the last migration ends: its
        # outage then has an end.
        answered_ns = self._probes.answered_after_ns(address, end_ns)
        return self._probes.continuity(
            address, migration.request.requested_ns,
            end_ns if answered_ns is None else answered_ns + 1)

    def _activity(self, migration: follow.Migration) -> str:
        """Return the activity of a silent guest, as libvirt shows it."""
        alive = [each.host for each in self._traces_of(migration)
                 if each.state in libvirt.ALIVE]
        if self._hosts is None or not alive:
            return ''
        server_id = migration.request.server_id
        try:
            return '; '.join(self._hosts.guest_state(host, server_id)
                             for host in alive)
        except remote.HostError as exc:
            LOG.exception('State of the guest of server %s', server_id)
            return f'its state cannot be read: {exc}'

    def traces(self, hosts: Iterable[str], server_ids: Sequence[str]
               ) -> Mapping[str, tuple[schema.HostTraces, ...]]:
        """Return the traces of servers on hosts, by the server's UUID.

        Hosts without access, and hosts that do not answer, are missing.

        :param hosts: names of the hosts
        :param server_ids: UUIDs of the servers
        """
        found: dict[str, tuple[schema.HostTraces, ...]] = {}
        for host in dict.fromkeys(filter(None, hosts)):
            if self._hosts is None or not self._hosts.has(host):
                continue
            try:
                traces = self._hosts.traces(host, server_ids)
            except remote.HostError as exc:
                self._note(exc)
                continue
            for server_id in server_ids:
                found[server_id] = (
                    *found.get(server_id, ()), traces[server_id])
        return found

    def logs(self, migration: follow.Migration,
             since: datetime.datetime) -> tuple[schema.HostLog, ...]:
        """Return the logs of both hosts that belong to a migration.

        :param migration: has ended
        :param since: time of the request, by our clock
        """
        found: list[schema.HostLog] = []
        for host in hosts_of(migration):
            if self._hosts is None or not self._hosts.has(host):
                continue
            try:
                found += self._hosts.logs(
                    host, migration.request.server_id,
                    migration.request.request_id, since - LOG_MARGIN)
            except remote.HostError as exc:
                self._note(exc)
        return tuple(found)

    def copy(self, migration: follow.Migration) -> copying.Copying | None:
        """Return the pace of a copy that goes on; None if none is known to.

        Where libvirt cannot be asked, nova's last figures have to do.

        :param migration: whose copy may go on
        """
        source = migration.request.source
        server_id = migration.request.server_id
        if self._hosts is not None and self._hosts.has(source):
            try:
                first = self._hosts.running_job(source, server_id)
                if first is None:
                    return None
                begin_s = time.monotonic()
                time.sleep(COPY_INTERVAL_S)
                second = self._hosts.running_job(source, server_id)
                if second is None:
                    return None
                return copying.of_jobs(
                    first, second, time.monotonic() - begin_s)
            except remote.HostError as exc:
                self._note(exc)
        if migration.status not in ('running', migration_records.POST_COPY):
            return None
        return copying.of_progress(migration.progress)

    def completed_job(self, host: str,
                      server_id: str) -> schema.LibvirtJob | None:
        """Return libvirt's statistics of a completed migration.

        :param host: name of the destination
        :param server_id: UUID of the server
        """
        if self._hosts is None:
            return None
        try:
            return self._hosts.job(host, server_id)
        except remote.HostError as exc:
            self._note(exc)
            return None

    def _note(self, exc: remote.HostError) -> None:
        LOG.error('%s', exc)
        self.host_errors.append(str(exc))
