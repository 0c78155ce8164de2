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

"""Everything that is known of an attempt when it is judged."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.cloud import records as cloud_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import request as requests


@dataclasses.dataclass(frozen=True)
class Guest:
    """What is seen of a guest from outside, after its migration.

    :ivar answers: whether it answers the probes; None if it was not asked,
        or cannot, such as when it is paused
    :ivar boot_id_before: what its kernel drew by lot; empty if not known
    :ivar boot_id_after: the same after the migration
    :ivar unread: why a boot id could not be read; empty if none was asked
    :ivar pulse: of one that does not answer, what libvirt sees of it, in
        words; empty without access to hosts
    """

    answers: bool | None = None
    boot_id_before: str = ''
    boot_id_after: str = ''
    unread: str = ''
    pulse: str = ''

    @property
    def rebooted(self) -> bool | None:
        """Whether it was started anew; None if that is not known."""
        if not (self.boot_id_before and self.boot_id_after):
            return None
        return self.boot_id_before != self.boot_id_after

    def __str__(self) -> str:
        answers = {True: 'answers', False: 'does not answer',
                   None: 'was not asked'}[self.answers]
        rebooted = {True: ', was started anew', False: ', runs on',
                    None: ''}[self.rebooted]
        return answers + rebooted + (self.pulse and '; ' + self.pulse)


UNSEEN = Guest()


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was seen, and what nova tells in the end.

    :ivar request: what was asked for
    :ivar records: the records since then, the oldest first
    :ivar server: the server as it is; None if it is gone
    :ivar given_up: what was waited for in vain; empty if both ended
    :ivar transitions: what changed, in the order in which it was seen
    :ivar samples: how far the copy was
    :ivar action: the instance action; None if nova knows of none
    :ivar services: the compute services
    :ivar guest: what the guest shows
    :ivar abort_asked: whether nova was asked to abort
    """

    request: requests.Request
    records: tuple[cloud_records.Record, ...]
    server: servers.Server | None
    given_up: str = ''
    transitions: Sequence[attempts.Transition] = ()
    samples: Sequence[attempts.Sample] = ()
    action: actions.Action | None = None
    services: Sequence[hosts.Host] = ()
    guest: Guest = UNSEEN
    abort_asked: bool = False

    @property
    def newest(self) -> cloud_records.Record | None:
        """The newest record; None if there is none."""
        return self.records[-1] if self.records else None

    @property
    def status(self) -> str:
        """Status of the newest record; empty if there is none."""
        return self.newest.status if self.newest else ''

    @property
    def source(self) -> str:
        """Name of the host that the server was to leave."""
        return self.request.source

    @property
    def destination(self) -> str:
        """Name of the host to go to; empty if that was never decided."""
        return self.request.move.destination or (
            self.newest.destination if self.newest else '')

    @property
    def server_status(self) -> str:
        """Status of the server; GONE if it is."""
        return self.server.status if self.server else 'GONE'

    @property
    def migrating(self) -> bool:
        """Whether nova holds the server for being migrated."""
        return self.server is not None and (
            self.server.status == 'MIGRATING' or
            self.server.task_state == 'migrating')

    @property
    def as_before(self) -> bool:
        """Whether the server is in the state of before, and has no task."""
        return (self.server is not None and self.server.task_state is None
                and self.server.status == self.request.server.status)

    @property
    def on_source(self) -> bool:
        """Whether nova says that the server is where it was."""
        return self.server is not None and self.server.host == self.source

    @property
    def on_destination(self) -> bool:
        """Whether nova says that the server is where it was to go."""
        return self.server is not None and (
            self.server.host == self.destination)

    @property
    def begun(self) -> bool:
        """Whether the source host has taken the job."""
        return any(
            seen.what == attempts.RECORD and seen.state in
            ('queued', *cloud_records.IN_SERVICE) for seen in self.transitions
        ) or self.event(actions.JOB) is not None

    def was(self, status: str) -> bool:
        """Return whether the record was seen in a status."""
        return any((seen.what, seen.state) == (attempts.RECORD, status)
                   for seen in self.transitions)

    def event(self, name: str) -> actions.Event | None:
        """Return the first event of a name; None if there is none."""
        return self.action.event(name) if self.action else None

    def failed(self, name: str) -> bool:
        """Return whether an event ended with an error."""
        event = self.event(name)
        return event is not None and event.failed

    def host(self, name: str) -> hosts.Host | None:
        """Return the compute service of a host; None if there is none."""
        return next((each for each in self.services
                     if each.name == name), None)

    def down(self, name: str) -> bool:
        """Return whether the compute service of a host is down."""
        host = self.host(name)
        return host is not None and host.state == 'down'

    def lines(self) -> list[str]:
        """Return all of it in words, a line for each kind."""
        return [
            'Records: %s' % cloud_records.describe(self.records),
            'Server: %s; fault: %s' % (
                self.server.state if self.server else 'gone',
                (self.server.fault if self.server else '') or 'none shown'),
            'Events of request %s: %s' % (
                self.request.request_id or '(no answer)',
                self.action.describe() if self.action else 'no action'),
            'Compute services: %s' % hosts.describe(self.services),
            'Guest: %s' % self.guest,
            'Transitions: %s' % (
                '; '.join(map(str, self.transitions)) or 'none'),
            'Copied: %s' % (self.copied() or 'not known'),
        ]

    def copied(self) -> str:
        """Return how far the copy was when it was last seen, in words."""
        if not self.samples:
            return ''
        last = self.samples[-1]
        return ('%.2f s: memory %d of %d bytes remaining, disk %d of %d' % (
            last.at_s, last.progress.memory_remaining,
            last.progress.memory_total, last.progress.disk_remaining,
            last.progress.disk_total))

    def as_dict(self) -> dict[str, Any]:
        """Return it under names that say their units."""
        request, server = self.request, self.server
        return {
            'server_id': request.server_id,
            'server_name': request.server.name,
            'source': self.source,
            'destination': self.destination,
            'block_migration': request.move.block_migration,
            'microversion': request.move.microversion,
            'request_id': request.request_id,
            'refusal': (dataclasses.asdict(request.refusal)
                        if request.refusal else None),
            'migration_records': [
                dataclasses.asdict(record) for record in self.records],
            'server_status': self.server_status,
            'server_task_state': server.task_state if server else None,
            'server_host': server.host if server else None,
            'transitions': [seen.as_dict() for seen in self.transitions],
            'progress': [
                {'at_s': sample.at_s, **{
                    '%s_bytes' % name: value for name, value
                    in dataclasses.asdict(sample.progress).items()}}
                for sample in self.samples],
            'events': [str(event) for event in (
                self.action.events if self.action else ())],
            'guest': dataclasses.asdict(self.guest),
        }


def collect(clients: cloud_clients.Clients, attempt: attempts.Attempt,
            services: Sequence[hosts.Host], guest: Guest = UNSEEN,
            abort_asked: bool = False) -> Evidence:
    """Return the evidence of an attempt that has ended.

    Its action is read now, and so are server and records of one that was
    given up: what is held against nova is asked for by itself once more.

    :param clients: of an administrator
    :param attempt: one that has ended
    :param services: the compute services
    :param guest: what the guest shows
    :param abort_asked: whether nova was asked to abort
    """
    request = attempt.request
    server, found = attempt.server, attempt.records
    if attempt.given_up:
        server = servers.find(clients.servers, request.server_id)
        found = tuple(
            record for record in cloud_records.list_of_server(
                clients.migrations, request.server_id)
            if record.uuid not in request.known_records)
    return Evidence(
        request=request, records=found, server=server,
        given_up=attempt.given_up, transitions=tuple(attempt.transitions),
        samples=tuple(attempt.samples),
        action=actions.show(clients.servers, request.server_id,
                            request.request_id)
        if request.request_id else None,
        services=services, guest=guest, abort_asked=abort_asked)
