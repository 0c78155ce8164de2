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

"""Judge differences between two sets of results: better, worse, or neither.

Only results under equal conditions are compared: the same settings, flavor
and strategy, and the same servers drained together. A migration among four
waits for the others and shares the link with them, so it is compared with
others among four.

A difference is found if all of these hold:

* It is larger than the measurement error; see :data:`QUANTITIES`.
* Its 95 % interval excludes 0.
* Its p-value, adjusted for the number of comparisons, is at most the limit.
  With the limits below, two sets of results of the same cloud show no
  difference at all in 95 of 100 cases. Drains have a limit of their own:
  they are few, and most changes are made for them.

A difference that was found is then better, worse, or worse within the
tolerance.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
import math
from typing import TypeVar

import numpy
from scipy import special
from scipy import stats

from lm_tempest_plugin.results import effects
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import hosts
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary

BETTER, WORSE = 'better', 'worse'
WITHIN = 'worse within tolerance'
NONE = 'no difference found'
FEW = 'too few values'

TOLERANCE_PERCENT = 10.0
DRAIN_LIMIT, MIGRATION_LIMIT = 0.02, 0.03
FAILURE_LIMIT = 0.05
# Values on each side from which ranks can tell more than Student's t.
RANKS = 12
# Drains on each side from which a drain counts once, by its mean.
DRAINS = 2
# Drains from which they are compared in pairs.
PAIRS = 6

ALL_GROUPS = 'all together'
STRATEGY = 'strategy'
WALL = 'wall_s'

_POLL_S = 0.5
_Key = TypeVar('_Key')


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """A duration that is compared; shorter is better.

    :ivar smallest_s: a difference that is not larger is within the error
    :ivar queued: whether it depends on the place in the queue, so that
        values differ within a drain by far more than between drains
    :ivar error_s: returns the error bound of one migration's value; None if
        ``smallest_s`` holds for all
    """

    smallest_s: float = 0.0
    queued: bool = False
    error_s: Callable[[schema.Continuity], float | None] | None = None


#: Quantities by their names: of drains first, then of migrations. Times that
#: polls of nova's API show are known to half a second.
QUANTITIES: Mapping[str, Quantity] = {
    WALL: Quantity(_POLL_S),
    'duration_s': Quantity(_POLL_S, queued=True),
    'service_s': Quantity(_POLL_S),
    'queue_s': Quantity(_POLL_S, queued=True),
    'outage_s': Quantity(error_s=lambda each: each.outage.error_bound_s),
    'stall_s': Quantity(error_s=lambda each: (
        each.stall.error_bound_s if each.stall else None)),
    'downtime_s': Quantity(0.01),
}
TITLES = {WALL: "drain's wall time", **summary.QUANTITIES}


class NotComparable(Exception):
    """Nothing can be compared; the message says why, and how to go on."""


@dataclasses.dataclass(frozen=True, slots=True)
class ComparisonGroup:
    """Conditions under which migrations or drains are comparable.

    :ivar settings: settings, without those that are ignored
    :ivar flavor: flavor of the servers; None for drains
    :ivar strategy: strategy; empty if it is ignored, and for a single
        server, for which all strategies are the same
    :ivar load: servers that were drained together, such as ``4 lm.small``
    """

    settings: schema.Settings
    flavor: schema.Flavor | None
    strategy: str
    load: str

    def __str__(self) -> str:
        return '; '.join(filter(None, self.parts))

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The conditions as texts; a text may be empty."""
        return (str(self.settings), str(self.flavor or ''), self.strategy,
                f'drain of {self.load}')


@dataclasses.dataclass(slots=True)
class Side:
    """Results of one side under the same conditions.

    :ivar migrations: migrations, also those that failed
    :ivar drains: drains
    :ivar walls: drains whose wall time counts: no warm-up, and every server
        was migrated
    :ivar exact: settings and strategies in full, as texts
    """

    migrations: list[schema.MigrationResult] = dataclasses.field(
        default_factory=list)
    drains: list[schema.DrainResult] = dataclasses.field(
        default_factory=list)
    walls: list[schema.DrainResult] = dataclasses.field(default_factory=list)
    exact: dict[str, None] = dataclasses.field(default_factory=dict)


Sides = dict[ComparisonGroup, Side]


