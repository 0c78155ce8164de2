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

"""How long servers take that wait for each other: first come, first served.

If N servers are asked to move at once, a host works on one at a time, and
each takes S seconds, the first is there after S, the last after N S, and the
mean time from request to end is S (N + 1) / 2. It grows with N though no
server takes longer: that is queueing, and tells nothing of the migrations.
"""

from collections.abc import Sequence
import dataclasses
import heapq

import numpy

from lm_tempest_plugin.results.statistics import intervals


@dataclasses.dataclass(frozen=True, slots=True)
class Queue:
    """How servers are asked to move, and how many a host moves at once.

    :ivar servers: how many there are
    :ivar at_once: how many the host works on
    :ivar in_flight: how many are asked for and have not ended, at most
    :ivar barrier: whether all of these have to end before the next are
        asked for
    """

    servers: int
    at_once: int
    in_flight: int
    barrier: bool

    def __post_init__(self) -> None:
        if min(self.servers, self.at_once, self.in_flight) < 1:
            raise ValueError('a queue has at least one server, one at once '
                             'and one in flight, not %s' % self)


@dataclasses.dataclass(frozen=True, slots=True)
class Drained:
    """What was seen of one drain.

    :ivar queue: how it was done
    :ivar service_s: mean time in which the host moved a server
    :ivar mean_s: mean time from a request to its end
    :ivar wall_s: from the first request to the last end
    """

    queue: Queue
    service_s: float
    mean_s: float
    wall_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """What the model says of drains, beside what was seen.

    :ivar service_s: mean time in which the host moved a server
    :ivar predicted_mean_s: mean time from a request to its end
    :ivar observed_mean_s: the same
    :ivar predicted_wall_s: from the first request to the last end
    :ivar observed_wall_s: the same
    :ivar mean_error: observed over predicted mean, less 1: 0.1 if it takes
        10 % longer than the model has it; its interval is over the drains
    :ivar wall_error: the same of the wall time
    """

    service_s: intervals.Estimate
    predicted_mean_s: intervals.Estimate
    observed_mean_s: intervals.Estimate
    predicted_wall_s: intervals.Estimate
    observed_wall_s: intervals.Estimate
    mean_error: intervals.Estimate
    wall_error: intervals.Estimate


def times(queue: Queue, service_s: float) -> list[tuple[float, float]]:
    """Return when each server is asked to move, and when it is there.

    In seconds from the begin, by the model: whoever came first is served
    first, and each takes the same time.

    :param queue: how it is done
    :param service_s: time in which the host moves a server
    """
    free = [0.0] * min(queue.at_once, queue.servers)
    ends: list[float] = []
    found = []
    for number in range(queue.servers):
        if queue.barrier:
            before = number // queue.in_flight * queue.in_flight
        else:
            before = number - queue.in_flight + 1
        # Ends come in the order of requests, since all take equally long.
        asked = ends[before - 1] if before > 0 else 0.0
        end = max(asked, heapq.heappop(free)) + service_s
        heapq.heappush(free, end)
        ends.append(end)
        found.append((asked, end))
    return found


def predicted_mean_s(queue: Queue, service_s: float) -> float:
    """Return the mean time from a request to its end, by the model."""
    return sum(end - asked for asked, end in times(
        queue, service_s)) / queue.servers


def predicted_wall_s(queue: Queue, service_s: float) -> float:
    """Return the time from the first request to the last end."""
    return times(queue, service_s)[-1][1]


def model(drains: Sequence[Drained], seed: int = 0) -> Model:
    """Compare drains with the model.

    :param drains: each with what was seen of it
    :param seed: of the random numbers
    :raises ValueError: there are none
    """
    rows = numpy.array([
        (each.service_s, predicted_mean_s(each.queue, each.service_s),
         each.mean_s, predicted_wall_s(each.queue, each.service_s),
         each.wall_s) for each in drains]).reshape(-1, 5)
    found = [intervals.mean(column, seed) for column in rows.T]
    errors = [intervals.mean(rows[:, observed] / rows[:, predicted] - 1,
                             seed) for predicted, observed in ((1, 2), (3, 4))]
    return Model(*found, *errors)
