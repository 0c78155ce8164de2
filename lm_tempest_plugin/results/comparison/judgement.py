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

"""What got better, what worse, and whether that is beyond what is allowed.

A change is said to be one if all of this holds:

* it is larger than what a value may be wrong by: see quantities
* the 95 % interval of the difference excludes 0
* it is unlikely to be chance, considering how many comparisons there are:
  with the limits below, two lots of records of the same cloud differ in
  nothing at all in 95 of 100 times. Drains have a limit of their own: they
  are few, and are what most changes are made for.

Better and worse are then told apart from what is within the tolerance.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.comparison import chance
from lm_tempest_plugin.results.comparison import groups
from lm_tempest_plugin.results.comparison import quantities
from lm_tempest_plugin.results.statistics import comparison as statistics
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results.summary import groups as summarized

# How often, at most, something is found where there is nothing: in all
# drains together, and in all that is known of attempts together.
DRAIN_LIMIT, ATTEMPT_LIMIT = 0.02, 0.03
# The same for failures, for each group.
FAILURE_LIMIT = 0.05
TOLERANCE_PERCENT = 10.0

_ByDrain = Mapping[tuple[str, str], Sequence[float]]

BETTER, WORSE = 'better', 'worse'
WITHIN = 'worse within tolerance'
NONE = 'no difference found'
FEW = 'too few values'
# Where failures of all groups are.
TOGETHER = 'all together'


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A quantity in a group, before and after.

    :ivar group: where
    :ivar quantity: name of what is compared
    :ivar effect: the figures, in seconds
    :ivar smallest_s: a change that is not larger is none
    :ivar chance: that of such a difference among all that are compared, if
        there is none; None with too few values
    :ivar word: better, worse, ...
    """

    group: groups.Group
    quantity: str
    effect: statistics.Effect
    smallest_s: float
    chance: float | None
    word: str

    @property
    def title(self) -> str:
        """What people call the quantity."""
        return quantities.TITLES[self.quantity]

    @property
    def change(self) -> float:
        """By what part it is larger after than before: 0.1 for 10 %."""
        return _change(self.effect)


@dataclasses.dataclass(frozen=True, slots=True)
class Failures:
    """How much failed, before and after.

    :ivar where: the group or groups, in words
    :ivar what: what failed, in words
    :ivar before: how many failed before
    :ivar of_before: of how many
    :ivar after: how many failed after
    :ivar of_after: of how many
    :ivar word: better, worse, ...
    """

    where: str
    what: str
    before: int
    of_before: int
    after: int
    of_after: int
    word: str


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """All that was compared.

    :ivar rows: quantities in groups
    :ivar failures: of groups in which anything failed
    :ivar common: groups that both have
    :ivar conditions: of each group, cells and strategies before and after
        in words, where they differ
    :ivar only_before: groups that only the records before have, in words
    :ivar only_after: the same after
    :ivar tolerance_percent: what may get worse
    :ivar remarks: what is to be said beside
    """

    rows: Sequence[Row]
    failures: Sequence[Failures]
    common: Sequence[groups.Group]
    conditions: Mapping[groups.Group, tuple[str, str]]
    only_before: Sequence[str]
    only_after: Sequence[str]
    tolerance_percent: float
    remarks: Sequence[str]

    def those(self, word: str) -> list[Row]:
        """Return the rows that a word was said of."""
        return [row for row in self.rows if row.word == word]

    @property
    def worse(self) -> bool:
        """Whether anything got worse beyond the tolerance."""
        return WORSE in (*(row.word for row in self.rows),
                         *(each.word for each in self.failures))


@dataclasses.dataclass(frozen=True, slots=True)
class _Pending:
    """A row whose word has to wait for the others."""

    group: groups.Group
    quantity: str
    effect: statistics.Effect
    smallest_s: float
    sample: chance.Sample


