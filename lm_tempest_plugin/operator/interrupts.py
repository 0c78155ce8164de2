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

"""Being told to end, without leaving anything behind.

The first signal ends what goes on; what was made is deleted none the less.
Further ones are counted, so that whoever waits can look.
"""

from collections.abc import Iterator
import contextlib
import signal
import types
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The command was told to end.

    As with KeyboardInterrupt, no library takes it for an error of its own:
    openstacksdk does so with every Exception while it uploads an image.
    """


class Interrupts:
    """Takes signals while it is used as a context.

    Nothing is printed when one comes, for something may be being printed:
    whoever looks at the count says it.

    :ivar count: how many signals there were
    :ivar name: of the first one; empty if there was none
    """

    def __init__(self) -> None:
        self.count = 0
        self.name = ''
        self._raising = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> 'Interrupts':
        for number in SIGNALS:
            before = signal.getsignal(number)
            # As with nohup: what is ignored stays ignored. A handler that
            # Python did not set could not be put back.
            if before in (signal.SIG_IGN, None):
                continue
            self._before[number] = before
            signal.signal(number, self._take)
        return self

    def __exit__(self, *args: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Let a signal end what is done meanwhile.

        :raises Interrupted: there was a signal, now or before
        """
        self._raising = True
        try:
            if self.count:
                raise Interrupted(self.name)
            yield
        finally:
            self._raising = False

    def _take(self, number: int, frame: types.FrameType | None) -> None:
        self.count += 1
        name = signal.Signals(number).name
        self.name = self.name or name
        if self._raising:
            self._raising = False
            raise Interrupted(name)
