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

"""Workloads: tables of guests at work, and where a copy ends to converge."""

from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import summary

HEIGHT = 300
CURVE_POINTS = 120
# The curve ends where it is so many times as high as the highest point.
TALLEST = 1.3


def section(material: plots.Material) -> document.Section:
    """Return a table of each workload, and durations by dirty rate."""
    nodes: list[document.Node] = []
    found = material.summary.workloads
    for name in dict.fromkeys(each.conditions.workload.name
                              for each in found):
        nodes.append(_table(material, name, [
            each for each in found if each.conditions.workload.name == name]))
    nodes.append(document.Plot(
        'convergence',
        'From the request to the end, without the time in the queue, by the '
        'memory that the guest wrote each second before. The curve is '
        'duration = setup + memory / (bandwidth − dirty rate); left of the '
        'dashed line a copy ends by itself. A cross did not complete.',
        _figures(material), 'Settings',
        missing='No dirty rate is known: that takes access to the hosts, or '
        'workload memory.'))
    if material.summary.convergences:
        nodes.append(document.Table(
            'Duration = setup + memory / (bandwidth − dirty rate), with 95 % '
            'intervals. Memory: the least that a migration has sent.',
            ('Settings', 'Flavor', 'Setup (s)', 'Memory (MiB)',
             'Bandwidth (MiB/s)', 'Residual (s)', 'Migrations'),
            [document.TableRow((
                material.names.settings(each.conditions.settings),
                str(each.conditions.flavor),
                document.estimate(each.curve.setup_s),
                document.number(each.curve.memory_mib),
                document.estimate(each.curve.bandwidth),
                document.number(each.curve.residual_s),
                f'{each.curve.count}'))
                for each in material.summary.convergences], words=2))
    return document.Section('workloads', 'Workloads', nodes)


def _table(material: plots.Material, name: str,
           found: Sequence[summary.WorkloadGroup]) -> document.Table:
    def optional(value: float | None) -> str:
        return document.UNKNOWN if value is None else document.number(value)

    unit = found[0].conditions.workload.unit
    per_s = f'{unit}/s' if unit else '1/s'
    return document.Table(
        f'Guests with workload {name}. Dirty rate by libvirt, work before, '
        'during and after the migration, and duration: medians; stalls and '
        'outage: longest. Application: between two results of the guest, '
        'which take one second by themselves. Disk: one write with fsync.',
        ('Settings', 'Flavor', 'Drained together', 'Workload', 'Migrations',
         'With problems', 'Dirty rate (MiB/s)', f'Before ({per_s})',
         f'During ({per_s})', f'After ({per_s})', 'Duration (s)',
         'Outage (s)', 'Application stall (s)', 'Disk stall (s)'),
        [document.TableRow((
            material.names.settings(each.conditions.settings),
            str(each.conditions.flavor),
            each.conditions.drained_together_short,
            f'{each.conditions.workload}' + (
                f' (not in {each.skipped} guests)' if each.skipped else ''),
            f'{each.migrations}', f'{each.with_problems}',
            *map(optional, (
                each.dirty_mib_per_s, each.before_per_s, each.during_per_s,
                each.after_per_s, each.duration_s, each.outage_s,
                each.application_stall_s, each.disk_stall_s))),
            document.BAD if each.with_problems else document.GOOD)
            for each in found], words=4, outcome=6)


def _figures(material: plots.Material
             ) -> list[tuple[str, document.Figure]]:
    """Return a plot for each combination of settings with dirty rates."""
    curves = {each.conditions: each.curve
              for each in material.summary.convergences}
    figures = []
    for conditions, migrations in summary.by_dirty_rate(
            material.grouped).items():
        points = [(rate, each) for each in migrations
                  if (rate := summary.dirty_mib_per_s(each)) is not None]
        if len({rate for rate, _ in points}) < 2:
            continue
        figure = theme.figure(
            HEIGHT, xaxis=theme.axis('dirty rate (MiB/s)', rangemode='tozero'),
            yaxis=theme.axis('seconds', rangemode='tozero'))
        for number, (name, fill, completed) in enumerate((
                ('completed', theme.GOOD, True),
                ('not completed', theme.BAD, False))):
            chosen = [(rate, each) for rate, each in points
                      if each.completed == completed]
            if chosen:
                figure.add(
                    'scatter', mode='markers', name=name,
                    x=[rate for rate, _ in chosen],
                    y=[each.duration_s - each.queue_s for _, each in chosen],
                    marker={'color': fill, 'size': 8,
                            'symbol': 'x' if number else 'circle'},
                    hoverinfo='text', hovertext=[theme.hover(
                        each.server_name, each.workload,
                        f'{document.number(rate)} MiB/s, {each.verdict}, '
                        f'{document.number(each.duration_s)} s')
                        for rate, each in chosen])
        if conditions in curves:
            highest = max(each.duration_s - each.queue_s
                          for _, each in points)
            _add_curve(figure, curves[conditions], highest * TALLEST)
        figures.append((', '.join((
            material.names.settings(conditions.settings),
            str(conditions.flavor), conditions.drained_together)), figure))
    return figures


def _add_curve(figure: document.Figure, curve: estimates.Convergence,
               highest_s: float) -> None:
    """Add the fitted curve, and the rate at which copies end to converge."""
    bandwidth = curve.bandwidth.value
    # Of the curve, at the top of the plot.
    last = bandwidth - curve.memory_mib / max(
        1e-9, highest_s - curve.setup_s.value)
    rates = numpy.linspace(0.0, max(last, 0.0), CURVE_POINTS)
    figure.add(
        'scatter', mode='lines', name='fit', hoverinfo='skip',
        x=rates.tolist(), y=curve.at(rates).tolist(),
        line={'color': theme.INK, 'width': 1.5})
    figure.add(
        'scatter', mode='lines', name='bandwidth', hoverinfo='skip',
        x=[bandwidth, bandwidth], y=[0.0, highest_s],
        line={'color': theme.MUTED, 'width': 1.5, 'dash': 'dash'})