def compare(before: collection.Collection, after: collection.Collection,
            tolerance_percent: float = TOLERANCE_PERCENT,
            ignored: Sequence[str] = (),
            only_before: Mapping[str, str] | None = None,
            only_after: Mapping[str, str] | None = None,
            wanted: Sequence[str] = ()) -> Comparison:
    """Compare two lots of records.

    :param before: what those before say
    :param after: what those after say
    :param tolerance_percent: what may get worse
    :param ignored: names of settings in which groups may differ
    :param only_before: values, in words, of settings of what is compared
        before; such settings are ignored as well
    :param only_after: the same after
    :param wanted: names of quantities; none for all
    :raises NotComparable: they have nothing in common
    """
    names = {*ignored, *(only_before or {}), *(only_after or {})}
    _check_known(names, before, after)
    first = groups.gather(before, names, only_before)
    second = groups.gather(after, names, only_after)
    both = groups.common(first, second)
    walls = list(_walls(both, first, second, wanted))
    attempts = list(_attempts(both, first, second, wanted))
    rows = [*_judged(walls, DRAIN_LIMIT, tolerance_percent),
            *_judged(attempts, ATTEMPT_LIMIT, tolerance_percent)]
    failures = [*_failures(both, first, second), *_unjudged(before, after),
                *_failed(before, after)]
    if not failures and all(row.word == FEW for row in rows):
        raise groups.NotComparable(
            'these records cannot be compared: in no group are two values '
            'that count on each side')
    return Comparison(
        rows, failures, both, _conditions(both, first, second),
        [str(group) for group in first if group not in second],
        [str(group) for group in second if group not in first],
        tolerance_percent,
        [*before.remarks, *(each for each in after.remarks
                            if each not in before.remarks)])


def _check_known(ignored: Iterable[str],
                 *collected: collection.Collection) -> None:
    """Raise if a name is none of a setting."""
    known = set().union(*map(groups.settings, collected))
    for name in sorted(set(ignored) - known):
        raise groups.NotComparable(
            'these records have no setting %s; they have: %s' % (
                name, ', '.join(sorted(known))))


def _walls(both: Sequence[groups.Group], first: groups.Lots,
           second: groups.Lots, wanted: Sequence[str]
           ) -> Iterator[_Pending]:
    """Compare how long drains took."""
    if wanted and quantities.WALL not in wanted:
        return
    for group in both:
        lots = [lot[group].walls for lot in (first, second)]
        if not all(lots):
            continue
        pairs = _pairs(*lots)
        before, after = ([drain.wall_s for drain in lot]
                         for lot in pairs or lots)
        yield _Pending(
            group, quantities.WALL,
            statistics.compare(before, after, paired=bool(pairs)),
            quantities.POLL_S, chance.Sample(
                before, after, quantities.POLL_S, bool(pairs)))


def _pairs(*lots: list[collection.Drain]
           ) -> list[list[collection.Drain]]:
    """Return drains such that those in the same place belong together.

    Those of the same trip between the same hosts: what the direction does,
    and how long the servers have run, is the same for both. Servers within
    a drain are not paired, though they have a place in it: each waits for
    the one before, so that one long migration makes all pairs differ alike.

    :returns: none if not each has just one partner, or there are few
    """
    found = [{(drain.trip, drain.source, drain.destination): drain
              for drain in lot} for lot in lots]
    if (len(found[0]) < chance.PAIRS or found[0].keys() != found[1].keys() or
            any(len(by_key) != len(lot)
                for by_key, lot in zip(found, lots))):
        return []
    return [[by_key[key] for key in found[0]] for by_key in found]


def _attempts(both: Sequence[groups.Group], first: groups.Lots,
              second: groups.Lots, wanted: Sequence[str]
              ) -> Iterator[_Pending]:
    """Compare what is known of attempts."""
    for group in both:
        lots = [lot[group].attempts for lot in (first, second)]
        for quantity in quantities.OF_ATTEMPTS:
            if wanted and quantity.name not in wanted:
                continue
            before, after = (_by_drain(quantity, lot) for lot in lots)
            if before and after:
                smallest_s = max(quantities.smallest_s(quantity, lot)
                                 for lot in lots)
                sample = chance.Sample(
                    *chance.units(before, after), smallest_s)
                yield _Pending(
                    group, quantity.name,
                    _effect(quantity, before, after, sample), smallest_s,
                    sample)


def _effect(quantity: quantities.Quantity, before: _ByDrain,
            after: _ByDrain, sample: chance.Sample) -> statistics.Effect:
    """Return the figures of a quantity.

    The medians are those of all attempts. Where attempts differ by their
    place in a queue, the difference is that of drains: it would be lost in
    how much the first of a drain differs from the last.
    """
    values = _flat(before), _flat(after)
    if not quantity.queued:
        return statistics.compare(*values)
    return dataclasses.replace(
        statistics.compare(sample.before, sample.after),
        before=intervals.median(values[0]),
        after=intervals.median(values[1]))


def _by_drain(quantity: quantities.Quantity,
              attempts: Sequence[collection.Attempt]
              ) -> _ByDrain:
    found: dict[tuple[str, str], list[float]] = {}
    for each in attempts:
        value = summarized.value(each, quantity.name)
        if value is not None:
            found.setdefault((each.run, each.drain), []).append(value)
    return found


def _flat(values: _ByDrain) -> list[float]:
    return [value for each in values.values() for value in each]