@dataclasses.dataclass(frozen=True, slots=True)
class Samples:
    """Independent values before and after.

    :ivar before: values
    :ivar after: values
    :ivar resolution: of a value, in its unit
    :ivar paired: whether values in the same place belong together
    """

    before: Sequence[float]
    after: Sequence[float]
    resolution: float
    paired: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A quantity under the same conditions, before and after.

    :ivar group: where
    :ivar quantity: a key of QUANTITIES
    :ivar effect: the figures, in seconds
    :ivar smallest_s: a difference that is not larger is within the error
    :ivar p_value: adjusted for all comparisons; None with too few values
    :ivar outcome: ``better``, ``worse``, ...
    """

    group: ComparisonGroup
    quantity: str
    effect: effects.Effect
    smallest_s: float
    p_value: float | None = None
    outcome: str = FEW

    @property
    def fraction(self) -> float:
        """The change as a part of the value before: 0.1 for 10 %."""
        effect = self.effect
        if not math.isnan(effect.ratio.value):
            return effect.ratio.value - 1
        difference = effect.difference.value
        if effect.before.value > 0:
            return difference / effect.before.value
        return math.copysign(math.inf, difference) if difference else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class FailureCount:
    """Failures before and after.

    :ivar where: conditions as a text
    :ivar subject: the things that failed, in the plural
    :ivar before: number of failures before
    :ivar of_before: number of things before
    :ivar after: number of failures after
    :ivar of_after: number of things after
    :ivar outcome: ``better``, ``worse`` or ``no difference found``
    """

    where: str
    subject: str
    before: int
    of_before: int
    after: int
    of_after: int
    outcome: str


@dataclasses.dataclass(frozen=True, slots=True)
class HostChange:
    """A host that has problems in one direction on one side only.

    :ivar host: its name
    :ivar direction: ``sending`` or ``receiving``
    :ivar before: its live migrations in this direction
    :ivar after: the same
    :ivar outcome: ``better`` or ``worse``
    """

    host: str
    direction: str
    before: hosts.HostDirection
    after: hosts.HostDirection
    outcome: str


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """All differences between two sets of results.

    :ivar changes: changes of quantities
    :ivar failures: where anything failed
    :ivar hosts: hosts that got better or worse, if there are more than two
    :ivar common: conditions that both sides have
    :ivar ignored: settings before and after, as texts, where they differ
    :ivar only_before: conditions that exist only before, as texts
    :ivar only_after: the same after
    :ivar tolerance_percent: a change that is accepted
    :ivar remarks: facts about the files
    """

    changes: Sequence[Change]
    failures: Sequence[FailureCount]
    hosts: Sequence[HostChange]
    common: Sequence[ComparisonGroup]
    ignored: Mapping[ComparisonGroup, tuple[str, str]]
    only_before: Sequence[str]
    only_after: Sequence[str]
    tolerance_percent: float
    remarks: Sequence[str]

    def with_outcome(self, outcome: str) -> list[Change]:
        """Return the changes with an outcome."""
        return [each for each in self.changes if each.outcome == outcome]

    @property
    def worse(self) -> bool:
        """Whether anything got worse beyond the tolerance."""
        return WORSE in (*(each.outcome for each in self.changes),
                         *(each.outcome for each in self.failures),
                         *(each.outcome for each in self.hosts))


def judge(before: store.Results, after: store.Results,
          tolerance_percent: float = TOLERANCE_PERCENT,
          ignored: Collection[str] = (),
          quantities: Collection[str] = ()) -> Comparison:
    """Judge the differences between two sets of results.

    :param before: results before
    :param after: results after
    :param tolerance_percent: a change that is accepted
    :param ignored: names of settings in which both sides may differ;
        ``strategy`` and ``storage`` are two of them
    :param quantities: keys of QUANTITIES; none for all
    :raises NotComparable: they have nothing in common
    """
    known = {summary.STORAGE, STRATEGY, *(
        name for side in (before, after)
        for line in (*side.migrations, *side.drains)
        for name in line.settings.values)}
    for name in sorted(set(ignored) - known):
        raise NotComparable(
            f'These results have no setting {name}. They have: '
            f'{", ".join(sorted(known))}')
    first, second = gather(before, ignored), gather(after, ignored)
    both = common(first, second)
    pending = [
        found for group in both for name in QUANTITIES
        if not quantities or name in quantities
        if (found := _difference(group, name, first[group], second[group]))]
    changes = list(itertools.chain.from_iterable(
        _judged([each for each in pending if (
            each[0].quantity == WALL) == of_drains], limit, tolerance_percent)
        for of_drains, limit in (
            (True, DRAIN_LIMIT), (False, MIGRATION_LIMIT))))
    failures = list(_failures(both, first, second))
    for subject, failed, totals in (
            ('servers not judged',
             [len(side.unjudged) for side in (before, after)],
             [len(side.migrations) + len(side.unjudged)
              for side in (before, after)]),
            ('tests', [len({each.test for each in side.failures})
                       for side in (before, after)],
             [len(side.tests) for side in (before, after)])):
        if any(failed):
            failures.append(FailureCount(
                ALL_GROUPS, subject, failed[0], totals[0], failed[1],
                totals[1],
                WORSE if failed[1] > failed[0] else
                BETTER if failed[1] < failed[0] else NONE))
    if not failures and all(each.outcome == FEW for each in changes):
        raise NotComparable(
            'These results cannot be compared: under no conditions are there '
            'two measured values on each side. Run more round trips')
    differing = {
        each: (next(iter(first[each].exact)), next(iter(second[each].exact)))
        for each in both if first[each].exact != second[each].exact}
    host_changes, untried = compare_hosts(before, after)
    return Comparison(
        changes, failures, host_changes, both, differing,
        [str(each) for each in first if each not in second],
        [str(each) for each in second if each not in first],
        tolerance_percent, list(dict.fromkeys(
            [*before.remarks, *after.remarks,
             *untried, *version_changes(before.runs, after.runs)])))


def compare_hosts(before: store.Results, after: store.Results
                  ) -> tuple[list[HostChange], list[str]]:
    """Return the hosts that got better or worse, and a remark about others.

    A host that worked and now has problems is worse, however many others had
    problems before. Of two hosts, the failures tell everything.

    :returns: the changes, the worst hosts first, and at most one remark:
        hosts that were tried before and not after
    """
    first, second = ({each.host: each for each in hosts.judge(side)}
                     for side in (before, after))
    if len(first.keys() | second.keys()) <= 2:
        return [], []
    changes = [
        HostChange(name, direction, one, other,
                   WORSE if one.verdict == hosts.GOOD else BETTER)
        for name, host in second.items() if name in first
        for direction, one, other in zip(
            hosts.DIRECTIONS, first[name].directions, host.directions)
        if hosts.NOT_TRIED not in (one.verdict, other.verdict) and
        (one.verdict == hosts.GOOD) != (other.verdict == hosts.GOOD)]
    untried = [
        name for name, host in first.items() if any(
            host.directions[end].verdict != hosts.NOT_TRIED and (
                name not in second or
                second[name].directions[end].verdict == hosts.NOT_TRIED)
            for end in (0, 1))]
    return changes, [f'hosts that were tried before and not after, in one '
                     f'direction or both: {hosts.listed(untried)}'] \
        if untried else []


def version_changes(before: Iterable[schema.RunStarted],
                    after: Iterable[schema.RunStarted]) -> list[str]:
    """Return the versions that differ, one text for each program.

    Hosts that both sides have are compared one by one; without any, all
    hosts together. A version that one side does not know is no difference.

    :param before: the runs of one side
    :param after: the runs of the other side
    """
    def known(runs: Iterable[schema.RunStarted],
              field: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for run in runs:
            for host in run.hosts:
                if version := getattr(host, field):
                    found.setdefault(host.host, set()).add(version)
        return found

    before, after = list(before), list(after)
    texts = []
    for program, field in summary.PROGRAMS.items():
        sides = [known(runs, field) for runs in (before, after)]
        if not all(sides):
            continue
        common = sides[0].keys() & sides[1].keys()
        if not common:
            sides = [{'': set().union(*side.values())} for side in sides]
        differing: dict[tuple[str, str], list[str]] = {}
        for host in sorted(common or {''}):
            first, second = (' and '.join(sorted(side[host]))
                             for side in sides)
            if first != second:
                differing.setdefault((first, second), []).append(host)
        texts += [
            f'{program} differs{_on(names)}: {first} before, {second} after'
            for (first, second), names in differing.items()]
    return texts


def _on(names: Sequence[str]) -> str:
    if len(names) > hosts.MANY:
        return f' on {hosts.listed(names)}'
    text = ', '.join(filter(None, names))
    return f' on {"host" if len(names) == 1 else "hosts"} {text}' \
        if text else ''


def gather(results: store.Results, ignored: Collection[str] = ()) -> Sides:
    """Return results by their group, in the order of the lines.

    :param results: results of one side
    :param ignored: names of settings that do not matter
    """
    sides: Sides = {}
    for together in summary.migrations_by_drain(results.migrations).values():
        load = summary.load(together)
        for each in together:
            _side(sides, each, each.flavor, ignored, load).migrations.append(
                each)
    for drain in summary.drains_of(results):
        side = _side(sides, drain.result, None, ignored, drain.load)
        side.drains.append(drain.result)
        if drain.counts:
            side.walls.append(drain.result)
    return sides


def common(before: Sides, after: Sides) -> list[ComparisonGroup]:
    """Return the conditions of both sides, in the order of the first.

    :raises NotComparable: there are none, or an ignored setting has several
        values on one side
    """
    found = [each for each in before if each in after]
    if not found:
        before_names, after_names = (' | '.join([
            *(f'({each})' for each in itertools.islice(sides, 3)),
            *([f'{len(sides) - 3} more'] if len(sides) > 3 else [])]) or
            'nothing' for sides in (before, after))
        text = (f'These results cannot be compared: BEFORE has '
                f'{before_names}; AFTER has {after_names}')
        # Of the conditions that differ least, say in which settings.
        candidates = [
            names for one in before for other in after
            if (one.flavor, one.load) == (other.flavor, other.load) and
            (names := _differing(one, other))]
        if candidates:
            names = min(candidates, key=len)
            text += (f'. They differ in {", ".join(names)}. To compare them '
                     f'nevertheless: ' + ' '.join(
                         f'--ignore {name}' for name in names))
        raise NotComparable(text)
    for name, sides in (('BEFORE', before), ('AFTER', after)):
        for each in found:
            if len(sides[each].exact) > 1:
                several = ' | '.join(
                    f'({text})' for text in sorted(sides[each].exact))
                raise NotComparable(
                    f'{name} has several settings that would be compared as '
                    f'one: {several}. Ignore fewer settings. Settings of one '
                    f'run are compared by the command report')
    return found


def _side(sides: Sides, line: schema.MigrationResult | schema.DrainResult,
          flavor: schema.Flavor | None, ignored: Collection[str],
          load: str) -> Side:
    """Return the side to which a result belongs; create it if needed."""
    strategy = line.strategy if line.servers != 1 else ''
    settings = schema.Settings(
        storage='' if summary.STORAGE in ignored else line.settings.storage,
        values={name: value for name, value in line.settings.values.items()
                if name not in ignored})
    side = sides.setdefault(ComparisonGroup(
        settings, flavor, '' if STRATEGY in ignored else strategy, load),
        Side())
    # Two files may list equal settings in different orders.
    whole = schema.Settings(
        storage=line.settings.storage,
        values=dict(sorted(line.settings.values.items())))
    side.exact['; '.join(filter(None, (str(whole), strategy)))] = None
    return side


def _differing(one: ComparisonGroup, other: ComparisonGroup) -> list[str]:
    first, second = one.settings.values, other.settings.values
    return [
        *([summary.STORAGE] if one.settings.storage != other.settings.storage
          else []),
        *(name for name in {**first, **second}
          if first.get(name) != second.get(name)),
        *([STRATEGY] if one.strategy != other.strategy else [])]


def _difference(group: ComparisonGroup, name: str, first: Side, second: Side
                ) -> tuple[Change, Samples] | None:
    """Return the change of a quantity, not judged yet; None without values.

    The medians are those of all migrations. Where the place in the queue
    matters, the difference is that of drains: it would be lost in the
    difference between the first and the last of a drain.
    """
    quantity = QUANTITIES[name]
    if name == WALL:
        if not (first.walls and second.walls):
            return None
        pairs = _pairs(first.walls, second.walls)
        before, after = ([drain.wall_s for drain in side] for side in (
            pairs or (first.walls, second.walls)))
        effect = effects.compare(before, after, bool(pairs))
        return (Change(group, name, effect, quantity.smallest_s), Samples(
            before, after, quantity.smallest_s, bool(pairs)))
    by_drain: list[dict[tuple[str, str], list[float]]] = [{}, {}]
    for side, found in zip((first, second), by_drain):
        for each in side.migrations:
            value = summary.value(each, name)
            if value is not None:
                found.setdefault((each.run, each.drain), []).append(value)
    if not all(by_drain):
        return None
    samples = Samples(*independent(*by_drain), max(
        smallest(quantity, side.migrations) for side in (first, second)))
    before, after = (list(itertools.chain.from_iterable(found.values()))
                     for found in by_drain)
    if quantity.queued:
        effect = dataclasses.replace(
            effects.compare(samples.before, samples.after),
            before=estimates.median(before), after=estimates.median(after))
    else:
        effect = effects.compare(before, after)
    return Change(group, name, effect, samples.resolution), samples


def _pairs(*sides: list[schema.DrainResult]
           ) -> list[list[schema.DrainResult]]:
    """Return drains so that those in the same place belong together.

    Drains of the same round trip between the same hosts: they share the
    direction and the age of the servers. Servers within a drain are not
    paired, though each has a place in it: each waits for the one before, so
    one long migration would make all later pairs differ alike.

    :returns: nothing if some have no partner or several, or there are few
    """
    found = [{(drain.round_trip, drain.source, drain.destination): drain
              for drain in side} for side in sides]
    if (len(found[0]) < PAIRS or found[0].keys() != found[1].keys() or
            any(len(by_key) != len(side)
                for by_key, side in zip(found, sides))):
        return []
    return [[by_key[key] for key in found[0]] for by_key in found]


def smallest(quantity: Quantity,
             migrations: Sequence[schema.MigrationResult]) -> float:
    """Return a difference that is within the error, in seconds.

    An outage is known to within an error bound, and so is the median of
    many: their common cause, such as the time between two probes, does not
    average out. The median error bound counts.

    :param quantity: the quantity
    :param migrations: those of one side
    """
    if quantity.error_s is None:
        return quantity.smallest_s
    errors = [error for each in migrations if each.continuity and
              (error := quantity.error_s(each.continuity)) is not None]
    return float(numpy.median(errors)) if errors else quantity.smallest_s


def independent(before: Mapping[_Key, Sequence[float]],
                after: Mapping[_Key, Sequence[float]]
                ) -> tuple[list[float], list[float]]:
    """Return independent values.

    Servers that are drained together share hosts, link and queue: if one
    takes long, so do the others. So each drain counts once, by its mean,
    where both sides have enough drains. Otherwise each value counts, and
    differences are found too easily.

    :param before: values by their drain
    :param after: the same
    """
    sides = [[list(each) for each in side.values() if each]
             for side in (before, after)]
    if min(map(len, sides)) >= DRAINS:
        first, second = ([float(numpy.mean(each)) for each in side]
                         for side in sides)
    else:
        first, second = ([value for each in side for value in each]
                         for side in sides)
    return first, second


def _judged(changes: Sequence[tuple[Change, Samples]], limit: float,
            tolerance_percent: float) -> Iterator[Change]:
    """Judge changes, considering how many there are."""
    alone: list[float | None] = [None] * len(changes)
    for name in QUANTITIES:
        places = [place for place, (change, _samples) in enumerate(changes)
                  if change.quantity == name]
        for place, value in zip(places, p_values(
                [changes[place][1] for place in places])):
            alone[place] = value
    among = iter(adjusted([each for each in alone if each is not None]))
    for (change, _samples), own in zip(changes, alone):
        if own is None:
            yield change
            continue
        p_value = next(among)
        difference = change.effect.difference.value
        if (not change.effect.found or p_value > limit or
                abs(difference) <= change.smallest_s):
            outcome = NONE
        elif difference < 0:
            outcome = BETTER
        elif 100 * change.fraction > tolerance_percent:
            outcome = WORSE
        else:
            outcome = WITHIN
        yield dataclasses.replace(change, p_value=p_value, outcome=outcome)


def p_values(samples: Sequence[Samples]) -> list[float | None]:
    """Return the p-value of the difference in each sample.

    By the Mann-Whitney test, or with few values by Student's t: of four
    against four, ranks can show no more than 1 in 35. For pairs by the t
    test of their differences.

    A few values do not show how much they vary: a difference between two
    and two would be found only if it were enormous. The variance relative
    to the mean of all samples together is known better; no sample is taken
    to vary less, as in an analysis of variance. Neither does a value vary
    less than its resolution.

    :param samples: all of the same quantity
    :returns: from 0 to 1; None with too few values
    """
    squares, degrees = 0.0, 0
    for sample in samples:
        for values in (sample.before, sample.after):
            side = numpy.asarray(values, dtype=float)
            if len(side) > 1 and not sample.paired:
                degrees += len(side) - 1
                if side.mean() > 0:
                    squares += float(((side / side.mean() - 1) ** 2).sum())
    variance = squares / degrees if degrees else 0.0
    return [_p_value(each, variance, degrees) for each in samples]


def _p_value(sample: Samples, variance: float,
             degrees: int) -> float | None:
    sides = [numpy.asarray(values, dtype=float)
             for values in (sample.before, sample.after)]
    fewest = min(map(len, sides))
    if fewest < 2:
        return None
    noise = sample.resolution ** 2 / 12
    if sample.paired:
        change = sides[1] - sides[0]
        return _student(
            change.mean(), (change.var(ddof=1) + 2 * noise) / len(change),
            len(change) - 1)
    if fewest >= RANKS:
        found = stats.mannwhitneyu(*sides, method='asymptotic').pvalue
        # It is NaN if all values are equal.
        return 1.0 if numpy.isnan(found) else float(found)
    return _student(
        sides[1].mean() - sides[0].mean(),
        sum((max(side.var(ddof=1), variance * side.mean() ** 2) + noise) /
            len(side) for side in sides), degrees)


def _student(difference: float, variance: float, degrees: int) -> float:
    error = math.sqrt(variance)
    if error <= 1e-9 * abs(difference):
        return float(not difference)
    return float(2 * special.stdtr(degrees, -abs(difference) / error))


def adjusted(found: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons (Holm, 1979).

    S. Holm, Scandinavian Journal of Statistics 6 (1979), 65-70. It does not
    need independent comparisons.

    :param found: p-values in any order
    :returns: adjusted p-values in the same order
    """
    results = [0.0] * len(found)
    largest = 0.0
    for place, number in enumerate(sorted(
            range(len(found)), key=found.__getitem__)):
        largest = max(largest, min(
            1.0, (len(found) - place) * found[number]))
        results[number] = largest
    return results


