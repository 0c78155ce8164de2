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

"""The comparison of two sets of results, as a document."""

from collections.abc import Collection
from collections.abc import Sequence
import math

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import hosts
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.results.plots import host_pairs
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import store

TITLE = 'Live migration, before and after'
#: Version of the comparison as JSON.
VERSION = 2
# Changes that the verdict names.
MOST_NAMED = 3
LINE, GAP = 16, 22

_LOOKS = {
    judgement.WORSE: (theme.BAD, 'square'),
    judgement.WITHIN: (theme.COLOURS[4], 'triangle-up'),
    judgement.BETTER: (theme.GOOD, 'diamond'),
    judgement.NONE: (theme.MUTED, 'circle-open'),
    judgement.FEW: (theme.MUTED, 'x-thin')}
_MARKS = {judgement.WORSE: document.BAD, judgement.BETTER: document.GOOD}


def build(before: store.Results, after: store.Results,
          tolerance_percent: float = judgement.TOLERANCE_PERCENT,
          ignored: Collection[str] = (),
          quantities: Collection[str] = (),
          title: str = '') -> document.Document:
    """Return the comparison of two sets of results; good is "not worse".

    :param before: results before
    :param after: results after
    :param tolerance_percent: a change that is accepted
    :param ignored: names of settings in which both sides may differ
    :param quantities: names of the quantities to compare; none for all
    :param title: heading; empty for the usual one
    :raises judgement.NotComparable: they have nothing in common
    """
    return show(judgement.judge(before, after, tolerance_percent, ignored,
                                quantities), title)


def show(found: judgement.Comparison,
         title: str = '') -> document.Document:
    """Return a comparison as a document.

    :param found: the comparison
    :param title: heading; empty for the usual one
    """
    sections = []
    if found.failures:
        sections.append(document.Section('failures', 'Failures', [
            document.Table(
                'Migrations and drains with problems, servers that were not '
                'judged, and tests that failed.',
                ('Subject', 'Failed before', 'Failed after', 'Outcome'), [
                    document.TableRow((
                        f'{each.subject}: {each.where}',
                        f'{each.before} of {each.of_before}',
                        f'{each.after} of {each.of_after}', each.outcome),
                        _MARKS.get(each.outcome, ''))
                    for each in found.failures], outcome=4)]))
    if found.hosts:
        sections.append(document.Section('hosts', 'Hosts', [_hosts(found)]))
    sections.append(document.Section('change', 'Changes', [document.Plot(
        'change',
        'Change of each group from before to after, with its 95 % interval. '
        'Left of the line is better, right of it worse; the dotted line is '
        'the tolerance. Hollow: no difference was found.', [
            (judgement.TITLES[name], _figure(
                changes, found.tolerance_percent))
            for name in judgement.QUANTITIES if (changes := [
                each for each in found.changes if each.quantity == name and
                math.isfinite(each.fraction)])],
        'Quantity', missing='There is no figure to compare.')]))
    tables = [document.Table(
        str(group),
        ('Quantity', 'Before (s)', 'After (s)', 'Difference (s)', 'Change',
         'Outcome'), rows, outcome=6)
        for group in found.common if (rows := [
            _row(each) for each in found.changes if each.group == group])]
    if tables:
        sections.append(document.Section('figures', 'All figures', [
            document.Note(
                'Before and after: medians. Difference and change: with '
                'their 95 % intervals. If no difference was found, the '
                'interval shows how large it may still be.'), *tables]))
    return document.Document(
        title=title or TITLE, good=not found.worse, verdict=verdict(found),
        remarks=remarks(found), sections=sections, data={
            'version': VERSION, 'kind': 'comparison',
            'verdict': verdict(found), 'worse': found.worse,
            'tolerance_percent': found.tolerance_percent, 'changes': [{
                'group': each.group, 'quantity': each.quantity,
                'outcome': each.outcome, 'effect': each.effect,
                'change_fraction': each.fraction,
                'smallest_s': each.smallest_s, 'p_value': each.p_value}
                for each in found.changes],
            'failures': found.failures, 'hosts': found.hosts,
            'only_before': found.only_before,
            'only_after': found.only_after, 'remarks': remarks(found)})


