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
import select
import socket
from unittest import mock

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import echo
from lm_tempest_plugin.probes.icmp import mmsg
from lm_tempest_plugin.probes.icmp import sockets
from lm_tempest_plugin.tests.unit import base

FAMILIES = (echo.IPV4, echo.IPV6)
DENIED = PermissionError(errno.EACCES, 'Permission denied')
NO_FAMILY = OSError(
    errno.EAFNOSUPPORT, 'Address family not supported by protocol')
NOT_PERMITTED = PermissionError(errno.EPERM, 'Operation not permitted')


def refuse(kind):
    """Return what opens sockets, but for one kind."""
    def opener(family, asked, protocol):
        if asked == kind:
            raise DENIED
        return socket.socket(family, asked, protocol)
    return opener


class OpenTest(base.TestCase):

    def test_datagram_sockets_come_first(self):
        for family in FAMILIES:
            sock = mock.Mock(spec=socket.socket)
            opener = mock.Mock(return_value=sock)
            self.assertEqual((sock, False), sockets.open_socket(
                family, 4711, opener))
            opener.assert_called_once_with(
                family.family, socket.SOCK_DGRAM, family.protocol)
            sock.setblocking.assert_called_once_with(False)
            sock.setsockopt.assert_any_call(
                socket.SOL_SOCKET, mmsg.SO_TIMESTAMPNS, 1)
            self.assertNotIn(sockets.SO_ATTACH_FILTER, [
                call.args[1] for call in sock.setsockopt.call_args_list])

    def test_raw_sockets_come_next_and_take_our_replies_alone(self):
        for family, level in (
                (echo.IPV4, sockets.SOL_RAW),
                (echo.IPV6, socket.IPPROTO_ICMPV6)):
            sock = mock.Mock(spec=socket.socket)
            opener = mock.Mock(side_effect=[DENIED, sock])
            self.assertEqual((sock, True), sockets.open_socket(
                family, 4711, opener))
            opener.assert_called_with(
                family.family, socket.SOCK_RAW, family.protocol)
            options = [call.args[:2]
                       for call in sock.setsockopt.call_args_list]
            self.assertIn((level, 1), options)
            self.assertIn((socket.SOL_SOCKET, sockets.SO_ATTACH_FILTER),
                          options)

    def test_neither_allowed_both_reasons_are_given(self):
        opener = mock.Mock(side_effect=[DENIED, NOT_PERMITTED])
        exc = self.assertRaises(
            errors.ProbesNotPermitted, sockets.open_socket,
            echo.IPV4, 4711, opener)
        for part in ('datagram socket', 'Permission denied', 'raw socket',
                     'Operation not permitted', 'ping_group_range',
                     'CAP_NET_RAW'):
            self.assertIn(part, str(exc))

    def test_a_family_that_this_machine_does_not_have(self):
        for family, name in ((echo.IPV4, 'IPv4'), (echo.IPV6, 'IPv6')):
            for failures in ([NO_FAMILY], [DENIED, NO_FAMILY]):
                exc = self.assertRaises(
                    errors.ProbeError, sockets.open_socket, family, 4711,
                    mock.Mock(side_effect=failures))
                # To be permitted more would not help.
                self.assertNotIsInstance(exc, errors.ProbesNotPermitted)
                self.assertEqual('this machine has no %s' % name, str(exc))
                self.assertIs(NO_FAMILY, exc.__cause__)

    def test_what_cannot_be_set_up_is_closed(self):
        for raw in (False, True):
            sock = mock.Mock(spec=socket.socket)
            sock.setsockopt.side_effect = OSError(errno.ENOPROTOOPT, 'no')
            opener = mock.Mock(side_effect=[DENIED] * raw + [sock])
            self.assertRaises(
                OSError, sockets.open_socket, echo.IPV4, 4711, opener)
            sock.close.assert_called_once_with()

    def _test_buffers(self, failing, expected):
        def setsockopt(level, option, value):
            if option in failing:
                raise NOT_PERMITTED

        sock = mock.Mock(spec=socket.socket)
        sock.setsockopt.side_effect = setsockopt
        sockets.open_socket(echo.IPV4, 4711, mock.Mock(return_value=sock))
        self.assertEqual(
            [mock.call(socket.SOL_SOCKET, mmsg.SO_TIMESTAMPNS, 1)] +
            [mock.call(socket.SOL_SOCKET, option, size)
             for option, size in expected], sock.setsockopt.call_args_list)
        sock.close.assert_not_called()

    def test_the_buffers_are_as_large_as_we_say(self):
        self._test_buffers((), (
            (sockets.SO_RCVBUFFORCE, sockets.RECEIVE_BUFFER_BYTES),
            (sockets.SO_SNDBUFFORCE, sockets.SEND_BUFFER_BYTES)))

    def test_the_buffers_are_as_large_as_the_machine_lets_them_be(self):
        self._test_buffers(
            (sockets.SO_RCVBUFFORCE, sockets.SO_SNDBUFFORCE), (
                (sockets.SO_RCVBUFFORCE, sockets.RECEIVE_BUFFER_BYTES),
                (socket.SO_RCVBUF, sockets.RECEIVE_BUFFER_BYTES),
                (sockets.SO_SNDBUFFORCE, sockets.SEND_BUFFER_BYTES),
                (socket.SO_SNDBUF, sockets.SEND_BUFFER_BYTES)))


