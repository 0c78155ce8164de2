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

from collections.abc import Sequence
import dataclasses
import functools

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import reasons
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

NOT_INSPECTED = schema.GuestState()
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
    :ivar logs: logs of the hosts; empty for a good migration
    :ivar copy_job: libvirt's figures of a copy that goes on; None if they are
        not known
    :ivar other_actions: other instance actions meanwhile
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
    logs: tuple[schema.HostLog, ...] = ()
    copy_job: schema.LibvirtJob | None = None
    other_actions: tuple[schema.OtherAction, ...] = ()

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
        ]


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
            services: Sequence[compute_hosts.ComputeService],
            guest: schema.GuestState = NOT_INSPECTED,
            abort_requested: bool = False,
            traces: tuple[schema.HostTraces, ...] = (),
            logs: tuple[schema.HostLog, ...] = (),
            copy_job: schema.LibvirtJob | None = None) -> Evidence:
    """Return the facts about a migration that has ended.

    Its instance action is read now. After a time-out the server and its
    records are read once more, each by its own request, so that a stale
    snapshot is not taken for a fault of nova.

    :param clients: of an administrator
    :param migration: one that has ended
    :param services: the compute services
    :param guest: state of the guest
    :param abort_requested: whether nova was asked to abort it
    :param traces: traces of the server on the hosts
    :param logs: logs of the hosts
    :param copy_job: libvirt's figures of a copy that goes on
    """
    requested = migration.request
    server, records = migration.server, migration.records
    if migration.timed_out:
        server = servers.find(clients.servers, requested.server_id)
        records = tuple(
            record for record in migration_records.list_of_server(
                clients.migrations, requested.server_id)
            if record.uuid not in requested.known_records)
    action = None
    if requested.request_id:
        try:
            action = actions.show(clients.servers, requested.server_id,
                                  requested.request_id)
        except (exceptions.RestClientException, *api.NO_ANSWER):
            # The verdict stands without its events.
            LOG.exception('Events of request %s', requested.request_id)
    return Evidence(
        request=requested, records=records, server=server,
        timed_out=migration.timed_out,
        transitions=tuple(migration.transitions),
        progress=tuple(migration.progress),
        action=action, services=services, guest=guest,
        abort_requested=abort_requested, traces=traces, logs=logs,
        copy_job=copy_job)
