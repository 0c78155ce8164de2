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

import errno
import os
import selectors
import socket
import struct
import threading
import time
from unittest import mock

import fixtures
import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

PERIOD_S = 0.005
# The struct of an x86-64 kernel, with different numbers in all fields: eight
# bytes and 24 numbers, then the additions of newer kernels.
BYTES = bytes((1, 0, 7, 0, 3, 7, 0x77, 0))
NUMBERS = [4_000_000 + n for n in range(24)]
NEWER = bytes(range(100))


class ProberTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(tcp, 'PAUSE_S', 0.02)
        self.prober = tcp.TcpProber(PERIOD_S)
        self.addCleanup(self.prober.stop)

    def patch(self, module, name, value):
        self.useFixture(fixtures.MonkeyPatch(
            '%s.%s' % (module.__name__, name), value))

    def serve(self, *args, **kwargs):
        server = fakes.EchoServer(*args, **kwargs)
        self.addCleanup(server.close)
        return server

    def connect(self, *servers):
        for server in servers:
            self.prober.add(server.host, server.port)
        self.prober.start()
        for server in servers:
            self.await_seen(lambda seen: seen.connected, server.host)

    def await_seen(self, condition, host='127.0.0.1'):
        """Wait until a condition on the stream holds; return the stream."""
        self.assertTrue(
            fakes.wait_for(lambda: condition(self.prober.seen(host))),
            self.prober.seen(host))
        return self.prober.seen(host)

    def await_echoes(self, count, host='127.0.0.1'):
        already = self.prober.seen(host).last_echoed
        return self.await_seen(
            lambda seen: seen.last_echoed >= already + count, host)

    def assert_all_came_back(self, seen):
        self.assertEqual(seen.last_sent, seen.last_echoed)
        self.assertEqual((0, 0, 0, (), ''), (
            seen.lost, seen.repeated, seen.corrupt, seen.breaks,
            seen.trouble))


class ConnectedTest(ProberTestCase):

    def test_everything_comes_back(self):
        server = self.serve()
        self.connect(server)
        self.assertTrue(self.await_echoes(10).connected)
        self.assertTrue(self.prober.drain(5))
        seen = self.prober.seen(server.host)
        self.assert_all_came_back(seen)
        self.assertEqual((server.port, 0, 0), (
            seen.port, seen.reconnects, seen.connect_failures))
        self.assertEqual(1, len(server.connections))
        self.assertGreater(seen.info.rto_s, 0)
        self.prober.stop()
        self.assertFalse(self.prober.seen(server.host).connected)

    def test_ipv6(self):
        try:
            server = self.serve(host='::1')
        except OSError as exc:
            self.skipTest('no IPv6 here: %s' % exc)
        self.connect(server)
        self.await_echoes(3, '::1')

    def test_a_stall_is_survived_on_the_same_connection(self):
        server = self.serve()
        self.connect(server)
        self.await_echoes(3)
        server.gate.clear()
        before = self.prober.seen(server.host).last_echoed
        self.await_seen(lambda seen: seen.last_sent > before + 20)
        self.assertFalse(self.prober.drain(0.02))
        server.gate.set()
        self.assertTrue(self.prober.drain(5))
        seen = self.prober.seen(server.host)
        self.assert_all_came_back(seen)
        answers = list(seen.echoes.answered_ns)
        self.assertGreater(
            max(b - a for a, b in zip(answers, answers[1:])), 0.05e9)

    def test_lines_do_not_pile_up_in_a_long_stall(self):
        self.patch(tcp, 'OUTBOX_BYTES', 100)
        server = self.serve(receive_bytes=2048)
        self.prober.add(server.host, server.port)
        stream = self.prober._streams[server.host]
        # So that the buffers are full before long.
        stream.check.token *= 40
        self.prober.start()
        self.await_echoes(1)
        with self.prober._lock:
            stream._connection._sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        server.gate.clear()
        skipping = self.await_seen(lambda seen: seen.skipped > 3)
        later = self.await_seen(
            lambda seen: seen.skipped > skipping.skipped + 20)
        # The kernel may still have taken a little.
        self.assertLessEqual(
            len(stream._connection._outbox),
            tcp.OUTBOX_BYTES + len(stream.check.line(1000)))
        server.gate.set()
        self.await_seen(lambda seen: seen.last_echoed > later.last_sent + 3)
        self.assertTrue(self.prober.drain(5))
        self.assert_all_came_back(self.prober.seen(server.host))

    def test_lost_repeated_and_corrupt_lines_are_counted(self):
        def answer(line):
            number = int(line.split()[1])
            return {5: b'', 7: line * 2, 9: b'garbage\n' + line}.get(
                number, line)

        self.connect(self.serve(answer))
        seen = self.await_echoes(12)
        self.assertEqual((1, 1, 1),
                         (seen.lost, seen.repeated, seen.corrupt))
        self.assertIn('garbage', seen.example)
        self.assertEqual((True, ''), (seen.connected, seen.error))

    def test_how_late_an_echo_may_have_been_read(self):
        server = self.serve()
        self.connect(server)
        self.await_echoes(3)
        server.gate.clear()
        self.await_seen(lambda seen: seen.last_sent > seen.last_echoed)
        with self.prober._lock:
            # The prober's thread is held up, as if it got no processor,
            # while there is something to be read.
            server.gate.set()
            time.sleep(0.05)
        seen = self.await_echoes(5)
        self.assertGreater(seen.read_error_ns.max(), 0.04e9)
        self.assertEqual(seen.echoes.sent_ns.shape, seen.read_error_ns.shape)
        self.assertLessEqual(seen.watched_ns, time.monotonic_ns())

    def test_a_reader_does_not_disturb(self):
        server = self.serve()
        self.connect(server)
        done = threading.Event()

        def read():
            while not done.is_set():
                self.prober.seen(server.host)

        reader = threading.Thread(target=read)
        reader.start()
        self.addCleanup(reader.join)
        self.addCleanup(done.set)
        self.await_echoes(20)


