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

"""Values as live migrations have them, and what is true of them."""

from __future__ import annotations

import collections.abc
import dataclasses

import numpy
from scipy import stats

#: So many quantiles stand for a whole distribution.
GRID = 2000


@dataclasses.dataclass(frozen=True)
class Values:
    """A distribution of durations.

    :ivar name: in words
    :ivar law: the distribution, of scipy
    """

    name: str
    law: stats.rv_continuous

    def draw(self, random: numpy.random.Generator,
             count: int) -> numpy.ndarray:
        """Return values, in seconds."""
        return self.law.rvs(count, random_state=random)

    @property
    def median(self) -> float:
        """What is true of it."""
        return float(self.law.median())

    @property
    def mean(self) -> float:
        """What is true of it."""
        return float(self.law.mean())

    def quantile(self, fraction: float) -> float:
        """Return what is true of it."""
        return float(self.law.ppf(fraction))

    def grid(self) -> numpy.ndarray:
        """Return values that are all as likely, from the least."""
        found: numpy.ndarray = self.law.ppf(
            (numpy.arange(GRID) + 0.5) / GRID)
        return found


#: From a quiet cloud to one with a long tail: skewness 0, 0.6 and 1.8.
ALL: collections.abc.Sequence[Values] = (
    Values('normal, 10 %', stats.norm(20, 2)),
    Values('lognormal, 0.2', stats.lognorm(0.2, scale=20)),
    Values('lognormal, 0.5', stats.lognorm(0.5, scale=20)),
)


def shift(first: numpy.ndarray, second: numpy.ndarray) -> float:
    """Return by how much one distribution is above another one.

    The median of all differences, as of J. L. Hodges and E. L. Lehmann.

    :param first: values that are all as likely
    :param second: the same of the other one
    """
    return float(numpy.median(numpy.subtract.outer(second, first)))
