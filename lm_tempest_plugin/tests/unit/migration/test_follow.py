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

import dataclasses

from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

OTHER_ID = '0c7c2bd5-8b8e-4b53-9c39-0d2f2f6a1d11'


def other(status, **kwargs):
    """Return a record of another server."""
    return builders.record(
        status, 9, **{'server_id': OTHER_ID, **kwargs})


class EndTest(base.TestCase):

    def test_active_on_the_destination_is_not_the_end(self):
        moved = builders.server(host='beta')
        followed = builders.migration(
            builders.snapshot(1, [builders.record('running')],
                              builders.migrating()),
            builders.snapshot(2, [builders.record('running')], moved))
        self.assertFalse(followed.ended)
        self.assertEqual(2.0, followed.duration_s)
        followed.update(builders.snapshot(3, [builders.record()], moved))
        self.assertEqual((True, '', 3.0), (
            followed.ended, followed.timed_out, followed.duration_s))

    def test_an_ended_record_with_a_busy_server_is_not_the_end(self):
        followed = builders.migration(
            builders.snapshot(1, [builders.record()], builders.migrating()))
        self.assertFalse(followed.ended)
        for server in (builders.server(task_state='migrating'),
                       builders.server(status='MIGRATING')):
            followed.update(
                builders.snapshot(2, [builders.record()], server))
            self.assertFalse(followed.ended)

    def test_an_error_that_becomes_failed(self):
        followed = builders.migration(
            builders.snapshot(1, [builders.record('error')],
                              builders.migrating()),
            builders.snapshot(3, [builders.record('failed')]),
            builders.snapshot(8, [builders.record('failed')]))
        self.assertTrue(followed.ended)
        self.assertEqual('failed', followed.newest.status)

    def test_a_failure_has_to_be_stable(self):
        for status in ('error', 'failed', 'cancelled'):
            followed = builders.migration(
                builders.snapshot(1, [builders.record(status)]),
                builders.snapshot(5.9, [builders.record(status)]))
            self.assertFalse(followed.ended, status)
            followed.update(builders.snapshot(6, [builders.record(status)]))
            self.assertTrue(followed.ended, status)
            # It had ended with the last change.
            self.assertEqual(1.0, followed.duration_s)

    def test_an_error_may_become_failed_after_the_server_is_free(self):
        followed = builders.migration(
            builders.snapshot(1, [builders.record('error')]),
            builders.snapshot(2, [builders.record('failed')]),
            builders.snapshot(7, [builders.record('failed')]))
        self.assertTrue(followed.ended)
        self.assertEqual(2.0, followed.duration_s)
        self.assertEqual('failed', followed.status)

    def test_a_server_may_go_to_error_after_it_is_free(self):
        # As in nova 34.0.0.
        failed = [builders.record('failed')]
        followed = builders.migration(
            builders.snapshot(1, failed),
            builders.snapshot(3, failed, builders.server(status='ERROR')),
            builders.snapshot(9, failed, builders.server(status='ERROR')))
        self.assertTrue(followed.ended)
        self.assertEqual('ERROR', followed.server.status)
        self.assertEqual(3.0, followed.duration_s)

    def test_all_records_have_to_end(self):
        followed = builders.migration(builders.snapshot(
            1, [builders.record('running'), builders.record(number=8)]))
        self.assertFalse(followed.ended)

    def test_records_from_before_the_request_do_not_count(self):
        followed = builders.migration(builders.snapshot(
            1, [builders.record(number=3), other('completed')]))
        self.assertFalse(followed.ended)
        self.assertEqual((), followed.records)
        self.assertIsNone(followed.newest)
        self.assertEqual('', followed.status)

    def test_a_server_that_was_deleted(self):
        snapshot = dataclasses.replace(
            builders.snapshot(1, [builders.record('running')]),
            servers={fakes.SERVER_ID: None})
        followed = builders.migration(snapshot)
        self.assertTrue(followed.ended)
        self.assertIsNone(followed.server)
        self.assertEqual('gone', followed.transitions[-1].state)

    def test_snapshots_after_the_end_do_not_count(self):
        followed = builders.completed()
        before = list(followed.transitions)
        followed.update(builders.snapshot(25, [builders.record('failed')]))
        self.assertEqual(before, followed.transitions)
        self.assertEqual(20.0, followed.duration_s)


class RefusalTest(base.TestCase):

    def refused(self, status, *snapshots):
        return builders.migration(
            *snapshots, refusal=builders.refusal(status))

    def test_clean(self):
        followed = self.refused(409, builders.snapshot(0.5))
        self.assertEqual((True, ''), (followed.ended, followed.timed_out))

    def test_unclean_and_the_server_is_left_migrating(self):
        followed = self.refused(
            500, builders.snapshot(1, (), builders.migrating()))
        self.assertFalse(followed.ended)
        followed.update(builders.snapshot(30, (), builders.migrating()))
        self.assertIn('no record', followed.timed_out)

    def test_unclean_and_nothing_begins(self):
        followed = self.refused(500, builders.snapshot(4.9))
        self.assertFalse(followed.ended)
        followed.update(builders.snapshot(5))
        self.assertEqual((True, ''), (followed.ended, followed.timed_out))

    def test_unclean_and_the_migration_begins_all_the_same(self):
        followed = self.refused(
            0, builders.snapshot(1, [builders.record('running')],
                                 builders.migrating()))
        self.assertFalse(followed.ended)
        followed.update(builders.snapshot(
            9, [builders.record()], builders.server(host='beta')))
        self.assertEqual((True, ''), (followed.ended, followed.timed_out))


