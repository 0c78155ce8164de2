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

"""Looking at all servers and migration records at once.

Two requests to the compute API, however many servers are on their way.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
import logging as stdlib_logging
import time

from oslo_log import log as logging
from tempest.lib import exceptions as lib_exc
import urllib3

from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import records as cloud_records
from lm_tempest_plugin.cloud import servers

LOG = logging.getLogger(__name__)

NS = 1_000_000_000
# No answer at all.
BROKEN = (urllib3.exceptions.HTTPError, OSError)
# Our clock and the cloud's may differ by as much; what has changed since
# then is more than is asked for, and does no harm.
CLOCK_SKEW = datetime.timedelta(minutes=5)
# The clocks of nova's own services may differ by as much, each of which
# stamps what it writes.
SERVICES_SKEW = datetime.timedelta(seconds=10)
GONE = 'DELETED'


class NotFollowed(lib_exc.TempestException):
    """The compute API did not answer for too long."""

    message = 'Live migrations could not be followed'


@dataclasses.dataclass(frozen=True)
class Look:
    """Servers and records at one time.

    :ivar asked_ns: before the first question, CLOCK_MONOTONIC
    :ivar at_ns: when the last of the answers came
    :ivar servers: by UUID; None for one that is gone
    :ivar records: all of the cloud since the beginning, the oldest first,
        by the server's UUID
    """

    asked_ns: int
    at_ns: int
    servers: Mapping[str, servers.Server | None]
    records: Mapping[str, tuple[cloud_records.Record, ...]]

    def on_source(self, host: str) -> list[cloud_records.Record]:
        """Return all records that leave a host and have not ended."""
        return [record for found in self.records.values()
                for record in found
                if record.source == host and not record.terminal]


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


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep tempest.lib from logging every request with its answer.

    Looks are many, and all of them go into a test's result as well, which
    subunit limits to 4 MiB. What has changed is logged here.
    """
    logger = stdlib_logging.getLogger('tempest.lib.common.rest_client')
    level = logger.level
    logger.setLevel(stdlib_logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class Poller:
    """Looks at a set of servers, and bears with an API that is away."""

    def __init__(self, clients: cloud_clients.Clients,
                 watched: Iterable[servers.Server], interval_s: float,
                 errors_s: float,
                 clock: Callable[[], int] = time.monotonic_ns,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        """Make ready.

        :param clients: of an administrator
        :param watched: the servers, as they are
        :param interval_s: time between two looks, in seconds
        :param errors_s: how long no look may succeed, in seconds
        :param clock: reads CLOCK_MONOTONIC, in nanoseconds
        :param sleep: takes seconds
        """
        self._clients = clients
        self._servers: dict[str, servers.Server | None] = {
            server.server_id: server for server in watched}
        self._since = datetime.datetime.now(datetime.UTC) - CLOCK_SKEW
        self._changed_since = self._since
        self._interval_s = interval_s
        self._errors_s = errors_s
        self._clock = clock
        self._sleep = sleep
        self._last_ns = clock()
        self.polls = 0
        self.errors = 0

    def pause(self) -> None:
        """Wait until it is time for the next look."""
        self._sleep(self._interval_s)

    def look(self) -> Look:
        """Look once; again and again as long as the API does not answer.

        :raises NotFollowed: it has not for too long
        """
        while True:
            self.polls += 1
            try:
                with _quietly():
                    look = self._ask()
            except (lib_exc.RestClientException, *BROKEN) as exc:
                if not passing(exc):
                    raise
                self.errors += 1
                self._bear(exc)
                self.pause()
            else:
                self._last_ns = look.at_ns
                return look

    def _ask(self) -> Look:
        """Ask for the records, then for the servers.

        In this order: if a record has ended, the server is seen after it.
        """
        asked_ns = self._clock()
        found: dict[str, list[cloud_records.Record]] = {}
        for record in cloud_records.list_since(
                self._clients.migrations, self._since):
            found.setdefault(record.server_id, []).append(record)
        self._ask_servers()
        return Look(
            asked_ns, self._clock(), dict(self._servers),
            {server_id: tuple(each) for server_id, each in found.items()})

    def _ask_servers(self) -> None:
        """Ask for the servers that have changed since the last answer.

        Nova works longest for this one: it asks neutron about each server.
        """
        changed = servers.list_changed(
            self._clients.servers, self._changed_since)
        for server in changed:
            if server.server_id in self._servers:
                self._servers[server.server_id] = (
                    None if server.status == GONE else server)
        self._changed_since = max([self._changed_since, *(
            server.updated_at - SERVICES_SKEW for server in changed
            if server.updated_at is not None)])

    def _bear(self, exc: BaseException) -> None:
        """Note a failed look.

        :raises NotFollowed: none has succeeded for too long
        """
        away_s = (self._clock() - self._last_ns) / NS
        LOG.warning('Look %d failed, none for %.1f s: %s', self.polls,
                    away_s, exc)
        if away_s >= self._errors_s:
            raise NotFollowed(
                'the compute API has not answered for %.1f s (at most %g s '
                'by option poll_error_timeout); last error: %s' % (
                    away_s, self._errors_s, exc)) from exc
