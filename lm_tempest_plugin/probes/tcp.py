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

import array
import dataclasses
import enum
import logging
import math
import os
import selectors
import socket
import struct
import threading
import time
from typing import Any
from typing import Self

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import schedule

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

RECEIVE_BYTES = 65536
# How long the kernel keeps a stalled connection, in milliseconds. By its own
# rule (tcp_retries2) it may give up after a quarter of an hour.
USER_TIMEOUT_MS = 3_600_000
# Data that the kernel does not take is kept up to this size, so that lines
# do not pile up without bound in a long stall.
OUTBOX_BYTES = 65536

TOKEN_BYTES = 8
# Every line of ours is shorter.
LINE_BYTES = 4096

# The beginning of struct tcp_info in Linux' include/uapi/linux/tcp.h, which
# only ever grows at its end: eight bytes with tcpi_retransmits as the third,
# then 24 numbers of 32 bits from tcpi_rto (in us) over tcpi_rtt (in us, the
# 16th) to tcpi_total_retrans (the 24th).
TCP_INFO = struct.Struct('@2xB5xI56xI28xI')
US = 1_000_000


@dataclasses.dataclass(frozen=True)
class EchoTarget:
    """Place of an echo service.

    :ivar address: as the caller gave it
    :ivar port: its TCP port
    :ivar family: of the socket
    :ivar sockaddr: where the socket connects to
    """

    address: str
    port: int
    family: int
    sockaddr: tuple[Any, ...]

    def __str__(self) -> str:
        return f'TCP port {self.port} of {self.address}'


def resolve(address: str, port: int) -> EchoTarget:
    """Return the place of a service: the first address of a name.

    :param address: IPv4 or IPv6 address, or a name of one
    :param port: TCP port
    :raises ProbeError: the address or the port is invalid
    """
    if not 1 <= port <= 65535:
        raise errors.ProbeError(f'{port} is no TCP port (1 to 65535)')
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as exc:
        raise errors.ProbeError(
            f'{address} is no IP address and no name that resolves to one: '
            f'{exc}') from exc
    family, _, _, _, sockaddr = found[0]
    return EchoTarget(address, port, family, sockaddr)


@dataclasses.dataclass(frozen=True)
class TcpInfo:
    """The kernel's statistics of a connection.

    :ivar retransmits: unsuccessful retransmissions of the present data
    :ivar rto_s: time until the next retransmission
    :ivar rtt_s: smoothed round-trip time
    :ivar retransmissions: segments that were sent again, in all
    """

    retransmits: int = 0
    rto_s: float = 0.0
    rtt_s: float = 0.0
    retransmissions: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the statistics in a buffer.

        :param data: result of getsockopt(); old kernels return less, and the
            missing end counts as 0
        """
        retransmits, rto_us, rtt_us, total = TCP_INFO.unpack_from(
            data.ljust(TCP_INFO.size, b'\0'))
        return cls(retransmits, rto_us / US, rtt_us / US, total)

    @classmethod
    def read(cls, sock: socket.socket) -> Self:
        """Return the statistics of a socket; zeros if it is closed."""
        try:
            return cls.parse(sock.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size))
        except OSError:
            return cls()


class EchoConnection:
    """A socket, and the data that is still to be sent on it."""

    def __init__(self, target: EchoTarget, selector: selectors.BaseSelector,
                 owner: Any) -> None:
        """Begin to connect; the selector reports the end of that.

        :param target: where to connect to
        :param selector: waits for the connection
        :param owner: object that the selector returns with each event
        :raises OSError: it is known at once that there is no route
        """
        self._selector = selector
        self._owner = owner
        self._outbox = bytearray()
        self._sock = socket.socket(target.family, socket.SOCK_STREAM)
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
            try:
                self._sock.connect(target.sockaddr)
            except BlockingIOError:
                pass
            selector.register(self._sock, selectors.EVENT_WRITE, owner)
        except BaseException:
            self._sock.close()
            raise

    def finish(self) -> None:
        """Read how the attempt to connect ended; wait for data from now on.

        :raises OSError: there is no connection
        """
        if error := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        self._selector.modify(self._sock, selectors.EVENT_READ, self._owner)

    @property
    def full(self) -> bool:
        """Whether so much waits to be sent that no more should be added."""
        return len(self._outbox) > OUTBOX_BYTES

    def send(self, line: bytes = b'') -> None:
        """Send a line, after the data that the kernel did not take before.

        :raises OSError: the connection has broken
        """
        self._outbox += line
        try:
            while self._outbox:
                del self._outbox[:self._sock.send(self._outbox)]
        except BlockingIOError:
            return

    def receive(self) -> bytes:
        """Return the data that has arrived; b'' if there is none.

        :raises EOFError: the guest has closed the connection
        :raises OSError: the connection has broken
        """
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return b''
        if not data:
            raise EOFError('closed by the guest')
        return data

    def info(self) -> TcpInfo:
        """Return the kernel's statistics of it."""
        return TcpInfo.read(self._sock)

    def close(self) -> None:
        """Close it."""
        self._selector.unregister(self._sock)
        self._sock.close()