class BreakTest(ProberTestCase):

    def test_reset(self):
        server = self.serve()
        self.connect(server)
        self.await_echoes(3)
        server.reset()
        before_ns = time.monotonic_ns()
        seen = self.await_seen(lambda seen: seen.reconnects)
        self.assertEqual((1, 0, 1), (
            seen.resets, seen.closes, seen.reconnects))
        self.assertIn('reset by the guest', seen.breaks[0].why)
        self.assertTrue(
            before_ns < seen.breaks[0].at_ns < time.monotonic_ns())
        self.assertEqual(2, len(server.connections))
        # Lines that broke off are lost, and the numbers go on.
        self.assertGreaterEqual(seen.lost, 1)
        seen = self.await_echoes(5)
        missing = numpy.flatnonzero(
            ~seen.echoes.answered[:seen.last_echoed])
        self.assertEqual(seen.lost, missing.size)
        self.assertEqual(missing.tolist(), list(
            range(missing[0], missing[0] + missing.size)))
        self.assertEqual('', seen.trouble)

    def test_closed_and_opened_again_on_the_same_port(self):
        server = self.serve()
        self.connect(server)
        self.await_echoes(3)
        server.close()
        seen = self.await_seen(lambda seen: seen.connect_failures > 1)
        self.assertEqual(1, len(seen.breaks))
        self.assertFalse(seen.connected)
        self.assertIsNone(seen.info)
        self.assertEqual('connection refused', seen.connect_error)
        self.assertEqual(
            'TCP port %d of 127.0.0.1: connection refused (%d attempts)' % (
                server.port, seen.connect_failures), seen.trouble)
        # Nothing is sent while there is no connection.
        self.assertEqual(seen.last_sent + 1, seen.expected)
        self.serve(port=server.port)
        seen = self.await_seen(lambda seen: seen.reconnects)
        self.assertTrue(seen.connected)
        self.assertEqual(1, len(seen.breaks))
        self.await_echoes(3)

    def test_closed_in_order(self):
        server = self.serve()
        self.connect(server)
        self.await_echoes(3)
        server.gate.clear()
        server.hang_up()
        seen = self.await_seen(lambda seen: seen.breaks)
        self.assertEqual(1, seen.closes + seen.resets)
        server.gate.set()
        self.await_seen(lambda seen: seen.reconnects)

    def test_garbage_when_connected_again_is_not_the_end(self):
        def answer(line):
            # As something that is not ready does, while the guest starts.
            if len(server.connections) in (2, 3):
                return b'starting\n'
            return line

        server = self.serve(answer)
        self.connect(server)
        self.await_echoes(3)
        server.reset()
        seen = self.await_seen(lambda seen: seen.reconnects)
        self.assertEqual((1, 1, 2, 2, ''), (
            len(seen.breaks), seen.reconnects, seen.connect_failures,
            seen.corrupt, seen.error))
        self.assertIn('starting', seen.connect_error)
        self.assertIn('came instead of an echo', seen.connect_error)
        self.assertEqual((True, ''), (seen.connected, seen.trouble))
        self.await_echoes(3)

    def test_drained_without_a_connection(self):
        server = self.serve()
        self.connect(server)
        self.await_echoes(3)
        server.close()
        self.await_seen(lambda seen: seen.connect_failures)
        self.assertTrue(self.prober.drain(5))
        seen = self.prober.seen(server.host)
        self.serve(port=server.port)
        self.assertEqual(seen.last_sent, seen.expected - 1)
        self.assertEqual(0, self.prober.seen(server.host).reconnects)

    def test_how_connections_break(self):
        for error, kind, why in (
                (errno.ECONNRESET, tcp.BreakKind.RESET,
                 'reset by the guest (connection reset by peer)'),
                (errno.EPIPE, tcp.BreakKind.RESET,
                 'reset by the guest (broken pipe)'),
                (errno.ETIMEDOUT, tcp.BreakKind.TIMED_OUT,
                 'connection timed out'),
                (errno.EHOSTUNREACH, tcp.BreakKind.OTHER,
                 'no route to host')):
            self.assertEqual((kind, why), tcp.describe(
                OSError(error, os.strerror(error))))
        self.assertEqual(
            (tcp.BreakKind.CLOSED, 'closed'),
            tcp.describe(EOFError('closed')))


class StreamTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.connection = mock.Mock(spec=tcp.EchoConnection)
        self.connection.full = False
        self.connection.info.return_value = tcp.TcpInfo(
            retransmissions=3)
        self.opener = self.useFixture(fixtures.MockPatchObject(
            tcp, 'EchoConnection', autospec=True,
            return_value=self.connection)).mock
        self.useFixture(fixtures.MonkeyPatch(
            'lm_tempest_plugin.probes.tcp.PAUSE_S', 0))
        self.stream = tcp.Stream(
            tcp.EchoTarget('192.0.2.1', 7, socket.AF_INET, ()),
            0.05, mock.Mock(spec=selectors.BaseSelector))

    def bring_up(self):
        self.stream.tick(0)
        self.stream.on_event(0)
        self.connection.receive.return_value = (
            self.connection.send.call_args.args[0])
        self.stream.on_event(0)
        self.assertTrue(self.stream.snapshot(0).connected)

    def test_nothing_sent_nothing_echoed(self):
        seen = self.stream.snapshot(0)
        self.assertEqual((-1, -1), (seen.last_sent, seen.last_echoed))
        self.assertEqual('TCP port 7 of 192.0.2.1: not connected yet '
                         '(0 attempts)', seen.trouble)

    def test_no_way_to_the_guest(self):
        self.opener.side_effect = OSError(
            errno.ENETUNREACH, 'Network is unreachable')
        self.stream.tick(0)
        self.stream.tick(0)
        seen = self.stream.snapshot(0)
        self.assertEqual((2, 'network is unreachable'), (
            seen.connect_failures, seen.connect_error))
        self.assertEqual(-1, seen.last_sent)

    def garbage(self, data):
        """Connect, and have this come back."""
        self.stream.tick(0)
        self.stream.on_event(0)
        self.connection.receive.return_value = data
        self.stream.on_event(0)
        return self.stream.snapshot(0)

    def test_garbage_before_any_echo_is_given_up(self):
        seen = self.garbage(b'garbage\n')
        self.assertIn('garbage', seen.error)
        self.assertEqual(0, seen.connect_failures)
        self.opener.reset_mock()
        self.stream.tick(0)
        self.opener.assert_not_called()

    def test_garbage_after_an_echo_is_a_failure_to_connect(self):
        self.bring_up()
        self.connection.receive.side_effect = ConnectionResetError()
        self.stream.on_event(0)
        self.connection.receive.side_effect = None
        seen = self.garbage(b'garbage\n')
        self.assertEqual(('', 1, 1, 0, 0, False), (
            seen.error, seen.connect_failures, len(seen.breaks),
            seen.reconnects, seen.lost, seen.connected))
        self.assertEqual(seen.last_sent + 1, seen.expected)
        self.assertIn("b'garbage\\n' came instead of an echo",
                      seen.trouble)
        self.bring_up()
        seen = self.stream.snapshot(0)
        self.assertEqual(('', 1), (seen.trouble, seen.reconnects))

    def test_the_garbage_that_is_named_is_that_of_the_connection(self):
        self.bring_up()
        self.connection.receive.return_value = b'earlier\n'
        self.stream.on_event(0)
        self.connection.receive.side_effect = ConnectionResetError()
        self.stream.on_event(0)
        self.connection.receive.side_effect = None
        self.assertIn('garbage', self.garbage(b'garbage\n').connect_error)

    def test_an_error_when_sending_breaks_it(self):
        self.bring_up()
        self.connection.send.side_effect = BrokenPipeError(
            errno.EPIPE, 'Broken pipe')
        self.stream.tick(0)
        seen = self.stream.snapshot(0)
        self.assertEqual((1, 1, False), (
            seen.resets, seen.lost, seen.connected))
        self.assertTrue(self.stream.drained())

    def test_retransmissions_of_all_connections_are_summed(self):
        self.bring_up()
        self.assertEqual(3, self.stream.snapshot(0).retransmissions)
        self.connection.receive.side_effect = ConnectionResetError()
        self.stream.on_event(0)
        self.assertEqual(3, self.stream.snapshot(0).retransmissions)
        self.connection.receive.side_effect = None
        self.bring_up()
        seen = self.stream.snapshot(0)
        self.assertEqual((6, 3), (
            seen.retransmissions, seen.info.retransmissions))

    def test_when_it_is_quiet_no_attempt_is_made_or_goes_on(self):
        self.stream.tick(0, quiet=True)
        self.opener.assert_not_called()
        self.stream.tick(0)
        self.assertFalse(self.stream.drained())
        self.stream.tick(0, quiet=True)
        self.connection.close.assert_called_once_with()
        self.assertTrue(self.stream.drained())
        self.assertEqual(0, self.stream.snapshot(0).connect_failures)


