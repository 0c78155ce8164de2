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

"""Drain real servers, and count the requests to the compute API."""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import dataclasses
import time

from tempest import config

from lab import fleet
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.guests.fleet import Fleet
from lm_tempest_plugin.guests.fleet import ProbeOptions
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import results_file

#: nova's time stamps have whole seconds. The grace time makes sure that the
#: last one is in the past before it is read.
TIMEOUTS = plan.Timeouts(
    base_s=120, per_gib_ram_s=0, per_gib_disk_s=0, settle_s=30,
    poll_interval_s=0.5, poll_error_s=60, return_s=60, grace_s=1)
#: For guests that are observed, the lab's own bounds; without probes they have
#: no effect.
BOUNDS = plan.Bounds(max_outage_s=1, max_stall_s=3)


class Calls:
    """Count the requests of compute clients.

    :param clients: clients whose requests are counted from now on
    """

    def __init__(self, clients: api.Clients) -> None:
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
class DrainCost:
    """A judged drain, and the rate of requests during it.

    :ivar run: the drain
    :ivar calls_per_s: requests to the compute API per second, from the first
        snapshot to the last
    """

    run: engine.MigrationRun
    calls_per_s: float

    @property
    def services_s(self) -> list[float]:
        """nova's service time of each server for which it is known."""
        return [result.service.seconds for result in self.run.results
                if result.service is not None]


@dataclasses.dataclass(frozen=True)
class Observed:
    """Guests that are probed and inspected, with access to their hosts.

    :ivar guests: the guests, observed as in the tests
    :ivar hosts: the hosts
    """

    guests: Fleet
    hosts: access.HostAccess


@contextlib.contextmanager
def observed(clients: api.Clients, built: fleet.Fleet,
             names: collections.abc.Sequence[str]
             ) -> collections.abc.Iterator[Observed]:
    """Observe servers as the tests do, with all checks.

    :param clients: clients of an administrator
    :param built: the servers
    :param names: names of both hosts
    """
    hosts = access.HostAccess(
        config.CONF.live_migration_ha_hosts, clients.services, names)
    with contextlib.closing(hosts):
        hosts.check()
        with Fleet(fleet.guest_builder(clients), built.guests,
                   ProbeOptions.of(
                       config.CONF.live_migration_ha)) as watched:
            yield Observed(watched, hosts)


class MeasuredDrains:
    """Drain hosts with the engine, as the tests do.

    :param clients: clients of an administrator
    """

    def __init__(self, clients: api.Clients) -> None:
        self._clients = clients
        self._calls = Calls(clients)
        self._results = results_file.ResultsFile(
            '', 'bench', lambda: results_file.run_started('', clients))

    def drain(self, ids: collections.abc.Sequence[str], destination: str,
              strategy: plan.Strategy,
              seen: Observed | None = None) -> DrainCost:
        """Live-migrate servers and judge each migration.

        :param ids: UUIDs of the servers
        :param destination: name of the host
        :param strategy: how many at once
        :param seen: their guests; None to look at nova alone
        """
        # Requests before the first snapshot and after the last one are no
        # part of following.
        counted: list[tuple[float, int]] = []

        def note(snapshot: poll.Snapshot,
                 migrations: collections.abc.Sequence[follow.Migration]
                 ) -> None:
            counted.append((time.monotonic(), self._calls.counts.total()))

        watched = {each.server_id: each
                   for each in (seen.guests.guests if seen else ())}
        run = engine.run(plan.MigrationPlan(
            servers=tuple(plan.PlannedServer(
                server_id, watched[server_id].address,
                seen.guests.inspections[server_id])
                if seen else plan.PlannedServer(server_id)
                for server_id in ids),
            destination=destination, timeouts=TIMEOUTS, bounds=BOUNDS,
            strategy=strategy, test='bench.drains'),
            self._clients, store=self._results, on_poll=note,
            probes=seen.guests.probes if seen else None,
            guests=seen.guests if seen else None,
            hosts=seen.hosts if seen else None)
        (begin_s, first), (end_s, last) = counted[0], counted[-1]
        return DrainCost(run, (last - first) / (end_s - begin_s))
