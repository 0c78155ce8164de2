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

"""Facts about one migration, collected when it is judged."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import functools
import math
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import clock
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.hosts import libvirt
from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import reasons
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

NOT_INSPECTED = schema.GuestState()
# libvirt's word for a guest of Xen that waits for I/O is blocked.
_RUNNING = frozenset(('running', 'blocked'))
_REACHED = ('queued', *migration_records.IN_SERVICE)


def rebooted(guest: schema.GuestState) -> bool | None:
    """Return whether a guest has booted again; None if it is not known.

    :param guest: with both boot ids
    """
    if not (guest.boot_id_before and guest.boot_id_after):
        return None
    return guest.boot_id_before != guest.boot_id_after


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Facts about one migration.

    :ivar request: the request
    :ivar records: its migration records, the oldest first
    :ivar server: the server at the end; None if it does not exist any more
    :ivar timed_out: the condition that timed out; empty if none did
    :ivar transitions: changes, in order
    :ivar progress: progress of the copy
    :ivar action: the instance action; None if nova has none
    :ivar services: the compute services
    :ivar guest: state of the guest
    :ivar abort_requested: whether nova was asked to abort it
    :ivar traces: traces of the server on the hosts to which there is access
    :ivar silent_hosts: hosts with access whose SSH or libvirt does not
        answer
    :ivar logs: logs of the hosts; empty for a good migration
    :ivar copy: the pace of a copy that goes on; None if none is known to
    :ivar other_actions: instance actions that others asked for meanwhile
    :ivar cloud_clock_ahead_s: the cloud's clock minus ours; None if unknown
    :ivar collected_at: when nova was asked, by our clock
    """

    request: request.Request
    records: tuple[schema.MigrationRecord, ...]
    server: servers.Server | None
    timed_out: str = ''
    transitions: Sequence[schema.Transition] = ()
    progress: Sequence[schema.Progress] = ()
    action: actions.InstanceAction | None = None
    services: Sequence[compute_hosts.ComputeService] = ()
    guest: schema.GuestState = NOT_INSPECTED
    abort_requested: bool = False
    traces: tuple[schema.HostTraces, ...] = ()
    silent_hosts: tuple[str, ...] = ()
    logs: tuple[schema.HostLog, ...] = ()
    copy: copying.Copying | None = None
    other_actions: tuple[schema.OtherAction, ...] = ()
    cloud_clock_ahead_s: float | None = None
    collected_at: datetime.datetime = datetime.datetime.fromtimestamp(
        0, datetime.UTC)

    @functools.cached_property
    def reason(self) -> reasons.Reason | None:
        """The reason that the logs show; None if they show none."""
        return reasons.classify(self.logs)

    @property
    def newest(self) -> schema.MigrationRecord | None:
        """The newest migration record; None if there is none."""
        return self.records[-1] if self.records else None

    @property
    def status(self) -> str:
        """Status of the newest migration record; empty if there is none."""
        return self.newest.status if self.newest else ''

    @property
    def source(self) -> str:
        """Name of the source host."""
        return self.request.source

    @property
    def destination(self) -> str:
        """Name of the destination host; empty if none was ever chosen."""
        return self.request.destination or (
            self.newest.destination if self.newest else '')

    @property
    def server_status(self) -> str:
        """Status of the server; GONE if it does not exist any more."""
        return self.server.status if self.server else 'GONE'

    @property
    def migrating(self) -> bool:
        """Whether nova still calls the server migrating."""
        return self.server is not None and (
            self.server.status == 'MIGRATING' or
            self.server.task_state == 'migrating')

    @property
    def as_before(self) -> bool:
        """Whether the server has its earlier status and no task."""
        return (self.server is not None and self.server.task_state is None
                and self.server.status == self.request.server.status)

    @property
    def on_source(self) -> bool:
        """Whether nova shows the server on the source host."""
        return self.server is not None and self.server.host == self.source

    @property
    def on_destination(self) -> bool:
        """Whether nova shows the server on the destination host."""
        return self.server is not None and (
            self.server.host == self.destination)

    @functools.cached_property
    def alive_on(self) -> tuple[str, ...] | None:
        """Hosts where libvirt has a living domain of the server.

        None if not every host that may have one could be asked.
        """
        asked = {each.host for each in self.traces}
        if not {self.source, self.destination,
                self.server.host if self.server else ''} - {''} <= asked:
            return None
        return tuple(each.host for each in self.traces
                     if each.state in libvirt.ALIVE)

    @functools.cached_property
    def running_on(self) -> tuple[str, ...]:
        """Hosts on which libvirt runs the guest."""
        return tuple(each.host for each in self.traces
                     if each.state in _RUNNING)

    def domains(self) -> str:
        """Return the domain's state on each host; empty if none was asked."""
        return ', '.join(
            f'{each.state or "no domain"} on host {each.host}'
            for each in self.traces)

    @property
    def begun(self) -> bool:
        """Whether the source host has accepted the job."""
        return any(map(self.was, _REACHED)) or (
            self.event(actions.JOB) is not None)

    @property
    def post_copied(self) -> bool:
        """Whether the migration went through post-copy."""
        return self.was(migration_records.POST_COPY)

    def was(self, status: str) -> bool:
        """Return whether the migration record was seen in a status.

        :param status: such as running
        """
        return any((seen.subject, seen.state) == (follow.RECORD, status)
                   for seen in self.transitions)

    def event(self, name: str) -> actions.ActionEvent | None:
        """Return the first event of a name; None if there is none.

        :param name: such as compute_pre_live_migration
        """
        return self.action.event(name) if self.action else None

    def failed(self, name: str) -> bool:
        """Return whether an event ended with an error.

        :param name: such as compute_pre_live_migration
        """
        event = self.event(name)
        return event is not None and event.failed

    def service(self, host: str) -> compute_hosts.ComputeService | None:
        """Return the compute service of a host; None if there is none.

        :param host: name of the host
        """
        return next((each for each in self.services if each.name == host),
                    None)

    def down(self, host: str) -> bool:
        """Return whether the compute service of a host is down.

        :param host: name of the host
        """
        service = self.service(host)
        return service is not None and service.state == 'down'

    def waited_s(self, since: datetime.datetime) -> float:
        """Return the seconds from a time until the facts were collected.

        :param since: by the cloud's clock
        """
        now = self.collected_at + datetime.timedelta(
            seconds=self.cloud_clock_ahead_s or 0.0)
        return max(0.0, (now - since).total_seconds())

    @property
    def vif_wait_s(self) -> float:
        """Time between the setup and a copy that never began, in seconds.

        nova-compute of the source waits for neutron's network-vif-plugged
        then, and for nothing else (_do_pre_live_migration_from_source in
        nova/compute/manager.py). 0 if that is not where it ended.
        """
        pre = self.event(actions.PRE)
        if (pre is None or pre.finish is None or pre.failed or
                self.newest is None or self.was('running') or
                self.post_copied):
            return 0.0
        if self.status == 'preparing':
            return self.waited_s(pre.finish)
        if self.status not in ('error', 'failed') or not (
                self.newest.updated_at):
            return 0.0
        end = datetime.datetime.fromisoformat(
            self.newest.updated_at).replace(tzinfo=datetime.UTC)
        # Two hosts stamped these, and their clocks may differ. By ours it did
        # not take longer than until the end was seen.
        seen_s = max((each.at_s for each in self.transitions
                      if each.state == self.status), default=math.inf)
        return min((end - pre.finish).total_seconds(), seen_s)

    def copied(self) -> str:
        """Return the last known progress of the copy; empty if none is."""
        if not self.progress:
            return ''
        last = self.progress[-1]
        return (f'{last.at_s:.2f} s: memory {last.memory_remaining_bytes} of '
                f'{last.memory_total_bytes} bytes remaining, disk '
                f'{last.disk_remaining_bytes} of {last.disk_total_bytes}')

    def lines(self) -> list[str]:
        """Return all facts as text, one line for each kind."""
        server = self.server
        transitions = '; '.join(
            f'{seen.at_s:.2f} s {seen.subject} {seen.state}'
            for seen in self.transitions)
        return [
            f'Migration records: {migration_records.describe(self.records)}',
            f'Server: {server.state if server else "gone"}; fault: '
            f'{(server.fault if server else "") or "none"}',
            f'Events of request {self.request.request_id or "(no answer)"}: '
            f'{self.action.describe() if self.action else "no action"}',
            f'Compute services: {compute_hosts.describe(self.services)}',
            f'Guest: {describe_guest(self.guest)}',
            f'Transitions: {transitions or "none"}',
            f'Copied: {self.copied() or "not known"}',
            *self._found(),
        ]

    def _found(self) -> Iterator[str]:
        """Yield lines about facts that most migrations do not have."""
        if self.traces:
            yield f'Domains: {self.domains()}'
        if self.copy is not None:
            yield f'Copy: {self.copy.text}'
        if self.other_actions:
            yield f'Meanwhile: {describe_actions(self.other_actions)}'
        if abs(self.cloud_clock_ahead_s or 0.0) >= clock.TOLD_S:
            yield f'Clock of the cloud: {self.cloud_clock_ahead_s:+.0f} s'
        if self.reason is not None:
            yield f'Reason ({self.reason.slug}): {self.reason.text}'
        for log in self.logs:
            yield (f'Log of {log.name} on host {log.host}: '
                   f'{log.error or f"{len(log.lines)} lines"}')


