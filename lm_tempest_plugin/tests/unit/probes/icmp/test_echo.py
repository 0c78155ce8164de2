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

import socket
import struct

import numpy

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import echo
from lm_tempest_plugin.tests.unit import base

FAMILIES = (echo.IPV4, echo.IPV6)


class RequestsTest(base.TestCase):

    def replies(self, requests, family):
        """Return what comes back if all is well."""
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
            requests = echo.Requests(family, 3)
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
        requests = echo.Requests(echo.IPV4, 3)
        for sequence in (0, 1, 65_535, 65_536, 2 ** 32 - 1):
            requests.number(sequence)
            self.assertEqual(
                [0] * 3,
                echo.internet_checksum(requests.packets).tolist())

    def test_without_checksums(self):
        requests = echo.Requests(echo.IPV6, 3)
        requests.checksummed = False
        checksums = requests.packets[:, 2:4].tolist()
        requests.number(5)
        self.assertEqual(checksums, requests.packets[:, 2:4].tolist())

    def test_replies_are_known_again(self):
        for family in FAMILIES:
            requests = echo.Requests(family, 3)
            requests.number(70_000)
            packets = self.replies(requests, family)
            self.assertEqual([0, 1, 2], self.taken(requests, packets))
            _, replies = requests.replies(packets, numpy.full(3, 24))
            self.assertEqual([0, 1, 2], replies['guest'].tolist())
            self.assertEqual([70_000] * 3, replies['sequence'].tolist())

    def test_replies_in_rows_that_are_longer(self):
        requests = echo.Requests(echo.IPV4, 2)
        packets = numpy.zeros((2, 84), numpy.uint8)
        packets[:, :24] = self.replies(requests, echo.IPV4)
        self.assertEqual([0, 1], self.taken(requests, packets))

    def test_a_request_is_no_reply(self):
        for family in FAMILIES:
            requests = echo.Requests(family, 2)
            self.assertEqual([], self.taken(requests, requests.packets))

    def test_a_reply_of_the_other_family_is_none(self):
        requests = echo.Requests(echo.IPV4, 2)
        self.assertEqual([], self.taken(
            requests, self.replies(requests, echo.IPV6)))

    def test_a_packet_that_is_too_short_is_none(self):
        requests = echo.Requests(echo.IPV4, 3)
        self.assertEqual([1], self.taken(
            requests, self.replies(requests, echo.IPV4),
            [23, 24, 0]))

    def test_another_token(self):
        requests = echo.Requests(echo.IPV4, 2)
        others = echo.Requests(echo.IPV4, 2)
        self.assertEqual([], self.taken(
            requests, self.replies(others, echo.IPV4)))

    def test_a_guest_that_is_none_of_ours(self):
        requests = echo.Requests(echo.IPV4, 2)
        packets = self.replies(requests, echo.IPV4)
        packets[1, 19] = 2
        self.assertEqual([0], self.taken(requests, packets))


class ChecksumTest(base.TestCase):

    def test_example_of_rfc_1071(self):
        packets = numpy.array(
            [[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]], numpy.uint8)
        self.assertEqual([~0xddf2 & 0xffff],
                         echo.internet_checksum(packets).tolist())

    def test_carries_that_carry(self):
        packets = numpy.full((1, 24), 255, numpy.uint8)
        self.assertEqual(
            [0], echo.internet_checksum(packets).tolist())


class IpHeaderTest(base.TestCase):

    def packet(self, words, payload=b'payload!'):
        header = bytes([0x40 | words]) + bytes(4 * words - 1)
        return list((header + payload).ljust(84, b'\0'))

    def payloads(self, *packets):
        return [row.tobytes()[:8] for row in echo.without_ip_header(
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
            left = echo.without_ip_header(
                numpy.array([self.packet(words)], numpy.uint8))
            self.assertGreaterEqual(
                left.shape[1], echo.PACKET.itemsize)


class ResolveTest(base.TestCase):

    def test_ipv4(self):
        where = echo.resolve('192.0.2.1')
        self.assertEqual(('192.0.2.1', '192.0.2.1', echo.IPV4),
                         (where.address, where.numeric, where.family))
        self.assertEqual('IPv4', where.family.name)
        self.assertEqual(16, len(where.sockaddr))
        self.assertEqual(socket.inet_aton('192.0.2.1'),
                         where.sockaddr[where.family.address_at])

    def test_ipv6(self):
        where = echo.resolve('2001:db8::1')
        self.assertIs(echo.IPV6, where.family)
        self.assertEqual('IPv6', where.family.name)
        self.assertEqual(28, len(where.sockaddr))
        self.assertEqual(socket.inet_pton(socket.AF_INET6, '2001:db8::1'),
                         where.sockaddr[where.family.address_at])
        self.assertEqual(bytes(4), where.sockaddr[24:])

    def test_link_local(self):
        where = echo.resolve('fe80::1%lo')
        self.assertEqual(socket.inet_pton(socket.AF_INET6, 'fe80::1'),
                         where.sockaddr[where.family.address_at])
        self.assertEqual((socket.if_nametoindex('lo'),),
                         struct.unpack('=I', where.sockaddr[24:]))

    def test_in_digits(self):
        for address, numeric in (
                ('127.1', '127.0.0.1'), ('192.0.2.1', '192.0.2.1'),
                ('2001:DB8:0:0::1', '2001:db8::1'),
                ('fe80::1%lo', 'fe80::1%lo')):
            where = echo.resolve(address)
            self.assertEqual((address, numeric),
                             (where.address, where.numeric))

    def test_a_name_in_digits(self):
        where = echo.resolve('localhost')
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
            where = bytearray(echo.resolve(host).sockaddr)
            where[2:4] = struct.pack('!H', sock.getsockname()[1])
            self.assertEqual({}, echo.mmsg.Outbox(
                packets, [bytes(where)]).send(sock))
            sock.settimeout(5)
            self.assertEqual(bytes(4), sock.recv(100))

    def test_what_is_no_address(self):
        for address in ('no.such.name.invalid', 'x' * 64 + '.invalid', '',
                        '192.0.2.1.1'):
            exc = self.assertRaises(
                errors.ProbeError, echo.resolve, address)
            self.assertIn('%s is no IP address' % address, str(exc))
