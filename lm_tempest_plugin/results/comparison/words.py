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

"""Figures and names as all forms of a comparison show them."""

from collections.abc import Iterator
from collections.abc import Sequence
import math

from lm_tempest_plugin.results.comparison import groups
from lm_tempest_plugin.results.comparison import judgement
from lm_tempest_plugin.results.comparison import quantities
from lm_tempest_plugin.results.html import words as figures
from lm_tempest_plugin.results.statistics import intervals

COLUMNS = ('quantity', 'before (s)', 'after (s)', 'difference (s)', 'change',
           'found')
FAILURE_COLUMNS = ('what', 'failed before', 'failed after', 'found')
INTERVALS = ('Medians and differences, with 95 % intervals; the interval '
             'says how much better or worse it may still be where no '
             'difference was found.')
# The sentence tells so many of each kind.
MOST = 3


def cells(row: judgement.Row) -> list[str]:
    """Return a row as texts, one for each of COLUMNS."""
    effect = row.effect
    return [
        row.title, figures.estimate(effect.before),
        figures.estimate(effect.after),
        figures.signed(effect.difference.value) +
        figures.interval(effect.difference, sign=True),
        change(row), row.word]


def failure_cells(each: judgement.Failures) -> list[str]:
    """Return failures as texts, one for each of FAILURE_COLUMNS."""
    return ['%s: %s' % (each.what, each.where),
            '%d of %d' % (each.before, each.of_before),
            '%d of %d' % (each.after, each.of_after), each.word]


def change(row: judgement.Row) -> str:
    """Return by what part something changed, with its interval."""
    if not math.isfinite(row.change):
        return 'from none'
    ratio = row.effect.ratio
    if math.isnan(ratio.value) or ratio.low is None or ratio.high is None:
        return percent(row.change)
    return '%s (%s to %s)' % (percent(row.change), percent(ratio.low - 1),
                              percent(ratio.high - 1))


def percent(part: float) -> str:
    """Return a part of one as percent, with its sign."""
    return '%+.*f %%' % (0 if abs(part) >= 0.1 else 1, 100 * part)


def labels(found: Sequence[groups.Group]) -> list[str]:
    """Return what groups are called, without what all have in common.

    :returns: one for each; empty for one that has nothing of its own
    """
    parts = [_parts(group) for group in found]
    differing = [len(set(column)) > 1 for column in zip(*parts)]
    if not any(differing):
        differing = [True] * len(differing)
    return ['; '.join(part for part, told in zip(each, differing)
                      if told and part) for each in parts]


def sentence(comparison: judgement.Comparison) -> str:
    """Return what was found, in one sentence."""
    worse = [*_failing(comparison), *_told(comparison, judgement.WORSE)]
    better = list(_told(comparison, judgement.BETTER))
    within = list(_told(comparison, judgement.WITHIN))
    if worse:
        return 'Worse: %s%s.' % (_some(worse), (
            '; better: %s' % _some(better) if better else ''))
    few = len(comparison.those(judgement.FEW))
    compared = len(comparison.rows) - few
    counted = '%s in %s' % (
        figures.count(compared, 'comparison'),
        figures.count(len(comparison.common), 'group'))
    more = (' (%s more had too few values)' % few) if few else ''
    if not better and not within:
        return 'No difference found: %s%s.' % (counted, more)
    parts = ['%s: %s' % (word, _some(told)) for word, told in (
        ('better', better), ('worse within tolerance', within)) if told]
    return 'Nothing got worse by more than %g %%, in %s%s; %s.' % (
        comparison.tolerance_percent, counted, more, '; '.join(parts))


def notes(comparison: judgement.Comparison) -> list[str]:
    """Return what one has to know to read the figures."""
    return [
        *('"%s" is compared with "%s".' % pair
          for pair in dict.fromkeys(comparison.conditions.values())),
        *_sharing(comparison),
        *('Only the records %s have: %s.' % (when, ' | '.join(found))
          for when, found in (('before', comparison.only_before),
                              ('after', comparison.only_after)) if found),
        *('%s.' % remark for remark in comparison.remarks)]


def error(found: intervals.Estimate) -> tuple[float, float] | None:
    """Return an interval, if both of its ends are known."""
    if found.low is None or found.high is None:
        return None
    return found.low, found.high


def _parts(group: groups.Group) -> tuple[str, str, str, str]:
    return (str(group.cell), str(group.flavor) if group.flavor else '',
            group.strategy, 'drain of %s' % group.load)


def _told(comparison: judgement.Comparison, word: str) -> Iterator[str]:
    """Yield rows of a word in words, those with the largest change first."""
    named = dict(zip(comparison.common, labels(comparison.common)))
    for row in sorted(comparison.those(word),
                      key=lambda row: (row.quantity != quantities.WALL,
                                       -abs(row.change))):
        yield '%s%s %s s to %s s, %s' % (
            row.title, ' of ' * bool(named[row.group]) + named[row.group],
            figures.number(row.effect.before.value),
            figures.number(row.effect.after.value),
            percent(row.change) if math.isfinite(row.change)
            else 'from none')


def _failing(comparison: judgement.Comparison) -> Iterator[str]:
    worse = [each for each in comparison.failures
             if each.word == judgement.WORSE]
    told = {each.what for each in worse if each.where != judgement.TOGETHER}
    for each in worse:
        # That of all groups says no more than that of one does.
        if each.where != judgement.TOGETHER or each.what not in told:
            yield 'failures: %d of %d %s and before %d of %d (%s)' % (
                each.after, each.of_after, each.what, each.before,
                each.of_before, each.where)


def _some(told: Sequence[str]) -> str:
    found = list(told[:MOST])
    if len(told) > MOST:
        found.append('%d more' % (len(told) - MOST))
    return '; '.join(found)


def _sharing(comparison: judgement.Comparison) -> Iterator[str]:
    """Say why single servers may take longer in a drain that does not."""
    quicker = {_drained(row.group)
               for row in comparison.those(judgement.BETTER)
               if row.quantity == quantities.WALL}
    slower = {_drained(row.group) for row in comparison.rows
              if row.quantity == quantities.SERVICE and
              row.word in (judgement.WORSE, judgement.WITHIN)}
    if quicker & slower:
        yield ('Drains are done earlier although each server takes longer: '
               'servers that move at once share network and CPUs of the '
               'hosts, and wait less for each other. What counts for a '
               'drain is its wall time; --quantity %s compares that alone.'
               % quantities.WALL)


def _drained(group: groups.Group) -> tuple[str, str, str]:
    return str(group.cell), group.strategy, group.load
