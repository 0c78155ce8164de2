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

"""What a summary consists of."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.statistics import comparison
from lm_tempest_plugin.results.statistics import fitting
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results.statistics import queueing
from lm_tempest_plugin.results.statistics import recommendation


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """How values of a quantity lie.

    :ivar median: of the values
    :ivar p95: what 95 % of the values do not exceed
    :ivar largest: of the values
    """

    median: intervals.Estimate
    p95: intervals.Estimate
    largest: float


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Live migrations of one flavor and cell, moved in one way.

    :ivar cell: what was configured
    :ivar flavor: how large the servers are
    :ivar way: how many servers were moved together, and how
    :ivar attempts: how many there are, those of warm-ups as well
    :ivar completed: how many servers were moved
    :ivar good: how many were as expected
    :ivar verdicts: how many there are of each
    :ivar spreads: of duration_s, queue_s, service_s and downtime_s of the
        servers that were moved, and of outage_s and stall_s of all; of
        warm-ups none; what is not known is missing
    :ivar phases: median of each, in seconds, in their order
    """

    cell: collection.Cell
    flavor: collection.Flavor
    way: collection.Way
    attempts: int
    completed: int
    good: int
    verdicts: Mapping[str, int]
    spreads: Mapping[str, Spread]
    phases: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class DrainGroup:
    """Drains of as many servers of the same flavors, cell and strategy.

    :ivar cell: what was configured
    :ivar way: how many servers were moved together, and how
    :ivar load: what was moved together, in words: 4 lm.small
    :ivar drains: how many there are
    :ivar wall: from the first request to the last end, in seconds, of
        drains that count and in which all servers were moved
    :ivar ran: how many ran at once at most, in the drain with the least and
        in that with the most; None if it is not known
    :ivar queued: how many waited, at most; None if it is not known
    :ivar transports: what was seen
    :ivar model: what queueing alone would make of it; None if it cannot be
        said
    """

    cell: collection.Cell
    way: collection.Way
    load: str
    drains: int
    wall: Spread
    ran: tuple[int, int] | None
    queued: int | None
    transports: tuple[str, ...]
    model: queueing.Model | None


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """How a quantity changed from trip to trip.

    :ivar cell: what was configured
    :ivar flavor: how large the servers are
    :ivar way: how many servers were moved together, and how
    :ivar quantity: its name, with its unit
    :ivar trips: how many there were
    :ivar per_trip: by how much it grew with each
    """

    cell: collection.Cell
    flavor: collection.Flavor
    way: collection.Way
    quantity: str
    trips: int
    per_trip: intervals.Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class CellFit:
    """Durations without queueing against memory.

    :ivar cell: what was configured
    :ivar way: how many servers were moved together, and how
    :ivar fit: the line
    """

    cell: collection.Cell
    way: collection.Way
    fit: fitting.Fit


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """What one setting does.

    :ivar setting: its name; storage if it is that
    :ivar before: the cell with the lesser value
    :ivar after: the other one, which differs in nothing else
    :ivar flavor: how large the servers are
    :ivar way: how many servers were moved together, and how
    :ivar quantity: its name, with its unit
    :ivar effect: the comparison
    """

    setting: str
    before: collection.Cell
    after: collection.Cell
    flavor: collection.Flavor
    way: collection.Way
    quantity: str
    effect: comparison.Effect


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What is to be said of all records.

    :ivar good: whether everything was as expected, and there was anything
    :ivar sentence: the verdict
    :ivar runs: names of the runs
    :ivar groups: live migrations that belong together
    :ivar drains: drains that belong together
    :ivar drifts: from trip to trip
    :ivar fits: against memory
    :ivar differences: between cells
    :ivar recommendation: how many at once for a drain
    :ivar failures: what was not as expected, a line for each
    :ivar remarks: what else is to be said
    """

    good: bool
    sentence: str
    runs: Sequence[str]
    groups: Sequence[Group]
    drains: Sequence[DrainGroup]
    drifts: Sequence[Drift]
    fits: Sequence[CellFit]
    differences: Sequence[Difference]
    recommendation: recommendation.Recommendation
    failures: tuple[str, ...]
    remarks: tuple[str, ...]
