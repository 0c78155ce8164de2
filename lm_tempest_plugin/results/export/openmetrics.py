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

The collector takes Prometheus' text format, other programs take OpenMetrics.
All of these metrics are gauges, since they tell of one run and not of all
there ever were, and a text that has gauges alone is the same in both. (The
"# EOF" at its end, which OpenMetrics wants, is a comment to Prometheus.)

There is a series for each cell, flavor and way in which servers were moved
(how many together, by what strategy), and none for each server: Prometheus
keeps every series that it has seen.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from prometheus_client import metrics_core
from prometheus_client.openmetrics import exposition
from prometheus_client import registry as registries

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results.summary import drains
from lm_tempest_plugin.results.summary import groups as summarized
from lm_tempest_plugin.results.summary import judgement

PREFIX = 'lm_live_migration_'
GROUP = ('cell', 'storage', 'flavor', 'servers', 'strategy')
DRAINS = ('cell', 'storage', 'servers', 'strategy')
STATISTIC = ('statistic',)

Labels = tuple[str, ...]

_QUANTITIES = {
    'duration_s': 'From the request of a live migration to its end',
    'queue_s': 'How long a live migration waited for others',
    'service_s': 'How long hosts were at work on a live migration',
    'outage_s': 'Longest outage of a guest by ICMP',
    'stall_s': 'Longest stall of a TCP stream to a guest',
    'downtime_s': 'How long libvirt says that a guest stood still'}


def render(collected: collection.Collection) -> str:
    """Return the metrics as a file has them.

    :param collected: what the records say
    """
    registry = registries.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(collected))
    return exposition.generate_latest(registry).decode()


class _Collector(registries.Collector):
    """What prometheus_client asks for metrics."""

    def __init__(self, collected: collection.Collection) -> None:
        self._collected = collected

    def collect(self) -> Iterator[metrics_core.Metric]:
        yield from _of_run(self._collected)
        yield from _of_attempts(self._collected.attempts)
        yield from _of_drains(drains.legs(self._collected))


def _of_run(collected: collection.Collection
            ) -> Iterator[metrics_core.Metric]:
    yield _gauge('last_run_timestamp_seconds',
                 'When the newest run of these records began', (),
                 {(): max(each.started_s for each in collected.runs)}
                 if collected.runs else {})
    yield _gauge('good', 'Whether everything in these records was as it is '
                 'expected: 1 or 0', (), {(): int(judgement.good(collected))})
    yield _gauge('unjudged_servers',
                 'Servers that the run did not judge before it ended', (),
                 {(): len(collected.unjudged)})
    yield _gauge('failed_tests', 'Tests that failed, for whatever reason', (),
                 {(): len({each.test for each in collected.failed})})
    yield _gauge('cloud_info', 'What the newest run was run on and with',
                 ('plugin_version', 'region', 'compute_api'),
                 {_about(collected): 1} if collected.runs else {})


def _about(collected: collection.Collection) -> Labels:
    body = max(collected.runs, key=lambda run: run.started_s).body
    cloud = body.get('cloud') or {}
    return tuple(str(value or '') for value in (
        body.get('plugin_version'), cloud.get('region'),
        cloud.get('compute_api')))


def _of_attempts(attempts: Sequence[collection.Attempt]
                 ) -> Iterator[metrics_core.Metric]:
    yield _gauge(
        'attempts', 'Live migrations, by what became of them',
        (*GROUP, 'verdict'), _counts((*_group(each), each.verdict)
                                     for each in attempts))
    unexpected = dict.fromkeys(map(_group, attempts), 0)
    for each in attempts:
        unexpected[_group(each)] += not each.good
    yield _gauge(
        'unexpected_attempts',
        'Live migrations that did not do what was expected of them', GROUP,
        unexpected)
    for name, told in _QUANTITIES.items():
        yield _figures(name + 'econds', told, GROUP, (
            (_group(each), summarized.value(each, name))
            for each in attempts))


def _of_drains(legs: Sequence[drains.Leg]) -> Iterator[metrics_core.Metric]:
    yield _gauge('drains', 'Drains of a host, by the number of servers',
                 DRAINS, _counts(_drained(leg.drain) for leg in legs
                                 if leg.drain.measured))
    yield _figures('drain_seconds',
                   'From the first request of a drain to its last end, where '
                   'all servers were moved',
                   DRAINS, ((_drained(leg.drain), leg.drain.wall_s)
                            for leg in legs if leg.counts))


def _group(attempt: collection.Attempt) -> Labels:
    return (str(attempt.cell), attempt.cell.storage, str(attempt.flavor),
            *_way(attempt.way))


def _drained(drain: collection.Drain) -> Labels:
    return (str(drain.cell), drain.cell.storage, *_way(drain.way))


def _way(way: collection.Way) -> Labels:
    return str(way.servers), way.strategy


def _counts(keys: Iterable[Labels]) -> dict[Labels, int]:
    counts: dict[Labels, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts


def _figures(name: str, told: str, labels: Labels,
             values: Iterable[tuple[Labels, float | None]]
             ) -> metrics_core.Metric:
    """Return median, 95 % quantile and largest value of each group."""
    groups: dict[Labels, list[float]] = {}
    for key, value in values:
        if value is not None:
            groups.setdefault(key, []).append(value)
    return _gauge(name, told, (*labels, *STATISTIC), {
        (*key, statistic): value for key, found in groups.items()
        for statistic, value in (
            ('median', intervals.median(found).value),
            ('p95', intervals.quantile(found, intervals.P95).value),
            ('max', max(found)))})


def _gauge(name: str, told: str, labels: Labels,
           values: Mapping[Labels, float]) -> metrics_core.Metric:
    metric = metrics_core.GaugeMetricFamily(
        PREFIX + name, told + '.', labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric
