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

import selectors
import socket
import struct
from unittest import mock

import fixtures

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import tcp_connection
from lm_tempest_plugin.tests.unit import base

# The struct of an x86-64 kernel, with different numbers in all fields: eight
# bytes and 24 numbers, then the additions of newer kernels.
BYTES = bytes((1, 0, 7, 0, 3, 7, 0x77, 0))
NUMBERS = [4_000_000 + n for n in range(24)]
NEWER = bytes(range(100))


class ResolveTest(base.TestCase):

    def test_addresses(self):
        target = tcp_connection.resolve('127.0.0.1', 7)
        self.assertEqual('TCP port 7 of 127.0.0.1', str(target))
        self.assertEqual((socket.AF_INET, ('127.0.0.1', 7)),
                         (target.family, target.sockaddr))
        self.assertEqual(
            socket.AF_INET6, tcp_connection.resolve('::1', 7).family)

    def test_the_first_address_of_a_name(self):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, 7))
                 for address in ('192.0.2.1', '192.0.2.2')]
        with mock.patch.object(socket, 'getaddrinfo', autospec=True,
                               return_value=found):
            target = tcp_connection.resolve('guest', 7)
        self.assertEqual(('192.0.2.1', 7), target.sockaddr)
        self.assertEqual('guest', target.address)

    def test_what_is_none(self):
        for address, port in (('1.2.3.4.5', 7), ('\0', 7), ('a' * 300, 7),
                              ('127.0.0.1', 0), ('127.0.0.1', 65536)):
            self.assertRaises(
                errors.ProbeError, tcp_connection.resolve, address, port)


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
        return tcp_connection.EchoConnection(
            tcp_connection.EchoTarget('192.0.2.1', 7, socket.AF_INET, ()),
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
        self.connection.send(b'x' * tcp_connection.OUTBOX_BYTES)
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
        info = tcp_connection.TcpInfo.parse(
            BYTES + struct.pack('@24I', *NUMBERS) + NEWER)
        self.assertEqual(
            tcp_connection.TcpInfo(7, 4.0, 4.000015, 4_000_023), info)

    def test_an_old_kernel_says_less(self):
        info = tcp_connection.TcpInfo.parse(
            BYTES + struct.pack('@16I', *NUMBERS[:16]))
        self.assertEqual(tcp_connection.TcpInfo(7, 4.0, 4.000015, 0), info)
        self.assertEqual(tcp_connection.TcpInfo(),
                         tcp_connection.TcpInfo.parse(b''))

    def test_a_connection_on_loopback(self):
        with socket.create_server(('127.0.0.1', 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                info = tcp_connection.TcpInfo.read(client)
                self.assertEqual((0, 0), (
                    info.retransmits, info.retransmissions))
                # TCP_RTO_MIN is 0.2 s, unless a route says otherwise.
                self.assertTrue(0 < info.rto_s <= 3, info)
                self.assertTrue(0 < info.rtt_s < info.rto_s, info)
            self.assertEqual(tcp_connection.TcpInfo(),
                             tcp_connection.TcpInfo.read(client))


class EchoCheckTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.log = answers.AnswerLog('192.0.2.1', 1)
        self.check = tcp_connection.EchoCheck(self.log)
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
