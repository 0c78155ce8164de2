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

"""Where the time of a live migration goes."""

from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words
from lm_tempest_plugin.results import summary

MOST_ROWS = 40
ROW = 32
KEY, TITLE = 'phases', 'Phases'


def plot(material: materials.Material) -> plots.Plot:
    """Return the plot.

    :param material: of the page
    """
    known = [group for group in material.summary.groups if group.phases]
    if not known:
        return plots.Plot(KEY, TITLE, '', missing=(
            'No phase is known of any live migration that was measured.'))
    groups = known[:MOST_ROWS]
    notes = []
    if len(known) > len(groups):
        notes.append('The first %d of %d cells and flavors are shown.' % (
            len(groups), len(known)))
    labels = [_label(material, group) for group in groups]
    figure = theme.figure(
        max(120, sum(ROW + 13 * label.count('<br>') for label in labels)),
        barmode='stack', bargap=0.35,
        xaxis=theme.axis('seconds (median of each phase)',
                         rangemode='tozero'),
        yaxis=theme.rows(labels))
    names = dict.fromkeys([
        *theme.PHASES, *(name for group in groups for name in group.phases)])
    for number, name in enumerate(names):
        if not any(name in group.phases for group in groups):
            continue
        figure.add(
            'bar',
            name=theme.text(name), orientation='h',
            y=list(range(len(groups))),
            x=[group.phases.get(name, 0.0) for group in groups],
            marker={'color': theme.PHASES.get(name, theme.colour(number)),
                    'line': {'width': 0.5, 'color': '#ffffff'}},
            hoverinfo='text', hovertext=[theme.hover(
                '%s, %s' % (group.cell, group.flavor), '%s: %s s' % (
                    name, words.number(group.phases.get(name, 0.0))))
                for group in groups])
    return plots.Plot(
        KEY, TITLE,
        'checks: nova chooses and asks both hosts; queued: others go first; '
        'setup: the destination makes ready; copy: memory, and disks of a '
        'block migration; post and cleanup: what nova does afterwards on '
        'the destination and on the source. Medians of different phases do '
        'not add up to the median of the whole.',
        figures=[('', figure)], notes=notes)


def _label(material: materials.Material, group: summary.Group) -> str:
    return '%s<br><b>%s</b>' % (
        theme.wrapped(material.names.group(group.cell, group.way),
                      lines=3), theme.short(group.flavor, theme.LABEL_WIDTH))
