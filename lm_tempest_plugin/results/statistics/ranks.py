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

"""Intervals that rest on ranks alone, whatever the distribution."""

from collections.abc import Callable
import functools

import numpy
from scipy import optimize
from scipy import stats

TAIL = 0.025
# From so many values on, the normal distribution does for that of ranks.
LARGE = 50
# So many differences are all written down; with more, they are counted.
PAIRS = 100_000
# Counted ones are looked for to this part of the largest.
NEAR = 1e-10
# If there are so many times as many of the ones as of the others, it matters
# that they may not vary alike; and of the fewer there have to be so many for
# that to be seen. Both are where bench.statistics finds the 95 % kept.
UNEVEN = 1.7
LEAST_UNEVEN = 6

Located = tuple[float, float | None, float | None]


def shift(first: numpy.ndarray, second: numpy.ndarray) -> Located:
    """Return by how much values are larger than others, and an interval.

    The median of all differences between one of the second and one of the
    first; the interval is bounded by two of these differences. If there are
    about as many of both, they are such that the Mann-Whitney test accepts
    what is inside (M. Hollander and D. A. Wolfe, Nonparametric Statistical
    Methods, 2nd edition, 1999, sections 4.2 and 4.3).

    That test supposes that the second vary as much as the first. It hardly
    matters with as many of both. Where it does, as durations that are twice
    as long vary twice as much, the ranks follow from how much the places of
    the ones among the others vary: M. A. Fligner and G. E. Policello,
    Journal of the American Statistical Association 76 (1981), 162-168.

    :param first: values
    :param second: values
    :returns: value, low, high; the latter are None if there are too few for
        a 95 % interval
    """
    total = len(first) * len(second)
    fewer, more = sorted((len(first), len(second)))
    if total <= PAIRS:
        select = _written_down(
            numpy.subtract.outer(second, first).ravel())
    else:
        select = _differences(first, second)
    if more <= UNEVEN * fewer:
        return _located(select, total, _mann_whitney(fewer, more))
    value = _middle(select, total)
    if fewer < LEAST_UNEVEN:
        return value, None, None
    return _located(select, total, _placed(first, second - value))


def centre(values: numpy.ndarray) -> Located:
    """Return the centre of values, and an interval.

    The median of the means of all pairs of values, each with itself as
    well; the interval is bounded by two of these means, such that the
    signed-rank test accepts what is inside (Hollander and Wolfe, sections
    3.2 and 3.3). It supposes that values lie evenly about their centre, as
    differences of pairs do where nothing but the centre has changed.

    :param values: such as differences of pairs
    :returns: value, low, high; the latter are None if there are too few for
        a 95 % interval
    """
    count = len(values)
    total = count * (count + 1) // 2
    rank = _signed_rank(count)
    if total <= PAIRS:
        above, below = numpy.triu_indices(count)
        select = _written_down((values[above] + values[below]) / 2)
    else:
        select = _means(values)
    return _located(select, total, rank)


def _located(select: Callable[[int], float], total: int,
             rank: int) -> Located:
    """Return the median, and the values rank-th from both ends."""
    middle = _middle(select, total)
    if not rank:
        return middle, None, None
    return middle, select(rank - 1), select(total - rank)


