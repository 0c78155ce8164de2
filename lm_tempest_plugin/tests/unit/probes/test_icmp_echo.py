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
import struct
from unittest import mock

import numpy

from lm_tempest_plugin.probes import datagrams
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp_echo
from lm_tempest_plugin.tests.unit import base

FAMILIES = (icmp_echo.IPV4, icmp_echo.IPV6)
DENIED = PermissionError(errno.EACCES, 'Permission denied')
NO_FAMILY = OSError(
    errno.EAFNOSUPPORT, 'Address family not supported by protocol')
NOT_PERMITTED = PermissionError(errno.EPERM, 'Operation not permitted')


class RequestsTest(base.TestCase):

    def replies(self, requests, family):
        """Return the replies of a guest that is well."""
        packets = requests.packets.copy()
        packets[:, 0] = family.reply
        return packets

    def taken(self, requests, packets, lengths=None):
        """Return the numbers of the packets that are taken for replies."""
        if lengths is None:
            lengths = numpy.full(len(packets), packets.shape[1])
        ours, _ = requests.replies(
            packets, numpy.asarray(lengths, numpy.uintc))
        return numpy.flatnonzero(ours).tolist()

    def test_what_a_request_looks_like(self):
        for family in FAMILIES:
            requests = icmp_echo.Requests(family, 3)
            requests.number(70_000)
            for guest, packet in enumerate(requests.packets):
                kind, code, _, identifier, short, token, to, sequence = (
                    struct.unpack('!BBHHHQII', packet.tobytes()))
                self.assertEqual((family.request, 0), (kind, code))
                self.assertEqual(requests.identifier, identifier)
                self.assertEqual((70_000 & 0xffff, 70_000),
                                 (short, sequence))
                self.assertEqual((requests._token, guest), (token, to))

    def test_checksums(self):
        requests = icmp_echo.Requests(icmp_echo.IPV4, 3)
        for sequence in (0, 1, 65_535, 65_536, 2 ** 32 - 1):
            requests.number(sequence)
            self.assertEqual(
                [0] * 3,
                icmp_echo.internet_checksum(requests.packets).tolist())

    def test_a_longer_request(self):
        requests = icmp_echo.Requests(icmp_echo.IPV4, 2, 1400)
        requests.number(5)
        self.assertEqual((2, 1400), requests.packets.shape)
        self.assertEqual(
            [0] * 2, icmp_echo.internet_checksum(requests.packets).tolist())
        self.assertEqual([0, 1], self.taken(
            requests, self.replies(requests, icmp_echo.IPV4)))

    def test_without_checksums(self):
        requests = icmp_echo.Requests(icmp_echo.IPV6, 3)
        requests.checksummed = False
        checksums = requests.packets[:, 2:4].tolist()
        requests.number(5)
        self.assertEqual(checksums, requests.packets[:, 2:4].tolist())

    def test_replies_are_known_again(self):
        for family in FAMILIES:
            requests = icmp_echo.Requests(family, 3)
            requests.number(70_000)
            packets = self.replies(requests, family)
            self.assertEqual([0, 1, 2], self.taken(requests, packets))
            _, replies = requests.replies(packets, numpy.full(3, 24))
            self.assertEqual([0, 1, 2], replies['guest'].tolist())
            self.assertEqual([70_000] * 3, replies['sequence'].tolist())

    def test_replies_in_rows_that_are_longer(self):
        requests = icmp_echo.Requests(icmp_echo.IPV4, 2)
        packets = numpy.zeros((2, 84), numpy.uint8)
        packets[:, :24] = self.replies(requests, icmp_echo.IPV4)
        self.assertEqual([0, 1], self.taken(requests, packets))

    def test_a_request_is_no_reply(self):
        for family in FAMILIES:
            requests = icmp_echo.Requests(family, 2)
            self.assertEqual([], self.taken(requests, requests.packets))

    def test_a_reply_of_the_other_family_is_none(self):
        requests = icmp_echo.Requests(icmp_echo.IPV4, 2)
        self.assertEqual([], self.taken(
            requests, self.replies(requests, icmp_echo.IPV6)))

    def test_a_packet_that_is_too_short_is_none(self):
        requests = icmp_echo.Requests(icmp_echo.IPV4, 3)
        self.assertEqual([1], self.taken(
            requests, self.replies(requests, icmp_echo.IPV4),
            [23, 24, 0]))

    def test_another_token(self):
        requests = icmp_echo.Requests(icmp_echo.IPV4, 2)
        others = icmp_echo.Requests(icmp_echo.IPV4, 2)
        self.assertEqual([], self.taken(
            requests, self.replies(others, icmp_echo.IPV4)))

    def test_a_guest_that_is_none_of_ours(self):
        requests = icmp_echo.Requests(icmp_echo.IPV4, 2)
        packets = self.replies(requests, icmp_echo.IPV4)
        packets[1, 19] = 2
        self.assertEqual([0], self.taken(requests, packets))


