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

"""The thread that both probers are: it sends by the clock, and listens."""

import abc
import math
import selectors
import threading
import time
import types
from typing import Any
from typing import Self

from oslo_log import log as logging

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import schedule

LOG = logging.getLogger(__name__)

# What comes is never left waiting for longer than this.
PATIENCE_S = 0.005


class Prober(abc.ABC):
    """Calls on_tick() for each slot once per period; listens in between.

    Also a context manager. Whatever goes wrong in the thread is raised by
    the next call that asks for what was seen, and by stop(): a prober that
    has died must not look like a guest that does not answer.
    """

    name = 'prober'
    # Whether what comes may wait, because it has its time from the kernel.
    # To take in much at once costs a fraction of one after the other.
    patient = False

    def __init__(self, period_s: float) -> None:
        """Make ready; nothing is sent before start().

        :param period_s: time between two questions to one guest, in seconds
        """
        self.period_s = period_s
        self.selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        # What had come until then has been taken in, CLOCK_MONOTONIC.
        self.watched_ns = time.monotonic_ns()

    @property
    @abc.abstractmethod
    def slots(self) -> int:
        """How many times per period there is something to send, at least 1.

        It does not change any more once start() was called.
        """

    @abc.abstractmethod
    def on_tick(self, deadline: schedule.Deadline) -> None:
        """Send to the guests of a slot; the time has come."""

    @abc.abstractmethod
    def on_readable(self, data: Any) -> bool:
        """Take in what has come; return whether that was all.

        :param data: what was registered with the selector
        """

    def on_looked(self) -> None:  # noqa: B027
        """All that had come has been taken in; not everybody cares."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close what was opened. The thread does not run any more."""

    def start(self) -> None:
        """Start to ask."""
        self._thread = threading.Thread(
            target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop to ask, and close everything. To stop twice does no harm.

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

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.stop()

    def raise_failure(self) -> None:
        """Raise what the thread has died of, if it has."""
        if self._failure is not None:
            raise errors.ProbeError('the %s died: %r' % (
                self.name, self._failure)) from self._failure

    def _run(self) -> None:
        try:
            ticker = schedule.Ticker(self.period_s, self.slots)
            while not self._stopping.is_set():
                # To send comes first: what has come has its time already,
                # or waits for no longer than that takes.
                if deadline := ticker.due():
                    self.on_tick(deadline)
                self._look()
                self._rest(ticker.remaining_s())
            self._look()
        except BaseException as exc:
            LOG.exception('the %s died', self.name)
            self._failure = exc

    def _look(self) -> None:
        """Take in what has come by now."""
        now_ns = time.monotonic_ns()
        if self._listen(0.0):
            self.watched_ns = now_ns
            self.on_looked()

    def _listen(self, timeout_s: float) -> bool:
        """Take in what has come, or comes in time; return whether all."""
        complete = True
        for key, _ in self.selector.select(timeout_s):
            complete &= self.on_readable(key.data)
        return complete

    def _rest(self, remaining_s: float) -> None:
        """Wait for the next deadline, or for something to come.

        A selector knows whole milliseconds and rounds up, which would make
        each question up to 1 ms late: so the last part of a millisecond is
        slept.

        :param remaining_s: the time until the next deadline, in seconds
        """
        whole_ms = math.floor(remaining_s * 1000)
        if self.patient or not whole_ms:
            time.sleep(min(remaining_s, PATIENCE_S))
        else:
            # Half a millisecond less is rounded up to what is meant.
            self._listen((whole_ms - 0.5) / 1000)