def _middle(select: Callable[[int], float], total: int) -> float:
    return (select((total - 1) // 2) + select(total // 2)) / 2


def _written_down(values: numpy.ndarray) -> Callable[[int], float]:
    ordered = numpy.sort(values)
    return lambda number: float(ordered[number])


def _counted(count: Callable[[float], int],
             next_from: Callable[[float], float], low: float,
             high: float) -> Callable[[int], float]:
    """Return what selects the n-th of values that are only counted.

    :param count: returns how many are at most so large
    :param next_from: returns the least that is at least so large
    :param low: the least of all
    :param high: the largest of all
    """
    near = NEAR * max(abs(low), abs(high))

    def select(number: int) -> float:
        if count(low) > number:
            return low
        return next_from(optimize.brentq(
            lambda limit: count(limit) - number - 0.5, low, high,
            xtol=near) - near)
    return select


def _differences(first: numpy.ndarray, second: numpy.ndarray
                 ) -> Callable[[int], float]:
    """Return what selects the n-th of all differences of two values."""
    first, second = numpy.sort(first), numpy.sort(second)

    def count(limit: float) -> int:
        # second - first <= limit
        return len(first) * len(second) - int(numpy.searchsorted(
            first, second - limit).sum())

    def next_from(limit: float) -> float:
        below = numpy.searchsorted(first, second - limit, side='right')
        return float((second[below > 0] - first[below[below > 0] - 1]).min())
    return _counted(count, next_from, float(second[0] - first[-1]),
                    float(second[-1] - first[0]))


def _means(values: numpy.ndarray) -> Callable[[int], float]:
    """Return what selects the n-th of all means of two values."""
    ordered = numpy.sort(values)

    def count(limit: float) -> int:
        both = int(numpy.searchsorted(
            ordered, 2 * limit - ordered, side='right').sum())
        itself = int(numpy.searchsorted(ordered, limit, side='right'))
        return (both + itself) // 2

    def next_from(limit: float) -> float:
        above = numpy.searchsorted(ordered, 2 * limit - ordered)
        inside = above < len(ordered)
        return float((ordered[inside] + ordered[above[inside]]).min() / 2)
    return _counted(count, next_from, float(ordered[0]), float(ordered[-1]))


def _placed(first: numpy.ndarray, second: numpy.ndarray) -> int:
    """Return the rank for values that need not vary alike.

    :param first: values
    :param second: likewise, shifted to where the first are
    """
    noise = sum(_places(each, numpy.sort(other)).var(ddof=1) / len(each)
                for each, other in ((first, second), (second, first)))
    total = len(first) * len(second)
    return _normal(total / 2, total * float(numpy.sqrt(noise)))


def _places(values: numpy.ndarray, others: numpy.ndarray) -> numpy.ndarray:
    """Return of what part of the others, sorted, each value is larger."""
    found: numpy.ndarray = (
        numpy.searchsorted(others, values, side='left') +
        numpy.searchsorted(others, values, side='right')) / 2 / len(others)
    return found


@functools.lru_cache(maxsize=10000)
def _mann_whitney(fewer: int, more: int) -> int:
    """Return how many differences to leave out at each end, plus one.

    0 if not even the least and the largest would do.
    """
    total = fewer * more
    if fewer + more > LARGE:
        return _normal(total / 2, numpy.sqrt(total * (fewer + more + 1) / 12))
    # How many of the ways to choose ranks have each sum, from the least.
    ways = numpy.zeros((fewer + 1, total + 1))
    ways[0, 0] = 1
    for rank in range(1, fewer + more + 1):
        for chosen in range(min(rank, fewer), 0, -1):
            offset = rank - chosen
            if offset <= total:
                ways[chosen, offset:] += ways[chosen - 1,
                                              :total + 1 - offset]
    return _rank(ways[fewer])


@functools.lru_cache(maxsize=10000)
def _signed_rank(count: int) -> int:
    """Return the same of means of pairs."""
    total = count * (count + 1) // 2
    if count > LARGE:
        return _normal(total / 2, numpy.sqrt(
            total * (2 * count + 1) / 12))
    ways = numpy.zeros(total + 1)
    ways[0] = 1
    for rank in range(1, count + 1):
        ways[rank:] += ways[:-rank].copy()
    return _rank(ways)


def _rank(ways: numpy.ndarray) -> int:
    chances = numpy.cumsum(ways) / ways.sum()
    return int(numpy.searchsorted(chances, TAIL * (1 + 1e-9), side='right'))


def _normal(middle: float, deviation: float) -> int:
    reach = float(stats.norm.isf(TAIL)) * float(deviation)
    return max(0, int(numpy.floor(middle + 0.5 - reach)))
