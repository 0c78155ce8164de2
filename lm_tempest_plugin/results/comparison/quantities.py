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

"""What of records is compared, and which change is too small to be one."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import statistics

from lm_tempest_plugin.results import collection

# What is seen by polling may be off by the time between two looks: half a
# second, by default (option poll_interval).
POLL_S = 0.5
# libvirt has milliseconds; nobody outside of a guest, nor the probes,
# notices less than this.
DOWNTIME_S = 0.01


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """A duration that is compared: the shorter, the better.

    :ivar name: what options and documents call it
    :ivar title: what people call it
    :ivar smallest_s: a change that is not larger is none; not so where each
        value has an error bound of its own
    :ivar queued: whether it depends on the place in a queue, so that the
        values of a drain differ by far more than drains do
    :ivar error: returns by how much that may be wrong, in seconds; None
        where smallest_s says so
    """

    name: str
    title: str
    smallest_s: float
    queued: bool = False
    error: Callable[[collection.Attempt], float | None] | None = None


DURATION, SERVICE, QUEUE = 'duration_s', 'service_s', 'queue_s'
OUTAGE, STALL, DOWNTIME, WALL = ('outage_s', 'stall_s', 'downtime_s',
                                 'wall_s')

# Of each attempt, in the order in which they are told.
OF_ATTEMPTS: Sequence[Quantity] = (
    Quantity(DURATION, 'duration', POLL_S, queued=True),
    Quantity(SERVICE, 'service time', POLL_S),
    Quantity(QUEUE, 'queue', POLL_S, queued=True),
    Quantity(
        OUTAGE, 'longest outage', 0.0,
        error=lambda each: each.outage.error_s if each.outage else None),
    Quantity(
        STALL, 'longest stall', 0.0,
        error=lambda each: each.stall.error_s if each.stall else None),
    Quantity(DOWNTIME, 'downtime by libvirt', DOWNTIME_S),
)
WALL_TITLE = "drain's wall time"
TITLES = {WALL: WALL_TITLE,
          **{each.name: each.title for each in OF_ATTEMPTS}}


def smallest_s(quantity: Quantity,
               attempts: Sequence[collection.Attempt]) -> float:
    """Return a change that is too small to be one, in seconds.

    An outage is known to within an error bound, and so is the middle of
    many: what they have in common, such as the time between two probes,
    does not average out. The larger of the two median bounds counts.

    :param quantity: what is compared
    :param attempts: those of one lot
    """
    if quantity.error is None:
        return quantity.smallest_s
    errors = [error for error in map(quantity.error, attempts)
              if error is not None]
    return statistics.median(errors) if errors else quantity.smallest_s
