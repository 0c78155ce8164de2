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

from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import request as requests
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
        arrived = builders.server(host='beta')
        followed = builders.attempt(
            builders.look(1, [builders.record('running')],
                          builders.migrating()),
            builders.look(2, [builders.record('running')], arrived))
        self.assertFalse(followed.ended)
        self.assertEqual(2.0, followed.duration_s)
        followed.take(builders.look(3, [builders.record()], arrived))
        self.assertEqual((True, '', 3.0), (
            followed.ended, followed.given_up, followed.duration_s))

    def test_nor_is_a_record_that_has_ended_with_a_server_that_has_not(self):
        followed = builders.attempt(
            builders.look(1, [builders.record()], builders.migrating()))
        self.assertFalse(followed.ended)
        for server in (builders.server(task_state='migrating'),
                       builders.server(status='MIGRATING')):
            followed.take(builders.look(2, [builders.record()], server))
            self.assertFalse(followed.ended)

    def test_an_error_that_becomes_failed(self):
        followed = builders.attempt(
            builders.look(1, [builders.record('error')],
                          builders.migrating()),
            builders.look(3, [builders.record('failed')]),
            builders.look(8, [builders.record('failed')]))
        self.assertTrue(followed.ended)
        self.assertEqual('failed', followed.newest.status)

    def test_a_failure_has_to_last(self):
        for status in ('error', 'failed', 'cancelled'):
            followed = builders.attempt(
                builders.look(1, [builders.record(status)]),
                builders.look(5.9, [builders.record(status)]))
            self.assertFalse(followed.ended, status)
            followed.take(builders.look(6, [builders.record(status)]))
            self.assertTrue(followed.ended, status)
            # It had ended when it changed last.
            self.assertEqual(1.0, followed.duration_s)

    def test_an_error_may_become_failed_when_the_server_is_free(self):
        followed = builders.attempt(
            builders.look(1, [builders.record('error')]),
            builders.look(2, [builders.record('failed')]),
            builders.look(7, [builders.record('failed')]))
        self.assertTrue(followed.ended)
        self.assertEqual(2.0, followed.duration_s)
        self.assertEqual('failed', followed.newest.status)

    def test_a_server_may_become_error_when_it_is_free(self):
        # As nova 34.0.0 has it.
        failed = [builders.record('failed')]
        followed = builders.attempt(
            builders.look(1, failed),
            builders.look(3, failed, builders.server(status='ERROR')),
            builders.look(9, failed, builders.server(status='ERROR')))
        self.assertTrue(followed.ended)
        self.assertEqual('ERROR', followed.server.status)
        self.assertEqual(3.0, followed.duration_s)

    def test_all_records_have_to_end(self):
        followed = builders.attempt(builders.look(
            1, [builders.record('running'), builders.record(number=8)]))
        self.assertFalse(followed.ended)

    def test_what_was_there_before_says_nothing(self):
        followed = builders.attempt(builders.look(
            1, [builders.record(number=3), other('completed')]))
        self.assertFalse(followed.ended)
        self.assertEqual((), followed.records)
        self.assertIsNone(followed.newest)

    def test_a_server_that_is_gone(self):
        look = dataclasses.replace(
            builders.look(1, [builders.record('running')]),
            servers={fakes.SERVER_ID: None})
        followed = builders.attempt(look)
        self.assertTrue(followed.ended)
        self.assertIsNone(followed.server)
        self.assertEqual('gone', followed.transitions[-1].state)

    def test_what_comes_after_the_end_is_not_seen(self):
        followed = builders.completed()
        before = list(followed.transitions)
        followed.take(builders.look(25, [builders.record('failed')]))
        self.assertEqual(before, followed.transitions)
        self.assertEqual(20.0, followed.duration_s)


class RefusalTest(base.TestCase):

    def refused(self, status, *looks):
        return builders.attempt(
            *looks, refusal=requests.Refusal(status, 'no'))

    def test_clean(self):
        followed = self.refused(409, builders.look(0.5))
        self.assertEqual((True, ''), (followed.ended, followed.given_up))

    def test_unclean_and_the_server_is_left_migrating(self):
        followed = self.refused(
            500, builders.look(1, (), builders.migrating()))
        self.assertFalse(followed.ended)
        followed.take(builders.look(30, (), builders.migrating()))
        self.assertIn('no record', followed.given_up)

    def test_unclean_and_it_goes_on_all_the_same(self):
        followed = self.refused(
            0, builders.look(1, [builders.record('running')],
                             builders.migrating()))
        self.assertFalse(followed.ended)
        followed.take(builders.look(
            9, [builders.record()], builders.server(host='beta')))
        self.assertEqual((True, ''), (followed.ended, followed.given_up))


