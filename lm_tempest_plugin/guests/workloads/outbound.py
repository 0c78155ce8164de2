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

"""A TCP connection that the guest opens to this machine."""

from collections.abc import Callable
import contextlib
import fcntl
import shlex
import socket
import sys
import termios
import time

from lm_tempest_plugin.guests import workloads

# Time for the guest to connect: its SYN is sent again after 1, 3 and 7 s.
CONNECT_S = 10.0
# Time for a new line. After a long outage TCP waits as long as the outage
# lasted before it sends again.
LINE_S = 60.0
NO_CLIENT = 'the guest has no socat, nc, ncat, python3 or bash'
# Time between two looks for whether the guest has acknowledged our line.
LOOK_S = 0.02

# Sets "$@" to a client that connects its standard input and output with this
# machine.
_CLIENT = """\
host={host} port={port}
if command -v socat > /dev/null; then
    set -- socat - "TCP:$host:$port,nodelay"
elif command -v nc > /dev/null; then
    set -- nc {plain} "$port"
elif command -v ncat > /dev/null; then
    set -- ncat {plain} "$port"
elif command -v python3 > /dev/null; then
    set -- python3 -c {python} {plain} "$port"
elif command -v bash > /dev/null; then
    set -- bash -c {bash} bash {plain} "$port"
else
    {otherwise}
fi
"""
_PYTHON = """\
import os, socket, sys, threading
connection = socket.create_connection(sys.argv[1:])
def receive():
    for data in iter(lambda: connection.recv(65536), b""):
        os.write(1, data)
threading.Thread(target=receive, daemon=True).start()
for line in iter(lambda: os.read(0, 65536), b""):
    connection.sendall(line)
"""
_BASH = 'exec 3<> "/dev/tcp/$1/$2"; cat <&3 & exec cat >&3'

# The guest sends a number each second. It has to come first after a migration:
# OVN and Open vSwitch do not migrate connection tracking, so a packet from
# outside would be a new connection to the destination, which the security
# group refuses. The trap lets the client outlive the SSH connection.
_SCRIPT = """\
echo "$1"
(trap '' HUP; n=0; while echo $((n += 1)) && sleep 1; do :; done | "$@") \
    > /dev/null 2>&1 < /dev/null &
"""


def client(host: str, port: int, otherwise: str) -> str:
    """Return shell commands that set "$@" to a client of this machine.

    :param host: address of this machine
    :param port: TCP port of this machine
    :param otherwise: command for a guest without any client
    """
    return _CLIENT.format(
        # socat asks for the brackets.
        host=shlex.quote(f'[{host}]' if ':' in host else host),
        plain=shlex.quote(host), port=port, otherwise=otherwise,
        python=shlex.quote(_PYTHON), bash=shlex.quote(_BASH))


def command(host: str, port: int) -> str:
    """Return shell commands that start a client in the background.

    They print the name of the program that connects, or "none".

    :param host: address of this machine
    :param port: TCP port of this machine
    """
    return client(host, port, 'echo none; exit') + _SCRIPT


def connect(address: str, begin: Callable[[str, int], str]
            ) -> tuple[socket.socket, str]:
    """Return a connection that a guest opens to this machine, and its client.

    :param address: address of the guest; no other may connect
    :param begin: starts a client in the guest, and returns its name; takes
        an address and a port of this machine
    :raises Skipped: the guest cannot connect
    """
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as route:
            # Sends nothing, and chooses our address towards the guest.
            route.connect((address, 7))
            host = route.getsockname()[0]
        listener = socket.create_server((host, 0), family=family)
    except OSError as exc:
        raise workloads.Skipped(
            f'this machine cannot listen for the guest: {exc}') from exc
    with listener:
        used = begin(host, listener.getsockname()[1])
        connection = _accept(listener, address)
    if connection is None:
        raise workloads.Skipped(
            f'no connection from the guest to {host} within {CONNECT_S:g} s '
            f'({used}): NAT or a firewall')
    return connection, used


def _accept(listener: socket.socket, address: str) -> socket.socket | None:
    deadline_s = time.monotonic() + CONNECT_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        listener.settimeout(left_s)
        try:
            connection, peer = listener.accept()
        except TimeoutError:
            break
        if peer[0] == address:
            return connection
        connection.close()
    return None


class OutboundWorkload:
    """A connection that the guest keeps open, with lines both ways."""

    name = 'outbound'

    def __init__(self, address: str) -> None:
        """Prepare the workload.

        :param address: address of the guest; no other may connect
        """
        self._address = address
        self._connection: socket.socket | None = None

    def start(self, run: workloads.Run) -> None:
        """Let the guest connect.

        :raises Skipped: it cannot
        """
        def begin(host: str, port: int) -> str:
            used = run(command(host, port))
            if used == 'none':
                raise workloads.Skipped(NO_CLIENT)
            return used

        self._connection, used = connect(self._address, begin)
        problem = self._exchange(self._connection, CONNECT_S)
        if problem:
            self.close()
            raise workloads.Skipped(f'{used} in the guest: {problem}')

    def verify(self, run: workloads.Run) -> str:
        """Return a problem if the connection carries no line either way."""
        assert self._connection is not None, 'start() sets it'
        return self._exchange(self._connection, LINE_S, only_new=True)

    def _exchange(self, connection: socket.socket, timeout_s: float,
                  only_new: bool = False) -> str:
        """Return why no new line came, or why ours was not acknowledged."""
        deadline_s = time.monotonic() + timeout_s
        try:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                # Lines from before now prove nothing.
                while only_new and connection.recv(65536):
                    pass
            connection.settimeout(timeout_s)
            if not connection.recv(65536):
                return ('the guest has closed the connection that it opened '
                        'to this machine')
            connection.sendall(b'seen\n')
            while _unacknowledged(connection):
                if time.monotonic() > deadline_s:
                    return ('the guest acknowledged no line within '
                            f'{timeout_s:g} s on the connection that it '
                            'opened to this machine')
                time.sleep(LOOK_S)
        except TimeoutError:
            return (f'nothing came from the guest within {timeout_s:g} s on '
                    'the connection that it opened to this machine')
        except OSError as exc:
            return ('the connection that the guest opened to this machine '
                    f'broke: {exc}')
        return ''

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()


def _unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes the other side has not acknowledged: tcp(7)."""
    return int.from_bytes(
        fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
