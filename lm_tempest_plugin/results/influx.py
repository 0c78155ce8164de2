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

"""Migrations and drains in InfluxDB's line protocol, one point for each.

Values that many points share are tags: InfluxDB indexes them, and each
combination costs memory as long as the database is kept. Values that are
different for each server, such as its name, are fields.
"""

from collections.abc import Iterator

from influxdb_client.client.write import point

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store

MIGRATION = 'live_migration'
DRAIN = 'live_migration_drain'
# So that no setting is taken for one of our own tags.
SETTING = 'setting_'

Values = dict[str, str | bool | int | float | None]


def lines(results: store.Results) -> Iterator[str]:
    """Yield the line of each migration and each drain, without its end.

    The same results give the same lines each time, so points that are
    written twice are in the database once.
    """
    taken: dict[tuple[str, str, int], int] = {}
    for kind, found in ((MIGRATION, results.migrations),
                        (DRAIN, results.drains)):
        for each in found:
            at = (each.requested_at
                  if isinstance(each, schema.MigrationResult)
                  else each.started_at)
            at_ms = round(at.timestamp() * 1000)
            # Of two points with the same tags and time, the second replaces
            # the first; a batch is requested within a millisecond.
            place = taken.get((kind, each.run, at_ms), 0)
            taken[kind, each.run, at_ms] = place + 1
            yield _line(kind, each, at_ms * 1_000_000 + place)


def _line(kind: str, each: schema.MigrationResult | schema.DrainResult,
          time_ns: int) -> str:
    found = point.Point(kind).time(time_ns)
    settings = each.settings
    tags, fields = (
        _migration(each) if isinstance(each, schema.MigrationResult)
        else _drain(each))
    tags = {
        'run': each.run, 'storage': settings.storage,
        'strategy': each.strategy, 'source': each.source,
        'destination': each.destination, 'measured': each.measured,
        'good': not each.problems, **tags,
        **{SETTING + name: value for name, value in settings.values.items()}}
    for name, value in tags.items():
        found.tag(name, _on_one_line(
            str(value).lower() if isinstance(value, bool) else str(value)))
    fields = {
        'drain': each.drain, 'round_trip': each.round_trip,
        'problems': '; '.join(map(str, each.problems)) or None, **fields}
    for name, value in fields.items():
        found.field(name, _on_one_line(value) if isinstance(value, str)
                    else value)
    line: str = found.to_line_protocol()
    return line


def _on_one_line(text: str) -> str:
    # influxdb_client escapes line ends in tags only, and programs that split
    # such a file go by lines.
    return text.replace('\n', r'\n').replace('\r', r'\r')


def _migration(each: schema.MigrationResult) -> tuple[Values, Values]:
    flavor, job, continuity = each.flavor, each.job, each.continuity
    fields: Values = {
        'server_id': each.server_id, 'server_name': each.server_name,
        'vcpus': flavor.vcpus, 'ram_gib': float(flavor.ram_gib),
        'disk_gib': float(flavor.disk_gib), 'cause': each.cause or None,
        'duration_s': float(each.duration_s), 'queue_s': float(each.queue_s),
        'service_s': each.service.seconds if each.service else None}
    if continuity:
        found: list[tuple[str, schema.OutageFigures | schema.StallFigures,
                          float]] = [
            ('outage', continuity.outage, each.max_outage_s),
            ('control_outage', continuity.control, each.max_outage_s)]
        if continuity.stall:
            found.append(('stall', continuity.stall, each.max_stall_s))
        for name, figures, limit_s in found:
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


def _drain(each: schema.DrainResult) -> tuple[Values, Values]:
    concurrency = next((found for found in each.concurrency
                        if found.host == each.source), None)
    fields: Values = {'servers': each.servers, 'wall_s': float(each.wall_s)}
    if concurrency:
        fields |= {'ran': concurrency.running,
                   'ran_mean': float(concurrency.mean),
                   'queued': concurrency.queued}
    return ({'transport': each.sockets.transport if each.sockets else ''},
            fields)
