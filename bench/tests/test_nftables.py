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

from bench.precision import nftables


class EdgesTest(testtools.TestCase):

    outages = (nftables.Blockade('192.0.2.1', 100, 300),
               nftables.Blockade('192.0.2.2', 100, 200),
               nftables.Blockade('2001:db8::1', 100, 300))

    def test_what_happens_at_once_is_one_command(self):
        edges = nftables.edges(self.outages)
        self.assertEqual(
            [(100, 'add', 3), (200, 'delete', 1), (300, 'delete', 2)],
            [(edge.at_ns, edge.verb, len(edge.addresses))
             for edge in edges])
        self.assertEqual(
            'add element inet bench blocked { 192.0.2.1, 192.0.2.2 }\n'
            'add element inet bench blocked6 { 2001:db8::1 }',
            edges[0].command())

    def test_truth_lies_between_the_readings(self):
        clocks = {(100, 'add'): (110, 130), (200, 'delete'): (210, 220),
                  (300, 'delete'): (310, 314)}
        first, second, _ = nftables.truth(self.outages, clocks)
        self.assertEqual((120, 312, 12), (
            first['begin_ns'], first['end_ns'], first['uncertainty_ns']))
        self.assertEqual((120, 215, 15), (
            second['begin_ns'], second['end_ns'], second['uncertainty_ns']))
