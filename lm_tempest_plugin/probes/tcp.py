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

"""A TCP stream to each of any number of guests, from one thread.

The guest sends every numbered line back unchanged. TCP loses nothing while a
connection lives, so the figures are how long it made no progress, whether it
still lives, and whether the last line that was sent came back. A connection
that breaks is opened again, and the numbers go on; each break is recorded.

Echoes carry the time when they were read. The kernel's receive stamp would
be no better where it matters: the kernel merges waiting segments and keeps
the stamp of the last one. So each echo has an error bound: the time since
this thread looked before.
"""

import dataclasses
import enum
import math
import selectors
import threading
import time

import numpy
from oslo_log import log as logging

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import tcp_connection

LOG = logging.getLogger(__name__)

# Time-out of one attempt to connect and to get an echo, and the least time
# from the beginning of one attempt to that of the next, in seconds.
ATTEMPT_S = 5.0
PAUSE_S = 0.5

# Guests that are sent to at once; few, so that the last is not late.
GUESTS_PER_SLOT = 8
# The thread runs at least that often, in seconds. Its own lateness is known
# to twice this time.
LOOK_S = 0.01


class BreakKind(enum.StrEnum):
    """Ways in which a connection can break."""

    RESET = 'reset'
    CLOSED = 'closed'
    TIMED_OUT = 'timed out'
    OTHER = 'other'


@dataclasses.dataclass(frozen=True)
class Break:
    """The end of a connection that had been echoed.

    :ivar at_ns: when it was noticed, CLOCK_MONOTONIC
    :ivar why: reason, as text
    :ivar kind: way in which it broke
    """

    at_ns: int
    why: str
    kind: BreakKind


@dataclasses.dataclass(frozen=True)
class StreamSeen:
    """Everything about the stream to one guest, since the beginning.

    :ivar port: TCP port of the echo service
    :ivar echoes: the lines, in the order in which they were sent
    :ivar read_error_ns: for each line, by how much echoes.answered_ns may
        be too late because the prober did not run
    :ivar watched_ns: everything that arrived before has been read
    :ivar expected: number of the next line that can come back
    :ivar lost: lines that will not come back: left out by the guest, or
        under way when a connection broke
    :ivar repeated: lines that came back more than once
    :ivar corrupt: lines that came back and were never sent
    :ivar example: the first corrupt line
    :ivar skipped: lines not sent because the socket was full in a stall
    :ivar breaks: every connection that broke
    :ivar reconnects: how often a new connection brought an echo again
    :ivar connect_failures: failed attempts to connect
    :ivar connect_error: the last error of that kind
    :ivar retransmissions: segments that the kernel sent again
    :ivar info: its statistics of the present connection; None without one
    :ivar connected: whether there is a connection that brings echoes
    :ivar why: why there is none
    :ivar error: why the guest was given up; empty if it was not
    """

    port: int
    echoes: answers.Answers
    read_error_ns: answers.Times
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
    info: tcp_connection.TcpInfo | None = None
    connected: bool = False
    why: str = ''
    error: str = ''

    def broken(self, kind: BreakKind) -> int:
        """Return how many connections broke in this way."""
        return sum(1 for seen in self.breaks if seen.kind == kind)

    def breaks_between(self, start_ns: int,
                       end_ns: int) -> tuple[Break, ...]:
        """Return the breaks from a time until before another."""
        return tuple(broken for broken in self.breaks
                     if start_ns <= broken.at_ns < end_ns)

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
        """The present problem, with target and port; empty if all is well."""
        if self.error or not self.why:
            return self.error
        return (f'TCP port {self.port} of {self.echoes.target}: {self.why} '
                f'({self.connect_failures} attempts)')


class StreamState(enum.Enum):
    """Progress of a stream."""

    DOWN = enum.auto()
    CONNECTING = enum.auto()
    # Connected; the first line was sent and nothing has come back yet.
    PROVING = enum.auto()
    UP = enum.auto()
    GIVEN_UP = enum.auto()