class EchoCheck:
    """Checks that each line that comes back is the next one expected.

    The numbers go on when one connection follows another.

    :ivar expected: number of the next line that can come back; lines below
        it without an answer are lost
    :ivar lost: lines that were left out, or broke off with a connection
    :ivar repeated: lines that had come back before
    :ivar corrupt: lines that came back and were never sent
    :ivar example: the first corrupt line
    :ivar proven: whether the first line of the present connection was one
        of ours; None before it has arrived
    :ivar instead: the first line if it was not ours
    """

    def __init__(self, log: answers.AnswerLog) -> None:
        """Expect line 0.

        :param log: where to note the lines and their echoes
        """
        self.log = log
        self.token = os.urandom(TOKEN_BYTES).hex().encode()
        self.expected = 0
        self.lost = 0
        self.repeated = 0
        self.corrupt = 0
        self.example = ''
        self.proven: bool | None = None
        self.instead = ''
        self.read_error_ns = array.array('q')
        self._buffer = b''

    @property
    def outstanding(self) -> bool:
        """Whether there are lines that can still come back."""
        return self.expected < len(self.log)

    def ask(self, due_ns: int, now_ns: int) -> bytes:
        """Return the next line, which is sent now.

        :param due_ns: when it should have been sent
        :param now_ns: the present
        """
        self.read_error_ns.append(0)
        return self.line(self.log.ask(due_ns, now_ns))

    def line(self, sequence: int) -> bytes:
        """Return the line with this number, as it is sent and echoed."""
        return b'%s %d\n' % (self.token, sequence)

    def feed(self, data: bytes, now_ns: int, read_error_ns: int = 0) -> None:
        """Check data that came back.

        :param data: any part of the stream, in order
        :param now_ns: when it was read
        :param read_error_ns: how long it may have waited to be read
        """
        *lines, self._buffer = (self._buffer + data).split(b'\n')
        for line in lines:
            sequence = self._number(line + b'\n')
            if sequence is None:
                self._note_corrupt(line + b'\n')
                continue
            if self.proven is None:
                self.proven = True
            if sequence < self.expected:
                self.repeated += 1
                continue
            self.lost += sequence - self.expected
            self.expected = sequence + 1
            self.log.answer(sequence, now_ns)
            self.read_error_ns[sequence] = read_error_ns
        if len(self._buffer) > LINE_BYTES:
            self._note_corrupt(self._buffer)
            self._buffer = b''

    def hang_up(self) -> None:
        """Note that the connection is gone: lines under way are lost.

        Where nothing had ever come back on it, there was no connection worth
        the name, and nothing to lose.
        """
        if self.proven:
            self.lost += len(self.log) - self.expected
        self.expected = len(self.log)
        self.proven = None
        self._buffer = b''

    def _number(self, line: bytes) -> int | None:
        """Return the number of one of our lines; None if it is not ours."""
        token, _, number = line[:-1].partition(b' ')
        # int() raises on more than 4300 digits, and 18 are more than we
        # ever send.
        if token != self.token or not number.isdigit() or len(number) > 18:
            return None
        sequence = int(number)
        if sequence >= len(self.log) or line != self.line(sequence):
            return None
        return sequence

    def _note_corrupt(self, line: bytes) -> None:
        if self.proven is None:
            self.proven = False
            self.instead = repr(line[:80])
        if not self.corrupt:
            self.example = repr(line[:80])
        self.corrupt += 1


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
    info: TcpInfo | None = None
    connected: bool = False
    why: str = ''
    error: str = ''

    def breaks_between(self, start_ns: int, end_ns: int) -> tuple[Break, ...]:
        """Return the breaks from a time until before another."""
        return tuple(broken for broken in self.breaks
                     if start_ns <= broken.at_ns < end_ns)

    @property
    def resets(self) -> int:
        """Connections that were reset."""
        return sum(one.kind == BreakKind.RESET for one in self.breaks)

    @property
    def closes(self) -> int:
        """Connections that the guest closed."""
        return sum(one.kind == BreakKind.CLOSED for one in self.breaks)

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

    def __init__(self, target: EchoTarget, period_s: float,
                 selector: selectors.BaseSelector) -> None:
        """Prepare; tick() connects.

        :param target: the guest and its port
        :param period_s: time between two lines, in seconds
        :param selector: waits for connections and echoes, and returns this
            stream, for on_event()
        """
        self.target = target
        self.state = StreamState.DOWN
        self.check = EchoCheck(answers.AnswerLog(
            target.address, round(period_s * schedule.NS)))
        self.error = ''
        self.why = 'not connected yet'
        self._selector = selector
        self._connection: EchoConnection | None = None
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
                self._next_ns = now_ns + round(PAUSE_S * schedule.NS)
                self._end_ns = now_ns + round(ATTEMPT_S * schedule.NS)
                try:
                    self._connection = EchoConnection(
                        self.target, self._selector, self)
                    self.state = StreamState.CONNECTING
                except OSError as exc:
                    self._lose(exc)
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
            resolve(address, port), self.period_s, self.selector)

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
