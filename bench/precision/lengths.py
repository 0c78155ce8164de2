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


"""How long the outages are.

Not round numbers: an outage of a whole number of periods makes a tool that
counts lost packets look exact, for it cannot be wrong by a part of a period.
So each is longer than a round number by a random part.
"""

import random

LENGTHS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
STRETCH = 0.25


def draw(least_s: float, dice: random.Random) -> float:
    """Return a length in seconds.

    :param least_s: one of LENGTHS_S
    :param dice: random numbers come from here
    """
    return least_s * dice.uniform(1, 1 + STRETCH)


def least(length_s: float) -> float:
    """Return from which of LENGTHS_S a length was drawn.

    :param length_s: in seconds; the least of all if it is shorter than that
    """
    # What is planned in ns may be a rounding error shorter.
    return max((one for one in LENGTHS_S if one <= length_s + 1e-6),
               default=LENGTHS_S[0])
