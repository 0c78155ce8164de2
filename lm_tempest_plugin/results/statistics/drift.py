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

"""How a quantity changes from trip to trip."""

from collections.abc import Sequence
import functools

import numpy
from scipy import stats

from lm_tempest_plugin.results.statistics import intervals

# Of more trips, neighbours are put together: each is compared with each.
MOST = 400
# From so many trips on, the normal distribution does for Kendall's.
LARGE = 50
TAIL = 0.025


def drift(x: Sequence[float] | numpy.ndarray,
          y: Sequence[float] | numpy.ndarray) -> intervals.Estimate:
    """Return by how much a quantity grows with each step of x.

    The median of the slopes between all pairs of points (H. Theil, 1950),
    with the interval of P. K. Sen, Journal of the American Statistical
    Association 63 (1968), 1379-1389. Values with the same x are replaced
    by their median first: what is measured in one trip has the weather of
    that trip in common, and more of it tells no more of other trips. So it
    is the number of trips that counts, and fewer than 5 give no interval.

    Between two neighbouring slopes it is interpolated as with medians,
    since few trips leave only few slopes to choose from.

    :param x: such as numbers of trips
    :param y: the quantity, as many
    :returns: in the unit of y; the count is that of different x; the value
        is 0, without an interval, if there is only one
    :raises ValueError: there are none, or not as many of both
    """
    places, values = intervals.array(x), intervals.array(y)
    if len(places) != len(values):
        raise ValueError('%d values cannot belong to %d places' % (
            len(values), len(places)))
    places, values = _reduced(places, values)
    count = len(places)
    if count < 2:
        return intervals.Estimate(0.0, None, None, count)
    after, before = numpy.tril_indices(count, -1)
    slopes = numpy.sort((values[after] - values[before]) /
                        (places[after] - places[before]))
    low, high = _bound(slopes, count), _bound(-slopes[::-1], count)
    return intervals.Estimate(
        float(numpy.median(slopes)), low, None if high is None else -high,
        count)


def _reduced(places: numpy.ndarray, values: numpy.ndarray) -> tuple[
        numpy.ndarray, numpy.ndarray]:
    """Return each place once, with the median of its values."""
    found, numbers = numpy.unique(places, return_inverse=True)
    medians = _medians(numbers, values)
    if len(found) <= MOST:
        return found, medians
    parts = numpy.arange(len(found)) * MOST // len(found)
    return _medians(parts, found), _medians(parts, medians)


def _medians(numbers: numpy.ndarray, values: numpy.ndarray) -> numpy.ndarray:
    """Return the median of the values with each number, from 0."""
    ordered = values[numpy.lexsort((values, numbers))]
    counts = numpy.bincount(numbers)
    starts = numpy.cumsum(counts) - counts
    found: numpy.ndarray = (ordered[starts + (counts - 1) // 2] +
                            ordered[starts + counts // 2]) / 2
    return found


def _bound(slopes: numpy.ndarray, count: int) -> float | None:
    """Return what the slope is below with a chance of TAIL.

    :param slopes: from the least
    :param count: of the points
    """
    place = _place(count)
    if place is None:
        return None
    return float(numpy.interp(place, [int(place), int(place) + 1],
                              slopes[int(place):int(place) + 2]))


@functools.lru_cache(maxsize=1000)
def _place(count: int) -> float | None:
    """Return where among the sorted slopes that is, from 0; None if nowhere.

    :param count: of the points
    """
    total = count * (count - 1) // 2
    if count > LARGE:
        deviation = float(numpy.sqrt(total * (2 * count + 5) / 36))
        return (total - 1) / 2 - float(stats.norm.isf(TAIL)) * deviation
    # In how many orders of the points so many pairs stand the wrong way
    # round: M. G. Kendall, Biometrika 30 (1938), 81-93.
    ways = numpy.ones(1)
    for each in range(2, count + 1):
        ways = numpy.convolve(ways, numpy.full(each, 1 / each))
    chances = numpy.cumsum(ways)
    rank = int(numpy.searchsorted(chances, TAIL, side='right'))
    if not rank:
        return None
    return rank - 1 + float((TAIL - chances[rank - 1]) /
                            (chances[rank] - chances[rank - 1]))