class NotConnectedTest(ProberTestCase):
    """Guests whose connection is not up yet, or never will be."""

    def test_a_closed_port_does_not_hinder_others(self):
        closed = self.serve(host='127.0.0.2')
        closed.close()
        server = self.serve()
        self.prober.add('127.0.0.2', closed.port)
        self.prober.add(server.host, server.port)
        self.prober.start()
        seen = self.await_seen(
            lambda seen: seen.connect_failures > 1, '127.0.0.2')
        self.assertIn('TCP port %d of 127.0.0.2: connection refused (' %
                      closed.port, seen.trouble)
        self.assertEqual((-1, -1, 0, 0, ()), (
            seen.last_sent, seen.last_echoed, seen.lost, seen.reconnects,
            seen.breaks))
        self.assertEqual(0, self.await_echoes(3).reconnects)
        self.serve(host='127.0.0.2', port=closed.port)
        seen = self.await_echoes(3, '127.0.0.2')
        self.assertEqual((0, ''), (seen.reconnects, seen.trouble))
        self.assertEqual('connection refused', seen.connect_error)

    def test_garbage(self):
        other = self.serve(lambda line: b'SSH-2.0-other\r\n' + line,
                           host='127.0.0.2')
        server = self.serve()
        self.prober.add('127.0.0.2', other.port)
        self.prober.add(server.host, server.port)
        self.prober.start()
        seen = self.await_seen(lambda seen: seen.error, '127.0.0.2')
        self.assertIn('TCP port %d of 127.0.0.2 answers, but' % other.port,
                      seen.error)
        self.assertIn('SSH-2.0-other', seen.error)
        self.assertEqual(seen.error, seen.trouble)
        self.await_echoes(20)
        self.assertEqual(1, len(other.connections))
        self.assertTrue(self.prober.drain(5))

    def test_it_listens_and_is_silent(self):
        self.patch(tcp, 'ATTEMPT_S', 0.05)
        server = self.serve(lambda line: b'')
        self.prober.add(server.host, server.port)
        self.prober.start()
        seen = self.await_seen(lambda seen: seen.connect_failures > 1)
        self.assertEqual('no echo within 0.05 s', seen.connect_error)
        # It never was a connection, and there was nothing to lose.
        self.assertEqual(0, seen.lost)
        self.assertGreaterEqual(seen.last_sent, 1)
        self.assertEqual((), seen.breaks)

    def test_it_hangs_up_before_it_has_echoed(self):
        def answer(line):
            server.connections[-1].shutdown(socket.SHUT_RDWR)
            return b''

        server = self.serve(answer)
        self.prober.add(server.host, server.port)
        self.prober.start()
        seen = self.await_seen(lambda seen: seen.connect_failures > 1)
        self.assertRegex(seen.connect_error, '(closed|reset) by the guest')
        self.assertEqual(((), 0, False), (
            seen.breaks, seen.reconnects, seen.connected))
        self.assertIn('of 127.0.0.1: ', seen.trouble)

    def test_the_first_line_has_come_back(self):
        server = self.serve()
        server.gate.clear()
        self.prober.add(server.host, server.port)
        self.prober.start()
        seen = self.await_seen(lambda seen: seen.last_sent == 0)
        self.assertEqual((False, -1), (seen.connected, seen.last_echoed))
        self.assertIn('connected, but nothing has come back', seen.trouble)
        server.gate.set()
        self.await_seen(lambda seen: seen.connected)

    def test_before_it_is_started_nothing_is_connected(self):
        server = self.serve()
        self.prober.add(server.host, server.port)
        self.assertIn('not connected yet (0 attempts)',
                      self.prober.seen(server.host).trouble)
        self.prober.stop()
        self.assertEqual([], server.connections)

    def test_it_does_not_even_refuse(self):
        self.patch(tcp, 'ATTEMPT_S', 0.05)
        # A connection beyond the backlog gets no answer.
        with socket.create_server(('127.0.0.1', 0), backlog=0) as listener:
            address = listener.getsockname()
            with socket.create_connection(address):
                self.prober.add(*address)
                self.prober.start()
                seen = self.await_seen(lambda seen: seen.connect_failures)
        self.assertEqual('no connection within 0.05 s', seen.connect_error)
        self.assertEqual(-1, seen.last_sent)

    def test_attempts_are_not_made_more_often_than_allowed(self):
        self.patch(tcp, 'PAUSE_S', 60)
        server = self.serve()
        server.close()
        self.prober.add(server.host, server.port)
        self.prober.add('127.0.0.2', self.serve(host='127.0.0.2').port)
        self.prober.start()
        self.await_echoes(10, '127.0.0.2')
        self.assertEqual(
            1, self.prober.seen(server.host).connect_failures)

    def test_fifty_guests_are_spread(self):
        server = self.serve(host='0.0.0.0')
        hosts = ['127.0.1.%d' % number for number in range(1, 51)]
        for host in hosts:
            self.prober.add(host, server.port)
        self.prober.start()
        self.assertEqual(7, self.prober.slots)
        self.assertEqual({7, 8}, {
            len(slot) for slot in self.prober._slots})
        for host in hosts:
            self.await_seen(lambda seen: seen.last_echoed > 3, host)
        due = {int(self.prober.seen(host).echoes.due_ns[2] %
                   round(PERIOD_S * 1e9)) for host in hosts}
        self.assertEqual(7, len(due))
        self.assertTrue(self.prober.drain(5))
        for host in hosts:
            self.assert_all_came_back(self.prober.seen(host))

    def test_what_is_no_target(self):
        self.prober.add('127.0.0.1', 7)
        self.assertRaises(
            errors.ProbeError, self.prober.add, '127.0.0.1', 8)
        self.assertRaises(
            errors.ProbeError, self.prober.add, '1.2.3.4.5', 7)

    def test_one_guest_is_looked_at_more_often_than_it_is_sent_to(self):
        prober = tcp.TcpProber(0.05)
        self.addCleanup(prober.stop)
        prober.add('127.0.0.1', self.serve().port)
        prober.start()
        self.assertEqual(5, prober.slots)


