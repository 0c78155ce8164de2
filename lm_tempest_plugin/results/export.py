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

"""Results for monitoring systems: InfluxDB and Prometheus."""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
import datetime

from influxdb_client.client.write import point
import prometheus_client
from prometheus_client.openmetrics import exposition

from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary

# So that no setting is taken for one of our own tags.
SETTING = 'setting_'
PREFIX = 'lm_live_migration_'
DRAIN_LABELS = ('settings', 'storage', 'servers', 'strategy', 'workload')
MIGRATION_LABELS = (*DRAIN_LABELS, 'flavor')

Values = dict[str, str | bool | int | float | None]
Labels = tuple[str, ...]

_QUANTITIES = {
    'duration_s': 'Time from the request of a live migration to its end',
    'queue_s': 'Time that a live migration waited for others',
    'service_s': 'Time that the hosts worked on a live migration',
    'outage_s': 'Longest outage of a guest (ICMP)',
    'stall_s': 'Longest stall of a TCP stream to a guest',
    'downtime_s': 'Pause of a guest according to libvirt'}


def influx(results: store.Results) -> str:
    """Return migrations and drains in InfluxDB's line protocol.

    There is a point for each. Values that many points share are tags:
    InfluxDB indexes them, and each combination costs memory as long as the
    database is kept. Values that are different for each server, such as its
    name, are fields.

    The same results give the same lines each time, so points that are
    written twice are in the database once.
    """
    points: list[tuple[
        str, schema.MigrationResult | schema.DrainResult, datetime.datetime,
        Values, Values]] = [
        *(('live_migration', each, each.requested_at, *_of_migration(each))
          for each in results.migrations),
        *(('live_migration_drain', each, each.started_at, *_of_drain(each))
          for each in results.drains)]
    lines = []
    taken: collections.Counter[tuple[str, str, int]] = collections.Counter()
    for name, each, at, tags, fields in points:
        # Of two points with the same tags and time, the second replaces the
        # first; a batch is requested within a millisecond.
        at_ms = round(at.timestamp() * 1000)
        found = point.Point(name).time(
            at_ms * 1_000_000 + taken[name, each.run, at_ms])
        taken[name, each.run, at_ms] += 1
        for tag, value in {
                'run': each.run, 'storage': each.settings.storage,
                'strategy': each.strategy, 'workload': each.workload,
                'source': each.source,
                'destination': each.destination, 'measured': each.measured,
                'good': not each.problems, **tags,
                **{SETTING + setting: value for setting, value
                   in each.settings.values.items()}}.items():
            text = _on_one_line(str(value).lower() if isinstance(value, bool)
                                else str(value))
            # A backslash at the end would escape the space that
            # influxdb_client puts after it, and be lost.
            found.tag(tag, f'{text} ' if text.endswith('\\') else text)
        for field, value in {
                'drain': each.drain, 'round_trip': each.round_trip,
                'problems': '; '.join(map(str, each.problems)) or None,
                **fields}.items():
            found.field(field, _on_one_line(value)
                        if isinstance(value, str) else value)
        lines.append(f'{found.to_line_protocol()}\n')
    return ''.join(lines)


def _on_one_line(text: str) -> str:
    # influxdb_client escapes line ends in tags only, and programs that split
    # such a file go by lines.
    return text.replace('\n', r'\n').replace('\r', r'\r')


def _of_migration(each: schema.MigrationResult) -> tuple[Values, Values]:
    """Return the tags and the fields that only migrations have."""
    flavor, job, continuity = each.flavor, each.job, each.continuity
    fields: Values = {
        'server_id': each.server_id, 'server_name': each.server_name,
        'vcpus': flavor.vcpus, 'ram_gib': float(flavor.ram_gib),
        'disk_gib': float(flavor.disk_gib), 'cause': each.cause or None,
        'duration_s': float(each.duration_s), 'queue_s': float(each.queue_s),
        'service_s': each.service.seconds if each.service else None}
    if continuity:
        for name, figures, limit_s in (
                ('outage', continuity.outage, each.max_outage_s),
                ('control_outage', continuity.control, each.max_outage_s),
                ('stall', continuity.stall, each.max_stall_s)):
            if figures:
                fields |= {f'{name}_s': float(figures.longest_s),
                           f'{name}_error_s': float(figures.error_bound_s),
                           f'{name}_bound_s': float(limit_s)}
    if job:
        fields |= {
            'downtime_s': None if job.downtime_ms is None
            else job.downtime_ms / 1000,
            'memory_bytes': job.memory_bytes_processed}
    seconds: dict[str, float] = {}
    for phase in each.phases:
        # A phase may come twice.
        name = f'phase_{phase.name}_s'
        seconds[name] = seconds.get(name, 0.0) + phase.seconds
    return ({'flavor': str(flavor), 'servers': each.servers,
             'verdict': each.verdict}, {**fields, **seconds})


