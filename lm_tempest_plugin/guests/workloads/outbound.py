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

import shlex
import socket
import time

from lm_tempest_plugin.guests import workloads

# Time for the guest to connect: its SYN is sent again after 1, 3 and 7 s.
CONNECT_S = 10.0
# Time for a line to come back. After a long outage TCP waits as long as the
# outage lasted before it sends again.
ECHO_S = 60.0

# The guest sends back each line that it gets. The trap lets the client outlive
# the SSH connection.
_SCRIPT = """\
host={host} port={port}
if command -v socat > /dev/null; then
    set -- socat "TCP:$host:$port,nodelay" PIPE
elif command -v python3 > /dev/null; then
    set -- python3 -c {python} "$host" "$port"
elif command -v bash > /dev/null; then
    set -- bash -c {bash} bash "$host" "$port"
elif command -v ncat > /dev/null; then
    set -- ncat --exec /bin/cat "$host" "$port"
elif busybox nc --help 2>&1 | grep -q -e '-e PROG'; then
    set -- busybox nc "$host" "$port" -e /bin/cat
else
    echo none
    exit
fi
echo "$1"
(trap '' HUP; exec "$@") > /dev/null 2>&1 < /dev/null &
"""
_PYTHON = """\
import socket, sys
connection = socket.create_connection((sys.argv[1].strip("[]"), sys.argv[2]))
for data in iter(lambda: connection.recv(4096), b""):
    connection.sendall(data)
"""
_BASH = """\
host=${1#[}
exec 3<> "/dev/tcp/${host%]}/$2"
while read -r line <&3; do echo "$line" >&3; done
"""


def command(host: str, port: int) -> str:
    """Return shell commands that start a client in the background.

    They print the name of the program that connects, or "none".

    :param host: address of this machine
    :param port: TCP port of this machine
    """
    return _SCRIPT.format(
        # socat asks for the brackets.
        host=shlex.quote(f'[{host}]' if ':' in host else host), port=port,
        python=shlex.quote(_PYTHON), bash=shlex.quote(_BASH))


class OutboundWorkload:
    """A connection from the guest, which sends back numbered lines."""

    name = 'outbound'

    def __init__(self, address: str) -> None:
        """Prepare the workload.

        :param address: address of the guest; no other may connect
        """
        self._address = address
        self._connection: socket.socket | None = None
        self._sent = 0

    def start(self, run: workloads.Run) -> None:
        """Let the guest connect.

        :raises Skipped: it cannot
        """
        family = socket.AF_INET6 if ':' in self._address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as route:
                # Sends nothing, and chooses our address towards the guest.
                route.connect((self._address, 7))
                host = route.getsockname()[0]
            listener = socket.create_server((host, 0), family=family)
        except OSError as exc:
            raise workloads.Skipped(
                f'this machine cannot listen for the guest: {exc}') from exc
        with listener:
            client = run(command(host, listener.getsockname()[1]))
            if client == 'none':
                raise workloads.Skipped('the guest has no socat, python3, '
                                        'bash, ncat or busybox nc')
            self._connection = self._accept(listener)
        if self._connection is None:
            raise workloads.Skipped(
                f'no connection from the guest to {host} within '
                f'{CONNECT_S:g} s ({client}): NAT or a firewall')
        problem = self._exchange(CONNECT_S)
        if problem:
            self.close()
            raise workloads.Skipped(f'{client} in the guest: {problem}')

    def _accept(self, listener: socket.socket) -> socket.socket | None:
        deadline_s = time.monotonic() + CONNECT_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            listener.settimeout(left_s)
            try:
                connection, peer = listener.accept()
            except TimeoutError:
                break
            if peer[0] == self._address:
                return connection
            connection.close()
        return None

    def verify(self, run: workloads.Run) -> str:
        """Return a problem if the connection does not carry a new line."""
        return self._exchange(ECHO_S)

    def _exchange(self, timeout_s: float) -> str:
        """Send a new line, and return why it did not come back."""
        connection = self._connection
        assert connection is not None, 'start() sets it'
        self._sent += 1
        line = f'{self._sent}\n'.encode()
        connection.settimeout(timeout_s)
        received = b''
        try:
            connection.sendall(line)
            while not received.endswith(b'\n'):
                data = connection.recv(4096)
                if not data:
                    return ('the guest has closed the connection that it '
                            'opened to this machine')
                received += data
        except TimeoutError:
            return ('on the connection that the guest opened to this machine '
                    f'nothing came back within {timeout_s:g} s')
        except OSError as exc:
            return ('the connection that the guest opened to this machine '
                    f'broke: {exc}')
        if received != line:
            return (f'the guest sent back {received!r} for {line!r} on the '
                    'connection that it opened to this machine')
        return ''

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
