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

"""One numbered stream of lines to a guest, over as many connections.

A connection that breaks is opened again, and the numbers go on. What breaks
is noted: nothing of it is hidden from who looks at the figures.
"""

import dataclasses
import enum
import selectors
import time

import numpy
from oslo_log import log as logging

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import connection
from lm_tempest_plugin.probes.tcp import kernel
from lm_tempest_plugin.probes.tcp import lines

LOG = logging.getLogger(__name__)

# How long one attempt to connect and to get an echo may take, and the least
# time from the beginning of one attempt to that of the next, in seconds.
ATTEMPT_S = 5.0
PAUSE_S = 0.5


class BreakKind(enum.StrEnum):
    """How a connection can break."""

    RESET = 'reset'
    CLOSED = 'closed'
    TIMED_OUT = 'timed out'
    OTHER = 'other'


@dataclasses.dataclass(frozen=True)
class Break:
    """The end of a connection that had been echoed.

    :ivar at_ns: when it was noticed, CLOCK_MONOTONIC
    :ivar why: in words
    :ivar kind: in one word
    """

    at_ns: int
    why: str
    kind: BreakKind


@dataclasses.dataclass(frozen=True)
class StreamSeen:
    """What was seen of one guest, since the beginning.

    :ivar port: TCP port of its echo service
    :ivar echoes: the lines, in the order in which they were sent
    :ivar read_error_ns: for each line, by how much echoes.answered_ns may
        be too late, because the prober itself did not run
    :ivar watched_ns: what had come until then has been read
    :ivar expected: number of the next line that can come back
    :ivar lost: lines that will not come back: left out by the guest, or
        under way when a connection broke or before it was up
    :ivar repeated: lines that came back more than once
    :ivar corrupt: lines that came back and were never sent
    :ivar example: the first of the corrupt lines
    :ivar skipped: lines not sent, for the kernel takes no more in a stall
    :ivar breaks: every connection that broke
    :ivar reconnects: how often a new connection brought an echo again
    :ivar connect_failures: how often none could be had
    :ivar connect_error: why, the last time
    :ivar retransmissions: segments that the kernel sent again
    :ivar info: what it says of the connection that is up; None without one
    :ivar connected: whether there is a connection that brings echoes
    :ivar why: why there is none
    :ivar error: why the guest was given up; '' if it was not
    """

    port: int
    echoes: observations.Observations
    read_error_ns: observations.Times
    watched_ns: int
    expected: int
    lost: int = 0
    repeated: int = 0
    corrupt: int = 0
    example: str = ''
    skipped: int = 0
    breaks: tuple[Break, ...] = ()
    reconnects: int = 0
    connect_failures: int = 0
    connect_error: str = ''
    retransmissions: int = 0
    info: kernel.TcpInfo | None = None
    connected: bool = False
    why: str = ''
    error: str = ''

    def broken(self, kind: BreakKind) -> int:
        """Return how many connections broke in this way."""
        return sum(1 for seen in self.breaks if seen.kind == kind)

    @property
    def resets(self) -> int:
        """Connections that were reset."""
        return self.broken(BreakKind.RESET)

    @property
    def closes(self) -> int:
        """Connections that the guest closed."""
        return self.broken(BreakKind.CLOSED)

    @property
    def last_sent(self) -> int:
        """Number of the last line that was sent; -1 if none was."""
        return self.echoes.sent_ns.size - 1

    @property
    def last_echoed(self) -> int:
        """Highest number of a line that came back; -1 if none did."""
        return self.echoes.last_answered

    @property
    def trouble(self) -> str:
        """What is wrong now, in words, with target and port; '' if nothing."""
        if self.error or not self.why:
            return self.error
        return 'TCP port %d of %s: %s (%d attempts)' % (
            self.port, self.echoes.target, self.why, self.connect_failures)


class State(enum.Enum):
    """How far a stream is."""

    DOWN = enum.auto()
    CONNECTING = enum.auto()
    # Connected; the first line was sent and nothing has come back yet.
    PROVING = enum.auto()
    UP = enum.auto()
    GIVEN_UP = enum.auto()