def failure_p_value(before: int, of_before: int, after: int,
                    of_after: int) -> float:
    """Return the p-value of so many failures after, or more.

    By Fisher's exact test, one-sided.

    :param before: number of failures before
    :param of_before: number of things before
    :param after: number of failures after
    :param of_after: number of things after
    """
    return float(stats.fisher_exact(
        [[after, of_after - after], [before, of_before - before]],
        alternative='greater').pvalue)


def _failures(both: Sequence[ComparisonGroup], first: Sides,
              second: Sides) -> Iterator[FailureCount]:
    """Compare the problems of migrations and drains.

    The count of all groups includes conditions that only one side has: a
    failure there is no less a failure.
    """
    for subject, good in (
            ('live migrations', lambda side: [
                not each.problems for each in side.migrations]),
            ('drains', lambda side: [
                not each.problems for each in side.drains])):
        counted = [(str(each), good(first[each]), good(second[each]))
                   for each in both
                   if good(first[each]) and good(second[each])]
        if len(counted) > 1 or first.keys() != second.keys():
            before, after = ([each for side in sides.values()
                              for each in good(side)]
                             for sides in (first, second))
            counted.append((ALL_GROUPS, before, after))
        for where, before, after in counted:
            counts = (before.count(False), len(before), after.count(False),
                      len(after))
            if before and after and (counts[0] or counts[2]):
                yield FailureCount(where, subject, *counts,
                                   _failure_outcome(*counts))


def _failure_outcome(before: int, of_before: int, after: int,
                     of_after: int) -> str:
    """Judge failures.

    One failure where there was none is worse. Where there were some before,
    more have to be unlikely by chance. This is not adjusted for several
    comparisons: to look at a failure in vain costs less than to miss one.
    """
    if after and (not before or failure_p_value(
            before, of_before, after, of_after) <= FAILURE_LIMIT):
        return WORSE
    if failure_p_value(after, of_after, before, of_before) <= FAILURE_LIMIT:
        return BETTER
    return NONE
