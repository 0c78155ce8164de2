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

"""A TCP echo server, as a process that can be frozen.

Its arguments are a port and the addresses to listen at. It reports that it
is ready, and runs until its input ends.
"""

import json
import selectors
import socket
import sys

BYTES = 65536


def accept(selector: selectors.BaseSelector, server: socket.socket) -> None:
    """Accept a new connection."""
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(connection, selectors.EVENT_READ, echo)


def echo(selector: selectors.BaseSelector,
         connection: socket.socket) -> None:
    """Send received data back; it is little, so it may block."""
    try:
        received = connection.recv(BYTES)
        connection.sendall(received)
    except ConnectionError as exc:
        print(f'echo: {exc}', file=sys.stderr)
        received = b''
    if not received:
        selector.unregister(connection)
        connection.close()


def main() -> None:
    """Serve; see the top of this file."""
    selector = selectors.DefaultSelector()
    for address in sys.argv[2:]:
        server = socket.create_server(
            (address, int(sys.argv[1])), family=socket.AF_INET6
            if ':' in address else socket.AF_INET, reuse_port=False)
        selector.register(server, selectors.EVENT_READ, accept)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print(json.dumps({'ready': True}), flush=True)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                print(json.dumps({'ended': True}), flush=True)
                return
            key.data(selector, key.fileobj)


if __name__ == '__main__':
    main()
