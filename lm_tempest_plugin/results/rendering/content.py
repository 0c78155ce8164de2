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

"""What a summary tells people, in the order in which they need it.

Formats for people differ in how they set titles, tables and lists, and in
what they have to escape; not in what there is to say.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.results import collection as collections
from lm_tempest_plugin.results.rendering import words
from lm_tempest_plugin.results import summary as summaries

LEGEND = ('In seconds. Duration: median and its 95 % interval, where there '
          'are enough values. Outage, stall (TCP) and downtime (of the '
          'guest\'s CPUs): the longest.')
DRAIN_LEGEND = ('In seconds: median and its 95 % interval. Model: by '
                'how much requests took longer than if they had only waited '
                'for each other.')
DIFFERENCE_LEGEND = (
    'Medians in seconds. Difference and ratio are those between single '
    'values, in the middle, with the 95 % interval of the difference: where '
    'nothing differs, one of 20 is found to differ by chance.')


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A title with tables, or with a list, below it.

    :ivar title: what it is about
    :ivar tables: rows by the headings of their columns, below a name each
    :ivar lines: of the list
    :ivar note: what there is to know of it; may be empty
    """

    title: str
    tables: Mapping[str, Sequence[Mapping[str, str]]] = dataclasses.field(
        default_factory=dict)
    lines: Sequence[str] = ()
    note: str = ''


def title(summary: summaries.Summary) -> str:
    """Return the verdict in two words."""
    return 'Live migration: %s' % ('good' if summary.good else 'NOT GOOD')


def sections(summary: summaries.Summary,
             collection: collections.Collection) -> Iterator[Section]:
    """Yield what there is to say; sections without anything are left out."""
    for section in (
            Section('Failures', lines=tuple(words.failures(summary))),
            Section('Live migrations', _by_cell(
                (each.cell, words.group_row(each))
                for each in summary.groups),
                lines=tuple(words.verdicts(summary.groups)), note=LEGEND),
            Section('Drains', _by_cell(
                (each.cell, words.drain_row(each))
                for each in summary.drains), note=DRAIN_LEGEND),
            Section('How many at once', lines=(
                summary.recommendation.text,
                *summary.recommendation.evidence)
                if summary.drains else ()),
            _differences(summary.differences),
            Section('Duration without queueing by memory',
                    lines=tuple(words.fits(summary.fits))),
            Section('From trip to trip',
                    lines=tuple(words.drifts(summary.drifts))),
            Section('Remarks', lines=summary.remarks),
            Section('Records', lines=tuple(
                '%s, in %s' % (run.name, run.path)
                for run in collection.runs))):
        if section.tables or section.lines:
            yield section


def _differences(found: Sequence[summaries.Difference]) -> Section:
    rows: dict[str, list[dict[str, str]]] = {}
    for each in found:
        if each.effect.found:
            rows.setdefault(words.setting(each), []).append(
                words.difference_row(each))
    rest = sum(not each.effect.found for each in found)
    return Section(
        'What settings do', rows,
        ('no difference found in %d of %d comparisons' % (rest, len(found)),)
        if rest else (), DIFFERENCE_LEGEND if rows else '')


def _by_cell(rows: Iterable[tuple[collections.Cell, dict[str, str]]]
             ) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for cell, row in rows:
        found.setdefault(str(cell), []).append(row)
    return found
