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

"""Two lots of values, such as before and after a change."""

from collections.abc import Sequence
import dataclasses

import numpy

from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results.statistics import ranks
from lm_tempest_plugin.results.statistics import resampling

Estimate = intervals.Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """What differs between two lots of values.

    :ivar before: median of the first
    :ivar after: median of the second
    :ivar difference: by how much the second are larger
    :ivar ratio: how many times as large they are; not a number, without an
        interval, where values are not positive
    :ivar paired: whether values were compared one by one
    :ivar found: whether the difference is one: its interval excludes 0
    """

    before: Estimate
    after: Estimate
    difference: Estimate
    ratio: Estimate
    paired: bool
    found: bool


def compare(before: Sequence[float] | numpy.ndarray,
            after: Sequence[float] | numpy.ndarray, paired: bool = False,
            seed: int = 0) -> Effect:
    """Compare two lots of values.

    The difference is that of J. L. Hodges and E. L. Lehmann, Annals of
    Mathematical Statistics 34 (1963), 598-611, with the interval of the
    Mann-Whitney or the signed-rank test: see ranks.shift() and
    ranks.centre(). The ratio is the same of logarithms. So neither is drawn
    away by a few very long values.

    Where there are too few values for ranks, as with 3 and 3, Student's t
    is used, which supposes more: that means are nearly normal. There is no
    interval if not even that can be had, as with single values, or with few
    of which all are the same.

    :param before: values, all in one unit
    :param after: likewise; if paired, each belongs to that of before which
        stands in the same place
    :param paired: whether they belong together
    :param seed: of the random numbers
    :raises ValueError: one of them is empty, or they are paired and not as
        many
    """
    first, second = intervals.array(before), intervals.array(after)
    if paired and len(first) != len(second):
        raise ValueError('%d values cannot be paired with %d' % (
            len(first), len(second)))
    difference = _difference(first, second, paired, seed)
    ratio = Estimate(float('nan'), None, None, difference.count)
    if first.min() > 0 and second.min() > 0:
        logs = _difference(numpy.log(first), numpy.log(second), paired, seed)
        ratio = Estimate(
            float(numpy.exp(logs.value)), _exp(logs.low), _exp(logs.high),
            logs.count)
    return Effect(
        intervals.median(first), intervals.median(second), difference, ratio,
        paired, difference.excludes(0))


def _difference(first: numpy.ndarray, second: numpy.ndarray, paired: bool,
                seed: int) -> Estimate:
    if paired:
        value, low, high = ranks.centre(second - first)
        groups, weights, count = [second - first], [1.0], len(first)
    else:
        value, low, high = ranks.shift(first, second)
        groups, weights = [first, second], [-1.0, 1.0]
        count = len(first) + len(second)
    if low is None:
        low, high = resampling.combination(groups, [weights], seed)[0]
        if low == high:
            low = high = None
    return Estimate(value, low, high, count)


def _exp(value: float | None) -> float | None:
    return None if value is None else float(numpy.exp(value))
