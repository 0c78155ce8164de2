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

"""A guest under observation: ICMP and TCP together."""

import dataclasses
import time
import types
from typing import Any
from typing import Self

from oslo_log import log as logging

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import outages
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import stalls
from lm_tempest_plugin.probes import tcp

LOG = logging.getLogger(__name__)

# A guest answers when this many requests in a row were answered.
ANSWERS = 10
LATELY_NS = schedule.NS
LOOK_S = 0.1


@dataclasses.dataclass(frozen=True)
class Continuity:
    """A guest's continuity in one window.

    :ivar address: where the guest was observed
    :ivar outage: what ICMP says
    :ivar stall: what TCP says
    :ivar lateness: how late the requests were sent, since the beginning
    :ivar stamps_refused: answers without a usable kernel time stamp, since
        the beginning
    :ivar clock_steps: how often the wall clock was set, since the beginning
    """

    address: str
    outage: outages.OutageFigures
    stall: stalls.StallFigures
    lateness: schedule.Lateness
    stamps_refused: int
    clock_steps: int

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {
            'address': self.address,
            **self.outage.as_dict(),
            **self.stall.as_dict(),
            'probe_lateness_p50_s': self.lateness.p50_s,
            'probe_lateness_p99_s': self.lateness.p99_s,
            'probe_lateness_max_s': self.lateness.max_s,
            'probe_deadlines_missed': self.lateness.missed,
            'kernel_stamps_refused': self.stamps_refused,
            'wall_clock_steps': self.clock_steps,
        }


class Watch:
    """Watches one guest from start() to stop(); also a context manager."""

    def __init__(self, address: str, tcp_port: int, probe_interval_s: float,
                 tcp_interval_s: float) -> None:
        """Make ready; nothing is sent before start().

        :param address: the guest's IPv4 or IPv6 address
        :param tcp_port: where its echo service listens
        :param probe_interval_s: time between two ICMP echo requests
        :param tcp_interval_s: time between two messages on the connection
        :raises ProbeError: this machine does not let us ask
        """
        self.address = address
        self._tcp_port = tcp_port
        self._icmp = icmp.IcmpProber([address], probe_interval_s)
        self._tcp = tcp.TcpProber(tcp_interval_s)

    def start(self, timeout_s: float) -> None:
        """Start to observe: return as soon as the guest answers both.

        :param timeout_s: how long to wait for that, in seconds
        :raises NotAnswering: it did not in that time
        :raises BadEcho: its echo service does not echo
        """
        end_s = time.monotonic() + timeout_s
        self._icmp.start()
        self._await_answers(end_s, timeout_s)
        self._tcp.connect(self.address, self._tcp_port,
                          max(end_s - time.monotonic(), tcp.ATTEMPT_S))
        self._tcp.start()
        LOG.info('%s answers ICMP echo requests and TCP port %d echoes',
                 self.address, self._tcp_port)

    def _await_answers(self, end_s: float, timeout_s: float) -> None:
        while not _answers(seen := self._icmp.seen(self.address)):
            if time.monotonic() >= end_s:
                raise errors.NotAnswering(
                    '%s did not answer %d ICMP echo requests in a row within '
                    '%g s: %d sent, %d answered%s' % (
                        self.address, ANSWERS, timeout_s, len(seen.sent_ns),
                        sum(1 for time_ns in seen.answered_ns
                            if time_ns != observations.UNANSWERED),
                        '; %d could not be sent: %s' % (
                            seen.send_errors, seen.send_error)
                        if seen.send_errors else ''))
            time.sleep(LOOK_S)

    def continuity(self, start_ns: int, end_ns: int) -> Continuity:
        """Return what was seen in one window.

        :param start_ns: begin of the window, CLOCK_MONOTONIC
        :param end_ns: end of the window, not in the future
        :raises ProbeError: a prober has died
        """
        return Continuity(
            address=self.address,
            outage=outages.figures(
                self._icmp.seen(self.address), start_ns, end_ns),
            stall=stalls.figures(
                self._tcp.seen(self.address), start_ns, end_ns),
            lateness=self._icmp.lateness(),
            stamps_refused=self._icmp.stamps_refused,
            clock_steps=self._icmp.clock_steps)

    def finish(self, timeout_s: float) -> tcp.StreamSeen:
        """Send nothing more on the connection and wait for its echoes.

        :param timeout_s: how long to wait, in seconds
        :returns: all that was seen of the connection
        """
        self._tcp.drain(timeout_s)
        return self._tcp.seen(self.address)

    def stop(self) -> None:
        """Stop to observe, and close everything.

        :raises ProbeError: a prober had died
        """
        try:
            self._tcp.stop()
        finally:
            self._icmp.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.stop()


def _answers(seen: observations.Observations) -> bool:
    """Return whether the guest answers: so many requests in a row, lately.

    What comes after the last answer may still be under way.
    """
    last = next((i for i in range(len(seen.sent_ns) - 1, -1, -1)
                 if seen.answered_ns[i] != observations.UNANSWERED), -1)
    latest = seen.answered_ns[max(0, last + 1 - ANSWERS):last + 1]
    return (len(latest) == ANSWERS and
            observations.UNANSWERED not in latest and
            time.monotonic_ns() - latest[-1] < LATELY_NS)
