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

"""Median duration of each phase of a live migration."""

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results.plots import shared
from lm_tempest_plugin.results.plots import theme

PLACE = 20
MOST_ROWS = 40
ROW = 32


def section(material: shared.Material) -> document.Section:
    """Return the section with the plot."""
    known = [group for group in material.summary.groups if group.phases]
    plot = document.Plot(
        'phases',
        'checks: nova chooses a host and asks both; queued: other '
        'migrations go first; setup: the destination prepares; copy: memory, '
        'and disks of a block migration; post and cleanup: nova finishes on '
        'the destination and on the source. Medians of different phases do '
        'not add up to the median of the duration.',
        [('', _figure(material))] if known else [],
        missing='' if known else
        'The phases of measured migrations are not known.',
        notes=shared.left_out(known, MOST_ROWS,
                              'combinations of settings and flavor'))
    return document.Section('phases', 'Phases', [plot])


def _figure(material: shared.Material) -> document.Figure:
    groups = [group for group in material.summary.groups
              if group.phases][:MOST_ROWS]
    labels = [
        f'{theme.wrapped(material.names.group(each.conditions), lines=3)}'
        f'<br><b>{theme.short(each.conditions.flavor, theme.LABEL_WIDTH)}'
        f'</b>' for each in groups]
    figure = theme.figure(
        max(120, sum(ROW + 13 * label.count('<br>') for label in labels)),
        barmode='stack', bargap=0.35,
        xaxis=theme.axis('seconds (median of each phase)',
                         rangemode='tozero'),
        yaxis=theme.rows(labels))
    names = dict.fromkeys([
        *theme.PHASES, *(name for group in groups for name in group.phases)])
    for number, name in enumerate(names):
        if any(name in group.phases for group in groups):
            seconds = [group.phases.get(name, 0.0) for group in groups]
            figure.add(
                'bar', name=theme.text(name), orientation='h',
                y=list(range(len(groups))), x=seconds,
                marker={'color': theme.PHASES.get(
                    name, theme.colour(number)),
                    'line': {'width': 0.5, 'color': '#ffffff'}},
                hoverinfo='text', hovertext=[theme.hover(
                    f'{group.conditions.settings}, '
                    f'{group.conditions.flavor}',
                    f'{name}: {document.number(each)} s')
                    for group, each in zip(groups, seconds)])
    return figure
