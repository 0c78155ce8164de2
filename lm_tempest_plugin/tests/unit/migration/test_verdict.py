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

from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

BOUNDS = verdict.Bounds(max_outage_s=1.0, max_stall_s=3.0)


class JudgeTest(base.TestCase):

    def judge(self, **kwargs):
        return verdict.judge(builders.attempt(**kwargs), BOUNDS)

    def assert_one(self, *parts, **kwargs):
        """Assert that one expectation is not met, and what is said of it."""
        judged = self.judge(**kwargs)
        self.assertFalse(judged.good)
        self.assertEqual(1, len(judged.violations), judged.violations)
        for part in parts:
            self.assertIn(part, judged.violations[0])

    def test_all_is_well(self):
        judged = self.judge()
        self.assertEqual((), judged.violations)
        self.assertTrue(judged.good)

    def test_no_record(self):
        self.assert_one('exactly one', 'found 0',
                        outcome=builders.outcome([]))

    def test_two_records(self):
        self.assert_one('exactly one', 'found 2', outcome=builders.outcome(
            [builders.record(), builders.record(number=8)]))

    def test_record_not_completed(self):
        self.assert_one('record 7 is failed', outcome=builders.outcome(
            [builders.record('failed')]))

    def test_record_with_wrong_hosts(self):
        self.assert_one('source gamma, not alpha', outcome=builders.outcome(
            [builders.record(source='gamma')]))
        self.assert_one('destination none, not beta',
                        outcome=builders.outcome(
                            [builders.record(destination='')]))

    def test_given_up(self):
        self.assert_one('waited 30 s', outcome=builders.outcome(
            given_up='waited 30 s'))

    def test_server(self):
        self.assert_one('is ERROR', outcome=builders.outcome(status='ERROR'))
        self.assert_one('task state migrating', outcome=builders.outcome(
            task_state='migrating'))
        self.assert_one('on host alpha, not beta',
                        outcome=builders.outcome(host='alpha'))

    def test_outage(self):
        self.assert_one('1.200 s', 'more than 1 s', '20 probes lost',
                        continuity=builders.continuity(
                            outage=builders.outage(1.2)))
        self.assert_one('not over', continuity=builders.continuity(
            outage=builders.outage(1.2, open=True)))

    def test_blind_probes_are_no_proof(self):
        self.assert_one('cannot tell', '1.500 s',
                        continuity=builders.continuity(
                            outage=builders.outage(
                                sending=builders.sending(resolution_s=1.5))))

    def test_probes_that_could_not_be_sent_are_said(self):
        judged = self.judge(continuity=builders.continuity(
            outage=builders.outage(
                0, send_errors=9, send_error='No way',
                sending=builders.sending(resolution_s=1.5))))
        self.assertEqual(2, len(judged.violations))
        self.assertIn('9 probes could not be sent', judged.violations[1])
        self.assertTrue(self.judge(continuity=builders.continuity(
            outage=builders.outage(send_errors=1, send_error='x'))).good)

    def test_stall(self):
        for kwargs, part in (
                ({'longest_s': 3.1}, 'stall of 3.100 s'),
                ({'longest_s': 3.1, 'open': True}, 'not over'),
                ({'breaks': builders.broken('reset')}, 'broke: reset'),
                ({'trouble': 'TCP port 7 of x: refused'}, 'refused'),
                ({'lost': 2}, '2 messages were lost'),
                ({'repeated': 4}, '4 repeated'),
                ({'corrupt': 1, 'example': 'xyz'}, 'xyz')):
            self.assert_one(part, continuity=builders.continuity(
                stall=builders.stall(**kwargs)))

    def test_boot_id(self):
        self.assert_one('rebooted', boot_ids=verdict.BootIds('a', 'b'))
        self.assert_one('not known: no SSH', boot_ids=verdict.BootIds(
            'a', None, 'no SSH'))


class TellTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.judged = verdict.judge(builders.attempt(
            outcome=builders.outcome(
                [builders.record('failed')], host='alpha',
                fault='libvirt has gone'),
            failed_events='compute_live_migration on host alpha: gone'),
            BOUNDS)

    def test_the_message_names_everything(self):
        message = self.judged.message()
        for part in (fakes.SERVER_ID, 'guest', 'from alpha to beta',
                     'record 7 failed', 'status ACTIVE, task state None, '
                     'host alpha', 'libvirt has gone', 'req-1',
                     'compute_live_migration on host alpha: gone',
                     '1.50 s record 7 running',
                     '- migration record 7 is failed, not completed',
                     '- the server is on host alpha, not beta'):
            self.assertIn(part, message)

    def test_the_line(self):
        line = self.judged.line()
        self.assertNotIn('\n', line)
        for part in ('BAD after 20.0 s', '0.200 s +/- 0.010 s', 'bound 1 s',
                     '0.650 s', 'bound 3 s', '0.0100 s', '0.0101 s'):
            self.assertIn(part, line)

    def test_the_detail_is_json_with_units(self):
        detail = json.loads(json.dumps(self.judged.as_dict()))
        self.assertEqual(20.0, detail['duration_s'])
        self.assertEqual(0.2, detail['icmp']['longest_outage_s'])
        self.assertEqual(0.01, detail['icmp']['error_bound_s'])
        self.assertEqual(0, detail['icmp_control']['longest_outage_s'])
        self.assertEqual(0.65, detail['tcp']['longest_stall_s'])
        self.assertEqual((1.0, 3.0),
                         (detail['max_outage_s'], detail['max_stall_s']))
        self.assertEqual((0.01, 0.0101), (
            detail['icmp']['period_s'],
            detail['icmp']['achieved_period_s']))
        self.assertEqual('running', detail['transitions'][0]['state'])
        self.assertEqual('failed', detail['migration_records'][0]['status'])
        self.assertEqual(2, len(detail['violations']))