class ChecksumTest(base.TestCase):

    def test_example_of_rfc_1071(self):
        packets = numpy.array(
            [[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]], numpy.uint8)
        self.assertEqual([~0xddf2 & 0xffff],
                         icmp_echo.internet_checksum(packets).tolist())

    def test_carries_that_carry(self):
        packets = numpy.full((1, 24), 255, numpy.uint8)
        self.assertEqual(
            [0], icmp_echo.internet_checksum(packets).tolist())


class IpHeaderTest(base.TestCase):

    def packet(self, words, payload=b'payload!'):
        header = bytes([0x40 | words]) + bytes(4 * words - 1)
        return list((header + payload).ljust(84, b'\0'))

    def payloads(self, *packets):
        return [row.tobytes()[:8] for row in icmp_echo.without_ip_header(
            numpy.array(packets, numpy.uint8))]

    def test_without_options(self):
        self.assertEqual([b'payload!'] * 2, self.payloads(
            self.packet(5), self.packet(5)))

    def test_with_options(self):
        self.assertEqual(
            [b'none....', b'some....', b'most....'], self.payloads(
                self.packet(5, b'none....'), self.packet(7, b'some....'),
                self.packet(15, b'most....')))

    def test_enough_is_left_for_a_reply(self):
        for words in (5, 15):
            left = icmp_echo.without_ip_header(
                numpy.array([self.packet(words)], numpy.uint8))
            self.assertGreaterEqual(
                left.shape[1], icmp_echo.PACKET.itemsize)


class ResolveTest(base.TestCase):

    def test_ipv4(self):
        where = icmp_echo.resolve('192.0.2.1')
        self.assertEqual(('192.0.2.1', '192.0.2.1', icmp_echo.IPV4),
                         (where.address, where.numeric, where.family))
        self.assertEqual('IPv4', where.family.name)
        self.assertEqual(16, len(where.sockaddr))
        self.assertEqual(socket.inet_aton('192.0.2.1'),
                         where.sockaddr[where.family.address_at])

    def test_ipv6(self):
        where = icmp_echo.resolve('2001:db8::1')
        self.assertIs(icmp_echo.IPV6, where.family)
        self.assertEqual('IPv6', where.family.name)
        self.assertEqual(28, len(where.sockaddr))
        self.assertEqual(socket.inet_pton(socket.AF_INET6, '2001:db8::1'),
                         where.sockaddr[where.family.address_at])
        self.assertEqual(bytes(4), where.sockaddr[24:])

    def test_link_local(self):
        where = icmp_echo.resolve('fe80::1%lo')
        self.assertEqual(socket.inet_pton(socket.AF_INET6, 'fe80::1'),
                         where.sockaddr[where.family.address_at])
        self.assertEqual((socket.if_nametoindex('lo'),),
                         struct.unpack('=I', where.sockaddr[24:]))

    def test_in_digits(self):
        for address, numeric in (
                ('127.1', '127.0.0.1'), ('192.0.2.1', '192.0.2.1'),
                ('2001:DB8:0:0::1', '2001:db8::1'),
                ('fe80::1%lo', 'fe80::1%lo')):
            where = icmp_echo.resolve(address)
            self.assertEqual((address, numeric),
                             (where.address, where.numeric))

    def test_a_name_in_digits(self):
        where = icmp_echo.resolve('localhost')
        self.assertEqual('localhost', where.address)
        self.assertIn(where.numeric, ('127.0.0.1', '::1'))

    def test_the_kernel_understands_it(self):
        for host, family in (('127.0.0.1', socket.AF_INET),
                             ('::1', socket.AF_INET6)):
            try:
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.bind((host, 0))
            except OSError as exc:
                self.skipTest('no %s here: %s' % (host, exc))
            self.addCleanup(sock.close)
            packets = numpy.zeros((1, 4), numpy.uint8)
            where = bytearray(icmp_echo.resolve(host).sockaddr)
            where[2:4] = struct.pack('!H', sock.getsockname()[1])
            self.assertEqual({}, datagrams.Outbox(
                packets, [bytes(where)]).send(sock))
            sock.settimeout(5)
            self.assertEqual(bytes(4), sock.recv(100))

    def test_what_is_no_address(self):
        for address in ('no.such.name.invalid', 'x' * 64 + '.invalid', '',
                        '192.0.2.1.1'):
            exc = self.assertRaises(
                errors.ProbeError, icmp_echo.resolve, address)
            self.assertTrue(str(exc).startswith(
                f'{address or "an empty text"} is no IP address'), exc)