def _of_drain(each: schema.DrainResult) -> tuple[Values, Values]:
    """Return the tags and the fields that only drains have."""
    fields: Values = {'servers': each.servers, 'wall_s': float(each.wall_s)}
    concurrency = summary.DrainWithMigrations(each, ()).concurrency
    if concurrency:
        fields |= {'ran': concurrency.running,
                   'ran_mean': float(concurrency.mean),
                   'queued': concurrency.queued}
    return ({'transport': each.sockets.transport if each.sockets else ''},
            fields)


def openmetrics(results: store.Results) -> str:
    """Return the last run as metrics, for node_exporter's textfile collector.

    The collector takes Prometheus' text format, other programs OpenMetrics.
    All of these metrics are gauges, because they describe one run and not
    all runs that there ever were. A text with gauges alone is the same in
    both formats: the "# EOF" at its end, which OpenMetrics demands, is a
    comment to Prometheus.

    There is a series for each combination of settings, flavor, number of
    servers and strategy, and none for single servers: Prometheus keeps every
    series that it has seen.
    """
    registry = prometheus_client.CollectorRegistry(auto_describe=False)

    def gauge(name: str, text: str, labels: Labels,
              values: Mapping[Labels, float]) -> None:
        metric = prometheus_client.Gauge(
            PREFIX + name, f'{text}.', labels, registry=registry)
        for key, value in values.items():
            (metric.labels(*key) if key else metric).set(value)

    def statistics(name: str, text: str, labels: Labels,
                   values: Iterable[tuple[Labels, float | None]]) -> None:
        groups: dict[Labels, list[float]] = {}
        for key, value in values:
            if value is not None:
                groups.setdefault(key, []).append(value)
        gauge(name, text, (*labels, 'statistic'), {
            (*key, statistic): value for key, found in groups.items()
            for statistic, value in (
                ('median', estimates.median(found).value),
                ('p95', estimates.quantile(found, estimates.P95).value),
                ('max', max(found)))})

    if results.runs:
        newest = max(results.runs, key=lambda run: run.started_at)
        gauge('last_run_timestamp_seconds', 'Start of the newest run', (),
              {(): newest.started_at.timestamp()})
        gauge('cloud_info', 'Plugin and cloud of the newest run',
              ('plugin_version', 'region', 'compute_api'),
              {(newest.plugin_version, newest.region,
                newest.compute_api): 1})
    gauge('good', 'Whether everything was as expected: 1 or 0', (),
          {(): summary.good(results)})
    gauge('unjudged_servers',
          'Servers that were not judged, because the run ended before', (),
          {(): len(results.unjudged)})
    gauge('failed_tests', 'Tests that failed for any reason', (),
          {(): len({each.test for each in results.failures})})
    migrations = [(_labels(each), each) for each in results.migrations]
    gauge('migrations', 'Live migrations by verdict',
          (*MIGRATION_LABELS, 'verdict'), collections.Counter(
              (*labels, each.verdict) for labels, each in migrations))
    problems: dict[Labels, int] = {}
    for labels, each in migrations:
        problems[labels] = problems.get(labels, 0) + bool(each.problems)
    gauge('migrations_with_problems', 'Live migrations with a problem',
          MIGRATION_LABELS, problems)
    for name, text in _QUANTITIES.items():
        statistics(f'{name}econds', text, MIGRATION_LABELS, (
            (labels, summary.value(each, name))
            for labels, each in migrations))
    drains = [(_labels(each.result), each)
              for each in summary.drains_of(results)]
    gauge('drains', 'Drains of a host', DRAIN_LABELS, collections.Counter(
        labels for labels, each in drains if each.result.measured))
    statistics('drain_seconds', 'Time from the first request of a drain to '
               'its last end, if all servers were migrated', DRAIN_LABELS, (
                   (labels, each.result.wall_s)
                   for labels, each in drains if each.counts))
    return exposition.generate_latest(registry).decode()


def _labels(line: schema.MigrationResult | schema.DrainResult) -> Labels:
    """Return the values of MIGRATION_LABELS, or of DRAIN_LABELS."""
    conditions = summary.Conditions.of(line)
    settings = conditions.settings
    return (str(settings), settings.storage, str(conditions.servers),
            conditions.strategy, str(conditions.workload),
            *([str(conditions.flavor)] if conditions.flavor else []))
