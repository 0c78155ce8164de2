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

"""Intervals of means, and of what is made of several, by bootstrap."""

from collections.abc import Sequence

import numpy
from scipy import stats

# So many resamples; the ends of an interval then vary by a few percent of
# its length with the seed.
RESAMPLES = 1999
# Fewer values than this are resampled into too few different lots.
LEAST = 6
# A mean of so many values is as good as normal, and resampling is costly.
MOST = 2000
TAILS = (0.025, 0.975)

Interval = tuple[float | None, float | None]
UNKNOWN: Interval = (None, None)


def combination(groups: Sequence[numpy.ndarray],
                weights: Sequence[Sequence[float]],
                seed: int) -> list[Interval]:
    """Return 95 % intervals of weighted sums of groups' means.

    By the studentized bootstrap, which keeps its level with skewed values
    (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993,
    section 12.5). With few values in a group, and with very many in all, by
    Student's t with the degrees of freedom of B. L. Welch, Biometrika 34
    (1947), 28-35, and F. E. Satterthwaite, Biometrics Bulletin 2 (1946),
    110-114.

    :param groups: the values of each
    :param weights: for each sum, the weights of the groups' means
    :param seed: of the random numbers
    :returns: for each sum low and high, which are None if a group has fewer
        than two values
    """
    sizes = [len(group) for group in groups]
    if min(sizes) < 2:
        return [UNKNOWN for _ in weights]
    table = numpy.asarray(weights, dtype=float)
    means = numpy.array([group.mean() for group in groups])
    # The variances of the means.
    noises = numpy.array([group.var(ddof=1) / len(group)
                          for group in groups])
    values = table @ means
    errors = numpy.sqrt(table ** 2 @ noises)
    if min(sizes) < LEAST or sum(sizes) > MOST:
        reach = _student(table, noises, sizes) * errors
        return list(zip((values - reach).tolist(),
                        (values + reach).tolist()))
    scores = _resampled(groups, table, values, seed)
    # What is far above in resamples is far below the truth in the values.
    low = values - numpy.quantile(scores, TAILS[1], axis=0) * errors
    high = values - numpy.quantile(scores, TAILS[0], axis=0) * errors
    return list(zip(low.tolist(), high.tolist()))


def _student(table: numpy.ndarray, noises: numpy.ndarray,
             sizes: Sequence[int]) -> numpy.ndarray:
    """Return how many standard errors an interval reaches, for each sum."""
    parts = table ** 2 * noises
    spread = (parts ** 2 / (numpy.array(sizes) - 1)).sum(axis=1)
    degrees = numpy.divide(
        parts.sum(axis=1) ** 2, spread, where=spread > 0,
        out=numpy.ones(len(table)))
    found: numpy.ndarray = stats.t.ppf(TAILS[1], degrees)
    return found


def _resampled(groups: Sequence[numpy.ndarray], table: numpy.ndarray,
               values: numpy.ndarray, seed: int) -> numpy.ndarray:
    """Return each resample's distance from the values, in its own errors."""
    random = numpy.random.default_rng(seed)
    means, noises = [], []
    for group in groups:
        drawn = group[random.integers(
            len(group), size=(RESAMPLES, len(group)))]
        means.append(drawn.mean(axis=1))
        noises.append(drawn.var(axis=1, ddof=1) / len(group))
    distances = numpy.column_stack(means) @ table.T - values
    errors = numpy.sqrt(numpy.column_stack(noises) @ (table ** 2).T)
    return numpy.divide(distances, errors, where=errors > 0,
                        out=numpy.zeros_like(distances))
