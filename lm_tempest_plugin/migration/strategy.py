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

"""How many servers to move at once."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Strategy:
    """When the next live migrations are asked for.

    :ivar size: so many are in flight at once, at most
    :ivar barrier: whether all of them have to end before the next are asked
        for (batches), or the next one follows as soon as one ends (a
        window)
    """

    size: int
    barrier: bool

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError('the size of a %s is %d, and has to be 1 or '
                             'more' % (self.name, self.size))

    @property
    def name(self) -> str:
        """What it is called: batch or window."""
        return 'batch' if self.barrier else 'window'

    def room(self, in_flight: int) -> int:
        """Return how many more may be asked for.

        :param in_flight: how many have been asked for and have not ended
        """
        if self.barrier and in_flight:
            return 0
        return max(0, self.size - in_flight)

    def __str__(self) -> str:
        return '%s of %d' % (self.name, self.size)


def batches(size: int) -> Strategy:
    """Return the white paper's: so many, wait for all, the next so many."""
    return Strategy(size, barrier=True)


def window(size: int) -> Strategy:
    """Return one that never lets a place in flight be empty."""
    return Strategy(size, barrier=False)


ONE_AT_A_TIME = window(1)
