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

from lm_tempest_plugin.probes.tcp import kernel
from lm_tempest_plugin.tests.unit import base

# What an x86-64 kernel says, with numbers that cannot be mistaken: eight
# bytes and 24 numbers, then what newer kernels add.
BYTES = bytes((1, 0, 7, 0, 3, 7, 0x77, 0))
NUMBERS = [4_000_000 + n for n in range(24)]
NEWER = bytes(range(100))


class TcpInfoTest(base.TestCase):

    def test_the_present_layout(self):
        info = kernel.TcpInfo.parse(
            BYTES + struct.pack('@24I', *NUMBERS) + NEWER)
        self.assertEqual(
            kernel.TcpInfo(7, 4.0, 4.000015, 4_000_023), info)

    def test_an_old_kernel_says_less(self):
        info = kernel.TcpInfo.parse(
            BYTES + struct.pack('@16I', *NUMBERS[:16]))
        self.assertEqual(kernel.TcpInfo(7, 4.0, 4.000015, 0), info)
        self.assertEqual(kernel.TcpInfo(), kernel.TcpInfo.parse(b''))

    def test_a_connection_on_loopback(self):
        with socket.create_server(('127.0.0.1', 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                info = kernel.read(client)
                self.assertEqual((0, 0), (
                    info.retransmits, info.retransmissions))
                # TCP_RTO_MIN is 0.2 s, unless a route says otherwise.
                self.assertTrue(0 < info.rto_s <= 3, info)
                self.assertTrue(0 < info.rtt_s < info.rto_s, info)
            self.assertEqual(kernel.TcpInfo(), kernel.read(client))
