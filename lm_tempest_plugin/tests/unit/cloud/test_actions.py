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

import datetime

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


def time(second):
    return '2026-01-01T00:00:%02d.000000' % second


def event(name, start=0, finish=1, result='Success', host='alpha', **more):
    """Return an event as nova's JSON has it."""
    return {'event': name, 'start_time': time(start),
            'finish_time': None if finish is None else time(finish),
            'result': result, 'host': host, 'hostId': 'x', 'traceback': None,
            **more}


class ActionsTestCase(base.TestCase):

    def client(self, *events, **more):
        client = fakes.servers()
        client.show_instance_action.return_value = {'instanceAction': {
            'action': 'live-migration', 'start_time': time(0),
            'message': None, 'events': list(events), **more}}
        return client

    def show(self, *events, **more):
        return actions.show(self.client(*events, **more), 'id', 'req-1')


class ShowTest(ActionsTestCase):

    def test_the_action_of_one_request(self):
        client = self.client(message='Error', start_time=time(2))
        action = actions.show(client, 'id', 'req-1')
        client.show_instance_action.assert_called_once_with('id', 'req-1')
        self.assertEqual(
            actions.InstanceAction('live-migration', datetime.datetime(
                2026, 1, 1, 0, 0, 2, tzinfo=datetime.UTC), 'Error', ()),
            action)
        self.assertEqual('no event', action.describe())

    def test_a_request_of_which_nova_knows_nothing(self):
        client = fakes.servers()
        client.show_instance_action.side_effect = lib_exc.NotFound()
        self.assertIsNone(actions.show(client, 'id', 'req-1'))

    def test_other_errors_are_not_swallowed(self):
        client = fakes.servers()
        client.show_instance_action.side_effect = lib_exc.Forbidden()
        self.assertRaises(
            lib_exc.Forbidden, actions.show, client, 'id', 'req-1')

    def test_an_action_without_events(self):
        client = self.client()
        answer = client.show_instance_action.return_value
        del answer['instanceAction']['events']
        self.assertEqual((), actions.show(client, 'id', 'req-1').events)

    def test_the_event_that_began_first_comes_first(self):
        action = self.show(event('c', 9), event('a', 3), event('b', 5))
        self.assertEqual(
            ['a', 'b', 'c'], [each.name for each in action.events])

    def test_times_are_utc(self):
        found, = self.show(event('e', 4, 7)).events
        self.assertEqual('2026-01-01T00:00:04+00:00', found.start.isoformat())
        self.assertEqual(
            '2026-01-01T00:00:07+00:00', found.finish.isoformat())

    def test_an_event_that_has_not_ended(self):
        found, = self.show(event(
            actions.JOB, finish=None, result=None)).events
        self.assertTrue(found.open)
        self.assertFalse(found.failed)
        self.assertFalse(found.succeeded)
        self.assertIsNone(found.finish)
        self.assertEqual(
            'compute_live_migration on host alpha: not ended', str(found))

    def test_what_nova_does_not_say(self):
        body = event('e', result='Error')
        del body['host'], body['finish_time']
        found, = self.show(body).events
        self.assertEqual(('', ''), (found.host, found.details))
        self.assertTrue(found.open)
        self.assertFalse(found.succeeded)
        self.assertEqual('e on host unknown: Error', str(found))

    def test_one_that_succeeded(self):
        found, = self.show(event('e')).events
        self.assertTrue(found.succeeded)
        found, = self.show(event('e', result='Error')).events
        self.assertFalse(found.succeeded)


class EventsTest(ActionsTestCase):

    def setUp(self):
        super().setUp()
        self.action = self.show(
            event(actions.CHECKS),
            event(actions.PRE, 1, 2, 'Error', 'beta', details='no libvirt'),
            event(actions.JOB, 3, None, None),
            event(actions.PRE, 4, 5, 'Success', 'gamma'))

    def test_the_first_of_a_name(self):
        self.assertEqual('beta', self.action.event(actions.PRE).host)

    def test_none_of_a_name(self):
        self.assertIsNone(
            self.action.event(actions.ABORT))

    def test_in_words(self):
        failed = self.action.event(actions.PRE)
        self.assertFalse(failed.open)
        self.assertEqual(
            'compute_pre_live_migration on host beta: Error (no libvirt)',
            str(failed))

    def test_all_in_words(self):
        self.assertEqual(
            'conductor_live_migrate_instance on host alpha: Success; '
            'compute_pre_live_migration on host beta: Error (no libvirt); '
            'compute_live_migration on host alpha: not ended; '
            'compute_pre_live_migration on host gamma: Success',
            self.action.describe())


class FindRequestIdTest(base.TestCase):

    def find(self, created_at, *listed):
        client = fakes.servers()
        client.list_instance_actions.return_value = {'instanceActions': [
            {'action': name, 'request_id': request_id,
             'start_time': time(second)}
            for name, request_id, second in listed]}
        return actions.find_request_id(client, 'id', created_at)

    def test_the_nearest_live_migration(self):
        """The clocks of nova's API and of its conductor differ."""
        listed = (('live-migration', 'req-4', 30), ('stop', 'req-3', 19),
                  ('live-migration', 'req-2', 18),
                  ('live-migration', 'req-1', 2))
        for created_at, expected in (
                (time(20), 'req-2'), (time(17), 'req-2'), (time(3), 'req-1'),
                (time(31), 'req-4'), ('', 'req-4')):
            self.assertEqual(expected, self.find(created_at, *listed))

    def test_none(self):
        self.assertEqual('', self.find(time(1), ('stop', 'req-1', 1)))
        client = fakes.servers()
        client.list_instance_actions.side_effect = lib_exc.NotFound()
        self.assertEqual('', actions.find_request_id(client, 'id', ''))


class ListLaterTest(base.TestCase):

    def client(self, *listed):
        """Return a client; nova lists the newest action first."""
        client = fakes.servers()
        client.list_instance_actions.return_value = {'instanceActions': [
            {'action': name, 'request_id': request_id, 'user_id': user,
             'start_time': time(5)} for name, request_id, user in listed]}
        return client

    def test_those_after_the_request_in_order(self):
        """Also those of the same second."""
        client = self.client(
            ('delete', 'req-4', None), ('stop', 'req-3', 'u3'),
            ('live-migration', 'req-2', 'u2'), ('create', 'req-1', 'u1'))
        self.assertEqual(
            [('stop', 'u3', time(5)), ('delete', 'unknown', time(5))],
            [(each.name, each.user, each.started_at)
             for each in actions.list_later(client, 'id', 'req-2')])
        client.list_instance_actions.assert_called_once_with('id')

    def test_a_request_of_which_nova_knows_nothing(self):
        self.assertEqual((), actions.list_later(
            self.client(('stop', 'req-3', 'u3')), 'id', 'req-2'))
        client = self.client()
        client.list_instance_actions.side_effect = lib_exc.NotFound()
        self.assertEqual((), actions.list_later(client, 'id', 'req-2'))