class Stream:
    """Keeps one guest connected, sends to it and reads its echoes.

    Nothing in here blocks. Two threads must not call it at once.

    :ivar target: the guest and its port
    :ivar state: progress
    :ivar check: the lines and their echoes
    :ivar error: why it was given up
    :ivar why: why there is no connection; empty if there is one
    """

    def __init__(self, target: tcp_connection.EchoTarget, period_s: float,
                 selector: selectors.BaseSelector) -> None:
        """Prepare; tick() connects.

        :param target: the guest and its port
        :param period_s: time between two lines, in seconds
        :param selector: waits for connections and echoes, and returns this
            stream, for on_event()
        """
        self.target = target
        self.state = StreamState.DOWN
        self.check = tcp_connection.EchoCheck(answers.AnswerLog(
            target.address, round(period_s * schedule.NS)))
        self.error = ''
        self.why = 'not connected yet'
        self._selector = selector
        self._connection: tcp_connection.EchoConnection | None = None
        self._next_ns = 0
        self._end_ns = 0
        self._skipped = 0
        self._breaks: list[Break] = []
        self._connections = 0
        self._connect_failures = 0
        self._connect_error = ''
        self._retransmissions = 0

    def tick(self, due_ns: int, quiet: bool = False) -> None:
        """Do the work of one period: connect, check time-outs, send.

        :param due_ns: when it was due, CLOCK_MONOTONIC
        :param quiet: send nothing new, and open no connection
        """
        now_ns = time.monotonic_ns()
        if self.state is StreamState.DOWN:
            if now_ns >= self._next_ns and not quiet:
                self._connect(now_ns)
        elif self.state is StreamState.CONNECTING and quiet:
            self._hang_up()
        elif self.state in (StreamState.CONNECTING, StreamState.PROVING):
            if now_ns >= self._end_ns:
                awaited = ('echo' if self.state is StreamState.PROVING
                           else 'connection')
                self._lose(TimeoutError(
                    f'no {awaited} within {ATTEMPT_S:g} s'))
        if self.state in (StreamState.PROVING, StreamState.UP):
            self._send(due_ns, quiet or self.state is StreamState.PROVING)

    def on_event(self, watched_ns: int) -> None:
        """Read data, or note that the connection was made or broke.

        :param watched_ns: everything that arrived before has been read
        """
        assert self._connection is not None
        try:
            if self.state is StreamState.CONNECTING:
                self._connection.finish()
                self.state = StreamState.PROVING
                self.why = 'connected, but nothing has come back'
                self._send(time.monotonic_ns(), False)
                return
            data = self._connection.receive()
        except (EOFError, OSError) as exc:
            self._lose(exc)
            return
        now_ns = time.monotonic_ns()
        self.check.feed(data, now_ns, now_ns - watched_ns)
        if (self.state is StreamState.PROVING and
                self.check.proven is not None):
            self._judge(self.check.proven)

    def drained(self) -> bool:
        """Return whether no more echoes can be expected."""
        return (self.state is not StreamState.CONNECTING and
                not self.check.outstanding)

    def close(self) -> None:
        """Close the connection, if there is one.

        Lines under way do not count as lost: nobody waits for them any more.
        """
        if self._connection is None:
            return
        self._retransmissions += self._connection.info().retransmissions
        self._connection.close()
        self._connection = None
        self.state = StreamState.DOWN

    def snapshot(self, watched_ns: int) -> StreamSeen:
        """Return everything about the stream so far.

        :param watched_ns: everything that arrived before has been read
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
            info=info if self.state is StreamState.UP else None,
            connected=self.state is StreamState.UP, why=self.why,
            error=self.error)

    def _connect(self, now_ns: int) -> None:
        self._next_ns = now_ns + round(PAUSE_S * schedule.NS)
        self._end_ns = now_ns + round(ATTEMPT_S * schedule.NS)
        try:
            self._connection = tcp_connection.EchoConnection(
                self.target, self._selector, self)
            self.state = StreamState.CONNECTING
        except OSError as exc:
            self._lose(exc)

    def _send(self, due_ns: int, quiet: bool) -> None:
        """Send the next line, and data that the kernel did not take before.

        :param due_ns: when the line should have been sent
        :param quiet: send no new line
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
        """Judge the first line that came back on a connection."""
        if proven:
            self.state = StreamState.UP
            self.why = ''
            self._connections += 1
            if self._connections > 1:
                LOG.info('%s: connected again', self.target)
            return
        if self._connections:
            # It echoed before, so the fault may be over the next time.
            self._lose(ValueError(
                f'{self.check.instead} came instead of an echo'))
            return
        self._hang_up()
        self.state = StreamState.GIVEN_UP
        self.error = (
            f'{self.target} answers, but does not send back the line that it '
            f'received: {self.check.instead} came instead')
        LOG.warning('%s', self.error)

    def _lose(self, exc: Exception) -> None:
        """Note that a connection broke, or that none was made."""
        kind, why = describe(exc)
        self.why = why
        if self.state is StreamState.UP:
            self._breaks.append(Break(time.monotonic_ns(), why, kind))
            LOG.warning('%s: the connection broke: %s', self.target, why)
        else:
            self._connect_failures += 1
            self._connect_error = why
            LOG.debug('%s: no connection: %s', self.target, why)
        self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection: lines under way are lost."""
        if self._connection is not None:
            self.close()
            self.check.hang_up()


def describe(exc: Exception) -> tuple[BreakKind, str]:
    """Return the way in which a connection broke, and the reason as text."""
    why = str(getattr(exc, 'strerror', None) or exc)
    why = why[:1].lower() + why[1:]
    if isinstance(exc, (ConnectionResetError, BrokenPipeError)):
        return BreakKind.RESET, f'reset by the guest ({why})'
    if isinstance(exc, EOFError):
        return BreakKind.CLOSED, why
    if isinstance(exc, TimeoutError):
        return BreakKind.TIMED_OUT, why
    return BreakKind.OTHER, why


class TcpProber(schedule.Prober):
    """Sends a numbered line to each guest once per period.

    First add() each guest, then start().
    """

    name = 'TCP prober'

    def __init__(self, period_s: float) -> None:
        """Prepare without any guest.

        :param period_s: time between two lines to one guest, in seconds
        """
        super().__init__(period_s)
        self._streams: dict[str, Stream] = {}
        self._slots: list[list[Stream]] = [[]]
        # For seen() in another thread: a socket must not be closed, nor an
        # array grow, while it is read.
        self._lock = threading.Lock()
        self._ticked_ns = self._watched_ns = time.monotonic_ns()
        self._draining = threading.Event()
        self._drained = threading.Event()

    def add(self, address: str, port: int) -> None:
        """Add a guest. start() connects to it, and retries until it succeeds.

        :param address: IPv4 or IPv6 address, or a name; each at most once
        :param port: port of its echo service
        :raises ProbeError: the address is invalid, or was added before
        """
        if address in self._streams:
            raise errors.ProbeError(f'{address} is given twice')
        self._streams[address] = Stream(
            tcp_connection.resolve(address, port), self.period_s,
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
        """Number of groups of guests, each with its own deadline."""
        return len(self._slots)

    def seen(self, address: str) -> StreamSeen:
        """Return everything about the stream to one guest so far.

        :param address: as the caller gave it
        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        with self._lock:
            return self._streams[address].snapshot(self._watched_ns)

    def drain(self, timeout_s: float) -> bool:
        """Send nothing more, and wait for the lines under way.

        Connections that break, or are broken, are not opened again.

        :param timeout_s: how long to wait, in seconds
        :returns: whether no line is under way any more; lines that broke off
            with a connection are lost, not under way
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
        """Send a line to the guests of a slot, unless it is draining."""
        draining = self._draining.is_set()
        with self._lock:
            self._note_look()
            for stream in self._slots[deadline.slot]:
                stream.tick(deadline.due_ns, quiet=draining)
            if draining and all(
                    stream.drained() for stream in self._streams.values()):
                self._drained.set()

    def on_readable(self, data: Stream) -> bool:
        """Handle an event of one guest's connection."""
        with self._lock:
            data.on_event(self._watched_ns)
        return True

    def _note_look(self) -> None:
        """Note that the thread is running.

        The selector is asked between two ticks. So anything that is read
        after this tick arrived after the one before, or it would have been
        read then.
        """
        self._watched_ns = self._ticked_ns
        self._ticked_ns = time.monotonic_ns()
