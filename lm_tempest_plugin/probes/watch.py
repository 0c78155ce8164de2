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


"""Guests under observation: ICMP and TCP together, one sender for each."""

from collections.abc import Sequence
import dataclasses
import time
import types
from typing import Any
from typing import Self

import numpy
from oslo_log import log as logging

from lm_tempest_plugin.probes.analysis import figures
from lm_tempest_plugin.probes.analysis import quality
from lm_tempest_plugin.probes.analysis import stalls
from lm_tempest_plugin.probes import calibration
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import prober as icmp
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import prober as tcp
from lm_tempest_plugin.probes.tcp import streams

LOG = logging.getLogger(__name__)

# A guest answers when this many requests in a row were answered.
ANSWERS = 10
LATELY_NS = schedule.NS
LOOK_S = 0.1


@dataclasses.dataclass(frozen=True)
class Echo:
    """The TCP echo service of the guests.

    :ivar port: where it listens
    :ivar period_s: time between two messages to one guest
    """

    port: int
    period_s: float


@dataclasses.dataclass(frozen=True)
class Continuity:
    """A guest's continuity in one window.

    :ivar address: where the guest was observed
    :ivar outage: what ICMP says
    :ivar control: what ICMP says of the time before the window, since the
        guest was known to answer, but for the windows that were looked at
        before
    :ivar stall: what TCP says
    :ivar quality: how well the ICMP prober kept its schedule, since the
        beginning
    """

    address: str
    outage: figures.OutageFigures
    control: figures.OutageFigures
    stall: stalls.StallFigures
    quality: quality.Quality

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {
            'address': self.address,
            'icmp': self.outage.as_dict(),
            'icmp_control': self.control.as_dict(),
            'tcp': self.stall.as_dict(),
            'prober': self.quality.as_dict(),
        }


