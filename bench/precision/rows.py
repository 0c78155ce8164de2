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

"""What each tool said about each outage, and statistics of its errors."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy

from bench.precision import episodes
from bench.precision import lengths
from bench.precision import prober

# Less than this reads as nothing, in seconds: differences of print times
# are never quite 0.
NOTHING_S = 0.001


@dataclasses.dataclass(frozen=True)
class Row:
    """One outage, as one tool saw it. All times are in seconds.

    :ivar part: of which part of the benchmark
    :ivar tool: its name
    :ivar kind: drop or hold
    :ivar length_s: how long the outage was meant to be at least
    :ivar truth_s: how long it was
    :ivar uncertainty_s: how well that is known
    :ivar figure_s: what the tool says; None if it says nothing
    :ivar bound_s: the error bound it gives itself, if it does
    :ivar period_s: the period of our prober; None for other tools
    :ivar address: of whom
    """

    part: str
    tool: str
    kind: str
    length_s: float
    truth_s: float
    uncertainty_s: float
    figure_s: float | None
    bound_s: float | None = None
    period_s: float | None = None
    address: str = ''

    @property
    def error_s(self) -> float | None:
        """How much too long the figure is."""
        if self.figure_s is None:
            return None
        return self.figure_s - self.truth_s

    @property
    def within_period(self) -> bool:
        """Whether the error is at most one period."""
        return (self.error_s is not None and self.period_s is not None
                and abs(self.error_s) <= self.period_s)

    @property
    def within_bound(self) -> bool:
        """Whether the error bound, and the truth's own, cover the error."""
        return (self.error_s is not None and self.bound_s is not None
                and abs(self.error_s) <= self.bound_s + self.uncertainty_s)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Errors of one tool over several outages, in seconds.

    :ivar silent: how often it gave no figure
    :ivar zero: how often it read 0
    :ivar in_period: share of errors of at most one period; ours only
    :ivar in_bound: share of errors within the bound; ours only
    """

    trials: int
    silent: int
    zero: int
    median_s: float
    median_abs_s: float
    p95_abs_s: float
    max_abs_s: float
    in_period: float | None
    in_bound: float | None
    bound_s: float | None


def make(part: str, tool: str, truth: dict[str, Any],
         reading: prober.Reading, period_s: float | None = None) -> Row:
    """Return what a tool says about an outage.

    :param part: of which part of the benchmark
    :param tool: its name
    :param truth: as the responder or nftables tell it
    :param reading: what the tool says
    :param period_s: of our prober, in seconds
    """
    length_s = lengths.least(
        (truth['planned_end_ns'] - truth['planned_begin_ns']) / episodes.NS)
    return Row(
        part, tool, truth['kind'], length_s,
        (truth['end_ns'] - truth['begin_ns']) / episodes.NS,
        truth['uncertainty_ns'] / episodes.NS,
        reading.figure_s, reading.bound_s, period_s, truth['address'])


def summarise(several: Sequence[Row]) -> Summary | None:
    """Return statistics; None if there is no figure among them."""
    errors = numpy.array([row.error_s for row in several
                          if row.error_s is not None])
    if not errors.size:
        return None
    own = all(row.period_s is not None for row in several)
    return Summary(
        trials=len(several), silent=len(several) - errors.size,
        zero=sum(row.figure_s is not None and row.figure_s <= NOTHING_S
                 for row in several),
        median_s=float(numpy.median(errors)),
        median_abs_s=float(numpy.median(abs(errors))),
        p95_abs_s=float(numpy.percentile(abs(errors), 95)),
        max_abs_s=float(abs(errors).max()),
        in_period=share(row.within_period for row in several)
        if own else None,
        in_bound=share(row.within_bound for row in several) if own else None,
        bound_s=float(numpy.median([row.bound_s for row in several]))
        if own else None)


def share(several: Iterable[bool]) -> float:
    """Return the share that is true, 0 to 1."""
    return float(numpy.mean([bool(one) for one in several]))


def select(several: Iterable[Row], **wanted: Any) -> list[Row]:
    """Return the rows that have these values."""
    return [row for row in several
            if all(getattr(row, name) == value
                   for name, value in wanted.items())]


def values(several: Iterable[Row], name: str) -> list[Any]:
    """Return the different values of a column, as they come first."""
    return list(dict.fromkeys(getattr(row, name) for row in several))