def refuse(kind):
    """Return an opener of sockets that refuses one kind."""
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
            self.assertEqual((sock, False), icmp_echo.open_socket(
                family, 4711, opener))
            opener.assert_called_once_with(
                family.family, socket.SOCK_DGRAM, family.protocol)
            sock.setblocking.assert_called_once_with(False)
            sock.setsockopt.assert_any_call(
                socket.SOL_SOCKET, datagrams.SO_TIMESTAMPNS, 1)
            self.assertNotIn(icmp_echo.SO_ATTACH_FILTER, [
                call.args[1] for call in sock.setsockopt.call_args_list])

    def test_raw_sockets_come_next_and_take_our_replies_alone(self):
        for family, level in (
                (icmp_echo.IPV4, icmp_echo.SOL_RAW),
                (icmp_echo.IPV6, socket.IPPROTO_ICMPV6)):
            sock = mock.Mock(spec=socket.socket)
            opener = mock.Mock(side_effect=[DENIED, sock])
            self.assertEqual((sock, True), icmp_echo.open_socket(
                family, 4711, opener))
            opener.assert_called_with(
                family.family, socket.SOCK_RAW, family.protocol)
            options = [call.args[:2]
                       for call in sock.setsockopt.call_args_list]
            self.assertIn((level, 1), options)
            self.assertIn((socket.SOL_SOCKET, icmp_echo.SO_ATTACH_FILTER),
                          options)

    def test_neither_allowed_both_reasons_are_given(self):
        opener = mock.Mock(side_effect=[DENIED, NOT_PERMITTED])
        exc = self.assertRaises(
            errors.ProbesNotPermitted, icmp_echo.open_socket,
            icmp_echo.IPV4, 4711, opener)
        for part in ('datagram socket', 'Permission denied', 'raw socket',
                     'Operation not permitted', 'ping_group_range',
                     'CAP_NET_RAW'):
            self.assertIn(part, str(exc))

    def test_a_family_that_this_machine_does_not_have(self):
        for family, name in (
                (icmp_echo.IPV4, 'IPv4'), (icmp_echo.IPV6, 'IPv6')):
            for failures in ([NO_FAMILY], [DENIED, NO_FAMILY]):
                exc = self.assertRaises(
                    errors.ProbeError, icmp_echo.open_socket, family, 4711,
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
                OSError, icmp_echo.open_socket, icmp_echo.IPV4, 4711, opener)
            sock.close.assert_called_once_with()

    def _test_buffers(self, failing, expected):
        def setsockopt(level, option, value):
            if option in failing:
                raise NOT_PERMITTED

        sock = mock.Mock(spec=socket.socket)
        sock.setsockopt.side_effect = setsockopt
        icmp_echo.open_socket(
            icmp_echo.IPV4, 4711, mock.Mock(return_value=sock))
        self.assertEqual(
            [mock.call(socket.SOL_SOCKET, datagrams.SO_TIMESTAMPNS, 1)] +
            [mock.call(socket.SOL_SOCKET, option, size)
             for option, size in expected], sock.setsockopt.call_args_list)
        sock.close.assert_not_called()

    def test_the_buffers_are_as_large_as_we_say(self):
        self._test_buffers((), (
            (icmp_echo.SO_RCVBUFFORCE, icmp_echo.RECEIVE_BUFFER_BYTES),
            (icmp_echo.SO_SNDBUFFORCE, icmp_echo.SEND_BUFFER_BYTES)))

    def test_the_buffers_are_as_large_as_the_machine_lets_them_be(self):
        self._test_buffers(
            (icmp_echo.SO_RCVBUFFORCE, icmp_echo.SO_SNDBUFFORCE), (
                (icmp_echo.SO_RCVBUFFORCE, icmp_echo.RECEIVE_BUFFER_BYTES),
                (socket.SO_RCVBUF, icmp_echo.RECEIVE_BUFFER_BYTES),
                (icmp_echo.SO_SNDBUFFORCE, icmp_echo.SEND_BUFFER_BYTES),
                (socket.SO_SNDBUF, icmp_echo.SEND_BUFFER_BYTES)))


class RealSocketTest(base.TestCase):

    def test_the_buffers_grow(self):
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(plain.close)
        sock = self.open(icmp_echo.IPV4, 0, socket.SOCK_RAW)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.assertGreaterEqual(
                sock.getsockopt(socket.SOL_SOCKET, option),
                plain.getsockopt(socket.SOL_SOCKET, option))

    def open(self, family, identifier, refused):
        try:
            sock, raw = icmp_echo.open_socket(
                family, identifier, refuse(refused))
        except errors.ProbesNotPermitted as exc:
            self.skipTest(str(exc))
        self.addCleanup(sock.close)
        self.assertEqual(refused == socket.SOCK_DGRAM, raw)
        return sock

    def requests(self, address):
        where = icmp_echo.resolve(address)
        requests = icmp_echo.Requests(where.family, 1)
        return where.family, requests, datagrams.Outbox(
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
        if family is icmp_echo.IPV4:
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
        self.assertEqual(0, icmp_echo.dropped(sock))
        for _ in range(50):
            sock.sendto(bytes(1000), sock.getsockname())
        kept = 0
        while self.comes(sock, 0):
            sock.recv(2000)
            kept += 1
        self.assertEqual(50 - kept, icmp_echo.dropped(sock))
        self.assertLess(kept, 50)