class TimeoutTest(base.TestCase):

    def assert_timed_out(self, followed, *parts):
        self.assertTrue(followed.ended)
        for part in parts:
            self.assertIn(part, followed.timed_out)

    def test_a_record_that_never_ends(self):
        records = [builders.record('running')]
        followed = builders.migration(
            builders.snapshot(29.9, records, builders.migrating()))
        self.assertFalse(followed.ended)
        followed.update(
            builders.snapshot(30, records, builders.migrating()))
        self.assert_timed_out(
            followed, 'waited 30.0 s (limit 30 s',
            'the migration record to end', 'record 7 running from alpha to '
            'beta', 'status MIGRATING, task state migrating, host alpha')
        self.assertEqual(30.0, followed.duration_s)

    def test_no_record_at_all(self):
        self.assert_timed_out(
            builders.migration(builders.snapshot(30)), 'no record')

    def queued(self, records, **kwargs):
        """Return a migration queued for 40 s, beside other records."""
        return builders.migration(
            builders.snapshot(10, [builders.record('queued'), *records],
                              builders.migrating()),
            builders.snapshot(40, [builders.record('queued'), *records],
                              builders.migrating()), **kwargs)

    def test_time_behind_others_does_not_count(self):
        for status in ('preparing', 'running', 'running (post-copy)'):
            followed = self.queued([other(status)])
            self.assertFalse(followed.ended, status)
        # From then on it counts.
        for at_s, ended in ((41, False), (69.9, False), (70, True)):
            followed.update(builders.snapshot(
                at_s, [builders.record('running'), other('completed')],
                builders.migrating()))
            self.assertEqual(ended, followed.ended, at_s)
        self.assert_timed_out(followed, 'waited 30.0 s')

    def test_time_counts_if_the_source_works_on_nothing(self):
        for records in ([], [other('queued')], [other('accepted')],
                        [other('completed')],
                        [other('running', source='gamma')]):
            self.assert_timed_out(self.queued(records), 'waited 40.0 s')

    def test_time_counts_behind_a_migration_that_timed_out(self):
        self.assert_timed_out(
            self.queued([other('running')], timed_out=[OTHER_ID]),
            'waited 40.0 s')

    def test_time_does_not_count_if_only_one_of_two_timed_out(self):
        third = builders.record('running', 10, server_id='third')
        self.assertFalse(self.queued(
            [other('running'), third], timed_out=[OTHER_ID]).ended)

    def test_time_counts_for_one_that_is_not_queued(self):
        followed = builders.migration(builders.snapshot(
            30, [builders.record('accepted'), other('running')]))
        self.assert_timed_out(followed, 'record 7 accepted')

    def test_time_before_it_was_first_seen_does_not_count(self):
        """It is still part of the duration, and of the uncertainty."""
        at_ns = builders.REQUESTED_NS + 100 * builders.S
        followed = follow.Migration(builders.new_request(), 30, 5, at_ns)
        running = [builders.record('running')]
        followed.update(builders.snapshot(129, running))
        self.assertFalse(followed.ended)
        self.assertEqual((129.0, 129.0), (
            followed.duration_s, followed.transitions[0].uncertainty_s))
        followed.update(builders.snapshot(130, running))
        self.assert_timed_out(followed, 'waited 30.0 s')

    def test_a_server_that_keeps_its_task(self):
        followed = builders.migration(*(
            builders.snapshot(at_s, [builders.record()],
                              builders.migrating())
            for at_s in (20, 22, 24.9)))
        self.assertFalse(followed.ended)
        followed.update(builders.snapshot(
            25, [builders.record()], builders.migrating()))
        self.assert_timed_out(
            followed, 'waited 5.0 s (limit 5 s', 'to have no task')

    def test_the_time_to_settle_begins_anew_with_another_record(self):
        followed = builders.migration(
            builders.snapshot(10, [builders.record('error')],
                              builders.migrating()),
            builders.snapshot(14, [builders.record('error'),
                                   builders.record('accepted', 8)],
                              builders.migrating()),
            builders.snapshot(16, [builders.record('error'),
                                   builders.record('error', 8)],
                              builders.migrating()))
        self.assertFalse(followed.ended)


class TransitionTest(base.TestCase):

    def test_each_with_its_uncertainty(self):
        followed = builders.migration(
            builders.snapshot(0.5, [builders.record('queued')],
                              builders.migrating(), asked_s=0.4),
            builders.snapshot(1.0, [builders.record('queued')],
                              builders.migrating(), asked_s=0.8),
            builders.snapshot(2.0, [builders.record('running')],
                              builders.migrating(), asked_s=1.9),
            builders.snapshot(3.0, [builders.record()],
                              builders.server(host='beta'), asked_s=2.9))
        migrating = 'status MIGRATING, task state migrating, host alpha'
        self.assertEqual(
            [(0.5, 0.5, 'record', 'queued'), (0.5, 0.5, 'server', migrating),
             # It may have changed as soon as the earlier one had asked.
             (2.0, 1.2, 'record', 'running'),
             (3.0, 1.1, 'record', 'completed'),
             (3.0, 1.1, 'server',
              'status ACTIVE, task state None, host beta')],
            [(seen.at_s, seen.uncertainty_s, seen.subject, seen.state)
             for seen in followed.transitions])
        self.assertEqual(
            schema.Transition(at_s=0.5, uncertainty_s=0.5, subject='record',
                              state='queued'), followed.transitions[0])

    def test_time_since_the_request(self):
        self.assertEqual(3.0, builders.completed().since_request_s(
            builders.REQUESTED_NS + 3 * builders.S))

    def test_its_name_is_that_of_the_request(self):
        self.assertIn('from alpha to beta', str(builders.completed()))
