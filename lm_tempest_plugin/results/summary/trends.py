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

"""From trip to trip, and against memory."""

import collections
from collections.abc import Iterator
from collections.abc import Sequence

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.statistics import drift
from lm_tempest_plugin.results.statistics import fitting
from lm_tempest_plugin.results.summary import groups
from lm_tempest_plugin.results.summary import shapes

# Queueing is left out: it drifts with how many servers there are.
QUANTITIES = ('duration_s', 'service_s', 'outage_s', 'stall_s', 'downtime_s')
LEAST_TRIPS = 3


def drifts(gathered: groups.Gathered) -> tuple[shapes.Drift, ...]:
    """Return how quantities changed from trip to trip.

    Each run counts its trips for itself; only groups of one run are looked
    at, since trip 1 of two runs is not at one time.

    :param gathered: attempts by what they have in common
    """
    return tuple(
        each for key, attempts in gathered.items()
        if len({attempt.run for attempt in attempts}) == 1
        for each in _drifts(key, attempts))


def _drifts(key: groups.Key, attempts: Sequence[collection.Attempt]
            ) -> Iterator[shapes.Drift]:
    for quantity in QUANTITIES:
        trips, values = [], []
        for each in attempts:
            value = groups.value(each, quantity)
            if value is not None:
                trips.append(float(each.trip))
                values.append(value)
        count = len(set(trips))
        if count >= LEAST_TRIPS:
            yield shapes.Drift(*key, quantity, count,
                               drift.drift(trips, values))


def fits(gathered: groups.Gathered,
         seed: int) -> tuple[shapes.CellFit, ...]:
    """Return durations without queueing against memory.

    :param gathered: attempts by what they have in common
    :param seed: of the random numbers
    """
    together: dict[tuple[collection.Cell, collection.Way], tuple[
        list[float], list[float]]] = collections.defaultdict(
            lambda: ([], []))
    for (cell, flavor, way), attempts in gathered.items():
        sizes, seconds = together[cell, way]
        for each in attempts:
            if each.measured and each.completed:
                sizes.append(flavor.ram_gib)
                seconds.append(each.duration_s - each.queue_s)
    return tuple(
        shapes.CellFit(cell, way, fitting.fit(sizes, seconds, seed))
        for (cell, way), (sizes, seconds) in together.items()
        if len(set(sizes)) > 1)
