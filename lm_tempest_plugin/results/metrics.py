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

"""Metrics of a run while it goes on, for Prometheus."""

import atexit
import collections
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import threading
import time

import prometheus_client
from prometheus_client import exposition
from prometheus_client import registry

from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

PREFIX = 'lm_run_'
# At the end of a process, the last values wait this long for a scrape: three
# of Prometheus' shortest usual intervals.
LAST_SCRAPE_S = 15.0
WAITING, TIMED_OUT = 'waiting', 'timed out'
# The only labels with many values. They exist while a server is migrated, and
# an alert has to name the server that is stuck.
_SERVER = ('server_id', 'source', 'destination')
_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    'active': ('Whether live migrations are followed now: 1 or 0', ()),
    'snapshot_timestamp_seconds': (
        'Last time when nova told the state of all migrations', ()),
    'migrations': ('Live migrations of the last drain by state', ('state',)),
    'deadline_timestamp_seconds': (
        'Time when a live migration times out, or did', _SERVER),
    'progress_timestamp_seconds': (
        'Last time when a copy was seen to progress', _SERVER),
    'remaining_bytes': ('Memory and disks that a copy has to send', _SERVER),
    'processed_bytes': ('Memory and disks that a copy has sent', _SERVER),
    'host_migrations': (
        'Live migrations that a host works on', ('host', 'role')),
    'queued_migrations': (
        "Live migrations in a source host's queue", ('host',)),
    'compute_up': ('Whether nova-compute is up, by nova: 1 or 0', ('host',)),
    'longest_outage_seconds': ('Longest outage in the last drain', ()),
    'outage_limit_seconds': ('Bound of the outage', ()),
    'longest_stall_seconds': ('Longest TCP stall in the last drain', ()),
    'stall_limit_seconds': ('Bound of the TCP stall', ())}
_COUNTERS = {
    'verdicts_total': ('Judged live migrations', ('verdict',)),
    'problems_total': ('Problems that checks found', ('check',))}
_SHORT_S = (.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)
_LONG_S = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_HISTOGRAMS: dict[str, tuple[str, tuple[str, ...], tuple[float, ...]]] = {
    'duration_seconds': (
        'Time from the request of a live migration to its end', (), _LONG_S),
    'phase_duration_seconds': (
        'Duration of a phase of a live migration', ('phase',), _LONG_S),
    'outage_seconds': ('Longest outage of a guest (ICMP)', (), _SHORT_S),
    'stall_seconds': ('Longest stall of a TCP stream', (), _SHORT_S)}


class MetricsError(Exception):
    """Metrics cannot be served or written."""


@dataclasses.dataclass(frozen=True)
class Followed:
    """A live migration in one snapshot. Times are seconds since 1970.

    :ivar server_id: UUID of the server
    :ivar source: name of the source host
    :ivar destination: name of the destination host; empty if not known
    :ivar state: status of nova's migration record, or a word of ours
    :ivar ended: whether it is over
    :ivar deadline_s: when it times out
    :ivar progress_s: when its copy was seen to progress; None if it is not
        copied now
    :ivar progress: newest figures of its copy; None if there are none
    """

    server_id: str
    source: str
    destination: str
    state: str
    ended: bool
    deadline_s: float
    progress_s: float | None = None
    progress: schema.Progress | None = None


@dataclasses.dataclass(frozen=True)
class HostState:
    """A compute host in one snapshot.

    :ivar name: its name
    :ivar up: whether nova-compute is up, by nova; None if nova was not asked
    :ivar leaving: migrations that it works on as their source
    :ivar arriving: migrations that it works on as their destination
    :ivar queued: migrations in its queue
    """

    name: str
    up: bool | None
    leaving: int
    arriving: int
    queued: int


