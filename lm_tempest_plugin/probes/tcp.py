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

"""One unbroken TCP connection to each guest, with numbered messages.

The guest sends every line back unchanged. Nothing can be lost on a TCP
connection while it lives, so what is of interest is how long it made no
progress, whether it still lives, and whether the last line that was sent is
also the last one that came back. A connection that breaks stays broken: it
is never opened again behind the back of who looks at the figures.
"""

import dataclasses
import os
import selectors
import socket
import threading
import time

from oslo_log import log as logging

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import worker

LOG = logging.getLogger(__name__)

TOKEN_BYTES = 8
RECEIVE_BYTES = 65536
# Longer than this no line is that we sent.
LINE_BYTES = 4096
# How long the kernel keeps a stalled connection, in milliseconds. Its own
# rule (tcp_retries2) may give up after a quarter of an hour.
USER_TIMEOUT_MS = 3_600_000
# How long one attempt to connect and to get an echo may take, in seconds,
# and the pause before the next.
ATTEMPT_S = 5.0
PAUSE_S = 0.5


class EchoCheck:
    """Looks whether each line that comes back is the next one expected.

    :ivar lost: lines that were left out
    :ivar repeated: lines that had come before
    :ivar corrupt: lines that we never sent
    :ivar example: the first of the corrupt lines
    """

    def __init__(self, seen: observations.Observations) -> None:
        """Expect line 0.

        :param seen: where the questions are noted, and the answers will be
        """
        self.seen = seen
        self.token = os.urandom(TOKEN_BYTES).hex().encode()
        self.expected = 0
        self.lost = 0
        self.repeated = 0
        self.corrupt = 0
        self.example = ''
        self._buffer = b''

    def line(self, sequence: int) -> bytes:
        """Return the line with this number, as it goes and should return."""
        return b'%s %d\n' % (self.token, sequence)

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take in what came back.

        :param data: any part of the stream, in order
        :param now_ns: when it was received
        """
        *lines, self._buffer = (self._buffer + data).split(b'\n')
        for line in lines:
            self._check(line + b'\n', now_ns)
        if len(self._buffer) > LINE_BYTES:
            self._note_corrupt(self._buffer)
            self._buffer = b''

    def _check(self, line: bytes, now_ns: int) -> None:
        sequence = self._number(line)
        if sequence is None:
            self._note_corrupt(line)
        elif sequence < self.expected:
            self.repeated += 1
        else:
            self.lost += sequence - self.expected
            self.expected = sequence + 1
            self.seen.answer(sequence, now_ns)

    def _number(self, line: bytes) -> int | None:
        """Return the number of one of our lines; None if it is not ours."""
        token, _, number = line[:-1].partition(b' ')
        if token != self.token or not number.isdigit():
            return None
        sequence = int(number)
        if sequence >= len(self.seen.sent_ns) or line != self.line(sequence):
            return None
        return sequence

    def _note_corrupt(self, line: bytes) -> None:
        if not self.corrupt:
            self.example = repr(line[:80])
        self.corrupt += 1


@dataclasses.dataclass(frozen=True)
class StreamSeen:
    """What was seen of one connection.

    :ivar echoes: the lines, in the order in which they were sent
    :ivar lost: lines left out by the guest, while later ones came back
    :ivar repeated: lines that came back more than once
    :ivar corrupt: lines that came back and were never sent
    :ivar example: the first of the corrupt lines
    :ivar broken_ns: when the connection broke; None if it lives
    :ivar broken: why it broke
    """

    echoes: observations.Observations
    lost: int
    repeated: int
    corrupt: int
    example: str
    broken_ns: int | None
    broken: str

    @property
    def last_sent(self) -> int:
        """Number of the last line that was sent; -1 if none was."""
        return len(self.echoes.sent_ns) - 1

    @property
    def last_echoed(self) -> int:
        """Highest number of a line that came back; -1 if none did."""
        for sequence in range(self.last_sent, -1, -1):
            if self.echoes.answered_ns[sequence] != observations.UNANSWERED:
                return sequence
        return -1


class Stream:
    """One connection that is known to be echoed."""

    def __init__(self, address: str, period_s: float,
                 sock: socket.socket) -> None:
        """Take over a connection.

        :param address: the guest's, as it was handed in
        :param period_s: time between two lines, in seconds
        :param sock: connected
        """
        self.address = address
        self.sock = sock
        self.seen = observations.Observations(
            address, round(period_s * schedule.NS))
        self.check = EchoCheck(self.seen)
        self.broken_ns: int | None = None
        self.broken = ''
        self._outbox = b''

    def ask(self) -> None:
        """Send the next line, or put it where flush() finds it."""
        self._outbox += self.check.line(self.seen.ask(time.monotonic_ns()))
        self.flush()

    def flush(self) -> None:
        """Send what the kernel did not take before."""
        try:
            while self._outbox:
                self._outbox = self._outbox[self.sock.send(self._outbox):]
        except BlockingIOError:
            return
        except OSError as exc:
            self._break(str(exc))

    def receive(self) -> None:
        """Take in what came back, or that the connection has broken."""
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._break(str(exc))
            return
        if data:
            self.check.feed(data, time.monotonic_ns())
        else:
            self._break('closed by the guest')

    def _break(self, why: str) -> None:
        self.broken_ns = time.monotonic_ns()
        self.broken = why
        LOG.warning('the TCP connection to %s broke: %s', self.address, why)

    def drained(self) -> bool:
        """Return whether nothing more is to be expected."""
        return (self.broken_ns is not None or
                self.check.expected >= len(self.seen.sent_ns))

    def snapshot(self) -> StreamSeen:
        """Return what was seen up to now."""
        return StreamSeen(
            self.seen.copy(), self.check.lost, self.check.repeated,
            self.check.corrupt, self.check.example, self.broken_ns,
            self.broken)


class TcpProber(worker.Prober):
    """Sends a numbered line to each guest once per period.

    First connect() to each guest, then start().
    """

    name = 'TCP prober'

    def __init__(self, period_s: float) -> None:
        """Make ready.

        :param period_s: time between two lines to one guest, in seconds
        """
        super().__init__(period_s)
        self._streams: dict[str, Stream] = {}
        self._draining = threading.Event()
        self._drained = threading.Event()

    def connect(self, address: str, port: int, timeout_s: float) -> None:
        """Connect to a guest, and see the first line come back.

        :param address: IPv4 or IPv6 address
        :param port: where its echo service listens
        :param timeout_s: how long to try, in seconds
        :raises NotAnswering: nothing came back in that time
        :raises BadEcho: something else came back
        """
        stream = open_stream(address, port, self.period_s, timeout_s)
        self._streams[address] = stream
        self.selector.register(stream.sock, selectors.EVENT_READ, stream)

    def seen(self, address: str) -> StreamSeen:
        """Return what was seen of one connection up to now.

        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        return self._streams[address].snapshot()

    def drain(self, timeout_s: float) -> bool:
        """Send nothing more, and wait for what has not come back yet.

        :param timeout_s: how long to wait, in seconds
        :returns: whether everything has come back, but for connections
            that are broken
        """
        self._draining.set()
        drained = self._drained.wait(timeout_s)
        self.raise_failure()
        return drained

    def close(self) -> None:
        """Close the connections."""
        for stream in self._streams.values():
            stream.sock.close()

    def on_tick(self) -> None:
        """Send a line to every guest, unless the observation is to end."""
        living = [stream for stream in self._streams.values()
                  if stream.broken_ns is None]
        for stream in living:
            if self._draining.is_set():
                stream.flush()
            else:
                stream.ask()
            self._drop_if_broken(stream)
        if self._draining.is_set() and all(
                stream.drained() for stream in self._streams.values()):
            self._drained.set()

    def on_readable(self, data: Stream) -> None:
        """Take in what came back from one guest."""
        data.receive()
        self._drop_if_broken(data)

    def _drop_if_broken(self, stream: Stream) -> None:
        if (stream.broken_ns is not None and
                stream.sock in self.selector.get_map()):
            self.selector.unregister(stream.sock)