class Stream:
    """Keeps one guest connected, sends to it and listens to it.

    Nothing in here blocks, and nothing may be called by two threads at once.

    :ivar target: the guest and its port
    :ivar state: how far it is
    :ivar check: what came back
    :ivar error: why it was given up
    :ivar why: why there is no connection; '' if there is one
    """

    def __init__(self, target: connection.Target, period_s: float,
                 selector: selectors.BaseSelector) -> None:
        """Make ready; tick() connects.

        :param target: the guest and its port
        :param period_s: time between two lines, in seconds
        :param selector: what waits for connections and echoes; it is to
            hand out this stream, for on_event()
        """
        self.target = target
        self.state = State.DOWN
        self.check = lines.EchoCheck(observations.Log(
            target.address, round(period_s * schedule.NS)))
        self.error = ''
        self.why = 'not connected yet'
        self._selector = selector
        self._connection: connection.Connection | None = None
        self._next_ns = 0
        self._end_ns = 0
        self._skipped = 0
        self._breaks: list[Break] = []
        self._connections = 0
        self._connect_failures = 0
        self._connect_error = ''
        self._retransmissions = 0

    def tick(self, due_ns: int, quiet: bool = False) -> None:
        """Do what there is to be done once per period.

        :param due_ns: when that should have been, CLOCK_MONOTONIC
        :param quiet: send nothing new, and open no connection
        """
        now_ns = time.monotonic_ns()
        if self.state is State.DOWN:
            if now_ns >= self._next_ns and not quiet:
                self._connect(now_ns)
        elif self.state is State.CONNECTING and quiet:
            self._hang_up()
        elif self.state in (State.CONNECTING, State.PROVING):
            if now_ns >= self._end_ns:
                self._lose(TimeoutError('no %s within %g s' % (
                    'echo' if self.state is State.PROVING else 'connection',
                    ATTEMPT_S)))
        if self.state in (State.PROVING, State.UP):
            self._send(due_ns, quiet or self.state is State.PROVING)

    def on_event(self, watched_ns: int) -> None:
        """Take in what came, or that the connection was made or broke.

        :param watched_ns: what had come until then has been read
        """
        assert self._connection is not None
        try:
            if self.state is State.CONNECTING:
                self._connection.finish()
                self.state = State.PROVING
                self.why = 'connected, but nothing has come back'
                self._send(time.monotonic_ns(), False)
                return
            data = self._connection.receive()
        except (EOFError, OSError) as exc:
            self._lose(exc)
            return
        now_ns = time.monotonic_ns()
        self.check.feed(data, now_ns, now_ns - watched_ns)
        if self.state is State.PROVING and self.check.proven is not None:
            self._judge(self.check.proven)

    def drained(self) -> bool:
        """Return whether nothing more is to be expected."""
        return (self.state is not State.CONNECTING and
                not self.check.outstanding)

    def close(self) -> None:
        """Close the connection, if there is one.

        What is under way is not lost by that: nobody waits for it any more.
        """
        if self._connection is None:
            return
        self._retransmissions += self._connection.info().retransmissions
        self._connection.close()
        self._connection = None
        self.state = State.DOWN

    def snapshot(self, watched_ns: int) -> StreamSeen:
        """Return what was seen up to now.

        :param watched_ns: what had come until then has been read
        """
        check = self.check
        info = self._connection.info() if self._connection else None
        return StreamSeen(
            port=self.target.port, echoes=check.log.snapshot(),
            read_error_ns=numpy.array(check.read_error_ns, numpy.int64),
            watched_ns=watched_ns, expected=check.expected, lost=check.lost,
            repeated=check.repeated, corrupt=check.corrupt,
            example=check.example, skipped=self._skipped,
            breaks=tuple(self._breaks),
            reconnects=max(0, self._connections - 1),
            connect_failures=self._connect_failures,
            connect_error=self._connect_error,
            retransmissions=self._retransmissions + (
                info.retransmissions if info else 0),
            info=info if self.state is State.UP else None,
            connected=self.state is State.UP, why=self.why,
            error=self.error)

    def _connect(self, now_ns: int) -> None:
        """Begin an attempt to connect."""
        self._next_ns = now_ns + round(PAUSE_S * schedule.NS)
        self._end_ns = now_ns + round(ATTEMPT_S * schedule.NS)
        try:
            self._connection = connection.Connection(
                self.target, self._selector, self)
            self.state = State.CONNECTING
        except OSError as exc:
            self._lose(exc)

    def _send(self, due_ns: int, quiet: bool) -> None:
        """Send the next line, and what the kernel did not take before.

        :param due_ns: when it should have been sent
        :param quiet: no next line, only what was not taken
        """
        assert self._connection is not None
        line = b''
        if not quiet:
            if self._connection.full:
                self._skipped += 1
            else:
                line = self.check.ask(due_ns, time.monotonic_ns())
        try:
            self._connection.send(line)
        except OSError as exc:
            self._lose(exc)

    def _judge(self, proven: bool) -> None:
        """Look at the first line that came back on a connection."""
        if proven:
            self.state = State.UP
            self.why = ''
            self._connections += 1
            if self._connections > 1:
                LOG.info('%s: connected again', self.target)
            return
        if self._connections:
            # It did echo: whatever that was may be over the next time.
            self._lose(ValueError('%s came instead of an echo' %
                                  self.check.instead))
            return
        self._hang_up()
        self.state = State.GIVEN_UP
        self.error = (
            '%s answers, but does not send back what it received: %s came '
            'instead' % (self.target, self.check.instead))
        LOG.warning('%s', self.error)

    def _lose(self, exc: Exception) -> None:
        """Note that a connection broke, or that none was made."""
        kind, why = describe(exc)
        self.why = why
        if self.state is State.UP:
            self._breaks.append(Break(time.monotonic_ns(), why, kind))
            LOG.warning('%s: the connection broke: %s', self.target, why)
        else:
            self._connect_failures += 1
            self._connect_error = why
            LOG.debug('%s: no connection: %s', self.target, why)
        self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection: what was under way is lost."""
        if self._connection is not None:
            self.close()
            self.check.hang_up()


def describe(exc: Exception) -> tuple[BreakKind, str]:
    """Return how a connection broke, in one word and in more."""
    why = str(getattr(exc, 'strerror', None) or exc)
    why = why[:1].lower() + why[1:]
    if isinstance(exc, (ConnectionResetError, BrokenPipeError)):
        return BreakKind.RESET, 'reset by the guest (%s)' % why
    if isinstance(exc, EOFError):
        return BreakKind.CLOSED, why
    if isinstance(exc, TimeoutError):
        return BreakKind.TIMED_OUT, why
    return BreakKind.OTHER, why
