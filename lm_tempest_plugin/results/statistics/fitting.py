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

"""How long a live migration takes by how much memory a server has."""

from collections.abc import Sequence
import dataclasses

import numpy
from scipy import stats

from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results.statistics import resampling


@dataclasses.dataclass(frozen=True, slots=True)
class Fit:
    """A straight line: seconds + seconds_per_gib x memory.

    :ivar seconds: what it takes without any memory
    :ivar seconds_per_gib: what each GiB adds
    :ivar residual_s: by how much values are off the line: root of the mean
        of the squares
    :ivar count: of the values
    """

    seconds: intervals.Estimate
    seconds_per_gib: intervals.Estimate
    residual_s: float
    count: int


def fit(ram_gib: Sequence[float] | numpy.ndarray,
        seconds: Sequence[float] | numpy.ndarray, seed: int = 0) -> Fit:
    """Return the line of least squares through durations.

    Flavors are few, so that the line depends on nothing but the mean
    duration of each, and its intervals are those of weighted sums of means,
    see resampling.combination(): they do not suppose that durations of
    large servers vary as little as those of small ones. With fewer than 6
    values of a size they suppose that these are nearly normal; where there
    is one value only, they do suppose that all vary alike.

    :param ram_gib: memory of the server, for each value
    :param seconds: how long it took, in the same order
    :param seed: of the random numbers
    :raises ValueError: there are none, not as many of both, or all servers
        are of one size
    """
    sizes, values = intervals.array(ram_gib), intervals.array(seconds)
    if len(sizes) != len(values):
        raise ValueError('%d durations cannot belong to %d servers' % (
            len(values), len(sizes)))
    different = numpy.unique(sizes)
    if len(different) < 2:
        raise ValueError('servers of one size, %g GiB, give no line' %
                         different[0])
    groups = [values[sizes == size] for size in different]
    counts = numpy.array([len(group) for group in groups])
    weights = _weights(different, counts)
    line = weights @ numpy.array([group.mean() for group in groups])
    residuals = values - line[0] - line[1] * sizes
    if counts.min() >= 2:
        bounds = resampling.combination(groups, weights.tolist(), seed)
    else:
        bounds = _student(line, residuals, weights ** 2 @ (1 / counts))
    offset, slope = (
        intervals.Estimate(float(value), low, high, len(values))
        for value, (low, high) in zip(line, bounds))
    return Fit(offset, slope, float(numpy.sqrt((residuals ** 2).mean())),
               len(values))


def _weights(sizes: numpy.ndarray, counts: numpy.ndarray) -> numpy.ndarray:
    """Return the weights of the means in offset and slope of the line."""
    middle = (sizes * counts).sum() / counts.sum()
    slope = counts * (sizes - middle) / (
        counts * (sizes - middle) ** 2).sum()
    found: numpy.ndarray = numpy.array(
        [counts / counts.sum() - middle * slope, slope])
    return found


def _student(line: numpy.ndarray, residuals: numpy.ndarray,
             noises: numpy.ndarray) -> list[resampling.Interval]:
    """Return intervals where all values are off the line alike.

    :param noises: variance of each figure, for values with one of 1
    """
    degrees = len(residuals) - 2
    if degrees < 1:
        return [resampling.UNKNOWN for _ in line]
    reach = stats.t.ppf(resampling.TAILS[1], degrees) * numpy.sqrt(
        (residuals ** 2).sum() / degrees * noises)
    return list(zip((line - reach).tolist(), (line + reach).tolist()))
