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

"""Guests for the probers, on this machine's loopback; and recordings."""

import socket
import threading
import time

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import tcp

MS = 1_000_000
# When recordings begin, by both clocks: 2023-11-14T22:13:20Z.
BEGIN_NS = 5_000_000_000_000
BEGIN_WALL_NS = 1_700_000_000_000_000_000

# A socket that is closed with this linger time of 0 s resets its connection.
NO_LINGER = b'\x01\0\0\0\0\0\0\0'


def wait_for(condition, timeout_s=5.0):
    """Wait until something holds; return whether it does."""
    end_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.002)
    return condition()


def why_no_icmp(address='127.0.0.1'):
    """Return why an address of this machine cannot be pinged; '' if it can."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
        icmp.check(address)
    except (OSError, errors.ProbeError) as exc:
        return '%s cannot be pinged here: %s' % (address, exc)
    return ''


def observed(target='192.0.2.1', count=1000, lost=(), delay_ns=500_000,
             period_ns=10 * MS, **kwargs):
    """Return observations of a guest that was asked at regular times.

    :param count: how many questions
    :param lost: numbers of those that were not answered
    """
    numbers = numpy.arange(count)
    due_ns = BEGIN_NS + period_ns * numbers
    sent_ns = due_ns + 20_000 + numbers % 7 * 1000
    answered_ns = sent_ns + delay_ns
    answered_ns[list(lost)] = answers.UNANSWERED
    return answers.Answers(
        target, period_ns, due_ns, sent_ns, numpy.full(count, 3000),
        answered_ns, **kwargs)


def recorded(**kwargs):
    """Return a recording of ten seconds with everything in it.

    192.0.2.1 does not answer from 3 to 4 s, and its connection is reset
    at 3.5 s; 2001:db8::1 never answers.
    """
    echoes = observed(count=200, lost=range(60, 80), period_ns=50 * MS)
    well = tcp.StreamSeen(
        port=7, echoes=echoes, read_error_ns=numpy.arange(200) * 1000,
        watched_ns=BEGIN_NS + 9995 * MS, expected=200, lost=20, repeated=1,
        corrupt=2, example='\u201cx\u201d', skipped=3, breaks=(
            tcp.Break(BEGIN_NS + 3500 * MS, 'reset by the guest',
                      tcp.BreakKind.RESET),),
        reconnects=1, connect_failures=4, connect_error='refused',
        retransmissions=5, info=tcp.TcpInfo(1, 0.2, 0.001, 5),
        connected=True)
    refused = tcp.StreamSeen(
        port=7, echoes=observed('2001:db8::1', 0, period_ns=50 * MS),
        read_error_ns=numpy.zeros(0, numpy.int64),
        watched_ns=BEGIN_NS + 9995 * MS, expected=0, connect_failures=20,
        connect_error='connection refused', why='connection refused')
    seen = [observed(lost=range(300, 400), duplicates=1, strangers=2),
            observed('2001:db8::1', lost=range(1000), send_errors=3,
                     send_error='no buffer space')]
    content = {
        'started': recording.Clocks(BEGIN_NS, BEGIN_WALL_NS),
        'ended_ns': BEGIN_NS + 10_000 * MS, 'period_s': 0.01,
        'icmp': {one.target: one for one in seen},
        'tcp': {one.echoes.target: one for one in (well, refused)},
        'wall_clock_steps': 1, 'kernel_stamps_refused': 2,
        'answers_dropped': 3, 'cpu_s': 0.25,
        'calibration': quality.Calibration(
            2, 1.0, 0.0007, 0.00002, 0.00009, quality.measure(
                [observed('127.0.0.1', 100)], 0.01))}
    return recording.ProbeRecording(**{**content, **kwargs})


class EchoServer:
    """Answers each line on each connection as a callable says.

    :ivar connections: every connection that was taken, open or not
    :ivar gate: nothing is read and answered while it is not set
    """

    def __init__(self, answer=lambda line: line, host='127.0.0.1', port=0,
                 receive_bytes=None):
        """Listen.

        :param answer: takes a line, returns the echo; an
            OSError that it raises resets the connection
        :param host: address to listen at
        :param port: port to listen at; 0 for any that is free
        :param receive_bytes: size of the kernel's buffer; None for its own
        """
        self._answer = answer
        self._listener = socket.create_server(
            (host, port), family=(
                socket.AF_INET6 if ':' in host else socket.AF_INET))
        if receive_bytes is not None:
            self._listener.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.host = host
        self.port = self._listener.getsockname()[1]
        self.connections = []
        self.gate = threading.Event()
        self.gate.set()
        self._doomed = []
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
                    if connection in self._doomed:
                        raise OSError('doomed')
                    connection.sendall(self._answer(line))
            except OSError:
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)

    def reset(self):
        """Reset each present connection, when its next line comes."""
        self._doomed = list(self.connections)

    def hang_up(self):
        """Close each present connection in order."""
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self):
        """Stop to listen, and end every connection."""
        self.gate.set()
        if self._listener.fileno() != -1:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)
