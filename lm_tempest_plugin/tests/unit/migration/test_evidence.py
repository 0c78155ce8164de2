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
from unittest import mock

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class GuestTest(base.TestCase):

    def test_its_text_and_whether_it_booted_again(self):
        for guest, rebooted, text in (
                (evidence.NOT_INSPECTED, None, 'not probed'),
                (builders.SILENT, None, 'does not answer'),
                (builders.ANSWERS, False, 'answers, same boot id'),
                (builders.REBOOTED, True, 'answers, booted again'),
                (schema.GuestState(answers=True, boot_id_after='b'), None,
                 'answers'),
                (schema.GuestState(
                    answers=False, libvirt_state='libvirt on beta: paused'),
                 None, 'does not answer, libvirt on beta: paused')):
            self.assertEqual(
                (rebooted, text),
                (evidence.rebooted(guest), evidence.describe_guest(guest)))


class EvidenceTest(base.TestCase):

    def test_a_completed_migration(self):
        found = builders.new_evidence()
        self.assertEqual(
            ('completed', 'alpha', 'beta', 'ACTIVE'),
            (found.status, found.source, found.destination,
             found.server_status))
        self.assertTrue(found.as_before and found.on_destination)
        self.assertFalse(found.on_source or found.migrating)
        self.assertTrue(found.was('preparing'))
        self.assertFalse(found.was('error') or found.post_copied)

    def test_the_scheduler_chooses(self):
        request = builders.new_request(destination='')
        self.assertEqual(
            'beta', builders.new_evidence(request=request).destination)
        self.assertEqual('', builders.new_evidence(
            request=request, records=()).destination)

    def test_no_record(self):
        self.assertEqual('', builders.new_evidence(records=()).status)

    def test_the_newest_record(self):
        self.assertEqual('running', builders.new_evidence(records=(
            builders.record('error'),
            builders.record('running', 8))).status)

    def test_a_server_that_was_deleted(self):
        found = builders.new_evidence(server=None)
        self.assertEqual('GONE', found.server_status)
        self.assertFalse(found.migrating or found.as_before or
                         found.on_source or found.on_destination)

    def test_migrating(self):
        for kwargs, expected in (
                ({'status': 'MIGRATING'}, True),
                ({'task_state': 'migrating'}, True),
                ({'task_state': 'rebooting'}, False)):
            found = builders.new_evidence(server=builders.server(**kwargs))
            self.assertEqual(expected, found.migrating)
            self.assertFalse(found.as_before)

    def test_begun(self):
        for statuses, action, expected in (
                (['accepted', 'error'], None, False),
                (['queued'], None, True),
                (['running (post-copy)'], None, True),
                ([], builders.action(builders.event(actions.CHECKS)), False),
                ([], builders.action(builders.event(actions.JOB)), True)):
            self.assertEqual(expected, builders.new_evidence(
                transitions=builders.transitions(*statuses),
                action=action).begun)

    def test_post_copied(self):
        self.assertTrue(builders.new_evidence(
            transitions=builders.transitions(
                'running', 'running (post-copy)', 'completed')).post_copied)

    def test_events_that_failed(self):
        found = builders.new_evidence(action=builders.action(
            builders.event(actions.CHECKS),
            builders.event(actions.PRE, 'Error')))
        self.assertEqual([False, True, False], [
            found.failed(name) for name in (
                actions.CHECKS, actions.PRE, actions.JOB)])
        self.assertFalse(
            builders.new_evidence(action=None).failed(actions.PRE))

    def test_hosts_that_are_down(self):
        found = builders.new_evidence(services=builders.SOURCE_DOWN)
        self.assertEqual([True, False, False], [
            found.down(name) for name in ('alpha', 'beta', 'gamma')])
        self.assertIsNone(found.service('gamma'))

    def test_all_facts_as_text(self):
        text = '\n'.join(builders.rolled_back(
            server=builders.server(fault='libvirt has gone'),
            progress=(builders.progress(5.0, 1024),)).lines())
        for part in (
                'record 7 failed from alpha to beta',
                'status ACTIVE, task state None, host alpha',
                'fault: libvirt has gone', 'Events of request req-1',
                'compute_pre_live_migration on host beta: Success',
                'alpha (enabled, up)', 'Guest: answers, same boot id',
                '4.00 s record running', '5.00 s: memory 1024 of',
                'disk 0 of'):
            self.assertIn(part, text)

    def test_rare_facts_as_text(self):
        text = '\n'.join(builders.new_evidence(
            traces=builders.traces(), cloud_clock_ahead_s=-600.2,
            copy=copying.Copying(copying.Pace.MOVES, 'moves: 3 MiB/s'),
            other_actions=(builders.other_action('stop'),),
            logs=(schema.HostLog(host='beta', name='qemu', lines=('a', 'b')),
                  schema.HostLog(host='beta', name='libvirtd',
                                 error='no such file'))).lines())
        for part in ('Domains: no domain on host alpha, running on host beta',
                     'Copy: moves: 3 MiB/s', 'Meanwhile: stop by user u',
                     'Clock of the cloud: -600 s',
                     'Log of qemu on host beta: 2 lines',
                     'Log of libvirtd on host beta: no such file'):
            self.assertIn(part, text)
        self.assertNotIn('Clock', '\n'.join(
            builders.new_evidence(cloud_clock_ahead_s=9.0).lines()))

    def test_where_it_lives(self):
        """Only if all hosts that may have it were asked."""
        for states, alive, running in (
                ({}, None, ()),
                ({'alpha': 'running'}, None, ('alpha',)),
                ({'alpha': '', 'beta': 'running'}, ('beta',), ('beta',)),
                ({'alpha': 'paused', 'beta': 'running'}, ('alpha', 'beta'),
                 ('beta',)),
                ({'alpha': 'shut off', 'beta': 'crashed'}, (), ())):
            found = builders.new_evidence(
                traces=builders.traces(**states) if states else ())
            self.assertEqual((alive, running),
                             (found.alive_on, found.running_on))

    def test_no_facts_as_text(self):
        text = '\n'.join(builders.new_evidence(
            records=(), server=None, action=None, services=(),
            transitions=(), guest=evidence.NOT_INSPECTED,
            request=builders.new_request(request_id='')).lines())
        for part in ('no record', 'Server: gone; fault: none',
                     '(no answer): no action', 'none at all', 'not probed',
                     'Transitions: none', 'Copied: not known'):
            self.assertIn(part, text)


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
        self.servers.show_server.return_value = {
            'server': simulation.server_body(builders.server(host='beta'))}
        self.migrations.list_migrations.return_value = {'migrations': [
            simulation.record_body(builders.record())]}
        self.clients = simulation.clients(
            servers=self.servers, migrations=self.migrations)

    def collect(self, followed, **kwargs):
        return evidence.collect(
            self.clients, followed, services=builders.UP, **kwargs)

    def test_a_migration_that_has_ended(self):
        followed = builders.completed()
        followed.progress.append(builders.progress())
        found = self.collect(followed, guest=builders.ANSWERS,
                             cloud_clock_ahead_s=7.0)
        self.servers.show_instance_action.assert_called_once_with(
            fakes.SERVER_ID, 'req-1')
        self.assertEqual(
            (followed.request, followed.records, followed.server, '',
             tuple(followed.transitions), (builders.progress(),),
             builders.UP, builders.ANSWERS, False, 7.0),
            (found.request, found.records, found.server, found.timed_out,
             found.transitions, found.progress, found.services, found.guest,
             found.abort_requested, found.cloud_clock_ahead_s))
        # The check one-record reads them.
        self.migrations.list_migrations.assert_not_called()
        self.assertEqual([actions.CHECKS], [
            event.name for event in found.action.events])
        self.assertAlmostEqual(
            0, (datetime.datetime.now(datetime.UTC) -
                found.collected_at).total_seconds(), delta=5)

    def test_the_server_is_read_anew(self):
        """nova may set it to ERROR after the record is completed."""
        self.servers.show_server.return_value = {
            'server': simulation.server_body(
                builders.server(status='ERROR', host='beta'))}
        self.assertEqual(
            'ERROR', self.collect(builders.completed()).server_status)

    def test_one_that_was_overtaken_is_not_read_anew(self):
        followed = builders.completed()
        followed.overtaken = True
        found = self.collect(followed)
        self.assertEqual(followed.server, found.server)
        self.servers.show_server.assert_not_called()

    def test_its_records_are_read_anew(self):
        followed = builders.migration(
            builders.snapshot(30, [builders.record('running')],
                              builders.migrating()))
        self.migrations.list_migrations.return_value = {'migrations': [
            simulation.record_body(builders.record('running', 7)),
            simulation.record_body(builders.record('completed', 3))]}
        found = self.collect(followed, abort_requested=True)
        # Without the record from before.
        self.assertEqual([7], [each.number for each in found.records])
        self.assertIn('waited 30.0 s', found.timed_out)
        self.assertTrue(found.abort_requested)

    def test_a_server_that_is_gone(self):
        self.servers.show_server.side_effect = lib_exc.NotFound('gone')
        # nova hides its records then.
        self.migrations.list_migrations.return_value = {'migrations': []}
        found = self.collect(builders.completed())
        self.assertIsNone(found.server)
        self.assertEqual('completed', found.status)

    def test_without_an_answer_there_is_no_action(self):
        self.assertIsNone(self.collect(
            builders.migration(request_id='')).action)
        self.servers.show_instance_action.assert_not_called()

    def test_an_api_that_is_away(self):
        """The verdict rests on the last snapshot."""
        self.servers.show_server.side_effect = lib_exc.ServerFault('no')
        followed = builders.completed()
        found = self.collect(followed)
        self.assertEqual(
            (followed.server, followed.records, None),
            (found.server, found.records, found.action))

    def test_events_that_cannot_be_read(self):
        """The verdict stands without them."""
        self.servers.show_instance_action.side_effect = (
            lib_exc.ServerFault('no answer'))
        self.assertIsNone(self.collect(builders.completed()).action)

    def test_nova_has_no_action(self):
        self.servers.show_instance_action.side_effect = lib_exc.NotFound()
        self.assertIsNone(self.collect(builders.completed()).action)

    def test_other_actions(self):
        self.servers.list_instance_actions.return_value = {
            'instanceActions': [
                {'action': name, 'request_id': request_id, 'user_id': 'u',
                 'start_time': '2026-01-01T00:00:05.000000'}
                for name, request_id in (
                    ('stop', 'req-3'), (actions.CANCEL, 'req-2'),
                    ('live-migration', 'req-1'), ('create', 'req-0'))]}
        for ours, names in (([], [actions.CANCEL, 'stop']),
                            ([actions.CANCEL], ['stop'])):
            self.assertEqual(names, [
                each.name for each in evidence.list_other_actions(
                    self.clients, builders.new_request(), ours)])

    def test_other_actions_that_cannot_be_read(self):
        self.servers.list_instance_actions.side_effect = (
            lib_exc.ServerFault('no'))
        self.assertEqual((), evidence.list_other_actions(
            self.clients, builders.new_request(), []))
        self.assertEqual((), evidence.list_other_actions(
            self.clients, builders.new_request(request_id=''), []))
