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

"""The table of cells, and that of drains."""

from collections.abc import Iterator

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import table
from lm_tempest_plugin.results.html import words
from lm_tempest_plugin.results import summary

GOOD, BAD = 'good', 'bad'


def cells(material: materials.Material) -> table.Table:
    """Return what each flavor did in each cell.

    :param material: of the page
    """
    return table.Table(
        'Live migrations by cell and flavor: medians with 95 % intervals; '
        'longest outage and stall with error, and what is allowed; median '
        "/ longest of libvirt's downtime",
        ('Cell', 'Servers', 'As expected', 'Median duration (s)', 'p95 (s)',
         'Longest outage (s)', 'Longest stall (s)',
         "libvirt's downtime (s)", 'At once', 'Transport'),
        [table.Row(
            tuple(_cells(material, group)),
            GOOD if group.good == group.attempts else BAD)
            for group in material.summary.groups], words=3)


def _cells(material: materials.Material,
           group: summary.Group) -> Iterator[str]:
    yield material.names.cell(group.cell)
    yield ', '.join(filter(None, (
        '%d %s' % (group.way.servers, group.flavor), group.way.strategy)))
    yield '%s %d of %d%s' % (
        '✓' if group.good == group.attempts else '✗', group.good,
        group.attempts, _others(group))
    duration = group.spreads.get('duration_s')
    yield words.estimate(duration.median) if duration else words.NOTHING
    yield words.number(duration.p95.value) if duration else words.NOTHING
    measured = material.measured(group)
    yield _longest(materials.longest(each.outage for each in measured))
    yield _longest(materials.longest(each.stall for each in measured))
    downtime = group.spreads.get('downtime_s')
    yield ('%s / %s' % (
        words.number(downtime.median.value), words.number(downtime.largest))
        if downtime else words.NOTHING)
    drains = [each for each in material.summary.drains
              if (each.cell, each.way) == (group.cell, group.way)]
    ran = [number for each in drains if each.ran for number in each.ran]
    yield _range(min(ran), max(ran)) if ran else words.NOTHING
    yield ', '.join(sorted({name for each in drains
                            for name in each.transports})) or words.NOTHING


def _others(group: summary.Group) -> str:
    """Return verdicts other than that a server was moved, in words."""
    others = ['%d %s' % (number, verdict)
              for verdict, number in group.verdicts.items()
              if verdict != collection.COMPLETED]
    return ' (%s)' % ', '.join(others) if others else ''


def _longest(found: collection.Longest | None) -> str:
    if found is None:
        return words.NOTHING
    return '%s ± %s of %s' % (
        words.number(found.seconds), words.number(found.error_s),
        '%g' % found.bound_s)


def _range(least: int, most: int) -> str:
    return '%d' % most if least == most else '%d to %d' % (least, most)


def drains(material: materials.Material) -> table.Table | None:
    """Return what each kind of drain took; None if there was none.

    :param material: of the page
    """
    if not material.summary.drains:
        return None
    return table.Table(
        'Drains: how long it took to empty a host, how many live migrations '
        'ran at once, and what queueing alone would come to',
        ('Cell', 'Servers', 'Strategy', 'Drains', 'Wall time (s)',
         'Longest (s)', 'At once', 'Most waiting', 'Mean of one (s)',
         'By the model (s)', 'Off by (%)'),
        [table.Row((
            material.names.cell(each.cell), each.load, each.way.strategy,
            '%d' % each.drains,
            words.estimate(each.wall.median),
            words.number(each.wall.largest),
            _range(*each.ran) if each.ran else words.NOTHING,
            words.NOTHING if each.queued is None else '%d' % each.queued,
            *_model(each))) for each in material.summary.drains])


def _model(group: summary.DrainGroup) -> tuple[str, str, str]:
    model = group.model
    if model is None:
        return (words.NOTHING,) * 3
    return (words.number(model.observed_mean_s.value),
            words.number(model.predicted_mean_s.value),
            '%+.0f' % (100 * model.mean_error.value))
