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

"""The white paper's figures, beside ours where that is possible."""

from collections.abc import Sequence
import dataclasses

import numpy

from lm_tempest_plugin.results import baseline
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html import table
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results import summary

AREA = 300
TICKS = [digit * 10.0 ** power for power in range(-2, 5)
         for digit in (1, 2, 5)]
KEY, TITLE = 'published', 'Beside the figures published in 2017'
TUNNELLED = 'tunnelled'
_LOGARITHMIC = {
    'type': 'log', 'tickmode': 'array', 'tickvals': TICKS,
    'ticktext': ['%g' % tick for tick in TICKS]}
Kind = tuple[str, bool]


@dataclasses.dataclass(frozen=True, slots=True)
class Ours:
    """What we have to hold against theirs.

    :ivar kind: storage, and whether it was tunnelled
    :ivar group: what it is of
    :ivar seconds: median without the queue
    """

    kind: Kind
    group: summary.Group
    seconds: intervals.Estimate


def plot(material: materials.Material) -> plots.Plot:
    """Return the plot.

    :param material: of the page
    """
    published = [each for each in baseline.read() if each.serial]
    ours = _ours(material, {(each.storage, each.tunnelled)
                            for each in published})
    if not ours:
        return plots.Plot(KEY, TITLE, '', missing=(
            'No cell says both where disks live and whether it is tunnelled, '
            'and moved its servers one at a time, so that the figures of '
            'the %s have no counterpart here.' % baseline.NAME))
    kinds = sorted({each.kind for each in ours})
    theirs = [each for each in published
              if (each.storage, each.tunnelled) in kinds]
    return plots.Plot(
        KEY, TITLE,
        'Seconds for one live migration without the queue, against the '
        'memory of the flavor; both axes are logarithmic. Filled: ours, the '
        'median with its 95 %% interval. Hollow: theirs (%s), the median '
        'with what 90 %% lie between. Their servers were larger and their '
        'hosts are not ours, so that only the slope and the ratio of one '
        'cell to another can be compared, and not the seconds.' %
        baseline.NAME,
        figures=[('', _figure(material, kinds, ours, theirs))],
        tables=[_table(material, ours, theirs), _batches()],
        list_title='What is wrong with the published figures',
        points=baseline.defects())


def _serial(material: materials.Material, group: summary.Group) -> bool:
    """Return whether no more than one was seen to run at once."""
    return not any(
        each.ran and each.ran[1] > 1 for each in material.summary.drains
        if (each.cell, each.way) == (group.cell, group.way))


def _ours(material: materials.Material, kinds: set[Kind]) -> list[Ours]:
    found = []
    for group in material.summary.groups:
        settings = dict(group.cell.settings)
        kind = (group.cell.storage, bool(settings.get(TUNNELLED)))
        # As in theirs, what a migration takes when it waits for no other.
        seconds = [each.duration_s - each.queue_s
                   for each in material.moved(group)]
        if (TUNNELLED in settings and kind in kinds and seconds and
                _serial(material, group)):
            found.append(Ours(kind, group, intervals.median(
                numpy.array(seconds))))
    return found


def _figure(material: materials.Material, kinds: Sequence[Kind],
            ours: Sequence[Ours], theirs: Sequence[baseline.Published]
            ) -> figures.Figure:
    figure = theme.figure(
        AREA,
        xaxis=theme.axis('memory of the flavor (GiB)', **_LOGARITHMIC),
        yaxis=theme.axis('seconds', **_LOGARITHMIC))
    for number, kind in enumerate(kinds):
        _add_theirs(figure, number, kind, [
            each for each in theirs
            if (each.storage, each.tunnelled) == kind])
        _add_ours(figure, material, number, kind, [
            each for each in ours
            if each.kind == kind and each.seconds.value > 0 and
            each.group.flavor.ram_gib > 0])
    return figure


def _add_theirs(figure: figures.Figure, number: int, kind: Kind,
                theirs: Sequence[baseline.Published]) -> None:
    figure.add(
        'scatter',
        name='published: %s' % _name(kind), mode='markers',
        legendgroup=str(number),
        x=[each.size.ram_gib for each in theirs],
        y=[each.median_s for each in theirs],
        error_y=figures.error_bars([
            intervals.Estimate(each.median_s, each.p5_s, each.p95_s,
                               each.moved) for each in theirs], thickness=1),
        marker={'symbol': theme.symbol(number) + '-open', 'size': 9,
                'color': theme.colour(number)},
        hoverinfo='text', hovertext=[
            theme.hover('published: %s' % each,
                        'median %s s' % words.number(each.median_s),
                        '%d of %d moved' % (each.moved, each.attempted))
            for each in theirs])


def _add_ours(figure: figures.Figure, material: materials.Material,
              number: int, kind: Kind, ours: Sequence[Ours]) -> None:
    if not ours:
        return
    values = [each.seconds for each in ours]
    figure.add(
        'scatter',
        name='ours: %s' % _name(kind), mode='markers',
        legendgroup=str(number),
        x=[each.group.flavor.ram_gib for each in ours],
        y=[each.value for each in values],
        error_y=figures.error_bars(values),
        marker={'symbol': theme.symbol(number), 'size': 9,
                'color': theme.colour(number)},
        hoverinfo='text', hovertext=[
            theme.hover(material.names.group(
                each.group.cell, each.group.way), each.group.flavor,
                'median %s s' % words.estimate(each.seconds))
            for each in ours])


def _table(material: materials.Material, ours: Sequence[Ours],
           theirs: Sequence[baseline.Published]) -> table.Table:
    """Return theirs and ours by kind and flavor, each as it is called."""
    rows = []
    for kind in sorted({each.kind for each in ours}):
        for published in theirs:
            if (published.storage, published.tunnelled) == kind:
                rows.append(table.Row((
                    'published', _name(kind), published.flavor +
                    (' (%s)' % published.note if published.note else ''),
                    '%g' % published.size.ram_gib,
                    '%s (%s to %s)' % (
                        words.number(published.median_s),
                        words.number(published.p5_s),
                        words.number(published.p95_s)),
                    '%d of %d' % (published.moved, published.attempted))))
        for each in ours:
            if each.kind == kind:
                rows.append(table.Row((
                    'ours', material.names.group(
                        each.group.cell, each.group.way),
                    str(each.group.flavor),
                    '%g' % each.group.flavor.ram_gib,
                    words.estimate(each.seconds),
                    '%d of %d' % (each.group.completed,
                                  each.group.attempts))))
    return table.Table(
        'Published figures and ours. In brackets: of theirs what 90 % lie '
        'between, of ours the 95 % interval of the median',
        ('Whose', 'Cell', 'Flavor', 'Memory (GiB)', 'Median (s)', 'Moved'),
        rows, words=3)


def _batches() -> table.Table:
    """Return their drains by the size of batches."""
    return table.Table(
        'Published: drains of 12 medium servers on shared storage, not '
        'tunnelled, by the size of batches (all means, in seconds). S is '
        'the time to empty the host over the number of servers',
        ('At once', 'One server', 'Host is empty', 'S',
         'Queueing alone: S (N + 1) / 2'),
        [table.Row((
            '%d' % each.batch, words.number(each.mean_s),
            words.number(each.drain_mean_s),
            words.number(each.drain_mean_s / each.servers),
            words.number(each.drain_mean_s / each.servers *
                         (each.batch + 1) / 2)))
            for each in baseline.read() if each.servers == 12])


def _name(kind: Kind) -> str:
    return '%s, tunnelled %s' % (kind[0], 'on' if kind[1] else 'off')
