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

"""A TCP connection to each of any number of guests, from one thread.

The guest sends every numbered line back unchanged. Nothing can be lost on a
TCP connection while it lives, so what is of interest is how long it made no
progress, whether it still lives, and whether the last line that was sent is
also the last one that came back.

Echoes carry the time at which they were read. The kernel's receive stamp
would not be better where it matters: the kernel merges segments that wait,
and keeps the stamp of the last. So it is noted for each echo how long it
may have waited, that is, since when this thread has not looked.
"""

import math
import threading
import time

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import connection
from lm_tempest_plugin.probes.tcp import streams
from lm_tempest_plugin.probes import worker

# As many guests are sent to at once, so that the last is not late.
GUESTS_PER_SLOT = 8
# The thread looks at least that often, in seconds: its own lateness is known
# to twice this time.
LOOK_S = 0.01


class TcpProber(worker.Prober):
    """Sends a numbered line to each guest once per period.

    First add() each guest, then start().
    """

    name = 'TCP prober'

    def __init__(self, period_s: float) -> None:
        """Make ready.

        :param period_s: time between two lines to one guest, in seconds
        """
        super().__init__(period_s)
        self._streams: dict[str, streams.Stream] = {}
        self._slots: list[list[streams.Stream]] = [[]]
        # For seen() in another thread: a socket must not be closed, nor an
        # array grow, while it is read.
        self._lock = threading.Lock()
        self._ticked_ns = self._watched_ns = time.monotonic_ns()
        self._draining = threading.Event()
        self._drained = threading.Event()

    def add(self, address: str, port: int) -> None:
        """Have a guest connected to after start(), whenever that succeeds.

        :param address: IPv4 or IPv6 address, or a name; each at most once
        :param port: where its echo service listens
        :raises ProbeError: the address is none, or was added before
        """
        if address in self._streams:
            raise errors.ProbeError('%s is to be probed twice' % address)
        self._streams[address] = streams.Stream(
            connection.resolve(address, port), self.period_s,
            self.selector)

    def start(self) -> None:
        """Start to send; no guest can be added any more."""
        streams = list(self._streams.values())
        number = max(1, math.ceil(len(streams) / GUESTS_PER_SLOT),
                     math.ceil(self.period_s / LOOK_S))
        self._slots = [streams[slot::number] for slot in range(number)]
        self._note_look()
        super().start()

    @property
    def slots(self) -> int:
        """How many groups of guests there are, each with its own deadline."""
        return len(self._slots)

    def seen(self, address: str) -> streams.StreamSeen:
        """Return what was seen of one guest up to now.

        :param address: as it was handed in
        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        with self._lock:
            return self._streams[address].snapshot(self._watched_ns)

    def drain(self, timeout_s: float) -> bool:
        """Send nothing more, and wait for what has not come back yet.

        Connections that break, or are broken, are not opened again.

        :param timeout_s: how long to wait, in seconds
        :returns: whether nothing is under way any more; what broke off with
            a connection is not, but lost
        :raises ProbeError: the prober has died
        """
        self._draining.set()
        drained = self._drained.wait(timeout_s)
        self.raise_failure()
        return drained

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for stream in self._streams.values():
                stream.close()

    def on_tick(self, deadline: schedule.Deadline) -> None:
        """Send a line to the guests of a slot, unless this is to end."""
        draining = self._draining.is_set()
        with self._lock:
            self._note_look()
            for stream in self._slots[deadline.slot]:
                stream.tick(deadline.due_ns, quiet=draining)
            if draining and all(
                    stream.drained() for stream in self._streams.values()):
                self._drained.set()

    def on_readable(self, data: streams.Stream) -> bool:
        """Take in what became of one guest's connection."""
        with self._lock:
            data.on_event(self._watched_ns)
        return True

    def _note_look(self) -> None:
        """Note that the thread is running.

        Between two ticks the selector is asked. So what is read after this
        tick has come after the one before: else it would have been read.
        """
        self._watched_ns = self._ticked_ns
        self._ticked_ns = time.monotonic_ns()