def open_stream(address: str, port: int, period_s: float,
                timeout_s: float) -> Stream:
    """Connect, and see the first line come back.

    :param address: IPv4 or IPv6 address
    :param port: where the echo service listens
    :param period_s: time between two lines, in seconds
    :param timeout_s: how long to try, in seconds
    :returns: a stream with line 0 sent and echoed
    :raises NotAnswering: nothing came back in that time
    :raises BadEcho: something else came back
    """
    end_s = time.monotonic() + timeout_s
    why = 'no attempt was made'
    while (remaining_s := end_s - time.monotonic()) > 0:
        try:
            return _attempt(address, port, period_s,
                            min(ATTEMPT_S, remaining_s))
        except OSError as exc:
            why = str(exc)
        time.sleep(max(0.0, min(PAUSE_S, end_s - time.monotonic())))
    raise errors.NotAnswering(
        'no TCP echo from port %d of %s within %g s; the last attempt: %s. '
        'Does the guest run an echo service there, and do security groups '
        'let it be reached?' % (port, address, timeout_s, why))


def _attempt(address: str, port: int, period_s: float,
             timeout_s: float) -> Stream:
    """Try once to connect and to get the first line back.

    :raises OSError: no connection, or no echo in time
    :raises BadEcho: something else came back
    """
    sock = socket.create_connection((address, port), timeout=timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT,
                        USER_TIMEOUT_MS)
        stream = Stream(address, period_s, sock)
        stream.ask()
        end_s = time.monotonic() + timeout_s
        while not stream.check.expected:
            sock.settimeout(max(0.001, end_s - time.monotonic()))
            data = sock.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionError('closed by the guest before any echo')
            stream.check.feed(data, time.monotonic_ns())
            if stream.check.corrupt:
                raise errors.BadEcho(
                    'port %d of %s answers, but does not send back what it '
                    'received: %s came instead' % (
                        port, address, stream.check.example))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return stream
