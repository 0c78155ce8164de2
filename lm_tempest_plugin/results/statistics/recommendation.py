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

"""How many live migrations at once empty a host soonest."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.results.statistics import comparison
from lm_tempest_plugin.results.statistics import intervals


@dataclasses.dataclass(frozen=True, slots=True)
class Recommendation:
    """How many live migrations at once for a drain.

    :ivar concurrency: how many; None: undecided
    :ivar text: the same in a sentence, or why it is undecided
    :ivar evidence: what it rests on, a line for each
    """

    concurrency: int | None
    text: str
    evidence: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Level:
    """Drains in which a host ran so many live migrations at once.

    :ivar at_once: how many it ran, as was observed
    :ivar per_server_s: wall time of each drain by its number of servers
    :ivar attempts: how many live migrations there were
    :ivar bad: how many of them were not as expected
    :ivar outages_s: the longest outage of each
    """

    at_once: int
    per_server_s: Sequence[float]
    attempts: int
    bad: int
    outages_s: Sequence[float]


@dataclasses.dataclass(frozen=True, slots=True)
class _Choice:
    """What speaks for what, in one place."""

    at_once: int | None
    reason: str
    evidence: tuple[str, ...]


def recommend(places: Mapping[str, Sequence[Level]],
              seed: int = 0) -> Recommendation:
    """Return how many live migrations a host should run at once.

    The number with the shortest drains, if these are found to be shorter
    than those of all others, and nothing went wrong with it. Where something
    went wrong with all others, it is the one that is left, with nothing to
    be found shorter than. If one of the others is as good as far as can be
    seen, it is undecided; so it is if different places have different
    answers.

    :param places: levels, by what else was configured and done: what is
        true of one storage need not be true of another
    :param seed: of the random numbers
    """
    choices = {place: _choose(sorted(levels, key=lambda each: each.at_once),
                              seed) for place, levels in places.items()}
    evidence = tuple(
        '%s: %s' % (place, line) if len(places) > 1 else line
        for place, choice in choices.items() for line in choice.evidence)
    compared = {place: choice for place, choice in choices.items()
                if len(places[place]) > 1}
    if not compared:
        return Recommendation(None, _not_compared(places), evidence)
    decided = {choice.at_once for choice in compared.values()}
    agreed = decided.pop() if len(decided) == 1 else None
    reasons = {_text(choice) for choice in compared.values()}
    if len(reasons) == 1:
        text, = reasons
    elif agreed is not None:
        text = ('%d at once, in each of %d configurations that can be '
                'compared' % (agreed, len(compared)))
    else:
        text = 'undecided, since not all say the same: %s' % '; '.join(
            '%s: %s' % (place, _text(choice))
            for place, choice in compared.items())
    return Recommendation(agreed, text, evidence)


def _not_compared(places: Mapping[str, Sequence[Level]]) -> str:
    """Return why there is no place with two numbers to compare."""
    numbers = sorted({level.at_once for levels in places.values()
                      for level in levels})
    if not numbers:
        return ('undecided: no drain of several servers tells how many live '
                'migrations ran at once')
    if len(numbers) == 1:
        return 'undecided: no host was seen to run other than %d at once' % (
            numbers[0])
    return ('undecided: drains with %s at once differ in more than that, and '
            'cannot be compared: %s' % (
                ' and '.join(map(str, numbers)), '; '.join(
                    '%s: %d' % (place, levels[0].at_once)
                    for place, levels in places.items())))


def _text(choice: _Choice) -> str:
    if choice.at_once is None:
        return 'undecided: %s' % choice.reason
    return '%d at once: %s' % (choice.at_once, choice.reason)


def _choose(levels: Sequence[Level], seed: int) -> _Choice:
    """Choose in one place.

    :param levels: from the least
    """
    told = tuple(map(_told, levels))
    tried = [each for each in levels if each.bad or each.per_server_s]
    usable = [each for each in tried if not each.bad]
    if not usable:
        return _Choice(None, 'live migrations failed with every number'
                       if tried else 'no drain counts', told)
    if len(tried) < 2:
        return _Choice(None, 'of drains that count, none ran other than %d '
                       'at once' % usable[0].at_once, told)
    if len(usable) < 2:
        return _Choice(usable[0].at_once, 'live migrations failed with '
                       'every other number that was tried', told)
    best = min(usable, key=lambda each: intervals.median(
        each.per_server_s).value)
    rest = [each for each in usable if each is not best]
    effects = [comparison.compare(each.per_server_s, best.per_server_s,
                                  seed=seed) for each in rest]
    told += tuple(_effect(each, best, effect)
                  for each, effect in zip(rest, effects))
    alike = [each.at_once for each, effect in zip(rest, effects)
             if not effect.found]
    if alike:
        return _Choice(
            None, 'no difference found between %d and %s at once' % (
                best.at_once, ' or '.join(map(str, alike))), told)
    return _Choice(best.at_once, 'drains take %s less time than with %s' % (
        _percent(effects), ', '.join(str(each.at_once) for each in rest)),
        told)


def _percent(effects: Sequence[comparison.Effect]) -> str:
    shares = sorted(round(100 * (1 - each.ratio.value)) for each in effects)
    if shares[0] == shares[-1]:
        return '%d %%' % shares[0]
    return '%d to %d %%' % (shares[0], shares[-1])


def _told(level: Level) -> str:
    parts = ['%d of %d live migrations good' % (
        level.attempts - level.bad, level.attempts)]
    if level.per_server_s:
        median = intervals.median(level.per_server_s)
        parts.insert(0, '%d %s, %.1f s for each server%s' % (
            median.count, 'drain' if median.count == 1 else 'drains',
            median.value, _range(median)))
    if level.outages_s:
        parts.append('longest outage %.2f s' % max(level.outages_s))
    return '%d at once: %s' % (level.at_once, '; '.join(parts))


def _effect(other: Level, best: Level, effect: comparison.Effect) -> str:
    return '%d instead of %d at once: %+.1f s for each server%s%s' % (
        best.at_once, other.at_once, effect.difference.value,
        _range(effect.difference),
        '' if effect.found else ': no difference found')


def _range(estimate: intervals.Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ' (too few for an interval)'
    return ' (%.1f to %.1f)' % (estimate.low, estimate.high)
