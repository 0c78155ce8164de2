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

"""How likely it is that nothing but chance made a difference."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
from typing import TypeVar

import numpy
from scipy import special
from scipy import stats

# From so many values on each side, ranks can tell a difference apart even
# where it is one of hundreds of comparisons.
RANKS = 12
# From so many drains on each side, a drain counts once.
DRAINS = 2
# Fewer pairs are worth less than twice as many values that are not paired.
PAIRS = 6
# Values that differ by no more than arithmetic makes them are the same.
TINY = 1e-9

Key = TypeVar('Key')


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """Values before and after that do not depend on each other.

    :ivar before: values
    :ivar after: values
    :ivar resolution: how exactly each is known, in their unit
    :ivar paired: whether those in the same place belong together
    """

    before: Sequence[float]
    after: Sequence[float]
    resolution: float
    paired: bool = False


def units(before: Mapping[Key, Sequence[float]],
          after: Mapping[Key, Sequence[float]]
          ) -> tuple[list[float], list[float]]:
    """Return values that do not depend on each other.

    Servers that were moved together share hosts, link and queue: if one
    takes long, so do the others. So each drain counts once, by its mean,
    wherever there are enough drains; else each value does, and a difference
    is found too easily.

    :param before: the values, by the drain that they are of
    :param after: likewise
    """
    lots = [[list(each) for each in lot.values() if each]
            for lot in (before, after)]
    if min(map(len, lots)) >= DRAINS:
        first, second = ([float(numpy.mean(each)) for each in lot]
                         for lot in lots)
    else:
        first, second = ([value for each in lot for value in each]
                         for lot in lots)
    return first, second


def of_differences(samples: Sequence[Sample]) -> list[float | None]:
    """Return for each sample the chance of so clear a difference, or more.

    By the Mann-Whitney test, or, where there are few values, by Student's t:
    of four against four, ranks can say no more than that one in 35 is as
    clear. For pairs by the t test of their differences.

    How much a few values vary cannot be told from them, and a difference
    between two and two would be found only if it were enormous. What can be
    told is how much values vary in all samples together, in parts of their
    means; t supposes that those of a sample do not vary less than that, as
    an analysis of variance does. Neither does a value vary less than its
    resolution makes it.

    :param samples: all of the same quantity
    :returns: from 0 to 1; None if there are too few values
    """
    spread, degrees = _common_spread(samples)
    return [_chance(each, spread, degrees) for each in samples]


def of_failures(before: int, of_before: int, after: int,
                of_after: int) -> float:
    """Return the chance of as many failures after, or more.

    By R. A. Fisher's exact test, of one side.

    :param before: how many failed before
    :param of_before: of how many
    :param after: how many failed after
    :param of_after: of how many
    """
    return float(stats.fisher_exact(
        [[after, of_after - after], [before, of_before - before]],
        alternative='greater').pvalue)


def adjusted(chances: Sequence[float]) -> list[float]:
    """Return chances of differences of which there are several.

    Of a hundred comparisons of what is the same, five have a chance of 5 %
    or less. These are larger, such that one of a limit or less is among all
    of them with the chance of that limit: S. Holm, Scandinavian Journal of
    Statistics 6 (1979), 65-70. That needs nothing of them to be
    independent.

    :param chances: in any order
    :returns: in the same order
    """
    found = [0.0] * len(chances)
    largest = 0.0
    for place, number in enumerate(sorted(
            range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(
            1.0, (len(chances) - place) * chances[number]))
        found[number] = largest
    return found


def _chance(sample: Sample, spread: float, degrees: int) -> float | None:
    lots = [numpy.asarray(values, dtype=float)
            for values in (sample.before, sample.after)]
    fewest = min(map(len, lots))
    if fewest < 2:
        return None
    noise = sample.resolution ** 2 / 12
    if sample.paired:
        change = lots[1] - lots[0]
        return _student(
            change.mean(), (change.var(ddof=1) + 2 * noise) / len(change),
            len(change) - 1)
    if fewest >= RANKS:
        found = stats.mannwhitneyu(*lots, method='asymptotic').pvalue
        # There are no ranks if all values are the same.
        return 1.0 if numpy.isnan(found) else float(found)
    return _student(
        lots[1].mean() - lots[0].mean(),
        sum((max(lot.var(ddof=1), spread * lot.mean() ** 2) + noise) /
            len(lot) for lot in lots), degrees)


def _common_spread(samples: Sequence[Sample]) -> tuple[float, int]:
    """Return the variance in parts of the mean, squared; its degrees."""
    squares, degrees = 0.0, 0
    for sample in samples:
        for values in (sample.before, sample.after):
            lot = numpy.asarray(values, dtype=float)
            if len(lot) > 1 and not sample.paired:
                degrees += len(lot) - 1
                if lot.mean() > 0:
                    squares += float(((lot / lot.mean() - 1) ** 2).sum())
    return (squares / degrees if degrees else 0.0), degrees


def _student(difference: float, noise: float, degrees: int) -> float:
    """Return the chance of a difference by Student's t.

    :param difference: of means, or a mean that would be 0
    :param noise: its variance
    :param degrees: of freedom
    """
    error = math.sqrt(noise)
    if error <= TINY * abs(difference):
        return float(not difference)
    return float(2 * special.stdtr(degrees, -abs(difference) / error))
