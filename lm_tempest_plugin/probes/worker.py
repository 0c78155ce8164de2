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


class Prober(abc.ABC):
    """Calls on_tick() once per period and on_readable() in between.

    Also a context manager. Whatever goes wrong in the thread is raised by
    the next call that asks for what was seen, and by stop(): a prober that
    has died must not look like a guest that does not answer.
    """

    name = 'prober'

    def __init__(self, period_s: float) -> None:
        """Make ready; nothing is sent before start().

        :param period_s: time between two questions to one guest, in seconds
        """
        self.period_s = period_s
        self.selector = selectors.DefaultSelector()
        self._ticker: schedule.Ticker | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    @abc.abstractmethod
    def on_tick(self) -> None:
        """Send to every guest; the time has come."""

    @abc.abstractmethod
    def on_readable(self, data: Any) -> None:
        """Take in what has come.

        :param data: what was registered with the selector
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close what was opened. The thread does not run any more."""

    def start(self) -> None:
        """Start to ask."""
        self._ticker = schedule.Ticker(self.period_s)
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

    def lateness(self) -> schedule.Lateness:
        """Return how late the questions were sent, up to now."""
        if self._ticker is None:
            raise errors.ProbeError('the %s was not started' % self.name)
        return self._ticker.lateness()

    def raise_failure(self) -> None:
        """Raise what the thread has died of, if it has."""
        if self._failure is not None:
            raise errors.ProbeError('the %s died: %r' % (
                self.name, self._failure)) from self._failure

    def _run(self) -> None:
        assert self._ticker is not None
        try:
            while not self._stopping.is_set():
                self._listen(self._ticker.remaining_s())
                if self._ticker.due():
                    self.on_tick()
        except BaseException as exc:
            LOG.exception('the %s died', self.name)
            self._failure = exc

    def _listen(self, remaining_s: float) -> None:
        """Listen until something comes or the time is over.

        A selector knows whole milliseconds and rounds up, which would make
        each question up to 1 ms late: so the last part of a millisecond is
        slept. What comes in that time waits, with the kernel's time stamp.

        :param remaining_s: the time until the next deadline, in seconds
        """
        whole_ms = math.floor(remaining_s * 1000)
        if not whole_ms:
            time.sleep(remaining_s)
        # Half a millisecond less is rounded up to what is meant.
        timeout_s = (whole_ms - 0.5) / 1000 if whole_ms else 0.0
        for key, _ in self.selector.select(timeout_s):
            self.on_readable(key.data)
