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

"""Following a live migration until record and server have both ended it.

nova makes the server ACTIVE on the destination before the record is
completed, and an error becomes a failed when the rollback is done: so what
is waited for is a record that has ended and a server without a task.
"""

from collections.abc import Callable
import dataclasses
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions as lib_exc
import urllib3

from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import request as requests

LOG = logging.getLogger(__name__)

NS = 1_000_000_000
# No answer at all.
BROKEN = (urllib3.exceptions.HTTPError, OSError)


class NotFollowed(lib_exc.TempestException):
    """The compute API did not answer for too long."""

    message = 'A live migration could not be followed'


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long to wait, all in seconds.

    :ivar timeout_s: from the request to the end of the record
    :ivar settle_s: from then until the server has no task
    :ivar poll_s: between two looks
    :ivar poll_errors_s: for which no look may succeed
    """

    timeout_s: float
    settle_s: float
    poll_s: float
    poll_errors_s: float


@dataclasses.dataclass(frozen=True)
class Transition:
    """A change that was seen.

    :ivar at_s: when it was seen, in seconds after the request
    :ivar uncertainty_s: it may have been earlier by as much
    :ivar what: such as 'record 7' or 'server'
    :ivar state: the new state
    """

    at_s: float
    uncertainty_s: float
    what: str
    state: str

    def as_dict(self) -> dict[str, Any]:
        """Return the transition under names that say their units."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Look:
    """Records and server at one time.

    :ivar at_ns: when the last of the answers came, CLOCK_MONOTONIC
    :ivar records: the records since the request, the oldest first
    :ivar server: the server
    """

    at_ns: int
    records: tuple[records.Record, ...]
    server: servers.Server

    @property
    def record_ended(self) -> bool:
        """Whether there is a record, and none that has not ended."""
        return bool(self.records) and all(
            record.terminal for record in self.records)

    @property
    def server_settled(self) -> bool:
        """Whether nova is done with the server."""
        return (self.server.task_state is None and
                self.server.status != 'MIGRATING')

    @property
    def records_in_words(self) -> str:
        """The records with their status and hosts, in words."""
        return '; '.join(
            'record %d %s from %s to %s' % (
                record.number, record.status, record.source or 'nowhere',
                record.destination or 'nowhere')
            for record in self.records) or 'no record'


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a live migration ended, or that it did not.

    :ivar last: the last look
    :ivar transitions: what changed, in the order in which it was seen
    :ivar ended_ns: when record and server were first seen to have ended, or
        when waiting was given up; CLOCK_MONOTONIC
    :ivar duration_s: from the request until then
    :ivar given_up: what was waited for in vain; empty if both ended
    :ivar polls: how many looks were taken
    :ivar poll_errors: how many of them failed
    """

    last: Look
    transitions: tuple[Transition, ...]
    ended_ns: int
    duration_s: float
    given_up: str
    polls: int
    poll_errors: int


def passing(exc: BaseException) -> bool:
    """Return whether an error may pass by itself.

    Such as while an API server is restarted: no connection, no proper
    answer, or one that says that the fault is not ours (HTTP 5xx).

    :param exc: what a request to the compute API has raised
    """
    if isinstance(exc, (*BROKEN, lib_exc.InvalidHTTPResponseBody)):
        return True
    resp = getattr(exc, 'resp', None)
    return resp is not None and int(resp.status) >= 500


class Follower:
    """Follows one live migration."""

    def __init__(self, servers_client: Any, migrations_client: Any,
                 request: requests.Request, limits: Limits,
                 clock: Callable[[], int] = time.monotonic_ns,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        """Make ready.

        :param servers_client: tempest.lib's ServersClient, of an admin
        :param migrations_client: tempest.lib's MigrationsClient, of an admin
        :param request: what was asked for
        :param limits: how long to wait
        :param clock: reads CLOCK_MONOTONIC, in nanoseconds
        :param sleep: takes seconds
        """
        self._servers_client = servers_client
        self._migrations_client = migrations_client
        self._request = request
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._transitions: list[Transition] = []
        self._states: dict[str, str] = {'server': request.server.state}
        self._last: Look | None = None
        self._last_ns = request.requested_ns
        self._polls = 0
        self._poll_errors = 0

    def follow(self) -> Outcome:
        """Wait until record and server have ended, or the time is over.

        :raises NotFollowed: the compute API did not answer for too long
        """
        record_ended_ns: int | None = None
        while True:
            look = self._look()
            given_up = ''
            if not look.record_ended:
                record_ended_ns = None
                given_up = self._overdue(
                    'the migration record to end', look,
                    self._request.requested_ns, self._limits.timeout_s)
            else:
                record_ended_ns = record_ended_ns or look.at_ns
                if look.server_settled:
                    return self._outcome(look, '')
                given_up = self._overdue(
                    'the server to be without a task, its record having '
                    'ended', look, record_ended_ns, self._limits.settle_s)
            if given_up:
                LOG.error('%s: %s', self._request, given_up)
                return self._outcome(look, given_up)
            self._sleep(self._limits.poll_s)

    def _outcome(self, look: Look, given_up: str) -> Outcome:
        return Outcome(
            last=look, transitions=tuple(self._transitions),
            ended_ns=look.at_ns,
            duration_s=(look.at_ns - self._request.requested_ns) / NS,
            given_up=given_up, polls=self._polls,
            poll_errors=self._poll_errors)

    def _overdue(self, what: str, look: Look, since_ns: int,
                 limit_s: float) -> str:
        """Return what was waited for in vain; empty if it is not overdue."""
        waited_s = (look.at_ns - since_ns) / NS
        if waited_s < limit_s:
            return ''
        return ('waited %.1f s (at most %g s) for %s; last seen: %s; server '
                '%s' % (waited_s, limit_s, what, look.records_in_words,
                        look.server.state))

    def _look(self) -> Look:
        """Look at records and server; bear with an API that is away."""
        while True:
            self._polls += 1
            try:
                look = self._poll()
            except (lib_exc.RestClientException, *BROKEN) as exc:
                if not passing(exc):
                    raise
                self._poll_errors += 1
                self._bear(exc)
            else:
                self._note(look)
                self._last, self._last_ns = look, look.at_ns
                return look
            self._sleep(self._limits.poll_s)

    def _poll(self) -> Look:
        """Ask for the records, then for the server.

        In this order: if the record has ended, the server is seen after it.
        """
        found = records.list_live_migrations(
            self._migrations_client, self._request.server.server_id)
        server = servers.show(
            self._servers_client, self._request.server.server_id)
        new = tuple(record for record in found
                    if record.number not in self._request.known_records)
        return Look(self._clock(), new, server)

    def _bear(self, exc: BaseException) -> None:
        """Note a failed look.

        :raises NotFollowed: none has succeeded for too long
        """
        away_s = (self._clock() - self._last_ns) / NS
        LOG.warning('%s: look %d failed, none for %.1f s: %s',
                    self._request, self._polls, away_s, exc)
        if away_s >= self._limits.poll_errors_s:
            seen = 'nothing' if self._last is None else '%s; server %s' % (
                self._last.records_in_words, self._last.server.state)
            raise NotFollowed(
                '%s: the compute API has not answered for %.1f s (at most '
                '%g s); last seen: %s; last error: %s' % (
                    self._request, away_s, self._limits.poll_errors_s, seen,
                    exc)) from exc

    def _note(self, look: Look) -> None:
        """Note what has changed since the last look."""
        for record in look.records:
            self._note_state('record %d' % record.number, record.status,
                             look.at_ns)
        self._note_state('server', look.server.state, look.at_ns)

    def _note_state(self, what: str, state: str, at_ns: int) -> None:
        if self._states.get(what) == state:
            return
        at_s = (at_ns - self._request.requested_ns) / NS
        LOG.info('Server %s, %.2f s after the request: %s: %s => %s',
                 self._request.server.server_id, at_s, what,
                 self._states.get(what, 'none'), state)
        self._states[what] = state
        self._transitions.append(Transition(
            at_s, (at_ns - self._last_ns) / NS, what, state))
