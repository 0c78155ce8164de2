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

"""Differences between two sets of values, such as before and after a change.

The intervals rest on ranks, so a few very long values do not distort them.
scipy has the tests, but not their intervals.
"""

import dataclasses
import functools
import warnings

import numpy
from scipy import stats

from lm_tempest_plugin.results import estimates

# From this number of values on, rank statistics are nearly normal.
LARGE = 50
# Differences of more pairs would not fit into memory: 10,000 migrations
# before and after make 100 million. See _thinned().
PAIRS = 1_000_000
# With this ratio of both numbers, unequal variances matter; the smaller set
# needs this number of values to show that they are unequal. Both are where
# bench.statistics still finds the 95 %.
UNEVEN = 1.7
LEAST_UNEVEN = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """The difference between two sets of values.

    :ivar before: median of the first set
    :ivar after: median of the second set
    :ivar difference: the second set is larger by this much
    :ivar ratio: the second set is this many times as large; not a number,
        without an interval, if a value is not positive
    :ivar paired: whether values were compared in pairs
    :ivar found: whether there is a difference: its interval excludes 0
    """

    before: estimates.Estimate
    after: estimates.Estimate
    difference: estimates.Estimate
    ratio: estimates.Estimate
    paired: bool
    found: bool


def compare(before: estimates.Values, after: estimates.Values,
            paired: bool = False) -> Effect:
    """Compare two sets of values.

    The difference is that of J. L. Hodges and E. L. Lehmann, Annals of
    Mathematical Statistics 34 (1963), 598-611, with the interval of the
    Mann-Whitney or signed-rank test: see shift() and centre(). The ratio is
    the same of the logarithms.

    Sets that are too small for ranks, such as 3 and 3, get the interval of
    Student's t (Welch), which assumes nearly normal means. Single values and
    small sets of equal values get none.

    :param before: values in one unit
    :param after: values in the same unit; if paired, in the same order
    :param paired: whether values in the same place belong together
    :raises ValueError: a set is empty, or the numbers of pairs differ
    """
    first, second = estimates.array(before), estimates.array(after)
    if paired and len(first) != len(second):
        raise ValueError(f'{len(first)} values cannot be paired with '
                         f'{len(second)}')
    difference = _difference(first, second, paired)
    ratio = estimates.Estimate(float('nan'), None, None, difference.count)
    if first.min() > 0 and second.min() > 0:
        logs = _difference(numpy.log(first), numpy.log(second), paired)
        low, high = (None if each is None else float(numpy.exp(each))
                     for each in (logs.low, logs.high))
        ratio = estimates.Estimate(
            float(numpy.exp(logs.value)), low, high, logs.count)
    return Effect(
        estimates.median(first), estimates.median(second), difference, ratio,
        paired, difference.excludes(0))


def _difference(first: numpy.ndarray, second: numpy.ndarray,
                paired: bool) -> estimates.Estimate:
    if paired:
        found = centre(second - first)
        fewest = len(first)
    else:
        found = shift(first, second)
        fewest = min(len(first), len(second))
    if found.low is not None or fewest < 2:
        return found
    with warnings.catch_warnings():
        # scipy warns of equal values, which are handled below.
        warnings.simplefilter('ignore', RuntimeWarning)
        test = (stats.ttest_1samp(second - first, 0) if paired else
                stats.ttest_ind(second, first, equal_var=False))
        low, high = map(float, test.confidence_interval(
            estimates.CONFIDENCE))
    # Equal values say nothing about their variance: the interval is empty
    # or not a number.
    return dataclasses.replace(found, low=low, high=high) \
        if low < high else found


def shift(first: numpy.ndarray, second: numpy.ndarray) -> estimates.Estimate:
    """Return by how much the second set is larger.

    The value is the median of all differences between a value of the second
    set and one of the first; two of the differences bound the interval. For
    sets of about the same size, the Mann-Whitney test accepts everything
    inside (M. Hollander and D. A. Wolfe, Nonparametric Statistical Methods,
    2nd edition, 1999, sections 4.2 and 4.3).

    That test assumes that both sets vary alike, which hardly matters if they
    have the same size. Durations that are twice as long vary twice as much,
    so for unequal sizes the rank follows from the variance of the placements:
    M. A. Fligner and G. E. Policello, Journal of the American Statistical
    Association 76 (1981), 162-168.

    :returns: without an interval if there are too few values
    """
    count = len(first) + len(second)
    fewer, more = sorted((len(first), len(second)))
    total = fewer * more
    differences = numpy.subtract.outer(
        *(_thinned(each, int(PAIRS ** 0.5)) if total > PAIRS else each
          for each in (second, first))).ravel()
    if more <= UNEVEN * fewer:
        rank = _mann_whitney_rank(fewer, more)
    elif fewer < LEAST_UNEVEN:
        rank = 0
    else:
        def placements(values: numpy.ndarray,
                       others: numpy.ndarray) -> numpy.ndarray:
            # The part of the others that is smaller than each value.
            others = numpy.sort(others)
            below = numpy.searchsorted(others, values, side='left')
            up_to = numpy.searchsorted(others, values, side='right')
            share: numpy.ndarray = (below + up_to) / 2 / len(others)
            return share
        shifted = second - float(numpy.median(differences))
        variance = sum(
            placements(each, other).var(ddof=1) / len(each)
            for each, other in ((first, shifted), (shifted, first)))
        rank = _normal_rank(total / 2, total * float(numpy.sqrt(variance)))
    return _bounded(differences, rank, total, count)


