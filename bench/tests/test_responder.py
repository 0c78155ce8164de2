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

import struct

import testtools

from bench.precision import responder


def checksum(data):
    """RFC 1071, as plainly as can be."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def icmp(kind, payload, pseudo=b''):
    head = struct.pack('!BBHHH', kind, 0, 0, 0x1234, 7)
    value = checksum(pseudo + head + payload)
    return struct.pack('!BBHHH', kind, 0, value, 0x1234, 7) + payload


SOURCE, TARGET = bytes([198, 18, 0, 1]), bytes([198, 18, 1, 9])
SOURCE6, TARGET6 = b'\x20' * 15 + b'\1', b'\x20' * 15 + b'\2'


def packet4(source, target, kind, payload, options=b''):
    body = icmp(kind, payload)
    words = 5 + len(options) // 4
    return struct.pack('!BBHHHBBH4s4s', 0x40 | words, 0,
                       words * 4 + len(body), 1, 0, 64, 1, 0,
                       source, target) + options + body


def packet6(source, target, kind, payload):
    pseudo = source + target + struct.pack('!II', 8 + len(payload), 58)
    body = icmp(kind, payload, pseudo)
    return struct.pack('!IHBB16s16s', 6 << 28, len(body), 58, 64,
                       source, target) + body


class PacketsTest(testtools.TestCase):

    payloads = (b'', b'x', b'\xff' * 16, bytes(range(56)))

    def test_ipv4(self):
        for payload in self.payloads:
            request = responder.parse(packet4(SOURCE, TARGET, 8, payload))
            self.assertEqual(packet4(TARGET, SOURCE, 0, payload),
                             request.reply)
            self.assertEqual(TARGET, request.address)
            self.assertEqual(SOURCE + b'\x12\x34', request.flow)

    def test_ipv4_with_options(self):
        request = responder.parse(
            packet4(SOURCE, TARGET, 8, b'abc', options=b'\1\1\1\0'))
        self.assertEqual(
            packet4(TARGET, SOURCE, 0, b'abc', options=b'\1\1\1\0'),
            request.reply)

    def test_ipv6(self):
        for payload in self.payloads:
            request = responder.parse(packet6(SOURCE6, TARGET6, 128, payload))
            self.assertEqual(packet6(TARGET6, SOURCE6, 129, payload),
                             request.reply)
            self.assertEqual(TARGET6, request.address)
            self.assertEqual(SOURCE6 + b'\x12\x34', request.flow)

    def test_what_is_no_request(self):
        for packet in (b'', b'\x45', b'\x60' * 39,
                       packet4(SOURCE, TARGET, 0, b''),
                       packet4(SOURCE, TARGET, 8, b'')[:-4],
                       packet6(SOURCE6, TARGET6, 129, b''),
                       packet6(SOURCE6, TARGET6, 133, b'')):
            self.assertIsNone(responder.parse(packet))

    def test_a_patched_checksum_is_the_one_computed_anew(self):
        # Nothing but zeros has no place in a packet that is somebody's.
        for rest in range(1, 0x10000, 257):
            before, after = ([0x0800, rest], [0x0000, rest])
            self.assertEqual(
                checksum(struct.pack('!2H', *after)),
                responder.patched(checksum(struct.pack('!2H', *before)),
                                  0x0800, 0x0000))
