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

import fixtures

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.migration import reasons
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdict.Kind


class JudgeTestCase(base.TestCase):

    def assert_kind(self, kind, *parts, signature='', **changes):
        found = verdict.judge(builders.new_evidence(**changes))
        self.assertEqual(kind, found.kind, found.cause)
        if signature is not None:
            self.assertEqual(signature, found.signature, found.cause)
        for part in parts:
            self.assertIn(part, found.cause)
        return found


class JudgeTest(JudgeTestCase):

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

    def test_a_task_that_is_left(self):
        self.assert_kind(
            Kind.FAILED, 'the server is ACTIVE (migrating), and was ACTIVE',
            records=(builders.record('failed'),),
            guest=evidence.NOT_INSPECTED,
            server=builders.server(task_state='migrating'))

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

    def test_stuck_and_finished_since_then(self):
        self.assert_kind(
            Kind.STUCK, 'waited 60 s', 'nova has finished since then: the '
            'record is completed, and the server is ACTIVE on host beta',
            timed_out='waited 60 s')

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
            Kind.LOST, 'the guest does not answer any more, for 335 s now; '
            'the server is ACTIVE, and the record is completed; '
            'libvirt on beta: hangs', guest=schema.GuestState(
                answers=False, silent_s=335.2,
                libvirt_state='libvirt on beta: hangs'))
        self.assert_kind(
            Kind.LOST, 'does not answer any more', 'the record is failed',
            guest=builders.SILENT, records=(builders.record('failed'),),
            server=builders.server())

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
        for guest, kind in ((builders.ANSWERS, Kind.INCONSISTENT),
                            (evidence.NOT_INSPECTED, Kind.INCONSISTENT),
                            (builders.SILENT, Kind.LOST)):
            self.assert_kind(
                kind, 'is ERROR', 'the record is completed',
                signature='post-failed', guest=guest,
                server=builders.server(status='ERROR'))

    def test_in_error_while_libvirt_runs_the_guest(self):
        error = builders.server(host='alpha', status='ERROR')
        for state, kind in (('running', Kind.INCONSISTENT),
                            ('paused', Kind.FAILED)):
            found = self.assert_kind(
                kind, 'is ERROR', server=error, signature=None,
                guest=evidence.NOT_INSPECTED,
                records=(builders.record('failed'),),
                traces=builders.traces(alpha=state, beta=''))
            self.assertEqual(kind is Kind.INCONSISTENT, (
                'libvirt runs its guest on host alpha') in found.cause)

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


class GuestTest(JudgeTestCase):
    """What the guest does is told, whatever nova calls the server."""

    def test_a_server_in_error_with_a_silent_guest_is_lost(self):
        self.assert_kind(
            Kind.LOST, 'the guest does not answer any more; the server is '
            'ERROR, and was ACTIVE, and the record is failed', 'disk full',
            records=(builders.record('failed'),), guest=builders.SILENT,
            server=builders.server(status='ERROR', fault='disk full'))

    def test_a_stuck_server_with_a_silent_guest(self):
        self.assert_kind(
            Kind.STUCK, 'waited; ', 'the guest does not answer any more',
            'libvirt: paused on host alpha, running on host beta',
            signature='post-copy-stuck', timed_out='waited',
            records=(builders.record('running (post-copy)'),),
            server=builders.migrating(), guest=builders.SILENT,
            traces=builders.traces(alpha='paused', beta='running'))


