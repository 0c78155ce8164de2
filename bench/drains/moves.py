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

"""A drain of real servers, with every request to the APIs counted."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import time

from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import deadline
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import phases
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.migration import verdict as verdicts

POLL_SECONDS = 0.5
AWAY_SECONDS = 60
ALLOWANCE = deadline.Allowance(120, 0, 0)
SETTLE_SECONDS = 30


class Calls:
    """Counts the requests of compute clients.

    :param clients: those whose requests are counted from now on
    """

    def __init__(self, clients: cloud_clients.Clients) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        for client in (clients.servers, clients.migrations):
            self._count(client)

    def _count(self, client: object) -> None:
        original = client.raw_request  # type: ignore[attr-defined]

        def counted(url: str, method: str, *args: object,
                    **kwargs: object) -> object:
            self.counts[method] += 1
            return original(url, method, *args, **kwargs)

        client.raw_request = counted  # type: ignore[attr-defined]


@dataclasses.dataclass(frozen=True)
class Moved:
    """A drain that is over.

    :ivar drained: what was seen
    :ivar judged: the verdicts, in the order of the servers
    :ivar services_s: nova's own service times, one for each server, in s
    :ivar calls: requests to the compute API from the first request for a
        migration to the last end
    """

    drained: drain.Drained
    judged: collections.abc.Sequence[verdicts.Verdict]
    services_s: collections.abc.Sequence[float]
    calls: int

    @property
    def calls_per_s(self) -> float:
        """Requests to the compute API per second."""
        return self.calls / self.drained.wall_s


def move(clients: cloud_clients.Clients, calls: Calls,
         ids: collections.abc.Sequence[str], destination: str,
         strategy: strategies.Strategy) -> Moved:
    """Move servers, and judge each.

    :param clients: of an administrator
    :param calls: counts the requests of these clients
    :param ids: UUIDs of the servers
    :param destination: name of the host
    :param strategy: how many at once
    """
    moved = [servers.show(clients.servers, server_id) for server_id in ids]
    before = calls.counts.total()
    drained = drain.move(
        clients, moved, requests.Move(destination),
        drain.Terms(strategy, ALLOWANCE, SETTLE_SECONDS, POLL_SECONDS,
                    AWAY_SECONDS))
    counted = calls.counts.total() - before
    # Stamps of nova are whole seconds: that of the last end has to pass.
    time.sleep(1)
    services = compute_hosts.list_hosts(clients.services)
    judged = [verdicts.judge(evidences.collect(clients, attempt, services))
              for attempt in drained.attempts]
    found = [phases.service(attempt, each.evidence.action)
             for attempt, each in zip(drained.attempts, judged)]
    return Moved(drained, judged,
                 [each.seconds for each in found if each], counted)
