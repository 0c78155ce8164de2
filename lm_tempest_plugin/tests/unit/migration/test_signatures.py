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

"""Every known cause, recognized by its evidence.

The cases are those of the table in the project's notes on nova; the evidence
is that of its column 'black-box signature'.
"""

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration.copying import Pace
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration import signatures
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdict.Kind
WAITED = 'waited 300.0 s for the migration record to end'
GIB = builders.GIB


class SignatureTestCase(base.TestCase):

    def assert_verdict(self, kind, slug, *parts, **changes):
        """Assert the verdict on a migration with changed evidence."""
        found = verdict.judge(builders.new_evidence(**changes))
        self.assertEqual((kind, slug), (found.kind, found.signature),
                         found.cause)
        for part in parts:
            self.assertIn(part, found.cause)

    def assert_stuck(self, slug, *parts, status='', **changes):
        """Assert the same of a server that is still migrating."""
        self.assert_verdict(Kind.STUCK, slug, WAITED, *parts, **{
            'timed_out': WAITED, 'server': builders.migrating(),
            'records': (builders.record(status),) if status else (),
            'transitions': builders.transitions(
                *([status] if status else [])),
            'action': builders.action(), **changes})


class KnownCausesTest(SignatureTestCase):

    def test_domain_not_found_after_the_copy(self):
        self.assert_stuck(
            'running-forever', '1662626', 'Domain not found',
            status='running', transitions=builders.transitions(
                'queued', 'preparing', 'running'),
            progress=(builders.progress(10, GIB), builders.progress(20)))

    def test_running_without_any_progress(self):
        self.assert_stuck('running-forever', '1662626', status='running')

    def test_an_unknown_exception_in_the_conductor(self):
        self.assert_stuck(
            'conductor-failed', '1694406', 'conductor', 'KeyError',
            status='error', action=builders.action(builders.event(
                actions.CHECKS, 'Error', details='KeyError')))

    def test_no_answer_within_the_rpc_time_out(self):
        requested = builders.new_request(
            options=request.RequestOptions(microversion='2.30'),
            refusal=builders.refusal(500, 'MessagingTimeout'))
        for status in ('', 'accepted'):
            self.assert_stuck('api-timed-out', '1276214', '2.34',
                              status=status, request=requested)

    def test_no_answer_at_all(self):
        self.assert_stuck(
            'api-timed-out', '1276214', request=builders.new_request(
                refusal=builders.refusal(0, 'connection reset')))

    def test_a_clean_refusal_is_no_time_out_of_the_api(self):
        self.assert_stuck('', request=builders.new_request(
            refusal=builders.refusal(409, 'task_state migrating')))

    def test_the_message_to_the_conductor_is_lost(self):
        self.assert_stuck('request-lost', 'conductor', 'lost')

    def test_the_message_to_the_source_is_lost(self):
        self.assert_stuck('job-not-accepted', 'source host never accepted',
                          status='accepted')

    def test_the_source_is_down_before_it_accepts(self):
        self.assert_stuck(
            'job-not-accepted', 'source host never accepted',
            'nova-compute of alpha is enabled and down', status='accepted',
            services=builders.SOURCE_DOWN)

    def test_the_pool_of_the_source_is_shut_down(self):
        self.assert_stuck(
            'job-not-submitted', 'LiveMigrationNotSubmitted', status='error',
            action=builders.action(
                builders.event(actions.CHECKS),
                builders.event(actions.JOB, 'Error',
                               details='LiveMigrationNotSubmitted')))

    def test_a_graceful_stop_of_the_source(self):
        self.assert_stuck(
            'stopped-while-queued', '_cleanup_live_migrations_in_pool',
            status='cancelled',
            transitions=builders.transitions('queued', 'cancelled'))

    def test_a_crash_of_the_source(self):
        for status in ('queued', 'preparing'):
            self.assert_stuck(
                'record-abandoned', 'record never ends', status=status,
                server=builders.server())

    def test_a_record_that_cannot_be_written(self):
        self.assert_stuck(
            'record-not-ended', 'nova did not end the record',
            status='running', server=builders.server(host='beta'))

    def test_an_exception_in_the_setup(self):
        for status in ('error', 'preparing'):
            self.assert_stuck(
                'setup-failed', 'in the setup', '_rollback_live_migration',
                status=status,
                transitions=builders.transitions('queued', 'preparing'),
                action=builders.action(
                    builders.event(actions.CHECKS),
                    builders.event(actions.JOB),
                    builders.event(actions.PRE, 'Error')))

    def test_an_abort_while_queued(self):
        self.assert_stuck('abort-before-begin', '1949808', '1960412',
                          status='cancelled', abort_requested=True)

    def test_split_brain(self):
        self.assert_verdict(
            Kind.INCONSISTENT, 'error-with-running-guest', '1905944',
            '1982284', 'the guest answers',
            records=(builders.record('error'),),
            server=builders.server(status='ERROR'),
            transitions=builders.transitions('running', 'error'),
            action=builders.action(builders.event(actions.JOB)))

    def test_an_error_after_the_copy(self):
        self.assert_verdict(
            Kind.INCONSISTENT, 'post-failed', '1879787', '1843639',
            '2000069', 'PortBindingFailed',
            records=(builders.record('error'),),
            server=builders.server(status='ERROR', host='beta'),
            action=builders.action(
                builders.event(actions.JOB),
                builders.event(actions.POST_AT_DESTINATION, 'Error',
                               details='PortBindingFailed')))

    def test_completed_and_migrating_for_ever(self):
        self.assert_stuck('post-failed', '1879787', status='completed')

    def test_completed_and_shown_on_the_source(self):
        self.assert_verdict(
            Kind.INCONSISTENT, 'completed-on-source',
            'shows the server on the source',
            server=builders.server(host='alpha'))

    def test_the_source_restarted(self):
        self.assert_verdict(
            Kind.ROLLED_BACK, 'source-restarted', '1753676',
            records=(builders.record('error'),), server=builders.server(),
            transitions=builders.transitions(
                'queued', 'preparing', 'running', 'error'))

    def test_the_source_restarted_and_could_not_abort(self):
        # Seen on nova 34: the guest went on to the destination.
        self.assert_verdict(
            Kind.INCONSISTENT, 'source-restarted-copy-continued',
            'could not abort', 'could not be found',
            records=(builders.record('error'),), server=builders.server(),
            transitions=builders.transitions(
                'queued', 'preparing', 'running', 'error'),
            action=builders.action(
                builders.event(actions.JOB),
                builders.event(actions.ABORT, 'Error',
                               details='Instance x could not be found.')))

    def test_a_time_out_in_the_checks(self):
        for guest, kind in ((builders.SILENT, Kind.LOST),
                            (schema.GuestState(), Kind.FAILED),
                            (builders.ANSWERS, Kind.INCONSISTENT)):
            self.assert_verdict(
                kind, 'precheck-failed', '2044235', 'MessagingTimeout',
                guest=guest, records=(builders.record('error'),),
                server=builders.server(
                    status='ERROR', fault='MessagingTimeout'),
                transitions=builders.transitions('accepted', 'error'),
                action=builders.action(
                    builders.event(actions.CHECKS, 'Error')))

    def test_the_copy_does_not_end(self):
        for pace, slug in (
                (Pace.NOT_CONVERGING, 'copy-not-converging'),
                (Pace.STANDS_STILL, 'copy-stands-still'),
                (Pace.MOVES, 'copy-slow')):
            self.assert_stuck(
                slug, 'the copy as measured', status='running',
                copy=copying.Copying(pace, 'as measured'))

    def test_libvirt_of_the_source_does_not_answer(self):
        """nova's figures are old then, and show nothing."""
        self.assert_stuck(
            'source-silent', 'host alpha does not answer', status='running',
            silent_hosts=('alpha',), copy=copying.Copying(
                Pace.MOVES, 'by nova'))
        self.assert_stuck(
            'running-forever', 'host beta does not answer', status='running',
            silent_hosts=('beta',))

    def test_the_pace_of_the_copy_is_not_known(self):
        for progress in ({'memory_remaining': GIB}, {'disk_remaining': GIB}):
            self.assert_stuck(
                'copy-not-ended', 'not known', status='running',
                progress=(builders.progress(10, **progress),))

    def test_post_copy_has_no_pace_of_its_own(self):
        self.assert_stuck(
            'post-copy-stuck', status='running (post-copy)',
            copy=copying.Copying(Pace.STANDS_STILL, 'stands still'))

    def waiting(self, *, status='preparing', finish=2, ended=30, **changes):
        """Return evidence of a setup that has ended, and of no copy."""
        return {
            'records': (builders.record(
                status,
                updated_at=f'2026-01-01T00:00:{ended:02}.000000'),),
            'transitions': builders.transitions('queued', 'preparing'),
            'action': builders.action(builders.event(
                actions.PRE, host='beta', finish=finish)),
            'collected_at': builders.second(40), **changes}

    def test_post_copy_failed(self):
        for kind, changes in (
                (Kind.INCONSISTENT, {'server': builders.server(host='beta')}),
                (Kind.LOST, {'server': builders.server(
                    status='ERROR', host='beta')})):
            self.assert_verdict(
                kind, 'post-copy-failed', 'cannot go on',
                guest=builders.SILENT, records=(builders.record('error'),),
                transitions=builders.transitions(
                    'running', 'running (post-copy)', 'error'), **changes)

    def test_neutron_s_event_does_not_come(self):
        self.assert_stuck('vif-plug-timeout', 'network-vif-plugged',
                          'vif_plugging_timeout', **self.waiting())
        for status in ('error', 'failed'):
            self.assert_verdict(
                Kind.ROLLED_BACK, 'vif-plug-timeout', 'before the copy',
                server=builders.server(), **self.waiting(status=status))

    def test_a_short_time_after_the_setup_is_no_wait(self):
        self.assert_verdict(
            Kind.ROLLED_BACK, '', 'before the copy',
            server=builders.server(),
            **self.waiting(status='failed', ended=9))
        self.assert_stuck('setup-failed', **self.waiting(
            collected_at=builders.second(9)))

    def test_clocks_of_hosts_that_differ_show_no_wait(self):
        self.assert_verdict(
            Kind.ROLLED_BACK, '', 'before the copy',
            server=builders.server(), **self.waiting(
                status='failed', transitions=builders.transitions(
                    'queued', 'preparing', 'failed')))

    def test_a_copy_that_began_did_not_wait(self):
        self.assert_verdict(
            Kind.ROLLED_BACK, '', 'while copying', server=builders.server(),
            **self.waiting(status='failed',
                           transitions=builders.transitions('running')))

    def test_the_checks_wait_for_a_host(self):
        self.assert_stuck(
            'checks-not-ended', 'the last unfinished event',
            status='accepted', action=builders.action(
                builders.event(actions.CHECKS, '', finish=None)))

    def test_users_interfere(self):
        self.assert_verdict(
            Kind.LOST, 'server-deleted', 'a user deleted the server',
            server=None, other_actions=(builders.other_action('delete'),))
        self.assert_verdict(
            Kind.INCONSISTENT, 'state-reset', 'resetState by user u',
            server=builders.server(status='ERROR'),
            records=(builders.record('running'),),
            other_actions=(builders.other_action('resetState'),))

    def test_post_copy_does_not_end(self):
        self.assert_stuck('post-copy-stuck', 'post-copy',
                          status='running (post-copy)',
                          guest=builders.SILENT)

    def test_the_source_went_down_during_the_migration(self):
        for status in ('queued', 'preparing', 'running',
                       'running (post-copy)'):
            self.assert_stuck(
                'source-down', 'nothing follows', 'nova-compute of alpha is '
                'enabled and down', status=status,
                services=builders.SOURCE_DOWN)


