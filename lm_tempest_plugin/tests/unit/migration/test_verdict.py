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
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdict.Kind


class JudgeTest(base.TestCase):

    def assert_kind(self, kind, *parts, signature='', **changes):
        found = verdict.judge(builders.new_evidence(**changes))
        self.assertEqual((kind, signature), (found.kind, found.signature),
                         found.cause)
        for part in parts:
            self.assertIn(part, found.cause)
        return found

    def test_completed(self):
        found = self.assert_kind(Kind.COMPLETED)
        self.assertEqual(('', 'completed'), (found.cause, str(found)))

    def test_completed_by_the_scheduler_s_choice(self):
        self.assert_kind(Kind.COMPLETED,
                         request=builders.new_request(destination=''))

    def test_completed_though_the_answer_was_lost(self):
        self.assert_kind(Kind.COMPLETED, request=builders.new_request(
            refusal=builders.refusal(0, 'connection reset')))

    def test_completed_with_the_server_paused(self):
        self.assert_kind(
            Kind.COMPLETED, guest=evidence.NOT_INSPECTED,
            request=builders.new_request(
                server=builders.server(status='PAUSED')),
            server=builders.server(status='PAUSED', host='beta'))

    def test_rolled_back(self):
        found = self.assert_kind(
            Kind.ROLLED_BACK, 'it failed before the copy',
            'compute_pre_live_migration', 'no bridge',
            records=(builders.record('failed'),), server=builders.server(),
            transitions=builders.transitions('queued', 'failed'),
            action=builders.action(builders.event(
                actions.PRE, 'Error', host='beta', details='no bridge')))
        self.assertTrue(str(found).startswith('rolled back: '))

    def test_rolled_back_while_copying(self):
        self.assert_kind(
            Kind.ROLLED_BACK, 'it failed while copying (last progress after '
            '5.00 s: memory 1024 of', records=(builders.record('failed'),),
            server=builders.server(),
            progress=(builders.progress(5.0, 1024),))

    def test_failed_by_refusal(self):
        self.assert_kind(
            Kind.FAILED, 'nova refused (HTTP 409): task_state migrating',
            records=(), transitions=(), action=None,
            server=builders.server(), request=builders.new_request(
                refusal=builders.refusal(409, 'task_state migrating')))

    def test_failed_without_an_answer(self):
        self.assert_kind(
            Kind.FAILED, 'nova refused (HTTP no answer): reset', records=(),
            transitions=(), action=None, server=builders.server(),
            request=builders.new_request(
                refusal=builders.refusal(0, 'reset')))

    def test_failed_by_the_checks_before(self):
        self.assert_kind(
            Kind.FAILED, 'before anything began', 'No valid host',
            'nova-compute of beta is disabled and up',
            records=(builders.record('error'),), server=builders.server(),
            transitions=builders.transitions('accepted', 'error'),
            action=builders.action(builders.event(
                actions.CHECKS, 'Error', details='No valid host')),
            services=(builders.UP[0], compute_hosts.ComputeService(
                'beta', 'disabled', 'up')))

    def test_failed_with_the_server_in_error(self):
        self.assert_kind(
            Kind.FAILED, 'the server is ERROR, and was ACTIVE', 'disk full',
            records=(builders.record('failed'),),
            guest=evidence.NOT_INSPECTED,
            server=builders.server(status='ERROR', fault='disk full'),
            transitions=builders.transitions('queued', 'failed'),
            action=builders.action())

    def test_cancelled(self):
        self.assert_kind(
            Kind.CANCELLED, records=(builders.record('cancelled'),),
            server=builders.server(), abort_requested=True,
            transitions=builders.transitions(
                'queued', 'preparing', 'running', 'cancelled'))

    def test_stuck_server(self):
        self.assert_kind(
            Kind.STUCK, 'waited for the server',
            signature='stopped-while-queued',
            timed_out='waited for the server',
            records=(builders.record('cancelled'),),
            server=builders.migrating())

    def test_stuck_record(self):
        self.assert_kind(
            Kind.STUCK, 'waited for the record',
            signature='record-abandoned', timed_out='waited for the record',
            records=(builders.record('queued'),), server=builders.server())

    def test_lost_server(self):
        self.assert_kind(Kind.LOST, 'does not exist any more', server=None)

    def test_lost_comes_before_stuck(self):
        self.assert_kind(Kind.LOST, server=None, timed_out='waited')

    def test_lost_guest(self):
        self.assert_kind(
            Kind.LOST, 'calls the server ACTIVE', 'migration completed',
            'does not answer any more', guest=builders.SILENT)
        self.assert_kind(
            Kind.LOST, 'migration rolled back', guest=builders.SILENT,
            records=(builders.record('failed'),), server=builders.server())

    def test_lost_by_a_reboot(self):
        self.assert_kind(
            Kind.LOST, 'booted again', 'boot-1', 'boot-2',
            guest=builders.REBOOTED)

    def test_two_records_for_one_request(self):
        self.assert_kind(
            Kind.INCONSISTENT, '2 migration records',
            records=(builders.record('error'), builders.record(number=8)))

    def test_completed_on_the_source(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the record is completed and the server is '
            'on host alpha', signature='completed-on-source',
            server=builders.server())

    def test_a_silent_guest_does_not_hide_a_contradiction(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'on host gamma', guest=builders.SILENT,
            server=builders.server(host='gamma'))

    def test_completed_on_a_third_host(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'on host gamma',
            server=builders.server(host='gamma'))

    def test_completed_by_a_record_of_other_hosts(self):
        for changes in ({'source': 'gamma'}, {'destination': 'gamma'}):
            self.assert_kind(
                Kind.INCONSISTENT, 'gamma',
                'the server went from alpha to beta',
                records=(builders.record(**changes),))

    def test_completed_and_in_error(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'is ERROR', 'the record is completed',
            signature='post-failed', server=builders.server(status='ERROR'),
            guest=builders.SILENT)

    def test_in_error_while_the_guest_answers(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the guest answers',
            signature='error-with-running-guest',
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