class ResolveTest(base.TestCase):

    def test_addresses(self):
        target = tcp.resolve('127.0.0.1', 7)
        self.assertEqual('TCP port 7 of 127.0.0.1', str(target))
        self.assertEqual((socket.AF_INET, ('127.0.0.1', 7)),
                         (target.family, target.sockaddr))
        self.assertEqual(
            socket.AF_INET6, tcp.resolve('::1', 7).family)

    def test_the_first_address_of_a_name(self):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, 7))
                 for address in ('192.0.2.1', '192.0.2.2')]
        with mock.patch.object(socket, 'getaddrinfo', autospec=True,
                               return_value=found):
            target = tcp.resolve('guest', 7)
        self.assertEqual(('192.0.2.1', 7), target.sockaddr)
        self.assertEqual('guest', target.address)

    def test_what_is_none(self):
        for address, port in (('1.2.3.4.5', 7), ('\0', 7), ('a' * 300, 7),
                              ('127.0.0.1', 0), ('127.0.0.1', 65536)):
            self.assertRaises(
                errors.ProbeError, tcp.resolve, address, port)


class ConnectionTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.selector = mock.Mock(spec=selectors.BaseSelector)
        self.sock = mock.Mock(spec=socket.socket)
        self.useFixture(fixtures.MockPatchObject(
            socket, 'socket', autospec=True, return_value=self.sock))
        self.sock.connect.side_effect = BlockingIOError()
        self.connection = self.connect()

    def connect(self):
        return tcp.EchoConnection(
            tcp.EchoTarget('192.0.2.1', 7, socket.AF_INET, ()),
            self.selector, 'owner')

    def test_the_selector_tells_when_it_is_connected(self):
        self.selector.register.assert_called_once_with(
            self.sock, selectors.EVENT_WRITE, 'owner')
        self.sock.getsockopt.return_value = 0
        self.connection.finish()
        self.selector.modify.assert_called_once_with(
            self.sock, selectors.EVENT_READ, 'owner')

    def test_an_attempt_that_fails_at_once_leaves_nothing(self):
        self.selector.reset_mock()
        self.sock.connect.side_effect = OSError('Network is unreachable')
        self.assertRaises(OSError, self.connect)
        self.sock.close.assert_called_once_with()
        self.selector.register.assert_not_called()

    def test_what_the_kernel_does_not_take_is_sent_later(self):
        sent = []

        def send(data):
            if not taken:
                raise BlockingIOError
            sent.append(bytes(data[:taken.pop()]))
            return len(sent[-1])

        self.sock.send.side_effect = send
        taken = [3]
        self.connection.send(b'0123456789\n')
        taken = [9, 4]
        self.connection.send(b'x\n')
        self.assertEqual([b'012', b'3456', b'789\nx\n'], sent)

    def test_the_outbox_is_full(self):
        self.sock.send.side_effect = BlockingIOError()
        self.connection.send(b'x' * tcp.OUTBOX_BYTES)
        self.assertFalse(self.connection.full)
        self.connection.send(b'x')
        self.assertTrue(self.connection.full)

    def test_nothing_and_the_end(self):
        self.sock.recv.side_effect = [BlockingIOError(), b'x', b'']
        self.assertEqual(b'', self.connection.receive())
        self.assertEqual(b'x', self.connection.receive())
        self.assertRaises(EOFError, self.connection.receive)


