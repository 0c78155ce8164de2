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

"""A TCP connection that never blocks, and the numbered lines on it."""

import array
import dataclasses
import os
import selectors
import socket
import struct
from typing import Any
from typing import Self

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors

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
            self._sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        if error := self._sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        self._selector.modify(
            self._sock, selectors.EVENT_READ, self._owner)

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
            self._check(line + b'\n', now_ns, read_error_ns)
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

    def _check(self, line: bytes, now_ns: int, read_error_ns: int) -> None:
        sequence = self._number(line)
        if sequence is None:
            self._note_corrupt(line)
            return
        if self.proven is None:
            self.proven = True
        if sequence < self.expected:
            self.repeated += 1
            return
        self.lost += sequence - self.expected
        self.expected = sequence + 1
        self.log.answer(sequence, now_ns)
        self.read_error_ns[sequence] = read_error_ns

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
