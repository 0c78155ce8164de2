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

"""All that one run of the benchmark has found."""

import dataclasses
from typing import Any

from bench.precision import prober
from bench.precision import rows


@dataclasses.dataclass(frozen=True)
class Run:
    """One process of our prober. Times are in seconds.

    :ivar part: in which part of the benchmark it ran
    :ivar name: what it is called in the tables
    :ivar targets: how many it watched
    :ivar about: what it says about itself
    :ivar troubles: what it says has gone wrong with single addresses
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
    def of(cls, part: str, name: str, report: prober.Report) -> 'Run':
        """Keep what a report says, but for its outages."""
        return cls(part, name, len(report.json['targets']), report.cpu_s,
                   report.wall_s, report.self_report,
                   report.json.get('calibration'), report.troubles)


@dataclasses.dataclass
class Results:
    """What was found, to be added to by each part.

    :ivar facts: about the run: seed, versions, machine
    :ivar readings: each outage, as each tool saw it
    :ivar runs: of our prober
    :ivar scenarios: what each tool says about each scenario
    :ivar tcp: stalls of TCP streams
    :ivar scale: what it costs to watch so many targets
    :ivar responders: what our responders say about themselves
    """

    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    readings: list[rows.Row] = dataclasses.field(default_factory=list)
    runs: list[Run] = dataclasses.field(default_factory=list)
    scenarios: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    tcp: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    scale: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    responders: list[dict[str, Any]] = dataclasses.field(
        default_factory=list)

    def run_of(self, part: str, name: str) -> Run:
        """Return one run of our prober."""
        return next(run for run in self.runs
                    if (run.part, run.name) == (part, name))
