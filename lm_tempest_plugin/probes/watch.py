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

"""Probing guests by ICMP and TCP together: the entry point of this package.

The probes run from Watch.start() to Watch.stop(). Watch.continuity() computes
a guest's figures in one window of that time.
"""

from collections.abc import Sequence
import dataclasses
import logging
import time
from typing import Self

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import figures
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

# A guest answers when this many requests in a row were answered.
ANSWERS = 10
LATELY_NS = schedule.NS
LOOK_S = 0.1


@dataclasses.dataclass(frozen=True)
class Echo:
    """The TCP echo service of the guests.

    :ivar port: its port
    :ivar period_s: time between two messages to one guest
    """

    port: int
    period_s: float


class Watch:
    """Probes guests from start() to stop(); also a context manager."""

    def __init__(self, addresses: Sequence[str], period_s: float,
                 echo: Echo | None = None) -> None:
        """Prepare; nothing is sent before start().

        :param addresses: IPv4 and IPv6 addresses, each at most once
        :param period_s: time between two ICMP echo requests to one guest
        :param echo: their TCP echo service; None to send ICMP only
        :raises ProbeError: an address is invalid, or the local machine does
            not permit the probes
        """
        self._addresses = list(addresses)
        self._ready_ns = 0
        self._windows: dict[str, list[figures.Window]] = {}
        self._stopped_s: float | None = None
        self._icmp = icmp.IcmpProber(addresses, period_s)
        self._tcp: tcp.TcpProber | None = None
        try:
            if echo is not None:
                self._tcp = tcp.TcpProber(echo.period_s)
                for address in addresses:
                    self._tcp.add(address, echo.port)
        except BaseException:
            self.stop()
            raise
        self.started = recording.Clocks.now()
        self._begun_s = time.process_time()

    def start(self) -> None:
        """Start to probe, whether the guests answer or not."""
        self.started = recording.Clocks.now()
        self._begun_s = time.process_time()
        self._icmp.start()
        if self._tcp is not None:
            self._tcp.start()

    def await_answers(self, timeout_s: float) -> None:
        """Wait until every guest answers; control data begins then.

        :param timeout_s: how long, in seconds
        :raises NotAnswering: a guest did not answer in that time
        :raises BadEcho: an echo service does not echo
        """
        silent = list(self._addresses)

        def reason() -> str:
            while silent:
                if text := self._silence(silent[0]):
                    return text
                LOG.info('%s answers', silent.pop(0))
            return ''

        utils.wait_until(
            lambda text: not text, reason, 'answers of all guests', timeout_s,
            LOOK_S, error=errors.NotAnswering)
        self._ready_ns = time.monotonic_ns()

    def _silence(self, address: str) -> str:
        """Return the reason why a guest does not answer; '' if it does."""
        seen = self._icmp.seen(address)
        if not _is_answering(seen):
            text = (f'{address} did not answer {ANSWERS} ICMP echo requests '
                    f'in a row: {seen.sent_ns.size} sent, '
                    f'{numpy.count_nonzero(seen.answered)} answered')
            if seen.send_errors:
                text += (f'; {seen.send_errors} could not be sent: '
                         f'{seen.send_error}')
            return text
        stream = self._stream(address)
        if stream is None or stream.connected:
            return ''
        if stream.error:
            raise errors.BadEcho(stream.error)
        return (
            f'{address} had no TCP echo: {stream.trouble}. Check that the '
            f'guest runs an echo service there, and that its security groups '
            f'permit access to it.')

    def _stream(self, address: str) -> tcp.StreamSeen | None:
        return self._tcp.seen(address) if self._tcp is not None else None

    def answering(self) -> int:
        """Return how many guests have answered ICMP in the last second.

        :raises ProbeError: a prober has died
        """
        return self._icmp.answering(LATELY_NS)

    def silent_s(self, address: str) -> float:
        """Return the time since a guest's last answer to ICMP, in seconds.

        :param address: as the caller gave it
        :returns: the time since start() if it never answered
        :raises ProbeError: a prober has died
        """
        seen = self._icmp.seen(address)
        last = seen.last_answered
        since_ns = (self.started.monotonic_ns if last < 0
                    else int(seen.answered_ns[last]))
        return (time.monotonic_ns() - since_ns) / schedule.NS

    def answered_after_ns(self, address: str, at_ns: int) -> int | None:
        """Return when a guest's first answer to ICMP after a time came.

        :param address: as the caller gave it
        :param at_ns: CLOCK_MONOTONIC
        :returns: CLOCK_MONOTONIC; None if no answer has come since then
        :raises ProbeError: a prober has died
        """
        came_ns = self._icmp.seen(address).answered_ns
        # UNANSWERED is less than any time.
        later_ns = came_ns[came_ns > at_ns]
        return int(later_ns.min()) if later_ns.size else None

    def continuity(self, address: str, start_ns: int,
                   end_ns: int) -> schema.Continuity:
        """Return the continuity of a guest in one window.

        The control data is the time since the guest was known to answer,
        except this window and those of earlier calls.

        :param address: as the caller gave it
        :param start_ns: begin of the window, CLOCK_MONOTONIC
        :param end_ns: end of the window; answers that came after the
            prober's last poll are not known yet
        :returns: stall is None without a TCP echo service
        :raises ProbeError: a prober has died
        """
        stream = self._stream(address)
        windows = self._windows.setdefault(address, [])
        name = f'window {len(windows) + 1}'
        windows.append(figures.Window(name, start_ns, end_ns))
        until_ns = min(end_ns, self._icmp.watched_ns)
        seen = self._icmp.seen(address)
        attribution = figures.attribute(
            seen, windows, max(
                self._ready_ns, self.started.monotonic_ns), until_ns)
        return schema.Continuity(
            address=address, outage=attribution.windows[name],
            control=attribution.control,
            stall=figures.stalls(stream, start_ns, end_ns)
            if stream else None,
            quality=quality.of_prober(self._icmp, [seen]))

    def recording(self, calibrated: quality.Calibration | None = None
                  ) -> recording.ProbeRecording:
        """Return all answers up to now, or until stop().

        :param calibrated: figures of the loopback before
        :raises ProbeError: a prober has died
        """
        until_s = self._stopped_s
        if until_s is None:
            until_s = time.process_time()
        return recording.ProbeRecording(
            started=self.started,
            ended_ns=max(self.started.monotonic_ns, self._icmp.watched_ns),
            period_s=self._icmp.period_s,
            icmp={address: self._icmp.seen(address)
                  for address in self._addresses},
            tcp={address: seen for address in self._addresses
                 if (seen := self._stream(address)) is not None},
            wall_clock_steps=self._icmp.clock_steps,
            kernel_stamps_refused=self._icmp.stamps_refused,
            answers_dropped=self._icmp.answers_dropped,
            cpu_s=until_s - self._begun_s, calibration=calibrated)

    def finish(self, timeout_s: float) -> dict[str, tcp.StreamSeen]:
        """Send nothing more by TCP, and wait for the lines under way.

        :param timeout_s: how long to wait, in seconds
        :returns: the TCP streams, by address
        """
        if self._tcp is None:
            return {}
        self._tcp.drain(timeout_s)
        return {address: self._tcp.seen(address)
                for address in self._addresses}

    def stop(self) -> None:
        """Stop to probe, and close everything. Idempotent.

        :raises ProbeError: a prober had died
        """
        try:
            if self._tcp is not None:
                self._tcp.stop()
        finally:
            self._icmp.stop()
            if self._stopped_s is None:
                self._stopped_s = time.process_time()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _is_answering(seen: answers.Answers) -> bool:
    """Return whether enough probes in a row were answered lately."""
    # Answers to later probes may still be under way.
    last = seen.last_answered
    latest = seen.answered[max(0, last + 1 - ANSWERS):last + 1]
    return bool(
        latest.size == ANSWERS and latest.all() and
        time.monotonic_ns() - seen.answered_ns[last] < LATELY_NS)
