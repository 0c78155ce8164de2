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

"""Four things that are no single outage, and what is said about them."""

import random
from typing import Any

from bench.precision import episodes
from bench.precision import namespaces
from bench.precision import slots

# Addresses above those of the trials' lanes.
FIRST_HOST = 100
LOSS_S, QUICK_LOSS_S = 60.0, 20.0
LOSS, OUTAGES, STEP, REORDERING = (
    'random loss', 'ten outages', 'delay step', 'reordering')


def _episode(kind: str, begin_s: float, length_s: float,
             **more: Any) -> episodes.Episode:
    begin_ns = round(begin_s * episodes.NS)
    return episodes.Episode(
        kind, begin_ns, begin_ns + round(length_s * episodes.NS), **more)


def plan(dice: random.Random, quick: bool) -> list[slots.Slot]:
    """Return the scenarios, all side by side, each on an own address.

    :param dice: random times come from here
    :param quick: whether what takes long is to be made shorter
    """
    begin_s = slots.LEAD_S + dice.uniform(0, slots.PHASE_S)
    loss_s = QUICK_LOSS_S if quick else LOSS_S
    seed = dice.randrange(1 << 32)
    several = {
        LOSS: [_episode(episodes.LOSS, begin_s, loss_s, fraction=0.01,
                        seed=seed)],
        OUTAGES: [_episode(episodes.DROP,
                           begin_s + count + dice.uniform(0, 0.3), 0.2)
                  for count in range(10)],
        STEP: [_episode(episodes.DELAY, begin_s, 2.0, extra_s=0.05)],
        REORDERING: [_episode(episodes.REORDER, begin_s, loss_s / 2,
                              fraction=0.05, extra_s=0.025, seed=seed)]}
    return [slots.Slot(name, namespaces.tun_host(FIRST_HOST + number), 0,
                       tuple(parts))
            for number, (name, parts) in enumerate(several.items())]
