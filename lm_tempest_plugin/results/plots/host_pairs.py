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

"""Hosts: a table with the worst first, and a heat map of few hosts."""

from collections.abc import Mapping
from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import hosts
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary

# In pixels: a cell, a letter of a label, and the rest beside them.
CELL, LETTER, BORDER = 26, 7, 60
SOME, LIGHT = theme.COLOURS[4], '#eef4f9'
# Mark of a verdict, and of a row whose worst verdict it is.
MARKS = {hosts.PROBLEMS: ('✗', document.BAD),
         hosts.UNCLEAR: ('?', document.BAD), hosts.NOT_TRIED: ('–', ''),
         hosts.GOOD: ('✓', document.GOOD)}

_Migrations = Sequence[schema.MigrationResult]


def section(material: plots.Material,
            found: Sequence[hosts.HostSummary]) -> document.Section:
    """Return how many hosts are good, a table, and a heat map.

    :param material: the results
    :param found: the hosts, in the order of the table
    """
    nodes: list[document.Node] = [
        document.Note(f'{hosts.counts(found)}.', answer=True), _table(found)]
    if 2 < len(found) <= hosts.MANY:
        nodes.append(_heat_maps(
            [each.host for each in found],
            hosts.by_pair(material.results.migrations)))
    return document.Section('hosts', 'Hosts', nodes)


def direction(found: hosts.HostDirection) -> str:
    """Return a verdict with its mark and the number of migrations."""
    text = f'{MARKS[found.verdict][0]} {found.verdict}'
    return f'{text}, {found.as_expected} of {found.migrations}' \
        if found.migrations else text


def _table(found: Sequence[hosts.HostSummary]) -> document.Table:
    versions = {each.versions for each in found}
    same = f' All hosts: {"".join(versions)}.' \
        if len(versions) == 1 and versions != {''} else ''
    rows = []
    for each in found:
        causes = '; '.join(
            f'{name} {side.cause}' for name, side in zip(
                hosts.DIRECTIONS, each.directions) if side.cause)
        rows.append(document.TableRow((
            each.host, *map(direction, each.directions),
            causes or document.UNKNOWN,
            *([each.versions or document.UNKNOWN]
              if len(versions) > 1 else ()),
            *(document.UNKNOWN if figure is None else document.number(figure)
              for figure in (each.duration_s, each.outage_s))),
            MARKS[each.verdict][1]))
    return document.Table(
        'Live migrations from each host (sending) and to it (receiving), and '
        'how many of them were as expected; hosts with problems first. '
        'Problems of a pair belong to a host if the other one works with any '
        'host; unclear if neither does. Duration: median; outage: '
        f'longest.{same}',
        ('Host', 'Sending', 'Receiving', 'Worst problem',
         *(['Versions'] if len(versions) > 1 else ()), 'Duration (s)',
         'Outage (s)'), rows, words=4 + (len(versions) > 1),
        brief=len(found) > hosts.MANY)


def _heat_maps(names: Sequence[str],
               pairs: Mapping[hosts.HostPair, _Migrations]) -> document.Plot:
    """Return heat maps of verdicts, durations and outages.

    :param names: of the hosts, in the order of rows and columns
    :param pairs: live migrations by source and destination
    """
    good = {pair: sum(not each.problems for each in found)
            for pair, found in pairs.items()}
    durations, outages = ({
        pair: float(figure(values)) for pair, found in pairs.items()
        if (values := summary.values(found, quantity)).size}
        for quantity, figure in (('duration_s', numpy.median),
                                 ('outage_s', numpy.max)))
    hovers = {pair: theme.hover(
        f'{pair[0]} → {pair[1]}',
        f'as expected: {good[pair]} of {len(found)}',
        *(f'{name}: {document.number(values[pair])} s' for name, values in (
            ('median duration', durations), ('longest outage', outages))
          if pair in values)) for pair, found in pairs.items()}
    verdicts = _heat_map(
        names, {pair: good[pair] / len(found)
                for pair, found in pairs.items()},
        {pair: '✓' if good[pair] == len(found) else '✗'
         for pair, found in pairs.items()}, hovers, zmin=0, zmax=1,
        colorscale=[[0, theme.BAD], [0.001, theme.BAD], [0.001, SOME],
                    [0.999, SOME], [0.999, theme.GOOD], [1, theme.GOOD]])
    return document.Plot(
        'host-pairs',
        'Live migrations by source (row) and destination (column), in the '
        'order of the table. Verdict: all as expected (green), some '
        '(orange), none (red). Duration: median; outage: longest. Grey: '
        'no live migration, or no figure.',
        [('Verdict', verdicts), *(
            (title, _heat_map(
                names, values, {pair: document.number(each)
                                for pair, each in values.items()}, hovers,
                colorscale=[[0, LIGHT], [1, theme.COLOURS[0]]]))
            for title, values in (('Duration (s)', durations),
                                  ('Outage (s)', outages)) if values)],
        'Quantity')


def _heat_map(names: Sequence[str],
              values: Mapping[hosts.HostPair, float],
              texts: Mapping[hosts.HostPair, str],
              hovers: Mapping[hosts.HostPair, str],
              **colours: object) -> document.Figure:
    """Return a heat map; a pair without a value is left blank."""
    # Without their domain, if they differ without it.
    shorter = [name.partition('.')[0] for name in names]
    labels = [theme.short(name, theme.LABEL_WIDTH) for name in (
        shorter if len(set(shorter)) == len(names) else names)]
    places = list(range(len(names)))

    def matrix(found: Mapping[hosts.HostPair, object],
               missing: object) -> list[list[object]]:
        return [[found.get((source, destination), missing)
                 for destination in names] for source in names]

    figure = theme.figure(
        len(names) * CELL, BORDER + len(names) * CELL +
        max(map(len, labels)) * LETTER,
        yaxis=theme.rows(labels, title='from'),
        xaxis=theme.axis(
            'to', tickmode='array', tickvals=places, ticktext=labels,
            tickangle=-90, showgrid=False, zeroline=False, ticks='',
            range=[-0.5, len(names) - 0.5]), plot_bgcolor=theme.GRID)
    figure.add(
        'heatmap', x=places, y=places, z=matrix(values, None), xgap=1, ygap=1,
        text=matrix(texts, ''), texttemplate='%{text}', showscale=False,
        hoverinfo='text', hovertext=matrix(hovers, ''), hoverongaps=False,
        **colours)
    return figure