class RealSocketTest(base.TestCase):

    def test_the_buffers_grow(self):
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(plain.close)
        sock = self.open(echo.IPV4, 0, socket.SOCK_RAW)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.assertGreaterEqual(
                sock.getsockopt(socket.SOL_SOCKET, option),
                plain.getsockopt(socket.SOL_SOCKET, option))

    def open(self, family, identifier, refused):
        try:
            sock, raw = sockets.open_socket(
                family, identifier, refuse(refused))
        except errors.ProbesNotPermitted as exc:
            self.skipTest(str(exc))
        self.addCleanup(sock.close)
        self.assertEqual(refused == socket.SOCK_DGRAM, raw)
        return sock

    def requests(self, address):
        where = echo.resolve(address)
        requests = echo.Requests(where.family, 1)
        return where.family, requests, mmsg.Outbox(
            requests.packets, [where.sockaddr])

    def comes(self, sock, timeout_s=5.0):
        return bool(select.select([sock], [], [], timeout_s)[0])

    def _test_ours_alone(self, address):
        family, requests, outbox = self.requests(address)
        sock = self.open(family, requests.identifier, socket.SOCK_DGRAM)
        other = self.open(
            family, requests.identifier ^ 1, socket.SOCK_DGRAM)
        if outbox.send(sock):
            self.skipTest('this machine cannot send to %s' % address)
        self.assertTrue(self.comes(sock))
        packet = sock.recv(100)
        if family is echo.IPV4:
            packet = packet[20:]
        # The request comes as well on the loopback, but not to us.
        self.assertEqual(family.reply, packet[0])
        self.assertRaises(BlockingIOError, sock.recv, 100)
        self.assertFalse(self.comes(other, 0.05))

    def test_a_raw_ipv4_socket_is_given_ours_alone(self):
        self._test_ours_alone('127.0.0.1')

    def test_a_raw_ipv6_socket_is_given_ours_alone(self):
        self._test_ours_alone('::1')

    def test_a_datagram_socket(self):
        family, _, outbox = self.requests('127.0.0.1')
        sock = self.open(family, 0, socket.SOCK_RAW)
        self.assertEqual({}, outbox.send(sock))
        self.assertTrue(self.comes(sock))
        self.assertEqual(family.reply, sock.recv(100)[0])

    def test_packets_without_room_are_counted(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.bind(('127.0.0.1', 0))
        self.assertEqual(0, sockets.dropped(sock))
        for _ in range(50):
            sock.sendto(bytes(1000), sock.getsockname())
        kept = 0
        while self.comes(sock, 0):
            sock.recv(2000)
            kept += 1
        self.assertEqual(50 - kept, sockets.dropped(sock))
        self.assertLess(kept, 50)