def centre(values: numpy.ndarray) -> estimates.Estimate:
    """Return the centre of values, such as differences of pairs.

    The value is the median of the means of all pairs of values, each value
    with itself included; two of these means bound the interval, so that the
    signed-rank test accepts everything inside (Hollander and Wolfe, sections
    3.2 and 3.3). It assumes a symmetric distribution, as differences of
    pairs have if only the centre has changed.

    :returns: without an interval if there are too few values
    """
    count = len(values)
    total = count * (count + 1) // 2
    if total > PAIRS:
        values = _thinned(values, int((2 * PAIRS) ** 0.5))
    above, below = numpy.triu_indices(len(values))
    return _bounded((values[above] + values[below]) / 2,
                    _signed_rank(count), total, count)


def _thinned(values: numpy.ndarray, most: int) -> numpy.ndarray:
    """Return evenly spaced order statistics of values.

    1,000 of them stand for a set so well that the bounds of an interval move
    by less than 1 % of its length.
    """
    if len(values) <= most:
        return values
    places = ((numpy.arange(most) + 0.5) * len(values) / most).astype(int)
    found: numpy.ndarray = numpy.sort(values)[places]
    return found


def _bounded(values: numpy.ndarray, rank: int, total: int,
             count: int) -> estimates.Estimate:
    """Return the median, and the values at a rank from both ends.

    :param values: all of them, or some that stand for all
    :param rank: from 1, among all; 0 for no interval
    :param total: number of all
    :param count: of the estimate
    """
    low = high = None
    if rank:
        place = min((rank - 1) * len(values) // total, len(values) // 2)
        # To sort a million differences would take ten times as long.
        ordered = numpy.partition(values, [place, len(values) - 1 - place])
        low, high = float(ordered[place]), float(ordered[-1 - place])
    return estimates.Estimate(
        float(numpy.median(values)), low, high, count)


@functools.lru_cache(maxsize=10000)
def _mann_whitney_rank(fewer: int, more: int) -> int:
    """Return the rank of the bound among all differences; 0 if none is."""
    total = fewer * more
    if fewer + more > LARGE:
        return _normal_rank(
            total / 2, numpy.sqrt(total * (fewer + more + 1) / 12))
    # Number of ways to choose ranks with each sum, from the smallest sum.
    ways = numpy.zeros((fewer + 1, total + 1))
    ways[0, 0] = 1
    for rank in range(1, fewer + more + 1):
        for chosen in range(min(rank, fewer), 0, -1):
            offset = rank - chosen
            if offset <= total:
                ways[chosen, offset:] += ways[chosen - 1,
                                              :total + 1 - offset]
    return _exact_rank(ways[fewer])


@functools.lru_cache(maxsize=10000)
def _signed_rank(count: int) -> int:
    """Return the same among the means of pairs."""
    total = count * (count + 1) // 2
    if count > LARGE:
        return _normal_rank(
            total / 2, numpy.sqrt(total * (2 * count + 1) / 12))
    ways = numpy.zeros(total + 1)
    ways[0] = 1
    for rank in range(1, count + 1):
        ways[rank:] += ways[:-rank].copy()
    return _exact_rank(ways)


def _exact_rank(ways: numpy.ndarray) -> int:
    below = numpy.cumsum(ways) / ways.sum()
    # A probability of exactly 2.5 % counts, whatever rounding made of it.
    return int(numpy.searchsorted(below, estimates.TAIL * (1 + 1e-9),
                                  side='right'))


def _normal_rank(middle: float, deviation: float) -> int:
    distance = float(stats.norm.isf(estimates.TAIL)) * float(deviation)
    return max(0, int(numpy.floor(middle + 0.5 - distance)))
