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

import random

import testtools

from bench.precision import episodes
from bench.precision import scale
from bench.precision import tcp_stalls
from bench.precision import testbed

NS = episodes.NS


class PlansTest(testtools.TestCase):

    def test_trials(self):
        planned = episodes.plan_trials(3, 4, random.Random(1))
        self.assertEqual(3 * 2 * 8, len(planned))
        lanes = episodes.by_address(planned)
        self.assertEqual(4, len(lanes))
        self.assertEqual(2, sum(':' in address for address in lanes))
        for lane in lanes.values():
            for before, after in zip(lane, lane[1:]):
                self.assertGreaterEqual(after.start_ns - before.end_ns,
                                        episodes.TAIL_S * NS)

    def test_the_peers_are_met_at_any_phase(self):
        leads_s = [(slot.begin_ns - slot.start_ns) / NS
                   for slot in episodes.plan_trials(12, 4, random.Random(1))]
        self.assertGreaterEqual(min(leads_s), episodes.LEAD_S)
        self.assertGreater(max(leads_s) - min(leads_s), 0.9 * episodes.PHASE_S)

    def test_a_slot_is_shifted_as_a_whole(self):
        slot, = episodes.plan_trials(1, 1, random.Random(1), (1.0,))[:1]
        later = slot.shifted(10)
        self.assertEqual(
            [10] * 3, [later.start_ns - slot.start_ns,
                       later.begin_ns - slot.begin_ns,
                       later.end_ns - slot.end_ns])

    def test_a_seed_is_a_plan(self):
        self.assertEqual(episodes.plan_trials(2, 4, random.Random(7)),
                         episodes.plan_trials(2, 4, random.Random(7)))
        self.assertNotEqual(episodes.plan_trials(2, 4, random.Random(7)),
                            episodes.plan_trials(2, 4, random.Random(8)))

    def test_scenarios(self):
        by_name = {slot.name: slot
                   for slot in episodes.plan_scenarios(
                       random.Random(1), False)}
        loss, = by_name[episodes.RANDOM_LOSS].parts
        self.assertEqual(60 * NS, loss.end_ns - loss.begin_ns)
        self.assertEqual(10, len(by_name[episodes.TEN_OUTAGES].parts))
        for slot in by_name.values():
            episodes.Lane(slot.address, slot.parts)

    def test_outages_at_scale(self):
        for size, blocked in ((1, 1), (300, 10)):
            planned = scale.plan(size, 2, random.Random(1), 1000)
            self.assertEqual(blocked * 4, len(planned))
            for address in {outage.address for outage in planned}:
                episodes.Lane(address, [
                    episodes.Episode('drop', one.begin_ns, one.end_ns)
                    for one in planned if one.address == address])

    def test_tcp_events_have_an_address_each(self):
        planned = tcp_stalls.plan(2, False, random.Random(1), 1000)
        self.assertEqual(24, len(planned))
        self.assertEqual(24, len({event.address for event in planned}))

    def test_addresses(self):
        several = {testbed.far_host(host) for host in range(1000)}
        self.assertEqual(1000, len(several))
        self.assertEqual('198.19.2.1', testbed.far_host(200))
        self.assertEqual('2001:2:0:1::1:1', testbed.tun_host(0, six=True))


class LengthsTest(testtools.TestCase):

    def test_each_is_found_again(self):
        dice = random.Random(1)
        for least_s in episodes.LENGTHS_S:
            for _ in range(100):
                length_s = episodes.draw_length(least_s, dice)
                self.assertTrue(least_s <= length_s <= 1.25 * least_s)
                self.assertEqual(least_s, episodes.least_length(length_s))

    def test_what_is_shorter_than_all(self):
        self.assertEqual(0.02, episodes.least_length(0.001))


class RepeatsTest(testtools.TestCase):

    def test_what_is_claimed_is_looked_at_several_times(self):
        self.assertEqual([1, 1, 1, 5], [
            scale.repeats(size, False) for size in scale.SIZES])
        self.assertEqual(1, scale.repeats(300, True))