def describe_actions(found: Sequence[schema.OtherAction]) -> str:
    """Return instance actions as text, with the users.

    :param found: in order
    """
    return ', '.join(f'{each.name} by user {each.user}' for each in found)


def describe_guest(guest: schema.GuestState) -> str:
    """Return the state of a guest as text.

    :param guest: the guest after its migration
    """
    parts = [{True: 'answers', False: 'does not answer',
              None: 'not probed'}[guest.answers]]
    again = rebooted(guest)
    if again is not None:
        parts.append('booted again' if again else 'same boot id')
    if guest.libvirt_state:
        parts.append(guest.libvirt_state)
    return ', '.join(parts)


def collect(clients: api.Clients, migration: follow.Migration,
            **known: Any) -> Evidence:
    """Return the facts about a migration that has ended.

    The server is read anew: nova may set it to ERROR after it has completed
    the record, and a time-out may rest on a stale snapshot. Not if it was
    overtaken: then the server shows what came later.

    :param clients: of an administrator
    :param migration: one that has ended
    :param known: the other fields of the evidence
    """
    requested = migration.request
    server, records = migration.server, migration.records
    action = None
    try:
        if not migration.overtaken:
            server = servers.find(clients.servers, requested.server_id)
        if migration.status != 'completed':
            # nova hides the records of a server that was deleted.
            records = migration_records.list_of_server(
                clients.migrations, requested.server_id,
                requested.known_records) or records
        if requested.request_id:
            action = actions.show(clients.servers, requested.server_id,
                                  requested.request_id)
    except (exceptions.RestClientException, *api.NO_ANSWER):
        # The verdict rests on the last snapshot, without the events.
        LOG.exception('Final state of the %s', migration)
    return Evidence(
        request=requested, records=records, server=server,
        timed_out=migration.timed_out,
        transitions=tuple(migration.transitions),
        progress=tuple(migration.progress), action=action,
        collected_at=datetime.datetime.now(datetime.UTC), **known)


def list_other_actions(clients: api.Clients, requested: request.Request,
                       ours: Collection[str]
                       ) -> tuple[schema.OtherAction, ...]:
    """Return the instance actions since a request that others asked for.

    :param clients: of an administrator
    :param requested: the request
    :param ours: names of the actions that the caller itself asked for
    """
    if not requested.request_id:
        return ()
    try:
        found = actions.list_later(
            clients.servers, requested.server_id, requested.request_id)
    except (exceptions.RestClientException, *api.NO_ANSWER):
        LOG.exception('Instance actions since request %s',
                      requested.request_id)
        return ()
    return tuple(each for each in found if each.name not in ours)
