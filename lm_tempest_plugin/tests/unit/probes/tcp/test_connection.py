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
from unittest import mock

import fixtures

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.tcp import connection
from lm_tempest_plugin.tests.unit import base


class ResolveTest(base.TestCase):

    def test_addresses(self):
        target = connection.resolve('127.0.0.1', 7)
        self.assertEqual('TCP port 7 of 127.0.0.1', str(target))
        self.assertEqual((socket.AF_INET, ('127.0.0.1', 7)),
                         (target.family, target.sockaddr))
        self.assertEqual(
            socket.AF_INET6, connection.resolve('::1', 7).family)

    def test_the_first_address_of_a_name(self):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, 7))
                 for address in ('192.0.2.1', '192.0.2.2')]
        with mock.patch.object(socket, 'getaddrinfo', autospec=True,
                               return_value=found):
            target = connection.resolve('guest', 7)
        self.assertEqual(('192.0.2.1', 7), target.sockaddr)
        self.assertEqual('guest', target.address)

    def test_what_is_none(self):
        for address, port in (('1.2.3.4.5', 7), ('\0', 7), ('a' * 300, 7),
                              ('127.0.0.1', 0), ('127.0.0.1', 65536)):
            self.assertRaises(
                errors.ProbeError, connection.resolve, address, port)


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
        return connection.Connection(
            connection.Target('192.0.2.1', 7, socket.AF_INET, ()),
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
        self.connection.send(b'x' * connection.OUTBOX_BYTES)
        self.assertFalse(self.connection.full)
        self.connection.send(b'x')
        self.assertTrue(self.connection.full)

    def test_nothing_and_the_end(self):
        self.sock.recv.side_effect = [BlockingIOError(), b'x', b'']
        self.assertEqual(b'', self.connection.receive())
        self.assertEqual(b'x', self.connection.receive())
        self.assertRaises(EOFError, self.connection.receive)
