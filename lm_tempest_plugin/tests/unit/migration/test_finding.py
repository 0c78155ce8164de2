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

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdicts.Kind


def failed():
    """Return what is known of a migration that was rolled back."""
    return builders.evidence(
        records=(builders.record('failed'),),
        server=builders.server(fault='libvirt has gone'),
        action=builders.action(builders.event(
            actions.JOB, 'Error', details='gone')))


class ViolationsTest(base.TestCase):

    def assert_one(self, *parts, **kwargs):
        """Assert that one expectation is not met, and what is said of it."""
        found = builders.finding(**kwargs)
        self.assertFalse(found.good)
        self.assertEqual(1, len(found.violations), found.violations)
        for part in parts:
            self.assertIn(part, found.violations[0])

    def test_all_is_well(self):
        found = builders.finding()
        self.assertEqual((), found.violations)
        self.assertTrue(found.good)

    def test_another_verdict(self):
        self.assert_one('the verdict is rolled back', 'libvirt has gone',
                        'expected: completed', known=failed())
        self.assert_one('expected: failed or cancelled',
                        expected=(Kind.FAILED, Kind.CANCELLED))

    def test_what_is_expected_is_good(self):
        self.assertTrue(builders.finding(
            failed(), expected=(Kind.FAILED, Kind.ROLLED_BACK)).good)

    def test_a_boot_id_that_is_not_known(self):
        self.assert_one('boot id', 'no SSH', known=builders.evidence(
            guest=evidences.Guest(True, 'a', unread='no SSH')))

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
        found = builders.finding(continuity=builders.continuity(
            outage=builders.outage(
                0, send_errors=9, send_error='No way',
                sending=builders.sending(resolution_s=1.5))))
        self.assertEqual(2, len(found.violations))
        self.assertIn('9 probes could not be sent', found.violations[1])
        self.assertTrue(builders.finding(continuity=builders.continuity(
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

    def test_a_guest_that_was_not_to_answer(self):
        self.assertTrue(builders.finding(continuity=None).good)


class TellTest(base.TestCase):

    def test_the_message_names_everything(self):
        found = builders.finding(failed())
        message = found.message()
        for part in (fakes.SERVER_ID, 'guest', 'from alpha to beta',
                     'record 7 failed', 'status ACTIVE, task state None, '
                     'host alpha', 'libvirt has gone', 'req-1',
                     'compute_live_migration on host alpha: Error (gone)',
                     '4.00 s record running',
                     '- the verdict is rolled back',
                     'alpha (enabled, up)', 'Figures: '):
            self.assertIn(part, message)

    def test_only_bad_ones_are_described(self):
        bad, good = builders.finding(failed()), builders.finding()
        self.assertEqual(bad.message() + '\n\n' + bad.message(),
                         findings.describe([bad, good, bad]))
        self.assertEqual('', findings.describe([good]))

    def test_the_line(self):
        line = builders.finding(failed()).line()
        self.assertNotIn('\n', line)
        for part in ('rolled back (BAD) after 20.0 s',
                     'checks 0.5 +/- 0.5 s, queued 1.0 +/- 1.0 s',
                     'service 18.5 +/- 17.5 s', '0.200 s +/- 0.010 s',
                     'bound 1 s', '0.650 s', 'bound 3 s', '0.0100 s',
                     '0.0101 s'):
            self.assertIn(part, line)
        self.assertIn('completed (good)', builders.finding().line())

    def test_the_line_without_figures(self):
        line = builders.finding(
            builders.evidence(action=None), attempt=builders.attempt(),
            continuity=None).line()
        self.assertIn('(no phase is known)', line)
        self.assertNotIn('outage', line)

    def test_the_detail_is_json_with_units(self):
        detail = json.loads(json.dumps(builders.finding(failed()).as_dict()))
        self.assertEqual(
            ('rolled back', ['completed'], 0, 20.0, 1.0),
            tuple(detail[name] for name in (
                'verdict', 'expected_verdicts', 'signature', 'duration_s',
                'queue_s')))
        self.assertIn('libvirt has gone', detail['cause'])
        self.assertEqual(['checks', 'queued', 'setup'], [
            phase['name'] for phase in detail['phases']])
        self.assertEqual(18.5, detail['service']['seconds'])
        self.assertEqual(0.2, detail['icmp']['longest_outage_s'])
        self.assertEqual(0.01, detail['icmp']['error_bound_s'])
        self.assertEqual(0, detail['icmp_control']['longest_outage_s'])
        self.assertEqual(0.65, detail['tcp']['longest_stall_s'])
        self.assertEqual((1.0, 3.0),
                         (detail['max_outage_s'], detail['max_stall_s']))
        self.assertEqual((0.01, 0.0101), (
            detail['icmp']['period_s'],
            detail['icmp']['achieved_period_s']))
        self.assertEqual('failed', detail['migration_records'][0]['status'])
        self.assertEqual(1, len(detail['violations']))

    def test_the_detail_of_one_that_never_began(self):
        detail = builders.finding(
            attempt=builders.attempt(), continuity=None).as_dict()
        self.assertIsNone(detail['service'])
        self.assertNotIn('icmp', detail)
