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

"""Following one live migration until record and server have both ended it.

nova makes the server ACTIVE on the destination before the record is
completed, and an error becomes a failed when the rollback is done: so what
is waited for is a record that has ended and a server without a task.
"""

from collections.abc import Collection
import dataclasses
from typing import Any

from oslo_log import log as logging

from lm_tempest_plugin.cloud import progress
from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request as requests

LOG = logging.getLogger(__name__)

NS = poll.NS
# What a transition is about.
RECORD = 'record'
SERVER = 'server'
# How long what is not completed has to be the same until it counts.
UNCHANGED_S = 5.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds.

    :ivar timeout_s: from the request to the end of the record, without the
        time for which it had to queue behind others
    :ivar settle_s: from then until the server has no task
    """

    timeout_s: float
    settle_s: float


@dataclasses.dataclass(frozen=True)
class Transition:
    """A change that was seen.

    :ivar at_s: when it was seen, in seconds after the request
    :ivar uncertainty_s: it may have been earlier by as much
    :ivar what: 'record' or 'server'
    :ivar state: the new state: the record's status, or status, task state
        and host of the server
    """

    at_s: float
    uncertainty_s: float
    what: str
    state: str

    def as_dict(self) -> dict[str, Any]:
        """Return the transition under names that say their units."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return '%.2f s %s %s' % (self.at_s, self.what, self.state)


@dataclasses.dataclass(frozen=True)
class Sample:
    """How far the copy was.

    :ivar at_s: when it was asked, in seconds after the request
    :ivar progress: what nova answered
    """

    at_s: float
    progress: progress.Progress


class Attempt:
    """One request and what is seen of it."""

    def __init__(self, request: requests.Request, limits: Limits) -> None:
        """Make ready.

        :param request: what was asked for, whether nova accepted or not
        :param limits: how long to wait
        """
        self.request = request
        self.limits = limits
        self.transitions: list[Transition] = []
        self.samples: list[Sample] = []
        self.records: tuple[records.Record, ...] = ()
        self.server: servers.Server | None = request.server
        self.given_up = ''
        self.ended_ns: int | None = None
        self._states = {SERVER: request.server.state}
        self._last_ns = request.requested_ns
        self._last_asked_ns = request.requested_ns
        self._counted_ns = 0
        self._record_ended_ns: int | None = None

    def __str__(self) -> str:
        return str(self.request)

    @property
    def ended(self) -> bool:
        """Whether it is over, or was given up."""
        return self.ended_ns is not None

    @property
    def newest(self) -> records.Record | None:
        """The newest record; None if there is none."""
        return self.records[-1] if self.records else None

    @property
    def duration_s(self) -> float:
        """Time from the request to the end, or until now."""
        return self._since_request_s(self.ended_ns or self._last_ns)

    @property
    def counted_s(self) -> float:
        """Of the time since the request, what counts for the deadline."""
        return self._counted_ns / NS

    def take(self, look: poll.Look, excused: Collection[str] = ()) -> None:
        """Take what was seen into account.

        :param look: servers and records
        :param excused: UUIDs of servers that nobody waits for any more
        """
        if self.ended:
            return
        self.server = look.servers.get(self.request.server_id)
        self.records = tuple(
            record
            for record in look.records.get(self.request.server_id, ())
            if record.uuid not in self.request.known_records)
        self._note(look)
        if not self._queues_behind(look, excused):
            self._counted_ns += look.at_ns - self._last_ns
        self._last_ns, self._last_asked_ns = look.at_ns, look.asked_ns
        self._decide()

    def add_sample(self, at_ns: int, found: progress.Progress) -> None:
        """Note how far the copy is.

        :param at_ns: when it was asked, CLOCK_MONOTONIC
        :param found: what nova answered
        """
        self.samples.append(Sample(self._since_request_s(at_ns), found))

    def _since_request_s(self, at_ns: int) -> float:
        return (at_ns - self.request.requested_ns) / NS

    def _queues_behind(self, look: poll.Look,
                       excused: Collection[str]) -> bool:
        """Return whether the source is at work on others before this one."""
        newest = self.newest
        if newest is None or newest.status != 'queued':
            return False
        return any(
            record.in_service and record.server_id not in excused
            for record in look.on_source(newest.source))

    @property
    def _record_ended(self) -> bool:
        return bool(self.records) and all(
            record.terminal for record in self.records)

    @property
    def _server_settled(self) -> bool:
        """Whether nova is done with the server."""
        return self.server is None or (
            self.server.task_state is None and
            self.server.status != 'MIGRATING')

    @property
    def _refused(self) -> bool:
        """Whether nova did not accept, and has begun nothing after all.

        An answer that was lost, or that blames the server (HTTP 5xx), says
        nothing of the request itself: nova may still be about to begin.
        """
        refusal = self.request.refusal
        if refusal is None or self.records or not self._server_settled:
            return False
        return refusal.clean or (
            self._since_request_s(self._last_ns) >= self.limits.settle_s)

    def _decide(self) -> None:
        """End the attempt if it is over, or overdue."""
        if self.server is None or self._refused:
            self.ended_ns = self._last_ns
        elif not self._record_ended:
            self._record_ended_ns = None
            self._give_up('the migration record to end', self.counted_s,
                          self.limits.timeout_s)
        else:
            self._record_ended_ns = self._record_ended_ns or self._last_ns
            if self._server_settled:
                self._end_if_final()
                return
            self._give_up(
                'the server to be without a task, its record having ended',
                (self._last_ns - self._record_ended_ns) / NS,
                self.limits.settle_s)

    def _end_if_final(self) -> None:
        """End the attempt, unless its failure may have a sequel.

        nova frees the server at the end of a rollback, and then writes the
        record; and then it may call the server ERROR (34.0.0 does). What is
        not completed has to be the same for a while.
        """
        changed_ns = self.request.requested_ns + round(
            self.transitions[-1].at_s * NS)
        if self.newest is not None and self.newest.status == 'completed':
            self.ended_ns = self._last_ns
        elif self._last_ns - changed_ns >= UNCHANGED_S * NS:
            self.ended_ns = changed_ns

    def _give_up(self, what: str, waited_s: float, limit_s: float) -> None:
        """Wait no longer if it has lasted too long."""
        if waited_s < limit_s:
            return
        self.given_up = (
            'waited %.1f s (at most %g s; queueing behind others not '
            'counted) for %s; last seen: %s; server %s' % (
                waited_s, limit_s, what, records.describe(self.records),
                self.server.state if self.server else 'gone'))
        self.ended_ns = self._last_ns
        LOG.error('%s: %s', self, self.given_up)

    def _note(self, look: poll.Look) -> None:
        """Note what has changed since the last look."""
        for record in self.records:
            self._note_state(RECORD, record.uuid, record.status, look.at_ns)
        self._note_state(
            SERVER, SERVER, self.server.state if self.server else 'gone',
            look.at_ns)

    def _note_state(self, what: str, key: str, state: str,
                    at_ns: int) -> None:
        if self._states.get(key) == state:
            return
        at_s = self._since_request_s(at_ns)
        LOG.info('Server %s, %.2f s after the request: %s: %s => %s',
                 self.request.server_id, at_s, what,
                 self._states.get(key, 'none'), state)
        self._states[key] = state
        self.transitions.append(Transition(
            at_s, (at_ns - self._last_asked_ns) / NS, what, state))