class Watch:
    """Watches guests from start() to stop(); also a context manager."""

    def __init__(self, addresses: Sequence[str], period_s: float,
                 echo: Echo | None = None) -> None:
        """Make ready; nothing is sent before start().

        :param addresses: IPv4 and IPv6 addresses, each at most once
        :param period_s: time between two ICMP echo requests to one guest
        :param echo: their TCP echo service; None to send ICMP only
        :raises ProbeError: an address is none, or this machine does not
            let us ask
        """
        self._addresses = list(addresses)
        self._period_s = period_s
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
        """Start to observe, whether the guests answer or not."""
        self.started = recording.Clocks.now()
        self._begun_s = time.process_time()
        self._icmp.start()
        if self._tcp is not None:
            self._tcp.start()

    def await_answers(self, timeout_s: float) -> None:
        """Wait until every guest answers; what was before is no control.

        :param timeout_s: how long, in seconds
        :raises NotAnswering: one did not in that time
        :raises BadEcho: an echo service does not echo
        """
        end_s = time.monotonic() + timeout_s
        for address in self._addresses:
            while reason := self._silence(address):
                if time.monotonic() >= end_s:
                    raise errors.NotAnswering('within %g s, %s' % (
                        timeout_s, reason))
                time.sleep(LOOK_S)
            LOG.info('%s answers', address)
        self._ready_ns = time.monotonic_ns()

    def _silence(self, address: str) -> str:
        """Return what is missing from a guest; '' if it answers."""
        seen = self._icmp.seen(address)
        if not _answers(seen):
            return '%s did not answer %d ICMP echo requests in a row: %s' % (
                address, ANSWERS, _counts(seen))
        stream = self._stream(address)
        if stream is None or stream.connected:
            return ''
        if stream.error:
            raise errors.BadEcho(stream.error)
        return (
            '%s had no TCP echo: %s. Does the guest run an echo service '
            'there, and do security groups let it be reached?' % (
                address, stream.trouble))

    def _stream(self, address: str) -> streams.StreamSeen | None:
        return self._tcp.seen(address) if self._tcp is not None else None

    def answering(self) -> int:
        """Return how many guests have answered ICMP in the last second.

        :raises ProbeError: a prober has died
        """
        return self._icmp.answering(LATELY_NS)

    def continuity(self, address: str, start_ns: int,
                   end_ns: int) -> Continuity:
        """Return what was seen of a guest in one window.

        The window is remembered: for those that follow it is no control.

        :param address: as it was handed in
        :param start_ns: begin of the window, CLOCK_MONOTONIC
        :param end_ns: end of the window; what came since the prober has
            looked for answers last is not known yet
        :raises ProbeError: a prober has died, or does not use TCP
        """
        stream = self._stream(address)
        if stream is None:
            raise errors.ProbeError('%s is not observed by TCP' % address)
        windows = self._windows.setdefault(address, [])
        name = 'window %d' % (len(windows) + 1)
        windows.append(figures.Window(name, start_ns, end_ns))
        until_ns = min(end_ns, self._icmp.watched_ns)
        seen = self._icmp.seen(address)
        attribution = figures.attribute(
            seen, windows, max(
                self._ready_ns, self.started.monotonic_ns), until_ns)
        return Continuity(
            address=address,
            outage=attribution.windows[name],
            control=attribution.control,
            stall=stalls.figures(stream, start_ns, end_ns),
            quality=self._quality([seen]))

    def _quality(self, seen: Sequence[observations.Observations]
                 ) -> quality.Quality:
        return quality.quality(
            seen, self._period_s, self._icmp.clock_steps,
            self._icmp.stamps_refused, self._icmp.answers_dropped)

    def recording(self, calibrated: calibration.Calibration | None = None
                  ) -> recording.Recording:
        """Return everything that was seen up to now, or until stop().

        :param calibrated: what was found on the loopback before
        :raises ProbeError: a prober has died
        """
        return recording.Recording(
            started=self.started,
            ended_ns=max(self.started.monotonic_ns, self._icmp.watched_ns),
            period_s=self._period_s,
            icmp={address: self._icmp.seen(address)
                  for address in self._addresses},
            tcp={address: seen for address in self._addresses
                 if (seen := self._stream(address)) is not None},
            wall_clock_steps=self._icmp.clock_steps,
            kernel_stamps_refused=self._icmp.stamps_refused,
            answers_dropped=self._icmp.answers_dropped,
            cpu_s=self._used_s(),
            calibration=calibrated)

    def _used_s(self) -> float:
        """Return the CPU time of this process up to now, or to stop()."""
        if self._stopped_s is not None:
            return self._stopped_s - self._begun_s
        return time.process_time() - self._begun_s

    def finish(self, timeout_s: float) -> dict[str, streams.StreamSeen]:
        """Send nothing more by TCP and wait for what has not come back.

        :param timeout_s: how long to wait, in seconds
        :returns: all that was seen of the connections, by address
        """
        if self._tcp is None:
            return {}
        self._tcp.drain(timeout_s)
        return {address: self._tcp.seen(address)
                for address in self._addresses}

    def stop(self) -> None:
        """Stop to observe, and close everything. Twice does no harm.

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

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.stop()


def _answers(seen: observations.Observations) -> bool:
    """Return whether the guest answers: so many requests in a row, lately.

    What comes after the last answer may still be under way.
    """
    last = seen.last_answered
    latest = seen.answered[max(0, last + 1 - ANSWERS):last + 1]
    return bool(
        latest.size == ANSWERS and latest.all() and
        time.monotonic_ns() - seen.answered_ns[last] < LATELY_NS)


def _counts(seen: observations.Observations) -> str:
    """Return how many requests were sent and answered, in words."""
    counts = '%d sent, %d answered' % (
        seen.sent_ns.size, numpy.count_nonzero(seen.answered))
    if seen.send_errors:
        counts += '; %d could not be sent: %s' % (
            seen.send_errors, seen.send_error)
    return counts
