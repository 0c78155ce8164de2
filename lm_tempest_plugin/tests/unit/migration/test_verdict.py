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

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdicts.Kind
REBOOTED = evidences.Guest(True, 'boot-1', 'boot-2')


class JudgeTest(base.TestCase):

    def judge(self, **kwargs):
        return verdicts.judge(builders.evidence(**kwargs))

    def assert_kind(self, kind, *parts, signature=0, **kwargs):
        verdict = self.judge(**kwargs)
        self.assertEqual((kind, signature), (
            verdict.kind, verdict.signature), verdict.cause)
        for part in parts:
            self.assertIn(part, verdict.cause)
        return verdict

    def test_completed(self):
        verdict = self.assert_kind(Kind.COMPLETED)
        self.assertEqual(('', 'completed'), (verdict.cause, str(verdict)))

    def test_completed_by_the_scheduler_s_choice(self):
        self.assert_kind(Kind.COMPLETED, request=builders.request(
            move=builders.move(destination='')))

    def test_completed_though_the_answer_was_lost(self):
        self.assert_kind(Kind.COMPLETED, request=builders.request(
            refusal=requests.Refusal(0, 'connection reset')))

    def test_completed_with_the_server_paused(self):
        self.assert_kind(
            Kind.COMPLETED, guest=evidences.UNSEEN,
            request=builders.request(
                server=builders.server(status='PAUSED')),
            server=builders.server(status='PAUSED', host='beta'))

    def test_rolled_back(self):
        verdict = self.assert_kind(
            Kind.ROLLED_BACK, 'compute_pre_live_migration', 'no bridge',
            records=(builders.record('failed'),), server=builders.server(),
            transitions=builders.transitions('queued', 'failed'),
            action=builders.action(builders.event(
                actions.PRE, 'Error', host='beta', details='no bridge')))
        self.assertTrue(str(verdict).startswith('rolled back: '))

    def test_failed_by_refusal(self):
        self.assert_kind(
            Kind.FAILED, 'nova refused (HTTP 409): task_state migrating',
            records=(), transitions=(), action=None,
            server=builders.server(), request=builders.request(
                refusal=requests.Refusal(409, 'task_state migrating')))

    def test_failed_without_an_answer(self):
        self.assert_kind(
            Kind.FAILED, 'nova refused (HTTP no answer): reset', records=(),
            transitions=(), action=None, server=builders.server(),
            request=builders.request(refusal=requests.Refusal(0, 'reset')))

    def test_failed_by_precheck(self):
        self.assert_kind(
            Kind.FAILED, 'before anything was begun', 'No valid host',
            'nova-compute of beta is disabled and up',
            records=(builders.record('error'),), server=builders.server(),
            transitions=builders.transitions('accepted', 'error'),
            action=builders.action(builders.event(
                actions.CHECKS, 'Error', details='No valid host')),
            services=(builders.UP[0],
                      hosts.Host('beta', 'disabled', 'up')))

    def test_failed_with_the_server_in_error(self):
        self.assert_kind(
            Kind.FAILED, 'the server is ERROR, and was ACTIVE', 'disk full',
            records=(builders.record('failed'),), guest=evidences.UNSEEN,
            server=builders.server(status='ERROR', fault='disk full'),
            transitions=builders.transitions('queued', 'failed'),
            action=builders.action())

    def test_cancelled(self):
        self.assert_kind(
            Kind.CANCELLED, records=(builders.record('cancelled'),),
            server=builders.server(), abort_asked=True,
            transitions=builders.transitions(
                'queued', 'preparing', 'running', 'cancelled'))

    def test_stuck_server(self):
        self.assert_kind(
            Kind.STUCK, 'waited for the server', signature=7,
            given_up='waited for the server',
            records=(builders.record('cancelled'),),
            server=builders.migrating())

    def test_stuck_record(self):
        self.assert_kind(
            Kind.STUCK, 'waited for the record', signature=8,
            given_up='waited for the record',
            records=(builders.record('queued'),), server=builders.server())

    def test_lost_server(self):
        self.assert_kind(Kind.LOST, 'does not exist any more', server=None)

    def test_lost_comes_before_stuck(self):
        self.assert_kind(Kind.LOST, server=None, given_up='waited')

    def test_lost_guest(self):
        self.assert_kind(
            Kind.LOST, 'calls the server ACTIVE', 'migration completed',
            'does not answer any more', guest=builders.SILENT)
        self.assert_kind(
            Kind.LOST, 'migration rolled back', guest=builders.SILENT,
            records=(builders.record('failed'),), server=builders.server())

    def test_lost_by_a_reboot(self):
        self.assert_kind(
            Kind.LOST, 'started anew', 'boot-1', 'boot-2', guest=REBOOTED)

    def test_two_records_for_one_request(self):
        self.assert_kind(
            Kind.INCONSISTENT, '2 migration records',
            records=(builders.record('error'), builders.record(number=8)))

    def test_completed_on_the_source(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the record is completed and the server is '
            'on host alpha', signature=12, server=builders.server())

    def test_a_guest_that_is_silent_does_not_hide_a_contradiction(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'on host gamma', guest=builders.SILENT,
            server=builders.server(host='gamma'))

    def test_completed_on_a_third_host(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'on host gamma',
            server=builders.server(host='gamma'))

    def test_completed_by_a_record_of_other_hosts(self):
        for hosts_of in ({'source': 'gamma'}, {'destination': 'gamma'}):
            self.assert_kind(
                Kind.INCONSISTENT, 'gamma',
                'the server went from alpha to beta',
                records=(builders.record(**hosts_of),))

    def test_completed_and_in_error(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'is ERROR', 'the record is completed',
            signature=12, server=builders.server(status='ERROR'),
            guest=builders.SILENT)

    def test_in_error_while_the_guest_answers(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the guest answers', signature=11,
            records=(builders.record('failed'),),
            server=builders.server(status='ERROR'))

    def test_failed_on_the_destination(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the record is failed and the server is on '
            'host beta', records=(builders.record('failed'),))

    def test_no_record_on_the_destination(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the record is missing', records=(),
            transitions=())
