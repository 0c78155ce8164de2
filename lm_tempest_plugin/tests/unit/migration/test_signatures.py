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

"""Each case that nova's history knows, by what is seen of it.

The cases are those of the table in the project's notes on nova; the
evidence is what its column 'black-box signature' says.
"""

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import signatures
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdicts.Kind
WAITED = 'waited 300.0 s for the migration record to end'
GIB = builders.GIB


class SignatureTestCase(base.TestCase):

    def assert_verdict(self, kind, number, *parts, **kwargs):
        """Assert what is said of a migration of which this is known."""
        verdict = verdicts.judge(builders.evidence(**kwargs))
        self.assertEqual((kind, number), (verdict.kind, verdict.signature),
                         verdict.cause)
        for part in parts:
            self.assertIn(part, verdict.cause)

    def assert_stuck(self, number, *parts, status='', **kwargs):
        """The same of a server that nova still holds."""
        found = {
            'given_up': WAITED, 'server': builders.migrating(),
            'records': (builders.record(status),) if status else (),
            'transitions': builders.transitions(
                *([status] if status else [])),
            'action': builders.action(), **kwargs}
        self.assert_verdict(Kind.STUCK, number, WAITED, *parts, **found)


class KnownCasesTest(SignatureTestCase):

    def test_1_domain_not_found_after_the_copy(self):
        self.assert_stuck(
            1, '1662626', 'Domain not found', status='running',
            transitions=builders.transitions(
                'queued', 'preparing', 'running'),
            samples=(builders.sample(10, GIB), builders.sample(20)))

    def test_1_without_a_sample(self):
        self.assert_stuck(1, '1662626', status='running')

    def test_2_an_unknown_exception_in_the_conductor(self):
        self.assert_stuck(
            2, '1694406', 'conductor', 'KeyError', status='error',
            action=builders.action(builders.event(
                actions.CHECKS, 'Error', details='KeyError')))

    def test_3_no_answer_within_the_rpc_time_out(self):
        asked = builders.request(
            move=builders.move(microversion='2.30'),
            refusal=requests.Refusal(500, 'MessagingTimeout'))
        for status in ('', 'accepted'):
            self.assert_stuck(3, '1276214', '2.34', status=status,
                              request=asked)

    def test_3_no_answer_at_all(self):
        self.assert_stuck(3, '1276214', request=builders.request(
            refusal=requests.Refusal(0, 'connection reset')))

    def test_a_clean_refusal_is_not_3(self):
        self.assert_stuck(0, request=builders.request(
            refusal=requests.Refusal(409, 'task_state migrating')))

    def test_4_the_message_to_the_conductor_is_lost(self):
        self.assert_stuck(4, 'conductor', 'lost')

    def test_5_the_message_to_the_source_is_lost(self):
        self.assert_stuck(5, 'source host never took', status='accepted')

    def test_5_the_source_is_down(self):
        self.assert_stuck(
            5, 'source host never took', 'nova-compute of alpha is enabled '
            'and down', status='accepted', services=builders.SOURCE_DOWN)

    def test_6_the_pool_of_the_source_is_shut_down(self):
        self.assert_stuck(
            6, 'LiveMigrationNotSubmitted', status='error',
            action=builders.action(
                builders.event(actions.CHECKS),
                builders.event(actions.JOB, 'Error',
                               details='LiveMigrationNotSubmitted')))

    def test_7_a_graceful_stop_of_the_source(self):
        self.assert_stuck(
            7, '_cleanup_live_migrations_in_pool', status='cancelled',
            transitions=builders.transitions('queued', 'cancelled'))

    def test_8_a_crash_of_the_source(self):
        for status in ('queued', 'preparing'):
            self.assert_stuck(
                8, 'the record never ends', status=status,
                server=builders.server())

    def test_9_an_exception_in_the_setup(self):
        for status in ('error', 'preparing'):
            self.assert_stuck(
                9, 'in the setup', '_rollback_live_migration', status=status,
                transitions=builders.transitions('queued', 'preparing'),
                action=builders.action(
                    builders.event(actions.CHECKS),
                    builders.event(actions.JOB),
                    builders.event(actions.PRE, 'Error')))

    def test_10_an_abort_while_queued(self):
        self.assert_stuck(
            10, '1949808', '1960412', status='cancelled', abort_asked=True)

    def test_11_split_brain(self):
        self.assert_verdict(
            Kind.INCONSISTENT, 11, '1905944', '1982284', 'the guest answers',
            records=(builders.record('error'),),
            server=builders.server(status='ERROR'),
            transitions=builders.transitions('running', 'error'),
            action=builders.action(builders.event(actions.JOB)))

    def test_12_an_error_after_the_copy(self):
        self.assert_verdict(
            Kind.INCONSISTENT, 12, '1879787', '1843639', '2000069',
            'PortBindingFailed', records=(builders.record('error'),),
            server=builders.server(status='ERROR', host='beta'),
            action=builders.action(
                builders.event(actions.JOB),
                builders.event(actions.POST_AT_DESTINATION, 'Error',
                               details='PortBindingFailed')))

    def test_12_completed_and_migrating_for_ever(self):
        self.assert_stuck(12, '1879787', status='completed')

    def test_12_completed_and_said_to_be_on_the_source(self):
        self.assert_verdict(
            Kind.INCONSISTENT, 12, 'is said to be on the source',
            server=builders.server(host='alpha'))

    def test_13_the_source_was_started_again(self):
        self.assert_verdict(
            Kind.ROLLED_BACK, 13, '1753676',
            records=(builders.record('error'),), server=builders.server(),
            transitions=builders.transitions(
                'queued', 'preparing', 'running', 'error'))

    def test_13_the_source_was_started_again_and_could_not_abort(self):
        # Seen on nova 34: the guest went on to the destination.
        self.assert_verdict(
            Kind.INCONSISTENT, 13, 'failed to abort', 'could not be found',
            records=(builders.record('error'),), server=builders.server(),
            transitions=builders.transitions(
                'queued', 'preparing', 'running', 'error'),
            action=builders.action(
                builders.event(actions.JOB),
                builders.event(actions.ABORT, 'Error',
                               details='Instance x could not be found.')))

    def test_14_a_time_out_in_the_checks(self):
        for guest, kind in ((builders.SILENT, Kind.FAILED),
                            (builders.ANSWERS, Kind.INCONSISTENT)):
            self.assert_verdict(
                kind, 14, '2044235', 'MessagingTimeout', guest=guest,
                records=(builders.record('error'),),
                server=builders.server(
                    status='ERROR', fault='MessagingTimeout'),
                transitions=builders.transitions('accepted', 'error'),
                action=builders.action(
                    builders.event(actions.CHECKS, 'Error')))

    def test_15_the_copy_does_not_come_to_an_end(self):
        self.assert_stuck(
            15, 'writes faster', status='running',
            samples=(builders.sample(10, GIB), builders.sample(20, GIB)))

    def test_15_local_disks_alone(self):
        self.assert_stuck(15, 'writes faster', status='running', samples=(
            builders.sample(10, disk_remaining=GIB),))

    def test_15_post_copy(self):
        self.assert_stuck(15, 'post-copy', status='running (post-copy)',
                          guest=builders.SILENT)

    def test_the_source_went_down_on_the_way(self):
        for status in ('queued', 'preparing', 'running',
                       'running (post-copy)'):
            self.assert_stuck(
                0, 'nobody follows', 'nova-compute of alpha is enabled and '
                'down', status=status, services=builders.SOURCE_DOWN)


class AllTest(base.TestCase):

    def test_each_number_is_known(self):
        self.assertEqual(
            set(range(16)),
            {each.number for each in signatures.SIGNATURES})

    def test_each_cause_is_one_of_its_own(self):
        causes = [each.cause for each in signatures.SIGNATURES]
        self.assertEqual(len(causes), len(set(causes)))

    def test_nothing_is_recognized_in_what_went_well(self):
        self.assertIsNone(signatures.recognize(builders.evidence()))

    def test_nor_where_the_server_is_gone(self):
        found = builders.evidence(server=None, action=None)
        self.assertIsNone(signatures.recognize(found))


class RolledBackTest(base.TestCase):

    def test_nothing_is_recognized_in_a_plain_rollback(self):
        found = builders.evidence(
            records=(builders.record('failed'),), server=builders.server(),
            transitions=builders.transitions('queued', 'running', 'failed'))
        self.assertIsNone(signatures.recognize(found))
