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

import json

import testtools

from bench.precision import children
from bench.precision import scale
from bench.precision import tools

NS = 1_000_000_000

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


def outage(start_s, end_s, **more):
    return {'start_monotonic_s': start_s, 'end_monotonic_s': end_s,
            'duration_s': end_s - start_s, 'error_bound_s': 0.01,
            'kind': 'lost', **more}


def output(*outages, **more):
    return json.dumps({
        'schema': 1, 'started_monotonic_s': 5.5, 'interval_s': 0.01,
        'prober': {'too_busy': False},
        'targets': [{'address': 'a', 'error': None, 'resolution_s': 0.02,
                     'outages': outages}], **more})


class ReportTest(testtools.TestCase):

    def test_the_longest_that_overlaps_is_taken(self):
        report = tools.parse_report(output(
            outage(8.0, 9.9), outage(10.1, 10.2), outage(10.3, 10.9)))
        figure = report.figure('a', 10 * NS, 11 * NS)
        self.assertAlmostEqual(0.6, figure.figure_s)
        self.assertEqual(0.01, figure.bound_s)

    def test_without_one_it_read_0(self):
        report = tools.parse_report(output(outage(8.0, 9.9)))
        self.assertEqual(tools.ToolFigure(0.0, 0.02),
                         report.figure('a', 10 * NS, 11 * NS))

    def test_a_target_that_could_not_be_watched(self):
        report = tools.parse_report(output())
        self.assertRaises(children.BenchError, report.figure, 'b', 0, 1)

    def test_troubles(self):
        self.assertEqual([], tools.parse_report(output()).troubles)
        report = tools.parse_report(output(targets=[
            {'address': 'a', 'error': 'no route', 'outages': []}]))
        self.assertEqual(['no route'], report.troubles)

    def test_other_output_is_an_error(self):
        for text in ('', 'no JSON', output(schema=2)):
            self.assertRaises(children.BenchError, tools.parse_report, text)

    def test_who_starts_late_is_found_out(self):
        report = tools.parse_report(output())
        tools.check_started([report], 6 * NS)
        self.assertRaises(children.BenchError, tools.check_started,
                          [report], 5 * NS)


class PeersTest(testtools.TestCase):

    def test_ping(self):
        self.assertAlmostEqual(0.35, tools.Ping('a').figure(PING), places=6)
        self.assertAlmostEqual(0.44, tools.FastPing('a').figure(PING),
                               places=6)

    def test_ping_that_saw_no_outage_never_reads_less_than_0(self):
        early = ''.join(PING.splitlines(True)[:3]).replace('.200', '.199')
        self.assertEqual(0, tools.Ping('a').figure(early))

    def test_ping_without_two_replies(self):
        self.assertIsNone(tools.Ping('a').figure(
            ''.join(PING.splitlines(True)[:2])))
        self.assertIsNone(tools.Ping('a').figure(''))

    def test_fping(self):
        self.assertEqual(0.38, tools.Fping('a').figure(FPING))
        self.assertIsNone(tools.Fping('a').figure('fping: no such host'))
        self.assertEqual(['388'], scale.SENT.findall(FPING))

    def test_loss_in_the_osic_loop(self):
        self.assertTrue(tools.NO_LOSS.search('1 received, 0% packet loss,'))
        for share in ('100', '10', '42.5'):
            self.assertFalse(tools.NO_LOSS.search(
                '1 received, %s%% packet loss,' % share))

    def test_all_have_names_of_their_own(self):
        self.assertEqual(len(tools.PEERS),
                         len({peer.name for peer in tools.PEERS}))