class TcpInfoTest(base.TestCase):

    def test_the_present_layout(self):
        info = tcp.TcpInfo.parse(
            BYTES + struct.pack('@24I', *NUMBERS) + NEWER)
        self.assertEqual(
            tcp.TcpInfo(7, 4.0, 4.000015, 4_000_023), info)

    def test_an_old_kernel_says_less(self):
        info = tcp.TcpInfo.parse(
            BYTES + struct.pack('@16I', *NUMBERS[:16]))
        self.assertEqual(tcp.TcpInfo(7, 4.0, 4.000015, 0), info)
        self.assertEqual(tcp.TcpInfo(),
                         tcp.TcpInfo.parse(b''))

    def test_a_connection_on_loopback(self):
        with socket.create_server(('127.0.0.1', 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                info = tcp.TcpInfo.read(client)
                self.assertEqual((0, 0), (
                    info.retransmits, info.retransmissions))
                # TCP_RTO_MIN is 0.2 s, unless a route says otherwise.
                self.assertTrue(0 < info.rto_s <= 3, info)
                self.assertTrue(0 < info.rtt_s < info.rto_s, info)
            self.assertEqual(tcp.TcpInfo(),
                             tcp.TcpInfo.read(client))


class EchoCheckTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.log = answers.AnswerLog('192.0.2.1', 1)
        self.check = tcp.EchoCheck(self.log)
        for number in range(5):
            self.check.ask(number, number)

    def counts(self):
        return self.check.lost, self.check.repeated, self.check.corrupt

    def test_all_come_back_in_pieces(self):
        data = b''.join(self.check.line(number) for number in range(5))
        for position in range(0, len(data), 7):
            self.check.feed(data[position:position + 7], 10 + position, 3)
        self.assertEqual(5, self.check.expected)
        self.assertEqual((0, 0, 0), self.counts())
        self.assertTrue(self.log.snapshot().answered.all())
        self.assertEqual([3] * 5, list(self.check.read_error_ns))
        self.assertFalse(self.check.outstanding)

    def test_one_is_left_out(self):
        self.check.feed(self.check.line(0) + self.check.line(3), 10)
        self.assertEqual((2, 0, 0), self.counts())
        self.assertEqual(4, self.check.expected)
        self.assertTrue(self.check.outstanding)

    def test_one_comes_twice(self):
        self.check.feed(self.check.line(0) * 2, 10)
        self.assertEqual((0, 1, 0), self.counts())

    def test_what_was_never_sent(self):
        for line in (b'hello\n', self.check.line(5), b'\n',
                     b'x' + self.check.line(0), b'0123456789abcdef 0\n',
                     self.check.token + b' 00\n', self.check.token + b' -1\n',
                     self.check.line(10 ** 20)):
            self.check.feed(line, 10)
        self.assertEqual((0, 0, 8), self.counts())
        self.assertIn('hello', self.check.example)
        self.assertEqual(0, self.check.expected)

    def test_a_line_without_an_end(self):
        self.check.feed(b'x' * 5000, 10)
        self.assertEqual((0, 0, 1), self.counts())
        self.check.feed(self.check.line(0), 10)
        self.assertEqual(1, self.check.expected)

    def test_the_first_line_proves_the_service(self):
        self.assertIsNone(self.check.proven)
        self.check.feed(self.check.line(0) + b'garbage\n', 10)
        self.assertTrue(self.check.proven)
        self.check.hang_up()
        self.assertIsNone(self.check.proven)
        self.check.feed(b'garbage\n' + self.check.line(0), 10)
        self.assertFalse(self.check.proven)

    def test_where_nothing_came_back_nothing_is_lost(self):
        self.check.hang_up()
        self.assertEqual((0, 0, 0), self.counts())
        self.assertFalse(self.check.outstanding)
        self.assertEqual(5, self.check.expected)
        # Nor does it count as such later.
        self.check.feed(self.check.ask(6, 6), 11)
        self.assertEqual((0, 0, 0), self.counts())
        self.assertTrue(self.check.proven)

    def test_nor_where_only_garbage_did(self):
        self.check.feed(b'garbage\n', 10)
        self.check.hang_up()
        self.assertEqual((0, 0, 1), self.counts())
        self.assertEqual(5, self.check.expected)

    def test_what_is_under_way_is_lost_with_the_connection(self):
        self.check.feed(self.check.line(0) + self.check.line(1)[:-1], 10)
        self.check.hang_up()
        self.assertEqual((4, 0, 0), self.counts())
        self.assertFalse(self.check.outstanding)
        # The rest of a line that was cut off is not awaited afterwards.
        line = self.check.ask(6, 6)
        self.assertEqual(self.check.line(5), line)
        self.check.feed(line, 11)
        self.assertEqual((4, 0, 0), self.counts())
        self.assertEqual(5, self.log.snapshot().last_answered)
