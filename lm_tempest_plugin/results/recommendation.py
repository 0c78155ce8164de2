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

"""The number of live migrations at once that drains a host soonest."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.results import effects
from lm_tempest_plugin.results import estimates


@dataclasses.dataclass(frozen=True, slots=True)
class Recommendation:
    """A number of live migrations at once for a drain.

    :ivar concurrency: the number; None if it is undecided
    :ivar text: one sentence with the number, or with the reason for None
    :ivar evidence: the facts that it rests on, one text each
    """

    concurrency: int | None
    text: str
    evidence: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Level:
    """Drains in which the host ran the same number of migrations at once.

    :ivar at_once: the number, as it was seen
    :ivar per_server_s: wall time of each drain, divided by its servers
    :ivar migrations: number of live migrations
    :ivar with_problems: number of those with problems
    :ivar outages_s: longest outage of each server
    """

    at_once: int
    per_server_s: Sequence[float]
    migrations: int
    with_problems: int
    outages_s: Sequence[float]

    def __str__(self) -> str:
        parts = [f'{self.migrations - self.with_problems} of '
                 f'{self.migrations} live migrations as expected']
        if self.per_server_s:
            median = estimates.median(self.per_server_s)
            parts.insert(0, f'{median.count} '
                         f'{"drain" if median.count == 1 else "drains"}, '
                         f'{median.value:.1f} s per server{_range(median)}')
        if self.outages_s:
            parts.append(f'longest outage {max(self.outages_s):.2f} s')
        return f'{self.at_once} at once: {"; ".join(parts)}'


def recommend(places: Mapping[str, Sequence[Level]]) -> Recommendation:
    """Recommend a number of live migrations at once.

    That is the number with the shortest drains, if they were found to be
    shorter than those of each other number, and if no migration had problems
    with it. If all other numbers had problems, it is the remaining one. It
    is undecided if another number is not found to be slower, and if places
    have different answers.

    :param places: levels by the other conditions: a result for one storage
        need not be true for another
    """
    choices = {
        place: _choose(sorted(levels, key=lambda each: each.at_once))
        for place, levels in places.items()}
    evidence = tuple(
        f'{place}: {text}' if len(places) > 1 else text
        for place, choice in choices.items() for text in choice.evidence)
    compared = {place: choice for place, choice in choices.items()
                if len(places[place]) > 1}
    if not compared:
        tried = sorted({level.at_once for levels in places.values()
                        for level in levels})
        if not tried:
            reason = ('no drain of several servers shows how many live '
                      'migrations ran at once')
        elif len(tried) == 1:
            reason = f'all hosts ran {tried[0]} at once, and no other number'
        else:
            reason = (
                f'drains with {" and ".join(map(str, tried))} at once differ '
                f'in other conditions too, and cannot be compared: ' +
                '; '.join(f'{place}: {levels[0].at_once}'
                          for place, levels in places.items()))
        return Recommendation(None, f'undecided: {reason}', evidence)
    numbers = {choice.concurrency for choice in compared.values()}
    agreed = numbers.pop() if len(numbers) == 1 else None
    texts = {choice.text for choice in compared.values()}
    if len(texts) == 1:
        text, = texts
    elif agreed is not None:
        text = (f'{agreed} at once, in each of {len(compared)} '
                f'configurations that can be compared')
    else:
        text = 'undecided, because configurations differ: ' + '; '.join(
            f'{place}: {choice.text}' for place, choice in compared.items())
    return Recommendation(agreed, text, evidence)


def _choose(levels: Sequence[Level]) -> Recommendation:
    """Recommend a number for one place.

    :param levels: sorted by their numbers
    """
    evidence = tuple(map(str, levels))

    def undecided(reason: str) -> Recommendation:
        return Recommendation(None, f'undecided: {reason}', evidence)

    tried = [each for each in levels
             if each.with_problems or each.per_server_s]
    usable = [each for each in tried if not each.with_problems]
    if not tried:
        return undecided('no drain counts')
    if not usable:
        return undecided('live migrations had problems with every number')
    if len(tried) < 2:
        return undecided(f'all drains that count ran {usable[0].at_once} at '
                         f'once')
    if len(usable) < 2:
        return Recommendation(
            usable[0].at_once, f'{usable[0].at_once} at once: live '
            f'migrations had problems with every other number', evidence)
    best = min(usable, key=lambda each: estimates.median(
        each.per_server_s).value)
    others = [each for each in usable if each is not best]
    found = [effects.compare(each.per_server_s, best.per_server_s)
             for each in others]
    evidence += tuple(
        f'{best.at_once} instead of {each.at_once} at once: '
        f'{effect.difference.value:+.1f} s per server'
        f'{_range(effect.difference)}'
        f'{"" if effect.found else ": no difference found"}'
        for each, effect in zip(others, found))
    alike = [str(each.at_once) for each, effect in zip(others, found)
             if not effect.found]
    if alike:
        return undecided(f'no difference found between {best.at_once} and '
                         f'{" or ".join(alike)} at once')
    shares = sorted(round(100 * (1 - each.ratio.value)) for each in found)
    percent = (f'{shares[0]}' if shares[0] == shares[-1]
               else f'{shares[0]} to {shares[-1]}')
    return Recommendation(
        best.at_once, f'{best.at_once} at once: drains take {percent} % less '
        f'time than with {", ".join(str(each.at_once) for each in others)}',
        evidence)


def _range(estimate: estimates.Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ' (too few for an interval)'
    return f' ({estimate.low:.1f} to {estimate.high:.1f})'