class AllTest(base.TestCase):

    def test_slugs(self):
        """Results hold them, so a changed slug changes the format."""
        self.assertEqual(
            ['server-deleted', 'state-reset', 'api-timed-out',
             'request-lost', 'checks-not-ended', 'job-not-accepted',
             'source-down', 'abort-before-begin', 'stopped-while-queued',
             'conductor-failed', 'vif-plug-timeout', 'setup-failed',
             'job-not-submitted', 'post-copy-failed', 'post-failed',
             'post-copy-stuck', 'source-silent',
             'copy-not-converging', 'copy-stands-still', 'copy-slow',
             'copy-not-ended', 'running-forever', 'record-abandoned',
             'record-not-ended', 'completed-on-source', 'precheck-failed',
             'error-with-running-guest',
             'source-restarted-copy-continued', 'source-restarted'],
            [each.slug for each in signatures.SIGNATURES])

    def test_each_cause_is_different(self):
        causes = [each.cause for each in signatures.SIGNATURES]
        self.assertEqual(len(causes), len(set(causes)))

    def test_nothing_is_recognized_in_a_completed_migration(self):
        self.assertIsNone(signatures.recognize(builders.new_evidence()))

    def test_nothing_is_recognized_where_the_server_is_gone(self):
        self.assertIsNone(signatures.recognize(
            builders.new_evidence(server=None, action=None)))

    def test_nothing_is_recognized_in_a_plain_rollback(self):
        self.assertIsNone(signatures.recognize(builders.rolled_back(
            transitions=builders.transitions(
                'queued', 'running', 'failed'))))