class HostsTest(JudgeTestCase):
    """Where the guest runs, as libvirt shows it."""

    def test_it_runs_on_both_hosts(self):
        for changes in ({}, {'timed_out': 'waited'}, {'server': None},
                        {'guest': builders.SILENT}):
            self.assert_kind(
                Kind.RUNS_TWICE, 'runs the guest on hosts alpha and beta',
                traces=builders.traces(alpha='running', beta='running'),
                **changes)

    def test_a_paused_source_after_the_hand_over_does_not_run(self):
        self.assert_kind(Kind.COMPLETED, traces=builders.traces(
            alpha='paused', beta='running'))

    def test_it_is_dead(self):
        for guest, states in (
                (builders.SILENT, {'alpha': '', 'beta': ''}),
                (builders.SILENT, {'alpha': '', 'beta': 'shut off'}),
                (evidence.NOT_INSPECTED, {'alpha': 'crashed', 'beta': ''})):
            for changes in (
                    {}, {'server': builders.server(status='ERROR')},
                    {'server': builders.migrating(), 'timed_out': 'waited'}):
                found = self.assert_kind(
                    Kind.LOST, 'the guest is dead: ', 'on host beta; the '
                    'server is', signature=None,
                    guest=guest, traces=builders.traces(**states),
                    **changes)
                self.assertIn(states['beta'] or 'no domain', found.cause)

    def test_it_was_off_before(self):
        for status in ('SHUTOFF', 'SUSPENDED'):
            server = builders.server(status=status)
            for state in ('shut off', ''):
                self.assert_kind(
                    Kind.FAILED, 'nova refused (HTTP 409): no',
                    signature=None, server=server, records=(),
                    transitions=(), action=None, guest=evidence.NOT_INSPECTED,
                    traces=builders.traces(alpha=state, beta=''),
                    request=builders.new_request(
                        server=server, refusal=builders.refusal()))

    def test_it_answers_and_libvirt_knows_no_living_domain(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the guest answers, and libvirt shows no '
            'domain on host alpha, no domain on host beta', 'virsh_command',
            traces=builders.traces(alpha='', beta=''))

    def test_it_runs_elsewhere_and_its_host_cannot_be_asked(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'nova shows it on host beta, and libvirt runs '
            'its guest on host alpha',
            traces=builders.traces(alpha='running'))

    def test_a_host_that_could_not_be_asked_may_have_it(self):
        self.assert_kind(
            Kind.COMPLETED, traces=builders.traces(alpha=''))
        self.assert_kind(
            Kind.COMPLETED, traces=builders.traces(
                alpha='', gamma=''))

    def test_a_paused_server_lives(self):
        paused = builders.server(status='PAUSED')
        self.assert_kind(
            Kind.COMPLETED, guest=evidence.NOT_INSPECTED,
            request=builders.new_request(server=paused),
            server=builders.server(status='PAUSED', host='beta'),
            traces=builders.traces(alpha='', beta='paused'))

    def test_nova_and_libvirt_contradict_each_other(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'nova shows it on host beta, and libvirt runs '
            'its guest on host alpha',
            traces=builders.traces(alpha='running', beta=''))
        self.assert_kind(
            Kind.INCONSISTENT, 'nova shows it on host alpha, and libvirt '
            'runs its guest on host beta', records=(
                builders.record('error'),), server=builders.server(),
            traces=builders.traces(alpha='', beta='running'),
            signature='source-restarted')

    def reset(self, **changes):
        """Return evidence of a source that restarted while copying."""
        return {
            'records': (builders.record('error'),),
            'server': builders.server(),
            'transitions': builders.transitions('queued', 'running', 'error'),
            'action': builders.action(builders.event(
                actions.ABORT, 'Error', details='not found')), **changes}

    def test_it_is_not_guessed_where_it_runs_if_the_hosts_tell(self):
        self.assert_kind(
            Kind.INCONSISTENT, 'the hosts could not be asked',
            signature='source-restarted-copy-continued', **self.reset())
        self.assert_kind(
            Kind.ROLLED_BACK, 'failed while copying',
            'libvirt: running on host alpha, no domain on host beta',
            signature='source-restarted', **self.reset(
                traces=builders.traces(alpha='running', beta='')))

    def test_libvirt_still_copies(self):
        copy = copying.Copying(copying.Pace.MOVES, 'moves: 3.0 MiB/s')
        self.assert_kind(
            Kind.INCONSISTENT, 'nova calls the record error, and libvirt '
            'still copies the guest', 'the copy moves: 3.0 MiB/s',
            signature='source-restarted', **self.reset(
                copy=copy, traces=builders.traces(
                    alpha='running', beta='paused')))


class AbortTest(JudgeTestCase):

    def aborted(self, status, **changes):
        return {'records': (builders.record(status),),
                'server': builders.server(), 'abort_requested': True,
                'transitions': builders.transitions('running', status),
                **changes}

    def test_it_is_judged_by_what_was_asked(self):
        found = self.assert_kind(Kind.CANCELLED, **self.aborted('cancelled'))
        self.assertEqual('', found.cause)
        for status in ('failed', 'error'):
            self.assert_kind(
                Kind.CANCELLED, f'nova calls the record {status}',
                **self.aborted(status))

    def test_a_failure_stays_one(self):
        for kind, changes in (
                (Kind.LOST, {'guest': builders.SILENT}),
                (Kind.FAILED, {'server': builders.server(status='ERROR'),
                               'guest': evidence.NOT_INSPECTED}),
                (Kind.INCONSISTENT, {'server': builders.server(host='beta')})):
            self.assert_kind(kind, **self.aborted('failed', **changes))

    def test_nobody_asked_for_it(self):
        self.assert_kind(Kind.ROLLED_BACK, **self.aborted(
            'failed', abort_requested=False))


class CauseTest(JudgeTestCase):

    def test_the_reason_in_the_log(self):
        self.useFixture(fixtures.MockPatchObject(
            reasons, 'classify', return_value=reasons.Reason(
                'certificate', 'libvirt: certificate has expired')))
        self.assert_kind(
            Kind.ROLLED_BACK, 'libvirt: certificate has expired '
            '(certificate)', records=(builders.record('failed'),),
            server=builders.server())

    def test_other_actions_are_named_with_their_users(self):
        self.assert_kind(
            Kind.LOST, 'meanwhile stop by user u1, delete by user u2',
            signature='server-deleted', server=None, other_actions=(
                builders.other_action('stop', 'u1'),
                builders.other_action('delete', 'u2')))

    def test_an_open_event_says_who_is_waited_for_and_how_long(self):
        self.assert_kind(
            Kind.STUCK, 'nova has waited 85 s for '
            'compute_check_can_live_migrate_destination on host beta: not '
            'ended', signature='checks-not-ended', timed_out='waited',
            records=(builders.record('accepted'),),
            server=builders.migrating(),
            collected_at=builders.second(27), cloud_clock_ahead_s=60.0,
            action=builders.action(
                builders.event(actions.CHECKS, '', finish=None),
                builders.event('compute_check_can_live_migrate_destination',
                               '', start=2, finish=None, host='beta')))