def _judged(pending: Sequence[_Pending], limit: float,
            tolerance_percent: float) -> Iterator[Row]:
    """Say a word of each, considering how many there are."""
    alone = _chances(pending)
    chances = iter(chance.adjusted([
        each for each in alone if each is not None]))
    for each, own in zip(pending, alone):
        among = None if own is None else next(chances)
        yield Row(each.group, each.quantity, each.effect, each.smallest_s,
                  among, _word(each, among, limit, tolerance_percent))


def _chances(pending: Sequence[_Pending]) -> list[float | None]:
    """Return the chance of each, as if there were no other quantity."""
    found: dict[int, float | None] = {}
    for name in {each.quantity for each in pending}:
        places = [place for place, each in enumerate(pending)
                  if each.quantity == name]
        found.update(zip(places, chance.of_differences(
            [pending[place].sample for place in places])))
    return [found[place] for place in range(len(pending))]


def _word(each: _Pending, among: float | None, limit: float,
          tolerance_percent: float) -> str:
    if among is None:
        return FEW
    difference = each.effect.difference.value
    if (not each.effect.found or among > limit or
            abs(difference) <= each.smallest_s):
        return NONE
    if difference < 0:
        return BETTER
    return (WORSE if 100 * _change(each.effect) > tolerance_percent
            else WITHIN)


def _change(effect: statistics.Effect) -> float:
    """Return by what part values are larger after than before."""
    if not math.isnan(effect.ratio.value):
        return effect.ratio.value - 1
    difference = effect.difference.value
    if effect.before.value > 0:
        return difference / effect.before.value
    return math.copysign(math.inf, difference) if difference else 0.0


def _failures(both: Sequence[groups.Group], first: groups.Lots,
              second: groups.Lots) -> Iterator[Failures]:
    """Compare what did not do what was expected of it.

    All together are those in groups that one side alone has as well: what
    fails there is no less a failure.
    """
    for what, of in (('live migrations', _good_attempts),
                     ('drains', _good_drains)):
        counted = [
            (str(group), _counts(of(first[group]), of(second[group])))
            for group in both if of(first[group]) and of(second[group])]
        if len(counted) > 1 or first.keys() != second.keys():
            counted.append((TOGETHER, _counts(*(
                [good for lot in lots.values() for good in of(lot)]
                for lots in (first, second)))))
        for where, counts in counted:
            if (counts[0] or counts[2]) and counts[1] and counts[3]:
                yield Failures(where, what, *counts, _failing(*counts))


def _counts(before: list[bool],
            after: list[bool]) -> tuple[int, int, int, int]:
    """Return how many failed, and of how many, before and after."""
    return (before.count(False), len(before), after.count(False), len(after))


def _good_attempts(lot: groups.Lot) -> list[bool]:
    return [each.good for each in lot.attempts]


def _good_drains(lot: groups.Lot) -> list[bool]:
    return [each.good for each in lot.drains]


def _failing(before: int, of_before: int, after: int,
             of_after: int) -> str:
    """Say a word of failures.

    One where there was none is worse. Where there were some before, it has
    to be unlikely that chance alone makes more of them. There is no
    allowance for several comparisons: to look at failures in vain costs
    less than not to look.
    """
    if after and (not before or chance.of_failures(
            before, of_before, after, of_after) <= FAILURE_LIMIT):
        return WORSE
    if chance.of_failures(
            after, of_after, before, of_before) <= FAILURE_LIMIT:
        return BETTER
    return NONE


def _unjudged(before: collection.Collection,
              after: collection.Collection) -> Iterator[Failures]:
    """Compare how many servers a run has left without a verdict."""
    if before.unjudged or after.unjudged:
        more = len(after.unjudged) > len(before.unjudged)
        yield Failures(
            TOGETHER, 'servers not judged',
            len(before.unjudged), len(before.attempts) + len(before.unjudged),
            len(after.unjudged), len(after.attempts) + len(after.unjudged),
            WORSE if more else NONE)


def _failed(before: collection.Collection,
            after: collection.Collection) -> Iterator[Failures]:
    """Compare how many tests failed."""
    failed, failing = (len({each.test for each in lot.failed})
                       for lot in (before, after))
    if failed or failing:
        yield Failures(
            TOGETHER, 'tests', failed, len(before.tests), failing,
            len(after.tests), WORSE if failing > failed else
            BETTER if failing < failed else NONE)


def _conditions(both: Sequence[groups.Group], first: groups.Lots,
                second: groups.Lots
                ) -> dict[groups.Group, tuple[str, str]]:
    """Return of each group what differs before and after, in words."""
    found = {}
    for group in both:
        [before], [after] = first[group].conditions, second[group].conditions
        if before != after:
            found[group] = (groups.told(before), groups.told(after))
    return found
