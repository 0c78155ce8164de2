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

"""Figures in words, alike in all formats for people."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results import summary as summaries

# So many of each kind are told one by one.
FAILURES = 50
# What quantities are called, without and with their unit.
NAMES: Mapping[str, str] = {
    'duration_s': 'duration', 'queue_s': 'queueing', 'service_s': 'service',
    'outage_s': 'outage', 'stall_s': 'stall', 'downtime_s': 'downtime'}


def printable(text: str) -> str:
    """Return a text on one line, without what steers a terminal.

    What cannot be printed stands there as Python writes it.
    """
    return ''.join(
        each if each.isprintable() else each.encode(
            'unicode_escape').decode() for each in text)


def number(value: float) -> str:
    """Return seconds, with what digits make sense."""
    size = abs(value)
    # What would be rounded up to one digit more is written with it.
    return '%.*f' % (
        0 if size >= 99.95 else 1 if size >= 9.995 else 2, value)


def estimate(each: intervals.Estimate) -> str:
    """Return a figure with its interval, if that is known."""
    if each.low is not None and each.high is not None:
        return '%s (%s to %s)' % (
            number(each.value), number(each.low), number(each.high))
    return number(each.value)


def group_row(group: summaries.Group) -> dict[str, str]:
    """Return the row of live migrations, by the headings of its columns."""
    return {
        'Flavor': str(group.flavor),
        'Servers': group.way.short,
        'Good': '%d of %d' % (group.good, group.attempts),
        'Duration': _median(group, 'duration_s'),
        'p95': _p95(group, 'duration_s'),
        'Outage': _largest(group, 'outage_s'),
        'Stall': _largest(group, 'stall_s'),
        'Downtime': _largest(group, 'downtime_s'),
    }


def verdicts(groups: Iterable[summaries.Group]) -> Iterator[str]:
    """Yield what became of servers that were not all moved, by group."""
    for each in groups:
        if each.completed < each.attempts:
            yield '%s, %s, %s: %s' % (
                each.cell, each.flavor, each.way, ', '.join(
                    '%d %s' % (count, verdict)
                    for verdict, count in each.verdicts.items()))


def drain_row(group: summaries.DrainGroup) -> dict[str, str]:
    """Return the row of drains, by the headings of its columns."""
    return {
        'Servers': group.load,
        'Strategy': group.way.strategy,
        'Drains': str(group.drains),
        'Drained in': estimate(group.wall.median),
        'At once': '' if group.ran is None else
        '%d' % group.ran[0] if group.ran[0] == group.ran[1] else
        '%d to %d' % group.ran,
        'Waiting': '' if group.queued is None else str(group.queued),
        'Transport': ', '.join(group.transports),
        'Model': '' if group.model is None else
        '%+.0f %%' % (100 * group.model.mean_error.value),
    }


def drifts(found: Sequence[summaries.Drift]) -> Iterator[str]:
    """Yield what is to be said of trips, a line for each drift."""
    drifting = [each for each in found if each.per_trip.excludes(0)]
    for each in drifting:
        yield '%s of %s, %s, %s: %+.3f s with each of %d trips (%s)' % (
            NAMES[each.quantity], each.flavor, each.way, each.cell,
            each.per_trip.value, each.trips, _span(each.per_trip, '%+.3f'))
    rest = len(found) - len(drifting)
    if rest:
        yield 'no drift found in %d%s' % (
            rest, ' others' if drifting else ' series of trips')


def fits(found: Sequence[summaries.CellFit]) -> Iterator[str]:
    """Yield durations against memory, a line for each."""
    for each in found:
        line = each.fit
        yield ('%s, %s: %.1f s + %.2f s for each GiB (%s), of %d live '
               'migrations, +/- %.1f s' % (
                   each.cell, each.way, line.seconds.value,
                   line.seconds_per_gib.value,
                   _span(line.seconds_per_gib, '%.2f'), line.count,
                   line.residual_s))


def setting(each: summaries.Difference) -> str:
    """Return what was changed, and what was the same."""
    before, after = ({'storage': cell.storage, **dict(cell.settings)}
                     for cell in (each.before, each.after))
    rest = collection.Cell(
        '' if each.setting == 'storage' else each.before.storage,
        tuple(pair for pair in each.before.settings
              if pair[0] != each.setting))
    same = str(rest) if rest.storage or rest.settings else ''
    return '%s: %s instead of %s%s' % (
        each.setting.replace('_', ' '), _word(after[each.setting]),
        _word(before[each.setting]), ' (%s)' % same if same else '')


def difference_row(each: summaries.Difference) -> dict[str, str]:
    """Return the row of a difference, by the headings of its columns."""
    effect = each.effect
    return {
        'Flavor': str(each.flavor),
        'Servers': each.way.short,
        'What': NAMES[each.quantity],
        'Before': number(effect.before.value),
        'After': number(effect.after.value),
        'Difference': '%s (%s to %s)' % tuple(
            signed(value) for value in (
                effect.difference.value, effect.difference.low,
                effect.difference.high) if value is not None),
        'Times': '%.2f' % effect.ratio.value if effect.ratio.known else '',
    }


def signed(value: float) -> str:
    """Return seconds with their sign."""
    return number(value) if value < 0 else '+' + number(value)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return 'on' if value else 'off'
    return str(value)


def failures(summary: summaries.Summary) -> Iterator[str]:
    """Yield what was not as expected, as far as anybody would read it."""
    yield from summary.failures[:FAILURES]
    if len(summary.failures) > FAILURES:
        yield 'and %d more' % (len(summary.failures) - FAILURES)


def _span(each: intervals.Estimate, shape: str) -> str:
    if each.low is None or each.high is None:
        return 'of too few for an interval'
    return '%s to %s' % (shape % each.low, shape % each.high)


def _median(group: summaries.Group, quantity: str) -> str:
    spread = group.spreads.get(quantity)
    return estimate(spread.median) if spread else ''


def _p95(group: summaries.Group, quantity: str) -> str:
    spread = group.spreads.get(quantity)
    return number(spread.p95.value) if spread else ''


def _largest(group: summaries.Group, quantity: str) -> str:
    spread = group.spreads.get(quantity)
    return number(spread.largest) if spread else ''
