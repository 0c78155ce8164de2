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

"""Plots of single drains: a timeline of the servers, load of the hosts."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary

MOST_TIMELINES, MOST_SERVERS = 24, 60
ROW, STEPS, STEPS_GAP = 22, 84, 44
BAR, OUTAGE_BAR = 0.62, 0.28
MOST_LOADS, MOST_BANDS, MOST_SAMPLES = 12, 60, 500
LOAD_HEIGHT, LOAD_GAP = 130, 30

_Migrations = Sequence[schema.MigrationResult]
_Value = Callable[[schema.HostSample], float | None]

#: Number of the axis, title, value of a sample, factor of its unit.
LOADS: Sequence[tuple[str, str, _Value, float]] = (
    ('', 'CPU (%)', lambda sample: sample.cpu_busy_fraction, 100),
    ('2', 'sent (MB/s)', lambda sample: sample.sent_bytes_per_s, 1e-6),
    ('3', 'received (MB/s)', lambda sample: sample.received_bytes_per_s,
     1e-6))


@dataclasses.dataclass(frozen=True, slots=True)
class TimeSpan:
    """A part of the time of a drain.

    :ivar name: such as the name of a phase
    :ivar begin_s: seconds after the drain began
    :ivar seconds: its length
    """

    name: str
    begin_s: float
    seconds: float

    @property
    def end_s(self) -> float:
        """Its end in seconds after the drain began."""
        return self.begin_s + self.seconds


def requested_s(drain: schema.DrainResult,
                migration: schema.MigrationResult) -> float:
    """Return the time of a request in seconds after the drain began."""
    return migration.requested_monotonic_s - drain.started_monotonic_s


def phases(drain: schema.DrainResult,
           migration: schema.MigrationResult) -> list[TimeSpan]:
    """Return the phases of a migration, one after the other.

    A phase that is not known leaves a gap: at the beginning if it is the
    first, otherwise at the end.
    """
    at_s = requested_s(drain, migration)
    if migration.phases and migration.phases[0].name != 'checks':
        at_s += max(0.0, migration.duration_s - sum(
            each.seconds for each in migration.phases))
    found = []
    for each in migration.phases:
        found.append(TimeSpan(each.name, at_s, each.seconds))
        at_s += each.seconds
    return found


def running(drain: schema.DrainResult,
            migrations: _Migrations) -> list[TimeSpan]:
    """Return the times in which the hosts worked on the migrations."""
    return [TimeSpan(
        'service', requested_s(drain, each) + each.duration_s -
        each.service.seconds, each.service.seconds)
        for each in migrations if each.service]


def outage(drain: schema.DrainResult,
           migration: schema.MigrationResult) -> TimeSpan | None:
    """Return the longest outage; None if there was none."""
    found = migration.continuity and migration.continuity.outage.longest
    if not found:
        return None
    return TimeSpan('longest outage',
                    found.start_ns / 1e9 - drain.started_monotonic_s,
                    found.duration_s)


def at_once(spans: Iterable[TimeSpan]) -> tuple[list[float], list[int]]:
    """Return the number of spans at once: times, and the number after each.

    :param spans: in any order; one without length counts nowhere
    """
    steps = sorted(
        # Round to 1 ms, so that back-to-back spans do not count as
        # overlapping.
        (round(at_s, 3), step) for span in spans if span.seconds > 0
        for at_s, step in ((span.begin_s, 1), (span.end_s, -1)))
    times, counts, count = [0.0], [0], 0
    for at_s, step in steps:
        count += step
        if at_s == times[-1]:
            counts[-1] = count
        else:
            times.append(at_s)
            counts.append(count)
    return times, counts


def choose(drains: Sequence[summary.DrainWithMigrations],
           most: int) -> list[summary.DrainWithMigrations]:
    """Return the most informative drains.

    The drain with the most servers is the first, because a reader sees it
    without choosing; the others follow in order of time.

    :param drains: all drains
    :param most: number of drains to return
    """
    ranks = {id(drain): 3 for drain in drains}
    groups: dict[summary.Conditions,
                 list[summary.DrainWithMigrations]] = {}
    for drain in drains:
        groups.setdefault(summary.Conditions.of(drain.result),
                          []).append(drain)
    for group in groups.values():
        for end in (min, max):
            ranks[id(end(group, key=lambda drain: (
                drain.result.round_trip)))] = 2
        ranks[id(max(group, key=lambda drain: max(
            (each.continuity.outage.longest_s
             for each in drain.migrations if each.continuity),
            default=0.0)))] = 1
    for drain in drains:
        if _bad(drain):
            ranks[id(drain)] = 0
    first = sorted(drains, key=lambda drain: ranks[id(drain)])[:most]
    in_time = sorted(first, key=lambda drain: drain.result.started_at)
    largest = max(in_time, key=lambda drain: drain.result.servers,
                  default=None)
    return sorted(in_time, key=lambda drain: drain is not largest)


def drain_notes(drains: Sequence[object],
                chosen: Sequence[object]) -> list[str]:
    """Return a note about the choice of drains; none if all are shown."""
    if len(chosen) == len(drains):
        return []
    return [f'{len(chosen)} of {len(drains)} drains are shown: drains with '
            f'problems; for each combination the one with the longest '
            f'outage, the first and the last round trip; then the earliest '
            f'ones.']


def drain_label(material: plots.Material,
                drain: summary.DrainWithMigrations) -> str:
    """Return the text by which a reader chooses a drain."""
    result = drain.result
    run = f'{result.run}: ' if len(material.results.runs) > 1 else ''
    bad = '(problems) ' if _bad(drain) else ''
    return f'{run}{bad}{summary.drain_title(result)}: {result.settings}'


def _bad(drain: summary.DrainWithMigrations) -> bool:
    return bool(drain.result.problems) or any(
        each.problems for each in drain.migrations)


def timeline(material: plots.Material) -> document.Section:
    """Return a timeline of each chosen drain."""
    drains = [drain for drain in material.drains if drain.migrations]
    chosen = choose(drains, MOST_TIMELINES)
    notes = drain_notes(drains, chosen)
    if any(len(drain.migrations) > MOST_SERVERS for drain in chosen):
        notes.append(
            f'Of each drain, the first {MOST_SERVERS} servers have a bar.')
    return document.Section('timeline', 'Timeline of a drain', [
        document.Plot(
            'timeline',
            'A bar for each server, from its request to the end of its live '
            'migration, with its longest outage in red. Below: number of '
            'servers that the source host worked on at once, and number of '
            'servers that waited. The times come from polls of the API or '
            'from nova\'s time stamps in whole seconds, so two bars that '
            'follow each other may seem to overlap.',
            [(drain_label(material, drain), _timeline(drain))
             for drain in chosen], 'Drain',
            missing='The results contain no drain with a migration that was '
            'judged.', notes=notes)])


def _timeline(drain: summary.DrainWithMigrations) -> document.Figure:
    result = drain.result
    migrations = sorted(
        drain.migrations,
        key=lambda each: each.requested_monotonic_s)[:MOST_SERVERS]
    bars = max(2, len(migrations)) * ROW
    area = bars + STEPS_GAP + STEPS
    end_s = max([result.wall_s, *(
        requested_s(result, each) + each.duration_s
        for each in drain.migrations)])
    figure = theme.figure(
        area, barmode='overlay',
        xaxis=theme.axis('seconds after the drain began', anchor='y2',
                         range=[0, 1.03 * end_s]),
        yaxis=theme.rows(
            [theme.short(each.server_name or each.server_id, 18)
             for each in migrations], domain=[1 - bars / area, 1]),
        yaxis2=theme.axis('at once', domain=[0, STEPS / area],
                          rangemode='tozero', tickformat='d', nticks=4))
    placed: dict[str, list[tuple[int, TimeSpan]]] = {
        name: [] for name in theme.PHASES}
    for row, each in enumerate(migrations):
        for span in phases(result, each):
            placed.setdefault(span.name, []).append((row, span))
    for number, (name, found) in enumerate(placed.items()):
        _add_bars(figure, name, found, migrations, theme.PHASES.get(
            name, theme.colour(number)), {'color': '#ffffff', 'width': 0.5})
    _add_bars(figure, 'phases not known', [
        (row, TimeSpan(each.verdict, requested_s(result, each),
                       each.duration_s))
        for row, each in enumerate(migrations) if not each.phases],
        migrations, '#f2d9d7', {'color': theme.BAD, 'width': 1})
    _add_bars(figure, 'longest outage', [
        (row, longest) for row, each in enumerate(migrations)
        if (longest := outage(result, each)) is not None],
        migrations, theme.OUTAGE, {'color': theme.OUTAGE, 'width': 1.5},
        OUTAGE_BAR)
    seen = f' (maximum seen: {drain.concurrency.running})' \
        if drain.concurrency else ''
    for name, spans, color, dash in (
            (f'running{seen}', running(result, drain.migrations),
             theme.PHASES['copy'], 'solid'),
            ('waiting', [span for each in drain.migrations
                         for span in phases(result, each)
                         if span.name == 'queued'], theme.MUTED, 'dot')):
        times, counts = at_once(spans)
        if any(counts):
            figure.add(
                'scatter', x=times, y=counts, yaxis='y2', mode='lines',
                name=name, line={'shape': 'hv', 'color': color, 'dash': dash,
                                 'width': 2},
                hoverinfo='text',
                hovertext=[f'{each} {name}' for each in counts])
    return figure


def _add_bars(figure: document.Figure, name: str,
              placed: Sequence[tuple[int, TimeSpan]],
              migrations: _Migrations, colour: str,
              border: dict[str, object], width: float = BAR) -> None:
    """Add bars, each in the row of its migration; no trace without any."""
    if not placed:
        return
    figure.add(
        'bar', name=theme.text(name), orientation='h', width=width,
        y=[row for row, _span in placed],
        x=[span.seconds for _row, span in placed],
        base=[span.begin_s for _row, span in placed],
        marker={'color': colour, 'line': border},
        hoverinfo='text', hovertext=[theme.hover(
            migrations[row].server_name,
            f'{span.name}: {document.number(span.seconds)} s, from '
            f'{document.number(span.begin_s)} s',
            f'verdict: {migrations[row].verdict}',
            *migrations[row].problems) for row, span in placed])


def load(material: plots.Material) -> document.Section:
    """Return the load of the hosts in each chosen drain."""
    drains = [drain for drain in material.drains
              if any(len(each.samples) > 1 for each in drain.result.hosts)]
    chosen = choose(drains, MOST_LOADS)
    return document.Section('load', 'Load of the hosts', [document.Plot(
        'load',
        'Busy CPUs, and the bytes that all interfaces of a host sent and '
        'received. Each live migration is shaded while the hosts worked on '
        'it: the darker, the more at once.',
        [(drain_label(material, drain), _load(drain)) for drain in chosen],
        'Drain', missing='The tests had no access to the hosts (group '
        'live_migration_ha_hosts of tempest.conf), so their load is not '
        'known.', notes=drain_notes(drains, chosen))])


def _load(drain: summary.DrainWithMigrations) -> document.Figure:
    result = drain.result
    area = len(LOADS) * (LOAD_HEIGHT + LOAD_GAP) - LOAD_GAP
    figure = theme.figure(
        area, hovermode='x', xaxis=theme.axis(
            'seconds after the drain began', anchor=f'y{len(LOADS)}'),
        shapes=[{
            'type': 'rect', 'xref': 'x', 'yref': 'paper', 'y0': 0, 'y1': 1,
            'x0': span.begin_s, 'x1': span.end_s, 'layer': 'below',
            'fillcolor': 'rgba(0, 114, 178, 0.08)',
            'line': {'width': 1, 'color': 'rgba(0, 114, 178, 0.25)'}}
            for span in running(result, drain.migrations)[:MOST_BANDS]])
    for row, (axis, title, value, factor) in enumerate(LOADS):
        bottom = (len(LOADS) - 1 - row) * (LOAD_HEIGHT + LOAD_GAP) / area
        figure.layout[f'yaxis{axis}'] = theme.axis(
            title, domain=[bottom, bottom + LOAD_HEIGHT / area],
            rangemode='tozero')
        for number, host in enumerate(sorted(
                result.hosts, key=lambda each: each.host)):
            known = [(sample.at_monotonic_s - result.started_monotonic_s,
                      found * factor) for sample in host.samples
                     if (found := value(sample)) is not None]
            # Means of neighbours: more points than pixels show nothing more.
            points = [part.mean(axis=0).tolist() for part in numpy.array_split(
                known, min(len(known), MOST_SAMPLES))] if known else []
            figure.add(
                'scatter', x=[round(at_s, 3) for at_s, _value in points],
                y=[each for _at_s, each in points], yaxis=f'y{axis}',
                mode='lines', name=theme.short(host.host),
                legendgroup=str(number), showlegend=not axis,
                line={'color': theme.colour(number), 'width': 1.8,
                      'dash': theme.dash(number)},
                hoverinfo='text', hovertext=[
                    theme.hover(f'{host.host}: {document.number(each)}')
                    for _at_s, each in points])
    return figure
