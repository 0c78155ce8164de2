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

"""Which drains are shown, where there are too many to show all."""

from collections.abc import Sequence

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import material as materials

MOST = 24
RULE = ('those with something bad, in each cell the one with the longest '
        'outage, the first and the last trip, and then the earliest')


def chosen(material: materials.Material, drains: Sequence[collection.Drain],
           most: int = MOST) -> list[collection.Drain]:
    """Return the drains that tell most.

    The one with the most servers comes first, for that is what one sees;
    the others follow in the order in which they began.

    :param material: of the page
    :param drains: of which some are to be chosen
    :param most: how many
    """
    ranks = {id(drain): 3 for drain in drains}
    cells: dict[tuple[collection.Cell, collection.Way],
                list[collection.Drain]] = {}
    for drain in drains:
        cells.setdefault((drain.cell, drain.way), []).append(drain)
    for group in cells.values():
        for each in (min(group, key=_trip), max(group, key=_trip)):
            ranks[id(each)] = 2
        ranks[id(max(group, key=lambda drain: _outage(material, drain)))] = 1
    for drain in drains:
        if not drain.good or any(not each.good
                                 for each in material.of(drain)):
            ranks[id(drain)] = 0
    first = sorted(drains, key=lambda drain: ranks[id(drain)])[:most]
    in_time = sorted(first, key=lambda drain: drain.began_s)
    # max() takes the earliest of several.
    largest = max(in_time, key=lambda drain: drain.servers, default=None)
    return sorted(in_time, key=lambda drain: drain is not largest)


def notes(drains: Sequence[collection.Drain],
          shown: Sequence[collection.Drain]) -> list[str]:
    """Return what is left out, in words; nothing if all are shown."""
    if len(shown) == len(drains):
        return []
    return ['%d of %d drains are shown: %s.' % (
        len(shown), len(drains), RULE)]


def label(material: materials.Material, drain: collection.Drain) -> str:
    """Return what a drain is called where one is to be chosen."""
    bad = sum(not each.good for each in material.of(drain))
    return '%s%s%s: %s' % (
        '%s: ' % drain.run if len(material.records.runs) > 1 else '',
        '' if drain.good and not bad else '(bad) ', drain.name, drain.cell)


def _trip(drain: collection.Drain) -> int:
    return drain.trip


def _outage(material: materials.Material, drain: collection.Drain) -> float:
    found = materials.longest(
        each.outage for each in material.of(drain))
    return found.seconds if found else 0.0