def verdict(found: judgement.Comparison) -> str:
    """Return the result in one sentence."""
    failed = [each for each in found.failures
              if each.outcome == judgement.WORSE]
    single = {each.subject for each in failed
              if each.where != judgement.ALL_GROUPS}
    # The count of all groups repeats that of a single group.
    worse = _host_texts(found, judgement.WORSE, 'new problems on')
    worse += [f'failures: {each.after} of {each.of_after} {each.subject} '
              'after, '
              f'{each.before} of {each.of_before} before ({each.where})'
              for each in failed if each.where != judgement.ALL_GROUPS or
              each.subject not in single]
    worse += _named(found, judgement.WORSE)
    better = _host_texts(found, judgement.BETTER, 'no more problems on')
    better += _named(found, judgement.BETTER)
    within = _named(found, judgement.WITHIN)
    if worse:
        more = f'; better: {_first(better)}' if better else ''
        return f'Worse: {_first(worse)}{more}.'
    few = len(found.with_outcome(judgement.FEW))
    compared = (f'{document.count(len(found.changes) - few, "comparison")} '
                f'in {document.count(len(found.common), "group")}')
    if few:
        compared += f' ({few} more had too few values)'
    if not better and not within:
        return f'No difference found: {compared}.'
    parts = [f'{outcome}: {_first(named)}' for outcome, named in (
        (judgement.BETTER, better), (judgement.WITHIN, within)) if named]
    return (f'Nothing got worse by more than {found.tolerance_percent:g} %, '
            f'in {compared}; {"; ".join(parts)}.')


def remarks(found: judgement.Comparison) -> list[str]:
    """Return facts that a reader needs to understand the figures."""
    texts = [f'"{before}" is compared with "{after}".' for before, after
             in dict.fromkeys(found.ignored.values())]

    def drains(changes: Sequence[judgement.Change], quantity: str,
               ) -> set[tuple[str, str, str]]:
        return {(str(each.group.settings), each.group.strategy,
                 each.group.load)
                for each in changes if each.quantity == quantity}
    quicker = drains(found.with_outcome(judgement.BETTER), judgement.WALL)
    slower = drains(
        [*found.with_outcome(judgement.WORSE),
         *found.with_outcome(judgement.WITHIN)], 'service_s')
    if quicker & slower:
        texts.append(
            f'Drains end earlier although each server takes longer: servers '
            f'that migrate at once share network and CPUs of the hosts, and '
            f'wait less for each other. For a drain, the wall time counts: '
            f'--quantity {judgement.WALL} compares only that.')
    texts += [
        f'Only the results {when} have: {" | ".join(names)}.'
        for when, names in (('before', found.only_before),
                            ('after', found.only_after)) if names]
    return texts + [f'{remark}.' for remark in found.remarks]


def percent(fraction: float) -> str:
    """Return a change as percent, with its sign; ``from none`` from zero."""
    return document.percent(fraction) if math.isfinite(fraction) \
        else 'from none'


def labels(groups: Sequence[judgement.ComparisonGroup]) -> list[str]:
    """Return names of groups, without the parts that all have in common.

    :returns: a name for each; may be empty for a group that has nothing of
        its own
    """
    parts = [each.parts for each in groups]
    differing = [len(set(column)) > 1 for column in zip(*parts)]
    if not any(differing):
        differing = [True] * len(differing)
    return ['; '.join(part for part, differs in zip(each, differing)
                      if differs and part) for each in parts]


