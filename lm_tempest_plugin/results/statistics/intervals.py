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

"""Medians, quantiles and means, each with a 95 % interval."""

from collections.abc import Sequence
import dataclasses

import numpy
from scipy import stats

from lm_tempest_plugin.results.statistics import resampling

CONFIDENCE = 0.95
P95 = 0.95


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval, in the unit of the values.

    :ivar value: the best guess
    :ivar low: the interval's lower end; None where there are too few values
        to know one
    :ivar high: the upper end; None likewise
    :ivar count: of how many values, or pairs of them
    """

    value: float
    low: float | None
    high: float | None
    count: int

    @property
    def known(self) -> bool:
        """Whether both ends of the interval are known."""
        return self.low is not None and self.high is not None

    def excludes(self, value: float) -> bool:
        """Return whether a value is outside of the interval."""
        return (self.low is not None and value < self.low or
                self.high is not None and value > self.high)


def median(values: Sequence[float] | numpy.ndarray) -> Estimate:
    """Return the median; see quantile().

    Fewer than 6 values can give no interval: one half of all values lies
    below the median, so that with a chance of 2 / 2 ** 5 all five of them
    lie on one side of it.

    :raises ValueError: there are none
    """
    return quantile(values, 0.5)


def quantile(values: Sequence[float] | numpy.ndarray,
             fraction: float) -> Estimate:
    """Return a quantile; its interval supposes no distribution.

    How many of n values lie below the quantile is binomial, so that two of
    the values in their order are the interval (W. J. Conover, Practical
    Nonparametric Statistics, 3rd edition, 1999, section 3.2; G. J. Hahn and
    W. Q. Meeker, Statistical Intervals, 1991, section 5.2). These cover
    more than 95 %, as there are only n values to choose from; so it is
    interpolated between two neighbours: T. P. Hettmansperger and
    S. J. Sheather, Statistics and Probability Letters 4 (1986), 75-79, for
    the median; J. Nyblom, the same 14 (1992), 129-131, for any quantile.

    If there are so few values that the quantile may well be larger than all
    of them, as with the 95th percentile of fewer than 72, the upper end is
    unknown, and the lower end alone is passed with a confidence of 95 %.

    The value is that of R. J. Hyndman and Y. Fan, The American Statistician
    50 (1996), 361-365, definition 8, which is median-unbiased whatever the
    distribution.

    :param values: in any order
    :param fraction: which quantile: more than 0, less than 1
    :raises ValueError: there are no values, or there is no such quantile
    """
    ordered = numpy.sort(array(values))
    if not 0 < fraction < 1:
        raise ValueError('a quantile has to be between 0 and 1, not %g' %
                         fraction)
    value = float(numpy.quantile(ordered, fraction,
                                 method='median_unbiased'))
    tail = (1 - CONFIDENCE) / 2
    low = _bound(ordered, fraction, tail)
    high = _mirrored(ordered, fraction, tail)
    # With one end alone, that end has all of what may be missed.
    if high is None and low is not None:
        low = _bound(ordered, fraction, 2 * tail)
    elif low is None and high is not None:
        high = _mirrored(ordered, fraction, 2 * tail)
    return Estimate(
        value, None if low is None else min(low, value),
        None if high is None else max(high, value), len(ordered))


def mean(values: Sequence[float] | numpy.ndarray,
         seed: int = 0) -> Estimate:
    """Return the mean; see resampling.combination() for its interval.

    :param values: in any order
    :param seed: of the random numbers
    :raises ValueError: there are none
    """
    numbers = array(values)
    low, high = resampling.combination([numbers], [[1.0]], seed)[0]
    return Estimate(float(numbers.mean()), low, high, len(numbers))


def array(values: Sequence[float] | numpy.ndarray) -> numpy.ndarray:
    """Return values as an array.

    :raises ValueError: there are none, or one is not finite
    """
    found = numpy.asarray(values, dtype=float)
    if not found.size:
        raise ValueError('there are no values')
    if not numpy.isfinite(found).all():
        raise ValueError('a value is not finite')
    return found


def _mirrored(ordered: numpy.ndarray, fraction: float,
              tail: float) -> float | None:
    """Return the upper end: the lower one of all values below zero."""
    found = _bound(-ordered[::-1], 1 - fraction, tail)
    return None if found is None else -found


def _bound(ordered: numpy.ndarray, fraction: float,
           tail: float) -> float | None:
    """Return a lower bound of a quantile, which it is below with a chance.

    :param ordered: the values, from the least
    :param fraction: which quantile
    :param tail: that chance
    """
    count = len(ordered)
    # The k-th value (from 1) is too large if fewer than k are below.
    rank = int(stats.binom.ppf(tail, count, fraction))
    if not rank:
        return None
    if rank == count:
        return float(ordered[-1])
    chances = stats.binom.cdf([rank - 1, rank], count, fraction)
    before = rank * (1 - fraction) * (chances[1] - tail)
    after = (count - rank) * fraction * (tail - chances[0])
    weight = after / (before + after)
    return float((1 - weight) * ordered[rank - 1] + weight * ordered[rank])