class _Registry(registry.CollectorRegistry):
    """Collects between two updates only, and tells that it did."""

    def __init__(self) -> None:
        super().__init__(auto_describe=True)
        self.lock = threading.Lock()
        self.scraped = threading.Event()

    def collect(self) -> Iterator[prometheus_client.Metric]:
        with self.lock:
            found = list(super().collect())
            self.scraped.set()
        return iter(found)


class Metrics:
    """Metrics of one process, on a port, in a file, or both."""

    def __init__(self, port: int | None = None, textfile: str = '') -> None:
        """Serve them on a port, and keep them in a file.

        :param port: TCP port, on all addresses; 0 for any that is free; None
            for none
        :param textfile: path for node_exporter's textfile collector; empty
            for none
        :raises MetricsError: the port is taken, or the file cannot be written
        """
        self._registry = _Registry()
        self._textfile = textfile
        self._run = ''
        self._servers = 0
        # Of the last drain, in seconds.
        self._longest: dict[str, float] = {}
        self._gauges = {
            name: prometheus_client.Gauge(
                PREFIX + name, f'{text}.', ('run', *labels),
                registry=self._registry)
            for name, (text, labels) in _GAUGES.items()}
        self._counters = {
            name: prometheus_client.Counter(
                PREFIX + name, f'{text}.', ('run', *labels),
                registry=self._registry)
            for name, (text, labels) in _COUNTERS.items()}
        self._histograms = {
            name: prometheus_client.Histogram(
                PREFIX + name, f'{text}.', ('run', *labels), buckets=buckets,
                registry=self._registry)
            for name, (text, labels, buckets) in _HISTOGRAMS.items()}
        self.port = port
        self._server = None
        if port is not None:
            try:
                self._server, _ = exposition.start_http_server(
                    port, registry=self._registry)
            except OSError as exc:
                raise MetricsError(
                    f'option metrics_port: port {port} cannot be used for '
                    f'metrics: {exc.strerror}') from exc
            self.port = self._server.server_port
        self._write()
        atexit.register(self.close)

    def snapshot(self, at_s: float, migrations: Iterable[Followed],
                 hosts: Iterable[HostState]) -> None:
        """Show the state of all migrations of a drain.

        :param at_s: seconds since 1970
        :param migrations: those that were requested
        :param hosts: the compute hosts
        """
        migrations = list(migrations)
        with self._update('migrations', 'host_migrations',
                          'queued_migrations', 'compute_up'):
            self._set('active', 1)
            self._set('snapshot_timestamp_seconds', at_s)
            states = collections.Counter(each.state for each in migrations)
            # Nobody knows how many more others will request.
            states[WAITING] = max(0, self._servers - len(migrations))
            for state, count in states.items():
                self._set('migrations', count, state)
            self._clear_servers()
            for each in migrations:
                self._show(each)
            for host in hosts:
                for role, count in (('source', host.leaving),
                                    ('destination', host.arriving)):
                    self._set('host_migrations', count, host.name, role)
                self._set('queued_migrations', host.queued, host.name)
                if host.up is not None:
                    self._set('compute_up', host.up, host.name)

    def stored(self, line: schema.Line) -> None:
        """Count a line of the results.

        :param line: as it was stored
        """
        with self._update():
            self._run = line.run
            if isinstance(line, schema.DrainStarted):
                if line.strategy == schema.BY_OTHERS:
                    self._set('active', 1)
                else:
                    self._begin(line.servers)
            elif isinstance(line, schema.MigrationResult):
                self._judge(line)
            elif isinstance(line, schema.DrainResult):
                # Those of others are followed one beside the other.
                if line.strategy != schema.BY_OTHERS:
                    self._rest()
                for outcome in line.checks:
                    # From 0 on, so that its first problem is an increase.
                    self._count('problems_total', outcome.check, by=0)
                for problem in line.problems:
                    self._count('problems_total', problem.check)

    def rest(self) -> None:
        """Show that no live migrations are followed now."""
        with self._update():
            self._rest()

    def _rest(self) -> None:
        self._set('active', 0)
        for name in ('host_migrations', 'queued_migrations', 'compute_up',
                     'snapshot_timestamp_seconds'):
            self._gauges[name].clear()

    def close(self) -> None:
        """Let Prometheus scrape the last values, and serve them no more.

        Prometheus would never see values that a process changes shortly
        before it ends. Nobody waits if there was no scrape at all.
        """
        atexit.unregister(self.close)
        if self._server is None:
            return
        if self._registry.scraped.is_set():
            self._registry.scraped.clear()
            self._registry.scraped.wait(LAST_SCRAPE_S)
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    @contextlib.contextmanager
    def _update(self, *cleared: str) -> Iterator[None]:
        """Change values; a scrape sees them all, and the file too."""
        with self._registry.lock:
            for name in cleared:
                self._gauges[name].clear()
            yield
        self._write()

    def _begin(self, servers: int) -> None:
        self._servers = servers
        self._longest.clear()
        self._clear_servers()
        for name in ('migrations', 'longest_outage_seconds',
                     'longest_stall_seconds'):
            self._gauges[name].clear()
        self._set('migrations', servers, WAITING)
        self._set('active', 1)
        self._set('snapshot_timestamp_seconds', time.time())

    def _clear_servers(self) -> None:
        for name, (_, labels) in _GAUGES.items():
            if labels == _SERVER:
                self._gauges[name].clear()

    def _show(self, each: Followed) -> None:
        """Show a migration that goes on, or that never ended in time."""
        labels = each.server_id, each.source, each.destination
        # nova does not end a migration because we time out. So its deadline
        # stays until the next drain, and an alert can tell.
        if not each.ended or each.state == TIMED_OUT:
            self._set('deadline_timestamp_seconds', each.deadline_s, *labels)
        if each.ended:
            return
        if each.progress_s is not None:
            self._set('progress_timestamp_seconds', each.progress_s, *labels)
        found = each.progress
        if found is not None:
            for name, value in (
                    ('remaining_bytes', found.memory_remaining_bytes +
                     found.disk_remaining_bytes),
                    ('processed_bytes', found.memory_processed_bytes +
                     found.disk_processed_bytes)):
                self._set(name, value, *labels)

    def _judge(self, line: schema.MigrationResult) -> None:
        self._count('verdicts_total', line.verdict)
        for problem in line.problems:
            self._count('problems_total', problem.check)
        self._observe('duration_seconds', line.duration_s)
        for phase in line.phases:
            self._observe('phase_duration_seconds', phase.seconds, phase.name)
        if line.continuity is None:
            return
        for name, figures, limit_s in (
                ('outage', line.continuity.outage, line.max_outage_s),
                ('stall', line.continuity.stall, line.max_stall_s)):
            if figures is None:
                continue
            self._observe(f'{name}_seconds', figures.longest_s)
            self._set(f'{name}_limit_seconds', limit_s)
            self._longest[name] = max(self._longest.get(name, 0.0),
                                      figures.longest_s)
            self._set(f'longest_{name}_seconds', self._longest[name])

    def _set(self, name: str, value: float, *labels: str) -> None:
        self._gauges[name].labels(self._run, *labels).set(value)

    def _count(self, name: str, label: str, by: int = 1) -> None:
        self._counters[name].labels(self._run, label).inc(by)

    def _observe(self, name: str, seconds: float, *labels: str) -> None:
        self._histograms[name].labels(self._run, *labels).observe(seconds)

    def _write(self) -> None:
        """Write the file, which node_exporter's own user has to read."""
        if not self._textfile:
            return
        try:
            utils.write_atomically(
                self._textfile,
                exposition.generate_latest(self._registry), mode=0o644)
        except OSError as exc:
            raise MetricsError(
                f'option metrics_textfile: {self._textfile} cannot be '
                f'written: {exc.strerror}') from exc