def _named(found: judgement.Comparison, outcome: str) -> list[str]:
    """Return changes as texts: drains first, then the largest changes."""
    names = dict(zip(found.common, labels(found.common)))
    return [
        judgement.TITLES[each.quantity] +
        (f' ({names[each.group]})' if names[each.group] else '') +
        f': {document.number(each.effect.before.value)} s to '
        f'{document.number(each.effect.after.value)} s, '
        f'{percent(each.fraction)}' for each in sorted(
            found.with_outcome(outcome), key=lambda each: (
                each.quantity != judgement.WALL, -abs(each.fraction)))]


def _host_texts(found: judgement.Comparison, outcome: str,
                words: str) -> list[str]:
    names = dict.fromkeys(
        each.host for each in found.hosts if each.outcome == outcome)
    return [f'{words} {hosts.listed(list(names))}'] if names else []


def _hosts(found: judgement.Comparison) -> document.Table:
    outcomes = [each.outcome for each in found.hosts]
    return document.Table(
        'Hosts that have problems on one side only, in one direction: '
        f'{outcomes.count(judgement.WORSE)} worse, '
        f'{outcomes.count(judgement.BETTER)} better.',
        ('Host', 'Direction', 'Before', 'After', 'Worst problem', 'Outcome'),
        [document.TableRow((
            each.host, each.direction, host_pairs.direction(each.before),
            host_pairs.direction(each.after),
            each.after.cause or each.before.cause, each.outcome),
            _MARKS[each.outcome]) for each in found.hosts],
        words=6, outcome=6, brief=len(outcomes) > hosts.MANY)


def _first(texts: Sequence[str]) -> str:
    more = [f'{len(texts) - MOST_NAMED} more'] \
        if len(texts) > MOST_NAMED else []
    return '; '.join([*texts[:MOST_NAMED], *more])


def _row(each: judgement.Change) -> document.TableRow:
    effect, ends = each.effect, _in_percent(each)
    change = percent(each.fraction)
    if ends.low is not None and ends.high is not None:
        change += f' ({percent(ends.low / 100)} to {percent(ends.high / 100)})'
    return document.TableRow((
        judgement.TITLES[each.quantity],
        document.number(effect.before.value),
        document.number(effect.after.value),
        document.estimate(effect.difference, sign=True), change,
        each.outcome), _MARKS.get(each.outcome, ''))


def _figure(changes: Sequence[judgement.Change],
            tolerance_percent: float) -> document.Figure:
    names = [theme.wrapped(label, lines=6)
             for label in labels([each.group for each in changes])]
    # All rows have the height of the highest.
    lines = 1 + max(name.count('<br>') for name in names)
    return theme.forest(
        max(110, len(names) * (lines * LINE + GAP)), names, 'change (%)', [
            (outcome, colour, symbol, [
                place for place, each in enumerate(changes)
                if each.outcome == outcome])
            for outcome, (colour, symbol) in _LOOKS.items()],
        [_in_percent(each) for each in changes],
        [theme.hover(each.group, *(
            f'{heading}: {cell}' for heading, cell in zip(
                ('quantity', 'before (s)', 'after (s)', 'difference (s)',
                 'change', 'outcome'), _row(each).cells)))
            for each in changes],
        shapes=[{
            'type': 'line', 'xref': 'x', 'yref': 'paper',
            'x0': tolerance_percent, 'x1': tolerance_percent, 'y0': 0,
            'y1': 1, 'layer': 'below', 'line': {
                'dash': 'dot', 'color': theme.BAD, 'width': 1}}])


def _in_percent(each: judgement.Change) -> estimates.Estimate:
    """Return the change with both ends of its interval, or without it."""
    ratio = each.effect.ratio
    low = high = None
    if (ratio.low is not None and ratio.high is not None and
            not math.isnan(ratio.value)):
        low, high = 100 * (ratio.low - 1), 100 * (ratio.high - 1)
    return estimates.Estimate(100 * each.fraction, low, high, ratio.count)
