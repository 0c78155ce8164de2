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

"""Small helpers that several packages share."""

from collections.abc import Callable
import time
from typing import TypeVar

State = TypeVar('State')


class WaitTimeout(Exception):
    """A condition did not hold in time."""


def wait_until(condition: Callable[[State], bool],
               read: Callable[[], State], awaited: str, timeout_s: float,
               interval_s: float = 1.0,
               describe: Callable[[State], object] = str,
               error: type[Exception] = WaitTimeout,
               clock: Callable[[], float] = time.monotonic,
               sleep: Callable[[float], None] = time.sleep) -> State:
    """Read a state until a condition holds, and return that state.

    The state is read at least once, and once more when the time is over.

    :param condition: whether a state is the one to wait for
    :param read: returns the present state; its exceptions are passed on
    :param awaited: the thing that is waited for, for the message
    :param timeout_s: time to wait, in seconds
    :param interval_s: time between two reads, in seconds
    :param describe: returns the text of a state for the message
    :param error: class of the exception at the end of the time; it takes one
        text
    :param clock: returns a monotonic time in seconds
    :param sleep: takes seconds
    :raises WaitTimeout: or ``error``: names what was awaited, the last state,
        and how long it was waited
    """
    begin_s = clock()
    while True:
        state = read()
        if condition(state):
            return state
        waited_s = clock() - begin_s
        if waited_s >= timeout_s:
            raise error(f'waited {waited_s:.1f} s (limit {timeout_s:g} s) for '
                        f'{awaited}; last state: {describe(state)}')
        sleep(min(interval_s, timeout_s - waited_s))
