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

"""What a run sees, passed on to its metrics while it goes on."""

from collections.abc import Iterator
from collections.abc import Sequence
import time
from typing import Any

import msgspec
from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

EXTRA = 'report'
# nova-compute reports every 10 s by default, and is down after 60 s.
SERVICES_INTERVAL_NS = 10 * poll.NS


class Telemetry:
    """Metrics of the runs of one process."""

    def __init__(self, metrics: Any, clients: api.Clients) -> None:
        """Prepare; nothing is asked yet.

        :param metrics: a :class:`lm_tempest_plugin.results.metrics.Metrics`
        :param clients: of an administrator
        """
        self._metrics = metrics
        self._clients = clients
        self._module = utils.import_optional(
            'lm_tempest_plugin.results.metrics', EXTRA)
        self._services: Sequence[compute_hosts.ComputeService] = ()
        self._asked_ns: int | None = None
        # By the server's UUID: its newest figures, and since when.
        self._progress: dict[str, tuple[object, int]] = {}

    def stored(self, line: bytes) -> None:
        """Take a stored line into account.

        :param line: without its line end
        """
        found = msgspec.json.decode(line, type=schema.AnyLine)
        if isinstance(found, schema.DrainStarted):
            for server_id in found.server_ids:
                self._progress.pop(server_id, None)
        self._metrics.stored(found)

    def rest(self) -> None:
        """Show that no live migrations are followed now."""
        self._metrics.rest()

    def polled(self, snapshot: poll.Snapshot,
               migrations: Sequence[follow.Migration]) -> None:
        """Show the state of all migrations.

        :param snapshot: the snapshot
        :param migrations: those that were requested
        """
        epoch_ns = time.time_ns() - time.monotonic_ns()
        self._metrics.snapshot(
            (snapshot.at_ns + epoch_ns) / poll.NS,
            [self._followed(each, snapshot.at_ns, epoch_ns)
             for each in migrations], self._hosts(snapshot))

    def _followed(self, migration: follow.Migration, at_ns: int,
                  epoch_ns: int) -> Any:
        newest, requested = migration.newest, migration.request
        progress = migration.progress[-1] if migration.progress else None
        copies = newest is not None and migration.status in (
            'running', migration_records.POST_COPY)
        # The time of a reading is no progress.
        figures = migration.status, progress and msgspec.structs.replace(
            progress, at_s=0.0)
        if figures != self._progress.get(requested.server_id, (None,))[0]:
            self._progress[requested.server_id] = figures, at_ns
        return self._module.Followed(
            requested.server_id, requested.source,
            newest.destination if newest else requested.destination,
            self._module.TIMED_OUT if migration.timed_out
            else migration.status or (
                'refused' if requested.refusal else 'requested'),
            migration.ended, (migration.deadline_ns + epoch_ns) / poll.NS,
            (self._progress[requested.server_id][1] + epoch_ns) / poll.NS
            if copies else None, progress)

    def _hosts(self, snapshot: poll.Snapshot) -> Iterator[Any]:
        """Yield the state of each host that nova or a record names."""
        self._read_services(snapshot.at_ns)
        active = [record for found in snapshot.records.values()
                  for record in found
                  if not migration_records.is_terminal(record)]
        up = {each.name: each.state == 'up' for each in self._services}
        for host in sorted({*up, *(name for record in active for name in (
                record.source, record.destination) if name)}):
            at_work = list(filter(migration_records.in_service, active))
            yield self._module.HostState(
                host, up.get(host),
                sum(record.source == host for record in at_work),
                sum(record.destination == host for record in at_work),
                sum(record.source == host and record.status == 'queued'
                    for record in active))

    def _read_services(self, at_ns: int) -> None:
        if (self._asked_ns is not None and
                at_ns - self._asked_ns < SERVICES_INTERVAL_NS):
            return
        self._asked_ns = at_ns
        try:
            self._services = compute_hosts.list_hosts(self._clients.services)
        except (exceptions.RestClientException, *api.NO_ANSWER) as exc:
            # A metric that is missing must not cost the run.
            self._services = ()
            LOG.warning('The compute services cannot be listed: %s', exc)


def start(options: Any, clients: api.Clients) -> Telemetry | None:
    """Return the telemetry that the options ask for; None for none.

    :param options: the group live_migration_ha
    :param clients: of an administrator
    :raises MissingLibrary: prometheus_client is not installed
    :raises MetricsError: a port is taken, or a file cannot be written
    """
    if not (options.metrics_port or options.metrics_textfile):
        return None
    return Telemetry(utils.import_optional(
        'lm_tempest_plugin.results.metrics', EXTRA).Metrics(
            options.metrics_port or None, options.metrics_textfile), clients)
