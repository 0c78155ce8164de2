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

"""The last run as metrics, for node_exporter's textfile collector.

The collector takes Prometheus' text format, other programs OpenMetrics. All
of these metrics are gauges, because they describe one run and not all runs
that there ever were. A text with gauges alone is the same in both formats:
the "# EOF" at its end, which OpenMetrics demands, is a comment to
Prometheus.

There is a series for each combination of settings, flavor, number of servers
and strategy, and none for single servers: Prometheus keeps every series that
it has seen.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping

from prometheus_client import metrics_core
from prometheus_client.openmetrics import exposition
from prometheus_client import registry as registries

from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary

PREFIX = 'lm_live_migration_'
DRAINS = ('settings', 'storage', 'servers', 'strategy')
MIGRATIONS = (*DRAINS, 'flavor')

Labels = tuple[str, ...]

_QUANTITIES = {
    'duration_s': 'Time from the request of a live migration to its end',
    'queue_s': 'Time that a live migration waited for others',
    'service_s': 'Time that the hosts worked on a live migration',
    'outage_s': 'Longest outage of a guest (ICMP)',
    'stall_s': 'Longest stall of a TCP stream to a guest',
    'downtime_s': 'Pause of a guest according to libvirt'}


def render(results: store.Results) -> str:
    """Return the metrics as a text file."""
    registry = registries.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(results))
    return exposition.generate_latest(registry).decode()


class _Collector(registries.Collector):
    """Gives prometheus_client the metrics."""

    def __init__(self, results: store.Results) -> None:
        self._results = results

    def collect(self) -> Iterator[metrics_core.Metric]:
        yield from _of_run(self._results)
        yield from _of_migrations(self._results)
        yield from _of_drains(summary.drains_of(self._results))


def _of_run(results: store.Results) -> Iterator[metrics_core.Metric]:
    newest = max(results.runs, key=lambda run: run.started_at, default=None)
    yield _gauge('last_run_timestamp_seconds', 'Start of the newest run', (),
                 {(): newest.started_at.timestamp()} if newest else {})
    yield _gauge('good', 'Whether everything was as expected: 1 or 0', (),
                 {(): int(summary.good(results))})
    yield _gauge('unjudged_servers',
                 'Servers that were not judged, because the run ended before',
                 (), {(): len(results.unjudged)})
    yield _gauge('failed_tests', 'Tests that failed for any reason', (),
                 {(): len({each.test for each in results.failures})})
    yield _gauge('cloud_info', 'Plugin and cloud of the newest run',
                 ('plugin_version', 'region', 'compute_api'),
                 {(newest.plugin_version, newest.region,
                   newest.compute_api): 1} if newest else {})


def _of_migrations(results: store.Results) -> Iterator[metrics_core.Metric]:
    labelled = [(_labels(summary.Conditions.of(each)), each)
                for each in results.migrations]
    yield _gauge(
        'migrations', 'Live migrations by verdict', (*MIGRATIONS, 'verdict'),
        collections.Counter((*labels, each.verdict)
                            for labels, each in labelled))
    problems: dict[Labels, int] = {}
    for labels, each in labelled:
        problems[labels] = problems.get(labels, 0) + bool(each.problems)
    yield _gauge('migrations_with_problems', 'Live migrations with a problem',
                 MIGRATIONS, problems)
    for name, text in _QUANTITIES.items():
        yield _statistics(f'{name}econds', text, MIGRATIONS, (
            (labels, summary.value(each, name)) for labels, each in labelled))


def _of_drains(drains: Iterable[summary.DrainWithMigrations]
               ) -> Iterator[metrics_core.Metric]:
    labelled = [(_labels(summary.Conditions.of(each.result)), each)
                for each in drains]
    yield _gauge('drains', 'Drains of a host', DRAINS, collections.Counter(
        labels for labels, each in labelled if each.result.measured))
    yield _statistics(
        'drain_seconds', 'Time from the first request of a drain to its last '
        'end, if all servers were migrated', DRAINS, (
            (labels, each.result.wall_s)
            for labels, each in labelled if each.counts))


def _labels(conditions: summary.Conditions) -> Labels:
    """Return the values of DRAINS, or of MIGRATIONS."""
    settings = conditions.settings
    return (str(settings), settings.storage, str(conditions.servers),
            conditions.strategy,
            *([str(conditions.flavor)] if conditions.flavor else []))


def _statistics(name: str, text: str, labels: Labels,
                values: Iterable[tuple[Labels, float | None]]
                ) -> metrics_core.Metric:
    """Return median, 95th percentile and maximum of each group."""
    groups: dict[Labels, list[float]] = {}
    for key, value in values:
        if value is not None:
            groups.setdefault(key, []).append(value)
    return _gauge(name, text, (*labels, 'statistic'), {
        (*key, statistic): value for key, found in groups.items()
        for statistic, value in (
            ('median', estimates.median(found).value),
            ('p95', estimates.quantile(found, estimates.P95).value),
            ('max', max(found)))})


def _gauge(name: str, text: str, labels: Labels,
           values: Mapping[Labels, float]) -> metrics_core.Metric:
    metric = metrics_core.GaugeMetricFamily(
        PREFIX + name, f'{text}.', labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric
