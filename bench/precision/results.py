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

"""All results of one run of the benchmark, and statistics of the errors."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy

from bench.precision import episodes
from bench.precision import tools

# A shorter outage counts as none, in seconds: differences of printed times
# are never quite 0.
NOTHING_S = 0.001


@dataclasses.dataclass(frozen=True)
class OutageError:
    """One outage, measured by one tool. All times are in seconds.

    :ivar part: part of the benchmark
    :ivar tool: its name
    :ivar kind: drop or hold
    :ivar length_s: least length for which the outage was planned
    :ivar truth_s: true length
    :ivar uncertainty_s: of the true length
    :ivar figure_s: figure of the tool; None if it gives none
    :ivar bound_s: the tool's own error bound, if it has one
    :ivar period_s: period of our prober; None for other tools
    :ivar address: of the guest
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
        """By how much the figure is too long."""
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
class ErrorSummary:
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


@dataclasses.dataclass(frozen=True)
class ProbeRun:
    """One process of our prober. Times are in seconds.

    :ivar part: part of the benchmark in which it ran
    :ivar name: its name in the tables
    :ivar targets: number of addresses
    :ivar about: its figures about itself
    :ivar troubles: problems that it reports of single addresses
    """

    part: str
    name: str
    targets: int
    cpu_s: float
    wall_s: float
    about: dict[str, Any]
    calibration: dict[str, Any] | None
    troubles: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, part: str, name: str,
           report: tools.ProbeReport) -> 'ProbeRun':
        """Return the content of a report without its outages."""
        return cls(part, name, len(report.json['targets']), report.cpu_s,
                   report.wall_s, report.self_report,
                   report.json.get('calibration'), report.troubles)


@dataclasses.dataclass
class BenchResults:
    """Results, to which each part of the benchmark adds.

    :ivar facts: about the run: seed, versions, machine
    :ivar readings: each outage, as each tool measured it
    :ivar runs: of our prober
    :ivar scenarios: figures of each tool for each scenario
    :ivar tcp: stalls of TCP streams
    :ivar scale: costs of many targets
    :ivar responders: figures of our responders about themselves
    """

    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    readings: list[OutageError] = dataclasses.field(default_factory=list)
    runs: list[ProbeRun] = dataclasses.field(default_factory=list)
    scenarios: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    tcp: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    scale: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    responders: list[dict[str, Any]] = dataclasses.field(
        default_factory=list)

    def run_of(self, part: str, name: str) -> ProbeRun:
        """Return one run of our prober."""
        return next(run for run in self.runs
                    if (run.part, run.name) == (part, name))


def make(part: str, tool: str, truth: dict[str, Any],
         figure: tools.ToolFigure,
         period_s: float | None = None) -> OutageError:
    """Return an outage as a tool measured it.

    :param part: part of the benchmark
    :param tool: its name
    :param truth: from the responder or nftables
    :param figure: of the tool
    :param period_s: of our prober, in seconds
    """
    length_s = episodes.least_length(
        (truth['planned_end_ns'] - truth['planned_begin_ns']) / episodes.NS)
    return OutageError(
        part, tool, truth['kind'], length_s,
        (truth['end_ns'] - truth['begin_ns']) / episodes.NS,
        truth['uncertainty_ns'] / episodes.NS,
        figure.figure_s, figure.bound_s, period_s, truth['address'])


def summarise(several: Sequence[OutageError]) -> ErrorSummary | None:
    """Return statistics of the errors; None without any figure."""
    errors = numpy.array([one.error_s for one in several
                          if one.error_s is not None])
    if not errors.size:
        return None
    own = all(one.period_s is not None for one in several)
    return ErrorSummary(
        trials=len(several), silent=len(several) - errors.size,
        zero=sum(one.figure_s is not None and one.figure_s <= NOTHING_S
                 for one in several),
        median_s=float(numpy.median(errors)),
        median_abs_s=float(numpy.median(abs(errors))),
        p95_abs_s=float(numpy.percentile(abs(errors), 95)),
        max_abs_s=float(abs(errors).max()),
        in_period=share(one.within_period for one in several)
        if own else None,
        in_bound=share(one.within_bound for one in several) if own else None,
        bound_s=float(numpy.median([one.bound_s for one in several]))
        if own else None)


def share(several: Iterable[bool]) -> float:
    """Return the share that is true, 0 to 1."""
    return float(numpy.mean([bool(one) for one in several]))


def select(several: Iterable[OutageError],
           **wanted: Any) -> list[OutageError]:
    """Return the outages that have these values."""
    return [one for one in several
            if all(getattr(one, name) == value
                   for name, value in wanted.items())]


def values(several: Iterable[OutageError], name: str) -> list[Any]:
    """Return the different values of a field, in order of appearance."""
    return list(dict.fromkeys(getattr(one, name) for one in several))


def ms(value_s: float | None) -> str:
    """Return seconds as text in milliseconds; None is a dash."""
    return '-' if value_s is None else f'{1000 * value_s:.1f} ms'
