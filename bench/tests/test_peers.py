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

import testtools

from bench.precision import peers
from bench.precision import scale

REPLY = '[1795415757.%d] 64 bytes from 198.18.1.1: icmp_seq=%d ttl=64'
PING = '\n'.join((
    'PING 198.18.1.1 (198.18.1.1) 56(84) bytes of data.',
    REPLY % (100000, 1), REPLY % (200000, 2), REPLY % (650000, 6),
    REPLY % (750000, 7), '',
    '--- 198.18.1.1 ping statistics ---',
    '7 packets transmitted, 4 received, 42% packet loss, time 650ms', ''))
FPING = '\n'.join((
    '[1795415755.57899] 198.18.1.1 : [1], 64 bytes, 0.05 ms', '',
    '198.18.1.1 : xmt/rcv/%loss = 388/350/9%, outage(ms) = 380, '
    'min/avg/max = 0/1/2', ''))


class OutputTest(testtools.TestCase):

    def test_ping(self):
        self.assertAlmostEqual(0.35, peers.Ping('a').figure(PING), places=6)
        self.assertAlmostEqual(0.44, peers.FastPing('a').figure(PING),
                               places=6)

    def test_ping_that_saw_no_outage_never_reads_less_than_0(self):
        early = ''.join(PING.splitlines(True)[:3]).replace('.200', '.199')
        self.assertEqual(0, peers.Ping('a').figure(early))

    def test_ping_without_two_replies(self):
        self.assertIsNone(peers.Ping('a').figure(
            ''.join(PING.splitlines(True)[:2])))
        self.assertIsNone(peers.Ping('a').figure(''))

    def test_fping(self):
        self.assertEqual(0.38, peers.Fping('a').figure(FPING))
        self.assertIsNone(peers.Fping('a').figure('fping: no such host'))
        self.assertEqual(['388'], scale.SENT.findall(FPING))

    def test_loss_in_the_osic_loop(self):
        self.assertTrue(peers.NO_LOSS.search('1 received, 0% packet loss,'))
        for share in ('100', '10', '42.5'):
            self.assertFalse(peers.NO_LOSS.search(
                '1 received, %s%% packet loss,' % share))

    def test_all_have_names_of_their_own(self):
        self.assertEqual(len(peers.ALL),
                         len({peer.name for peer in peers.ALL}))