class DeadlineTest(base.TestCase):

    def assert_given_up(self, followed, *parts):
        self.assertTrue(followed.ended)
        for part in parts:
            self.assertIn(part, followed.given_up)

    def test_a_record_that_never_ends(self):
        look = [builders.record('running')]
        followed = builders.attempt(
            builders.look(29.9, look, builders.migrating()))
        self.assertFalse(followed.ended)
        followed.take(builders.look(30, look, builders.migrating()))
        self.assert_given_up(
            followed, 'waited 30.0 s (at most 30 s',
            'the migration record to end', 'record 7 running from alpha to '
            'beta', 'status MIGRATING, task state migrating, host alpha')
        self.assertEqual(30.0, followed.duration_s)

    def test_no_record_at_all(self):
        self.assert_given_up(
            builders.attempt(builders.look(30)), 'no record')

    def queued(self, found, **kwargs):
        """Return an attempt that is queued for 40 s, with other records."""
        return builders.attempt(
            builders.look(10, [builders.record('queued'), *found],
                          builders.migrating()),
            builders.look(40, [builders.record('queued'), *found],
                          builders.migrating()), **kwargs)

    def test_it_stands_while_the_source_is_at_work_on_others(self):
        for status in ('preparing', 'running', 'running (post-copy)'):
            followed = self.queued([other(status)])
            self.assertFalse(followed.ended, status)
            self.assertEqual(0.0, followed.counted_s)
        # From then on it counts.
        for at_s, ended in ((41, False), (69.9, False), (70, True)):
            followed.take(builders.look(
                at_s, [builders.record('running'), other('completed')],
                builders.migrating()))
            self.assertEqual(ended, followed.ended, at_s)
        self.assertEqual(30.0, followed.counted_s)
        self.assert_given_up(followed, 'waited 30.0 s')

    def test_it_runs_if_the_source_is_at_work_on_nothing(self):
        for found in ([], [other('queued')], [other('accepted')],
                      [other('completed')],
                      [other('running', source='gamma')]):
            self.assert_given_up(self.queued(found), 'waited 40.0 s')

    def test_it_runs_if_nobody_waits_for_the_one_in_front(self):
        self.assert_given_up(
            self.queued([other('running')], excused=[OTHER_ID]),
            'waited 40.0 s')

    def test_it_stands_if_only_one_of_those_in_front_was_given_up(self):
        third = builders.record('running', 10, server_id='third')
        self.assertFalse(self.queued(
            [other('running'), third], excused=[OTHER_ID]).ended)

    def test_it_runs_for_one_that_is_not_queued(self):
        followed = builders.attempt(builders.look(
            30, [builders.record('accepted'), other('running')]))
        self.assert_given_up(followed, 'record 7 accepted')

    def test_a_server_that_keeps_its_task(self):
        followed = builders.attempt(*(
            builders.look(at_s, [builders.record()], builders.migrating())
            for at_s in (20, 22, 24.9)))
        self.assertFalse(followed.ended)
        followed.take(builders.look(
            25, [builders.record()], builders.migrating()))
        self.assert_given_up(
            followed, 'waited 5.0 s (at most 5 s', 'to be without a task')

    def test_the_time_to_settle_begins_anew_with_another_record(self):
        followed = builders.attempt(
            builders.look(10, [builders.record('error')],
                          builders.migrating()),
            builders.look(14, [builders.record('error'),
                               builders.record('accepted', 8)],
                          builders.migrating()),
            builders.look(16, [builders.record('error'),
                               builders.record('error', 8)],
                          builders.migrating()))
        self.assertFalse(followed.ended)


class TransitionTest(base.TestCase):

    def test_each_with_its_uncertainty(self):
        followed = builders.attempt(
            builders.look(0.5, [builders.record('queued')],
                          builders.migrating(), asked_s=0.4),
            builders.look(1.0, [builders.record('queued')],
                          builders.migrating(), asked_s=0.8),
            builders.look(2.0, [builders.record('running')],
                          builders.migrating(), asked_s=1.9),
            builders.look(3.0, [builders.record()],
                          builders.server(host='beta'), asked_s=2.9))
        migrating = 'status MIGRATING, task state migrating, host alpha'
        self.assertEqual(
            [(0.5, 0.5, 'record', 'queued'), (0.5, 0.5, 'server', migrating),
             # It may have changed as soon as the look before had asked.
             (2.0, 1.2, 'record', 'running'),
             (3.0, 1.1, 'record', 'completed'),
             (3.0, 1.1, 'server',
              'status ACTIVE, task state None, host beta')],
            [(seen.at_s, seen.uncertainty_s, seen.what, seen.state)
             for seen in followed.transitions])
        self.assertEqual(
            {'at_s': 0.5, 'uncertainty_s': 0.5, 'what': 'record',
             'state': 'queued'}, followed.transitions[0].as_dict())
        self.assertEqual('2.00 s record running',
                         str(followed.transitions[2]))

    def test_samples(self):
        followed = builders.completed()
        found = builders.sample(memory_remaining=builders.GIB).progress
        followed.add_sample(builders.REQUESTED_NS + 3 * builders.S, found)
        self.assertEqual([attempts.Sample(3.0, found)], followed.samples)

    def test_it_is_called_what_was_asked_for(self):
        self.assertIn('from alpha to beta', str(builders.completed()))
