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

"""A TCP connection that never blocks, from the attempt to its end."""

import dataclasses
import os
import selectors
import socket
from typing import Any

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.tcp import kernel

RECEIVE_BYTES = 65536
# How long the kernel keeps a stalled connection, in milliseconds. Its own
# rule (tcp_retries2) may give up after a quarter of an hour.
USER_TIMEOUT_MS = 3_600_000
# What the kernel does not take is kept up to this size. So a long stall
# does not make lines pile up without bound, and is as long without them.
OUTBOX_BYTES = 65536


@dataclasses.dataclass(frozen=True)
class Target:
    """Where an echo service is.

    :ivar address: as it was handed in
    :ivar port: its TCP port
    :ivar family: of the socket
    :ivar sockaddr: what the socket connects to
    """

    address: str
    port: int
    family: int
    sockaddr: tuple[Any, ...]

    def __str__(self) -> str:
        return 'TCP port %d of %s' % (self.port, self.address)


def resolve(address: str, port: int) -> Target:
    """Return where a service is: at the first address, if a name has more.

    :param address: IPv4 or IPv6 address, or a name of one
    :param port: TCP port
    :raises ProbeError: it is no address and no name of one, or no port
    """
    if not 1 <= port <= 65535:
        raise errors.ProbeError('%s is no TCP port' % port)
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as exc:
        raise errors.ProbeError(
            '%s is no IP address and no name that resolves to one: %s' % (
                address, exc)) from exc
    family, _, _, _, sockaddr = found[0]
    return Target(address, port, family, sockaddr)


class Connection:
    """One socket, and what is still to be sent on it."""

    def __init__(self, target: Target, selector: selectors.BaseSelector,
                 owner: Any) -> None:
        """Begin to connect; the selector tells when that has come to an end.

        :param target: where to
        :param selector: what waits for the connection
        :param owner: what the selector is to hand out with each event
        :raises OSError: it is known at once that there is no way
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
        """Look how the attempt ended; from now on wait for what comes.

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
        """Send a line after all that the kernel did not take before.

        :raises OSError: the connection has broken
        """
        self._outbox += line
        try:
            while self._outbox:
                del self._outbox[:self._sock.send(self._outbox)]
        except BlockingIOError:
            return

    def receive(self) -> bytes:
        """Return what has come: b'' if nothing has.

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

    def info(self) -> kernel.TcpInfo:
        """Return what the kernel says of it."""
        return kernel.read(self._sock)

    def close(self) -> None:
        """Close it."""
        self._selector.unregister(self._sock)
        self._sock.close()
