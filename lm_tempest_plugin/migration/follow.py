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

"""One live migration, followed until its record and its server have ended.

nova makes the server ACTIVE on the destination before the record is
completed, and turns an error record into a failed one when the rollback is
done. So the end is a record that has ended and a server without a task.
"""

from collections.abc import Collection

from oslo_log import log as logging

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration.request import Request
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

NS = poll.NS
# Subjects of a transition.
RECORD = 'record'
SERVER = 'server'
# A final state other than completed must be stable for this long before it is
# accepted: nova frees the server at the end of a rollback, then writes the
# record, and may then set the server to ERROR (34.0.0 does).
STABLE_S = 5.0


class Migration:
    """A live migration that was requested.

    :ivar request: the request, whether nova accepted it or not
    :ivar transitions: changes seen so far
    :ivar progress: progress of the copy seen so far
    :ivar records: migration records of this request, the oldest first
    :ivar server: the server in the last snapshot; None if it does not exist
    :ivar timed_out: the condition that timed out; empty if none did
    :ivar ended_ns: when it ended, CLOCK_MONOTONIC; None while it goes on
    :ivar overtaken: whether something else was done with the server since its
        end, so that the server is not read again to judge it
    """

    def __init__(self, request: Request, timeout_s: float,
                 settle_s: float, seen_ns: int | None = None) -> None:
        """Prepare to follow a request.

        :param request: the request
        :param timeout_s: time from the request to the end of the record, not
            counting the time behind others in nova's queue
        :param settle_s: time from then until the server has no task
        :param seen_ns: when it was first seen, CLOCK_MONOTONIC, if the time
            before does not count; None to count from the request
        """
        self.request = request
        self.transitions: list[schema.Transition] = []
        self.progress: list[schema.Progress] = []
        self.records: tuple[schema.MigrationRecord, ...] = ()
        self.server: servers.Server | None = request.server
        self.timed_out = ''
        self.ended_ns: int | None = None
        self.overtaken = False
        self._timeout_s = timeout_s
        self._settle_s = settle_s
        self._states = {SERVER: request.server.state}
        self._last_ns = (request.requested_ns if seen_ns is None else seen_ns)
        self._last_asked_ns = request.requested_ns
        self._counted_ns = 0
        self._record_ended_ns: int | None = None

    def __str__(self) -> str:
        return str(self.request)

    @property
    def ended(self) -> bool:
        """Whether it has ended or timed out."""
        return self.ended_ns is not None

    @property
    def newest(self) -> schema.MigrationRecord | None:
        """The newest migration record; None if there is none."""
        return self.records[-1] if self.records else None

    @property
    def status(self) -> str:
        """Status of the newest migration record; empty if there is none."""
        return self.newest.status if self.newest else ''

    @property
    def duration_s(self) -> float:
        """Time from the request to the end, or to the last snapshot."""
        return self.since_request_s(self.ended_ns or self._last_ns)

    @property
    def deadline_ns(self) -> int:
        """When it times out, CLOCK_MONOTONIC; later while it is queued."""
        if self._record_ended_ns is not None:
            return self._record_ended_ns + round(self._settle_s * NS)
        return self._last_ns + round(self._timeout_s * NS) - self._counted_ns

    def since_request_s(self, at_ns: int) -> float:
        """Return the seconds from the request to a time.

        :param at_ns: CLOCK_MONOTONIC
        """
        return (at_ns - self.request.requested_ns) / NS

    def update(self, snapshot: poll.Snapshot,
               timed_out: Collection[str] = ()) -> None:
        """Take a snapshot into account.

        :param snapshot: servers and migration records
        :param timed_out: UUIDs of servers whose migrations timed out; their
            records do not count as work of the source host
        """
        if self.ended:
            return
        self.server = snapshot.servers.get(self.request.server_id)
        self.records = tuple(
            record
            for record in snapshot.records.get(self.request.server_id, ())
            if record.uuid not in self.request.known_records)
        for record in self.records:
            self._note(RECORD, record.uuid, record.status, snapshot.at_ns)
        self._note(SERVER, SERVER, self.server.state if self.server
                   else 'gone', snapshot.at_ns)
        if not self._waits_for_others(snapshot, timed_out):
            self._counted_ns += snapshot.at_ns - self._last_ns
        self._last_ns, self._last_asked_ns = snapshot.at_ns, snapshot.asked_ns
        self._decide()

    def _note(self, subject: str, key: str, state: str, at_ns: int) -> None:
        """Note a transition if the state is a new one."""
        if self._states.get(key) == state:
            return
        at_s = self.since_request_s(at_ns)
        LOG.info('Server %s, %.2f s after the request: %s: %s => %s',
                 self.request.server_id, at_s, subject,
                 self._states.get(key, 'none'), state)
        self._states[key] = state
        self.transitions.append(schema.Transition(
            at_s=at_s, uncertainty_s=(at_ns - self._last_asked_ns) / NS,
            subject=subject, state=state))

    def _waits_for_others(self, snapshot: poll.Snapshot,
                          timed_out: Collection[str]) -> bool:
        """Return whether the source host works on others before this one."""
        newest = self.newest
        if newest is None or newest.status != 'queued':
            return False
        return any(
            migration_records.in_service(record) and
            record.server_id not in timed_out
            for record in snapshot.leaving(newest.source))

    @property
    def _server_settled(self) -> bool:
        return self.server is None or self.server.settled

    @property
    def _refused(self) -> bool:
        """Whether nova refused and has begun nothing after all.

        After a lost answer or HTTP 5xx nova may still begin, so the server is
        watched for a while.
        """
        if (self.request.refusal is None or self.records or
                not self._server_settled):
            return False
        return self.request.cleanly_refused or (
            self.since_request_s(self._last_ns) >= self._settle_s)

    def _decide(self) -> None:
        """End the migration if it has ended, or time it out."""
        if self.server is None or self._refused:
            self.ended_ns = self._last_ns
            return
        if not self.records or not all(
                map(migration_records.is_terminal, self.records)):
            self._record_ended_ns = None
            self._time_out('the migration record to end',
                           self._counted_ns / NS, self._timeout_s)
            return
        self._record_ended_ns = self._record_ended_ns or self._last_ns
        if not self._server_settled:
            self._time_out(
                'the server to have no task after its record has ended',
                (self._last_ns - self._record_ended_ns) / NS, self._settle_s)
            return
        changed_ns = self.request.requested_ns + round(
            self.transitions[-1].at_s * NS)
        if self.status == 'completed':
            self.ended_ns = self._last_ns
        elif self._last_ns - changed_ns >= STABLE_S * NS:
            self.ended_ns = changed_ns

    def _time_out(self, awaited: str, waited_s: float,
                  limit_s: float) -> None:
        if waited_s < limit_s:
            return
        server = self.server.state if self.server else 'gone'
        self.timed_out = (
            f'waited {waited_s:.1f} s (limit {limit_s:g} s, time in the queue '
            f'behind others not counted) for {awaited}; last state: '
            f'{migration_records.describe(self.records)}; server {server}')
        self.ended_ns = self._last_ns
        LOG.error('%s: %s', self, self.timed_out)
