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
from unittest import mock

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class GuestTest(base.TestCase):

    def test_how_it_is_told(self):
        for guest, rebooted, text in (
                (evidences.UNSEEN, None, 'was not asked'),
                (builders.SILENT, None, 'does not answer'),
                (builders.ANSWERS, False, 'answers, runs on'),
                (evidences.Guest(True, 'a', 'b'), True,
                 'answers, was started anew'),
                (evidences.Guest(True, '', 'b'), None, 'answers')):
            self.assertEqual((rebooted, text), (guest.rebooted, str(guest)))


class EvidenceTest(base.TestCase):

    def test_of_one_that_went_well(self):
        found = builders.evidence()
        self.assertEqual(
            ('completed', 'alpha', 'beta', 'ACTIVE'),
            (found.status, found.source, found.destination,
             found.server_status))
        self.assertTrue(found.as_before and found.on_destination)
        self.assertFalse(found.on_source or found.migrating)
        self.assertTrue(found.was('preparing'))
        self.assertFalse(found.was('error'))

    def test_the_scheduler_chooses(self):
        asked = builders.request(move=builders.move(destination=''))
        self.assertEqual(
            'beta', builders.evidence(request=asked).destination)
        self.assertEqual('', builders.evidence(
            request=asked, records=()).destination)

    def test_no_record(self):
        found = builders.evidence(records=())
        self.assertEqual('', found.status)

    def test_the_newest_record(self):
        self.assertEqual('running', builders.evidence(records=(
            builders.record('error'),
            builders.record('running', 8))).status)

    def test_a_server_that_is_gone(self):
        found = builders.evidence(server=None)
        self.assertEqual('GONE', found.server_status)
        self.assertFalse(found.migrating or found.as_before or
                         found.on_source or found.on_destination)

    def test_migrating(self):
        for kwargs, expected in (
                ({'status': 'MIGRATING'}, True),
                ({'task_state': 'migrating'}, True),
                ({'task_state': 'rebooting'}, False)):
            found = builders.evidence(server=builders.server(**kwargs))
            self.assertEqual(expected, found.migrating)
            self.assertFalse(found.as_before)

    def test_begun(self):
        for statuses, action, expected in (
                (['accepted', 'error'], None, False),
                (['queued'], None, True),
                (['running (post-copy)'], None, True),
                ([], builders.action(builders.event(actions.CHECKS)), False),
                ([], builders.action(builders.event(actions.JOB)), True)):
            self.assertEqual(expected, builders.evidence(
                transitions=builders.transitions(*statuses),
                action=action).begun)

    def test_events_that_failed(self):
        found = builders.evidence(action=builders.action(
            builders.event(actions.CHECKS),
            builders.event(actions.PRE, 'Error')))
        self.assertEqual([False, True, False], [
            found.failed(name) for name in (
                actions.CHECKS, actions.PRE, actions.JOB)])
        self.assertFalse(builders.evidence(action=None).failed(actions.PRE))

    def test_hosts_that_are_down(self):
        found = builders.evidence(services=builders.SOURCE_DOWN)
        self.assertEqual([True, False, False], [
            found.down(name) for name in ('alpha', 'beta', 'gamma')])
        self.assertIsNone(found.host('gamma'))

    def test_all_of_it_in_words(self):
        text = '\n'.join(builders.evidence(
            records=(builders.record('failed'),),
            server=builders.server(fault='libvirt has gone'),
            samples=(builders.sample(5.0, 1024),)).lines())
        for part in (
                'record 7 failed from alpha to beta',
                'status ACTIVE, task state None, host alpha',
                'fault: libvirt has gone', 'Events of request req-1',
                'compute_pre_live_migration on host alpha: Success',
                'alpha (enabled, up)', 'Guest: answers, runs on',
                '4.00 s record running', '5.00 s: memory 1024 of',
                'disk 0 of'):
            self.assertIn(part, text)

    def test_nothing_in_words(self):
        text = '\n'.join(builders.evidence(
            records=(), server=None, action=None, services=(),
            transitions=(), guest=evidences.UNSEEN,
            request=builders.request(request_id='')).lines())
        for part in ('no record', 'Server: gone; fault: none shown',
                     '(no answer): no action', 'none at all', 'not asked',
                     'Transitions: none', 'Copied: not known'):
            self.assertIn(part, text)

    def test_it_is_json_with_units(self):
        detail = json.loads(json.dumps(builders.evidence(
            samples=(builders.sample(5.0, 1024),)).as_dict()))
        self.assertEqual(
            (fakes.SERVER_ID, 'guest', 'alpha', 'beta', 'req-1', None),
            tuple(detail[name] for name in (
                'server_id', 'server_name', 'source', 'destination',
                'request_id', 'refusal')))
        self.assertEqual((5.0, 1024), (
            detail['progress'][0]['at_s'],
            detail['progress'][0]['memory_remaining_bytes']))
        self.assertEqual(7, detail['migration_records'][0]['number'])
        self.assertEqual('queued', detail['transitions'][1]['state'])
        self.assertEqual(4, len(detail['events']))

    def test_a_refusal_is_json_as_well(self):
        detail = json.loads(json.dumps(builders.evidence(
            server=None, records=(), action=None, request=builders.request(
                refusal=requests.Refusal(409, 'no'))).as_dict()))
        self.assertEqual({'status': 409, 'message': 'no'},
                         detail['refusal'])
        self.assertEqual(('GONE', None), (
            detail['server_status'], detail['server_host']))


class CollectTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.servers, self.migrations = mock.Mock(), mock.Mock()
        self.migrations.get = fakes.by_query(self.migrations.list_migrations)
        self.servers.show_instance_action.return_value = {
            'instanceAction': {
                'action': 'live-migration', 'message': None,
                'start_time': '2026-01-01T00:00:00.000000',
                'events': [{
                    'event': actions.CHECKS, 'host': 'alpha',
                    'start_time': '2026-01-01T00:00:00.000000',
                    'finish_time': None, 'result': None}]}}
        self.clients = simulation.clients(
            servers=self.servers, migrations=self.migrations)

    def collect(self, followed, **kwargs):
        return evidences.collect(
            self.clients, followed, builders.UP, **kwargs)

    def test_one_that_has_ended(self):
        followed = builders.completed()
        found = self.collect(followed, guest=builders.ANSWERS)
        self.servers.show_instance_action.assert_called_once_with(
            fakes.SERVER_ID, 'req-1')
        # What was seen is enough.
        self.servers.show_server.assert_not_called()
        self.migrations.list_migrations.assert_not_called()
        self.assertEqual(
            (followed.request, followed.records, followed.server, '',
             tuple(followed.transitions), builders.UP, builders.ANSWERS,
             False),
            (found.request, found.records, found.server, found.given_up,
             found.transitions, found.services, found.guest,
             found.abort_asked))
        self.assertEqual([actions.CHECKS], [
            event.name for event in found.action.events])

    def test_one_that_was_given_up_is_looked_at_once_more(self):
        followed = builders.attempt(
            builders.look(30, [builders.record('running')],
                          builders.migrating()))
        self.servers.show_server.return_value = {
            'server': simulation.server_body(builders.server(host='beta'))}
        self.migrations.list_migrations.return_value = {'migrations': [
            simulation.record_body(builders.record('running', 7)),
            simulation.record_body(builders.record('completed', 3))]}
        found = self.collect(followed, abort_asked=True)
        self.assertEqual('beta', found.server.host)
        # Without that of before.
        self.assertEqual([7], [each.number for each in found.records])
        self.assertIn('waited 30.0 s', found.given_up)
        self.assertTrue(found.abort_asked)

    def test_one_that_was_given_up_is_gone(self):
        self.servers.show_server.side_effect = lib_exc.NotFound('gone')
        self.migrations.list_migrations.return_value = {'migrations': []}
        found = self.collect(builders.attempt(builders.look(30)))
        self.assertIsNone(found.server)

    def test_no_answer_and_so_no_action(self):
        self.assertIsNone(self.collect(
            builders.attempt(request_id='')).action)
        self.servers.show_instance_action.assert_not_called()

    def test_nova_knows_of_no_action(self):
        self.servers.show_instance_action.side_effect = lib_exc.NotFound()
        self.assertIsNone(self.collect(builders.completed()).action)
