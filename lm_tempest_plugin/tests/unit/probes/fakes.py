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

"""Guests for the probers, on this machine's loopback."""

import socket
import threading


class EchoServer:
    """Answers each line on each connection as a callable says.

    :ivar connections: every connection that was taken, open or not
    """

    def __init__(self, answer=lambda line: line, host='127.0.0.1'):
        """Listen.

        :param answer: takes a line, returns what is sent back; an
            OSError that it raises resets the connection
        """
        self._answer = answer
        self._listener = socket.create_server(
            (host, 0), family=(
                socket.AF_INET6 if ':' in host else socket.AF_INET))
        self.host = host
        self.port = self._listener.getsockname()[1]
        self.connections = []
        self.gate = threading.Event()
        self.gate.set()
        self._threads = []
        self._start(self._accept)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection):
        with connection, connection.makefile('rb') as lines:
            try:
                for line in lines:
                    self.gate.wait()
                    connection.sendall(self._answer(line))
            except OSError:
                # Closed with a linger time of 0: a reset.
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER,
                    b'\x01\0\0\0\0\0\0\0')

    def close(self):
        """Stop to listen, and end every connection."""
        self.gate.set()
        if self._listener.fileno() != -1:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)
