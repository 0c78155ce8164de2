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

"""Moving any number of servers, and following all of them at once."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import progress
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import concurrency
from lm_tempest_plugin.migration import deadline
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import strategy as strategies

LOG = logging.getLogger(__name__)

NS = poll.NS
# nova itself asks libvirt every 5 s.
SAMPLE_NS = 2 * NS


@dataclasses.dataclass(frozen=True)
class Job:
    """One server that is to be moved.

    :ivar server: the server as it is
    :ivar move: what is asked of nova
    """

    server: servers.Server
    move: requests.Move


@dataclasses.dataclass(frozen=True)
class Terms:
    """How servers are moved and for how long one waits.

    :ivar strategy: how many at once
    :ivar allowance: how long a migration may take
    :ivar settle_s: how long a server may have a task after its record has
        ended, in seconds
    :ivar poll_s: time between two looks, in seconds
    :ivar away_s: how long the compute API may fail to answer, in seconds
    """

    strategy: strategies.Strategy
    allowance: deadline.Allowance
    settle_s: float
    poll_s: float
    away_s: float


@dataclasses.dataclass(frozen=True)
class Drained:
    """What came of it.

    :ivar attempts: one for each server, in the order of the jobs
    :ivar observed: what each source host did
    :ivar began_ns: just before the first request, CLOCK_MONOTONIC
    :ivar ended_ns: when the last attempt was seen to have ended
    :ivar polls: how many looks were taken
    :ivar poll_errors: how many of them failed
    """

    attempts: Sequence[attempts.Attempt]
    observed: Sequence[concurrency.Observed]
    began_ns: int
    ended_ns: int
    polls: int
    poll_errors: int

    @property
    def wall_s(self) -> float:
        """Time from the first request to the last end, in seconds."""
        return (self.ended_ns - self.began_ns) / NS

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {
            'wall_s': self.wall_s,
            'observed_concurrency': [
                each.as_dict() for each in self.observed],
            'polls': self.polls,
            'poll_errors': self.poll_errors,
        }


OnLook = Callable[[poll.Look, Sequence[attempts.Attempt]], None]


def move(clients: cloud_clients.Clients, moved: Sequence[servers.Server],
         what: requests.Move, terms: Terms, asker: Any = None,
         on_look: OnLook | None = None) -> Drained:
    """Move servers, and return when every attempt has ended.

    :param clients: of an administrator
    :param moved: the servers as they are, in the order in which they go
    :param what: what is asked of nova for each
    :param terms: how, and for how long one waits
    :param asker: tempest.lib's ServersClient of who asks for the
        migrations; None for the administrator
    :param on_look: called after each look, such as to step in
    :raises NotFollowed: the compute API did not answer for too long
    """
    return Drain(
        clients, poll.Poller(clients, moved, terms.poll_s, terms.away_s),
        [Job(server, what) for server in moved], terms, asker, on_look).run()


class Drain:
    """Moves servers by a strategy."""

    def __init__(self, clients: cloud_clients.Clients, poller: poll.Poller,
                 jobs: Sequence[Job], terms: Terms, asker: Any = None,
                 on_look: OnLook | None = None) -> None:
        """Make ready.

        :param clients: of an administrator
        :param poller: looks at all the servers
        :param jobs: what is to be moved, in this order
        :param terms: how, and for how long one waits
        :param asker: tempest.lib's ServersClient of who asks for the
            migrations; None for the administrator
        :param on_look: called after each look, such as to step in
        """
        self._clients = clients
        self._poller = poller
        self._waiting = list(jobs)
        self._terms = terms
        self._asker = asker or clients.servers
        self._on_look = on_look
        self._attempts: list[attempts.Attempt] = []
        self._counts: dict[str, list[concurrency.Count]] = {
            job.server.host: [] for job in jobs}
        self._sampled_ns: dict[str, int] = {}

    def run(self) -> Drained:
        """Move them all, and return when every attempt has ended.

        :raises NotFollowed: the compute API did not answer for too long
        """
        look = self._poller.look()
        began_ns = time.monotonic_ns()
        while self._waiting or self._in_flight:
            for _ in range(self._terms.strategy.room(len(self._in_flight))):
                if self._waiting:
                    self._ask(self._waiting.pop(0), look)
            self._poller.pause()
            look = self._poller.look()
            self._take(look)
        return Drained(
            attempts=self._attempts,
            observed=[concurrency.observe(host, counts)
                      for host, counts in self._counts.items()],
            began_ns=began_ns,
            ended_ns=max((each.ended_ns or 0 for each in self._attempts),
                         default=began_ns),
            polls=self._poller.polls, poll_errors=self._poller.errors)

    @property
    def _in_flight(self) -> list[attempts.Attempt]:
        return [each for each in self._attempts if not each.ended]

    def _ask(self, job: Job, look: poll.Look) -> None:
        """Ask nova for one of them."""
        server_id = job.server.server_id
        request = requests.live_migrate(
            self._asker, look.servers.get(server_id) or job.server, job.move,
            frozenset(record.uuid
                      for record in look.records.get(server_id, ())))
        self._attempts.append(attempts.Attempt(request, attempts.Limits(
            self._terms.allowance.timeout_s(
                job.server, job.move.disks_copied), self._terms.settle_s)))

    def _take(self, look: poll.Look) -> None:
        """Tell every attempt what was seen."""
        for host, counts in self._counts.items():
            counts.append(concurrency.count(look, host))
        given_up = {each.request.server_id for each in self._attempts
                    if each.given_up}
        in_flight = self._in_flight
        for each in in_flight:
            each.take(look, given_up)
        if self._on_look is not None:
            self._on_look(look, self._attempts)
        self._sample(look)
        ended = len(in_flight) - len(self._in_flight)
        if ended:
            LOG.info('%d of %d live migrations have ended, %d are under way',
                     sum(each.ended for each in self._attempts),
                     len(self._attempts) + len(self._waiting),
                     len(self._in_flight))

    def _sample(self, look: poll.Look) -> None:
        """Ask how far one copy is: the one not asked about for longest.

        One for each look, so that the number of requests does not grow with
        the number of servers.
        """
        due = [each for each in self._in_flight
               if each.newest is not None and each.newest.status == 'running'
               and look.at_ns - self._sampled_at(each) >= SAMPLE_NS]
        if not due:
            return
        chosen = min(due, key=self._sampled_at)
        self._sampled_ns[chosen.request.server_id] = look.at_ns
        try:
            found = progress.show(
                self._clients.servers, chosen.request.server_id)
        except (lib_exc.RestClientException, *poll.BROKEN) as exc:
            if not poll.passing(exc):
                raise
            LOG.warning('%s: its progress cannot be read: %s', chosen, exc)
            return
        if found is not None and found.known:
            chosen.add_sample(look.at_ns, found)

    def _sampled_at(self, attempt: attempts.Attempt) -> int:
        """Return when an attempt's progress was asked for, or 0."""
        return self._sampled_ns.get(attempt.request.server_id, 0)
