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

"""The trials: outages of known length, at random times."""

from collections.abc import Sequence
import random

from bench.precision import episodes
from bench.precision import lengths
from bench.precision import namespaces
from bench.precision import slots

NAME = 'trial'
KINDS = (episodes.DROP, episodes.HOLD)
# Between two trials: the OSIC loop takes its time to end.
REST_S = 0.8


def plan(count: int, lanes: int, dice: random.Random,
         lengths_s: Sequence[float] = lengths.LENGTHS_S) -> list[slots.Slot]:
    """Return the trials, dealt out to addresses, in random order.

    :param count: trials of each kind and length
    :param lanes: how many addresses; half of them are IPv6 ones
    :param dice: random times come from here
    :param lengths_s: how long the outages are at least, in seconds
    """
    todo = [(kind, lengths.draw(length_s, dice)) for kind in KINDS
            for length_s in lengths_s for _ in range(count)]
    dice.shuffle(todo)
    free_s = [0.0] * lanes
    planned = []
    for kind, length_s in todo:
        lane = free_s.index(min(free_s))
        start_s = free_s[lane]
        begin_s = start_s + slots.LEAD_S + dice.uniform(0, slots.PHASE_S)
        free_s[lane] = begin_s + length_s + slots.TAIL_S + REST_S
        begin_ns = round(begin_s * episodes.NS)
        planned.append(slots.Slot(
            NAME, namespaces.tun_host(lane, six=bool(lane % 2)),
            round(start_s * episodes.NS),
            (episodes.Episode(kind, begin_ns, begin_ns + round(
                length_s * episodes.NS)),)))
    return planned
