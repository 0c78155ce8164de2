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

"""Readings of the progress of copies, one for each snapshot."""

from collections.abc import Iterable

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.migration import follow

LOG = logging.getLogger(__name__)

# nova itself asks libvirt every 5 s by default.
INTERVAL_NS = 2 * follow.NS


class ProgressReader:
    """Reads the progress of copies in turn."""

    def __init__(self, clients: api.Clients) -> None:
        """Prepare; nothing is asked yet.

        :param clients: of an administrator
        """
        self._clients = clients
        # When each was read last, by the server's UUID.
        self._read_ns: dict[str, int] = {}

    def read(self, migrations: Iterable[follow.Migration],
             at_ns: int) -> None:
        """Read the progress of one copy: that with the oldest reading.

        One for each snapshot, so that the number of requests does not grow
        with the number of servers.

        :param migrations: that have not ended
        :param at_ns: time of the snapshot, CLOCK_MONOTONIC
        """
        def read_ns(migration: follow.Migration) -> int:
            return self._read_ns.get(migration.request.server_id, 0)

        due = [each for each in migrations
               if each.status == 'running' and
               at_ns - read_ns(each) >= INTERVAL_NS]
        if not due:
            return
        chosen = min(due, key=read_ns)
        self._read_ns[chosen.request.server_id] = at_ns
        try:
            found = migration_records.show_progress(
                self._clients.servers, chosen.request.server_id,
                chosen.since_request_s(at_ns))
        except (exceptions.RestClientException,
                *api.NO_ANSWER) as exc:
            if not api.is_transient(exc):
                raise
            LOG.warning('%s: its progress cannot be read: %s', chosen, exc)
            return
        if found is not None and migration_records.is_progress_known(found):
            chosen.progress.append(found)
