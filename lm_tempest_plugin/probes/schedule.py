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

"""Probing on schedule: absolute deadlines, and the thread that keeps them."""

import abc
from collections.abc import Callable
import dataclasses
import logging
import math
import selectors
import threading
import time
from typing import Any
from typing import Self

from lm_tempest_plugin.probes import errors

LOG = logging.getLogger(__name__)

NS = 1_000_000_000

# Received packets wait no longer than this until they are read.
PATIENCE_S = 0.005


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A deadline that has come.

    :ivar slot: number of the slot that has to send, from 0
    :ivar due_ns: time of the deadline, CLOCK_MONOTONIC
    """

    slot: int
    due_ns: int


class Ticker:
    """Deadlines at equal distances that never drift.

    A period has one deadline for each slot, at equal distances, so that the
    guests are not all probed at once. Each deadline is start + n * period /
    slots, no matter how late the ones before were met. Whole periods that
    the process slept through are left out instead of made up for in a
    burst.
    """

    def __init__(self, period_s: float, slots: int = 1,
                 clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Start now: the first deadline is one period away.

        :param period_s: time between two deadlines of a slot, above 0 s
        :param slots: number of slots, at least 1
        :param clock: returns the time in nanoseconds
        """
        if period_s <= 0:
            raise ValueError(f'a period must be above 0 s, not {period_s}')
        self.period_ns = round(period_s * NS)
        self._clock = clock
        first_ns = clock() + self.period_ns
        self._next_ns = [first_ns + slot * self.period_ns // slots
                         for slot in range(slots)]
        self._slot = 0

    def remaining_s(self) -> float:
        """Return the seconds until the next deadline; 0 if it has come."""
        return max(0.0, (self._next_ns[self._slot] - self._clock()) / NS)

    def due(self) -> Deadline | None:
        """Return a deadline that has come, and go on to the next one.

        :returns: None if none has come. If the process slept through
            several deadlines of a slot: the first of them, so that the
            lateness is measured from there
        """
        slot = self._slot
        due_ns = self._next_ns[slot]
        late_ns = self._clock() - due_ns
        if late_ns < 0:
            return None
        self._next_ns[slot] += (late_ns // self.period_ns + 1) * self.period_ns
        self._slot = min(range(len(self._next_ns)),
                         key=self._next_ns.__getitem__)
        return Deadline(slot, due_ns)


class Prober(abc.ABC):
    """A thread that sends on schedule and reads answers in between.

    Also a context manager. An exception in the thread is raised again by
    the next call that asks for answers, and by stop(): a prober that has
    died must not look like a guest that does not answer.
    """

    name = 'prober'
    # Whether received packets may wait, because the kernel stamps them. To
    # read many at once costs a fraction of reading one after the other.
    patient = False

    def __init__(self, period_s: float) -> None:
        """Prepare; nothing is sent before start().

        :param period_s: time between two probes of one guest, in seconds
        """
        self.period_s = period_s
        self.selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        # Everything that arrived before this time has been read.
        self.watched_ns = time.monotonic_ns()

    @property
    @abc.abstractmethod
    def slots(self) -> int:
        """Number of deadlines per period, at least 1; fixed by start()."""

    @abc.abstractmethod
    def on_tick(self, deadline: Deadline) -> None:
        """Send to the guests of a slot, whose deadline has come."""

    @abc.abstractmethod
    def on_readable(self, data: Any) -> bool:
        """Read received packets; return whether nothing is left.

        :param data: the object that was registered with the selector
        """

    def on_all_read(self) -> None:  # noqa: B027
        """React when everything received has been read; optional."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the sockets. The thread does not run any more."""

    def start(self) -> None:
        """Start to send."""
        self._thread = threading.Thread(
            target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop to send, and close everything. Idempotent.

        :raises ProbeError: the prober had died before
        """
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.close()
        self.selector.close()
        self.raise_failure()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def raise_failure(self) -> None:
        """Raise the exception that ended the thread, if there is one.

        :raises ProbeError: the prober has died
        """
        if self._failure is not None:
            raise errors.ProbeError(
                f'the {self.name} died: {self._failure!r}'
            ) from self._failure

    def _run(self) -> None:
        try:
            ticker = Ticker(self.period_s, self.slots)
            while not self._stopping.is_set():
                # Sending comes first. Received packets have the kernel's
                # time stamp, or wait no longer than sending takes.
                if deadline := ticker.due():
                    self.on_tick(deadline)
                self._read_all()
                self._rest(ticker.remaining_s())
            self._read_all()
        except BaseException as exc:
            LOG.exception('the %s died', self.name)
            self._failure = exc

    def _read_all(self) -> None:
        now_ns = time.monotonic_ns()
        if self._read(0.0):
            self.watched_ns = now_ns
            self.on_all_read()

    def _read(self, timeout_s: float) -> bool:
        """Read packets that arrive in time; return whether none is left."""
        complete = True
        for key, _ in self.selector.select(timeout_s):
            complete &= self.on_readable(key.data)
        return complete

    def _rest(self, remaining_s: float) -> None:
        """Wait for the next deadline, or for a packet.

        A selector rounds its time-out up to whole milliseconds, which would
        make each probe up to 1 ms late. So the last part of a millisecond
        is slept.

        :param remaining_s: time until the next deadline, in seconds
        """
        whole_ms = math.floor(remaining_s * 1000)
        if self.patient or not whole_ms:
            time.sleep(min(remaining_s, PATIENCE_S))
        else:
            # Half a millisecond less is rounded up to the intended time.
            self._read((whole_ms - 0.5) / 1000)
