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
import json
from unittest import mock

import msgspec
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration.checks import nova
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration.checks import base
from lm_tempest_plugin.tests.unit.migration import simulation

Kind = verdict.Kind
OTHER_ID = 'other'


class NovaTestCase(base.CheckTestCase):
    """Gives the checks a cloud in which one migration was completed."""

    def setUp(self):
        super().setUp()
        self.server = builders.server(host='beta')
        self.on_hosts = {'alpha': [], 'beta': [self.server]}
        self.allocations = {fakes.SERVER_ID: ['uuid-of-beta']}
        self.servers = mock.Mock()
        self.servers.show_server.side_effect = self.show_server
        self.action = builders.action(*builders.completed_events())
        self.servers.show_instance_action.side_effect = self.show_action
        self.servers.list_servers.side_effect = (
            lambda host, **kwargs: {'servers': list(map(
                simulation.server_body, self.on_hosts[host]))})
        hypervisors, placement = mock.Mock(), mock.Mock()
        hypervisors.list_hypervisors.return_value = {'hypervisors': [
            {'id': f'uuid-of-{name}', 'service': {'host': name}}
            for name in ('alpha', 'beta')]}
        placement.list_allocations.side_effect = (
            lambda consumer: {'allocations': dict.fromkeys(
                self.allocations.get(consumer, []), {})})
        self.providers, migrations = mock.Mock(), mock.Mock()
        self.providers.show_resource_provider.side_effect = (
            lib_exc.NotFound('gone'))
        self.records = {}
        migrations.get = fakes.by_query(self.list_migrations)
        self.clients = simulation.clients(
            servers=self.servers, hypervisors=hypervisors,
            placement=placement, providers=self.providers,
            migrations=migrations)

    def list_migrations(self, instance_uuid, **kwargs):
        return {'migrations': list(map(
            simulation.record_body, self.records.get(instance_uuid, ())))}

    def show_server(self, server_id):
        if self.server is None:
            raise lib_exc.NotFound('gone')
        return {'server': {
            **simulation.server_body(self.server), 'id': server_id}}

    def show_action(self, server_id, request_id):
        if self.action is None:
            raise lib_exc.NotFound('no action')
        self.assertEqual('req-1', request_id)
        return {'instanceAction': simulation.action_body(self.action)}

    def observation(self, *known, **changes):
        migrations = list(map(builders.judged, known)) or [builders.judged()]
        self.records = {
            each.server_id: each.verdict.evidence.records
            for each in migrations}
        return builders.observation(
            *migrations, clients=self.clients, **changes)

    def rolled_back(self, **changes):
        """Let the server be on the source, and return the evidence."""
        self.server = builders.server()
        self.allocations[fakes.SERVER_ID] = ['uuid-of-alpha']
        return builders.rolled_back(**changes)

    def refused(self, **request):
        return self.rolled_back(
            records=(), request=builders.new_request(
                refusal=builders.refusal(), **request))


class VerdictTest(NovaTestCase):

    check = staticmethod(nova.verdict)

    def observation(self, known=None, expected=(Kind.COMPLETED,)):
        return builders.observation(
            builders.judged(known, expected=expected))

    def test_the_expected_verdict(self):
        self.assert_passes(self.observation())
        self.assert_passes(self.observation(
            builders.rolled_back(), (Kind.FAILED, Kind.ROLLED_BACK)))

    def test_another_verdict(self):
        problem = self.assert_problem(
            self.observation(builders.rolled_back(
                server=builders.server(fault='libvirt has gone'))),
            'the verdict is rolled back', 'libvirt has gone',
            'expected: completed')
        for part in ('record 7 failed', 'status ACTIVE, task state None, '
                     'host alpha', 'libvirt has gone', 'req-1',
                     '4.00 s record running', 'alpha (enabled, up)'):
            self.assertIn(part, '\n'.join(problem.evidence))
        self.assert_problem(
            self.observation(expected=(Kind.FAILED, Kind.CANCELLED)),
            'the verdict is completed; expected: failed or cancelled')


class AnswerTest(NovaTestCase):

    check = staticmethod(nova.answer)

    def answered(self, status, wanted=409, **changes):
        return self.observation(
            self.rolled_back(request=builders.new_request(
                refusal=builders.refusal(status) if status else None),
                **changes),
            expected_refusal=plan.ExpectedRefusal(wanted))

    def test_no_refusal_is_expected(self):
        self.assert_skipped(self.observation(), 'expects no refusal')

    def test_the_expected_status(self):
        for status in (400, 409):
            self.assert_passes(self.answered(status, status))

    def test_another_status(self):
        for status in (400, 500):
            self.assert_problem(
                self.answered(status), f'answered with HTTP {status}: no',
                'expected: HTTP 409')
        self.assert_problem(self.answered(None), 'answered with HTTP 202')

    def test_no_answer(self):
        found = self.observation(
            self.rolled_back(request=builders.new_request(
                refusal=builders.refusal(0, 'reset'))),
            expected_refusal=plan.ExpectedRefusal(409))
        self.assert_problem(found, 'answered with HTTP nothing: reset')

    def test_nova_finds_out_later(self):
        self.assert_passes(self.answered(None, 202, action=builders.action(
            builders.event(actions.CHECKS, result='Error'))))
        for action, text in (
                (builders.action(builders.event(actions.CHECKS)),
                 f'{actions.CHECKS} on host alpha: Success'),
                (None, 'no action')):
            self.assert_problem(
                self.answered(None, 202, action=action),
                'no event of the instance action failed', text)


class ServerExistsTest(NovaTestCase):

    check = staticmethod(nova.server_exists)

    def test_it_exists(self):
        self.assert_passes(self.observation())

    def test_it_was_deleted(self):
        self.server = None
        self.assert_problem(self.observation(), 'does not exist any more')


class ServerStayedTest(NovaTestCase):

    check = staticmethod(nova.server_stayed)

    def stayed(self, wanted='ACTIVE'):
        return self.observation(
            self.rolled_back(), expected_status=wanted)

    def test_it_is_on_the_source_with_the_planned_status(self):
        self.assert_passes(self.stayed())

    def test_it_has_another_status(self):
        self.assert_problem(
            self.stayed('PAUSED'), 'the server is ACTIVE on host alpha',
            'expected: PAUSED on host alpha')

    def test_it_has_moved(self):
        self.assert_problem(
            self.observation(expected_status='ACTIVE'),
            'the server is ACTIVE on host beta',
            'expected: ACTIVE on host alpha')

    def test_no_status_is_planned(self):
        self.assert_skipped(self.observation(), 'names no status')


class ServerStatusTest(NovaTestCase):

    check = staticmethod(nova.server_status)

    def test_the_status_from_before(self):
        self.assert_passes(self.observation())
        self.assert_passes(self.observation(self.rolled_back()))

    def test_an_error_after_the_record_was_completed(self):
        self.server = builders.server(
            status='ERROR', host='beta', fault='no port')
        self.assert_problem(
            self.observation(), 'status ERROR, task state None, host beta',
            'expected: ACTIVE, without a task; fault: no port')

    def test_a_task_that_is_left(self):
        self.server = builders.server(host='beta', task_state='migrating')
        self.assert_problem(self.observation(), 'task state migrating')

    def test_the_planned_status_wins(self):
        self.server = builders.server(status='ERROR')
        self.assert_passes(self.observation(expected_status='ERROR'))

    def test_a_progress_that_is_left(self):
        for progress in (1, 92, 99):
            self.server = builders.server(host='beta', progress=progress)
            self.assert_problem(
                self.observation(), 'status ACTIVE, task state None, host '
                f'beta, and nova still shows a progress of {progress} %')
            for status in ('failed', 'cancelled'):
                seen = self.observation(self.rolled_back(
                    records=(builders.record(status),)))
                self.server = builders.server(progress=progress)
                self.assert_problem(seen, f'progress of {progress} %')

    def test_a_progress_that_says_nothing(self):
        for progress in (0, 100):
            self.server = builders.server(host='beta', progress=progress)
            self.assert_passes(self.observation())

    def test_nova_keeps_the_progress_when_nova_compute_restarts(self):
        seen = self.observation(self.rolled_back(
            records=(builders.record('error'),)))
        self.server = builders.server(progress=92)
        self.assert_passes(seen)


class EventsTest(NovaTestCase):

    check = staticmethod(nova.events)
    failed = builders.event(
        actions.POST_AT_DESTINATION, 'Error', host='beta', details='no port')

    def without(self, name, *others):
        """Let nova have no event of a name, but others."""
        self.action = builders.action(*(
            each for each in builders.completed_events()
            if each.name != name), *others)

    def test_all_succeeded(self):
        self.assert_passes(self.observation())
        # The policy hides hosts from this user.
        self.action = builders.action(*(
            dataclasses.replace(each, host='')
            for each in builders.completed_events()))
        self.assert_passes(self.observation())

    def test_one_failed_although_the_migration_is_completed(self):
        self.without(self.failed.name, self.failed)
        self.assert_problem(
            self.observation(), 'completed, and an event of it failed: '
            'compute_post_live_migration_at_destination on host beta: Error '
            '(no port)')

    def test_each_has_to_be_there(self):
        for each in builders.completed_events()[1:]:
            self.without(each.name)
            self.assert_problem(
                self.observation(), 'these events of it are missing: '
                f'{each.name} on host {each.host}; nova shows: ')

    def test_the_conductor_s_own_depends_on_the_microversion(self):
        self.without(actions.CHECKS, builders.event(
            'conductor_migrate_server', host='controller'))
        self.assert_passes(self.observation())

    def test_each_has_to_end(self):
        for each in builders.completed_events()[1:]:
            self.without(each.name, dataclasses.replace(
                each, finish=None, result=''))
            self.assert_problem(
                self.observation(), f'missing: {each.name}',
                f'{each.name} on host {each.host}: not ended')

    def test_on_another_host(self):
        self.without(actions.PRE, builders.event(actions.PRE, host='gamma'))
        self.assert_problem(
            self.observation(), f'missing: {actions.PRE} on host beta;',
            f'{actions.PRE} on host gamma: Success')

    def test_no_event_at_all(self):
        self.action = builders.action()
        self.assert_problem(self.observation(), 'shows: no event', *(
            each.name for each in builders.completed_events()[1:]))

    def test_no_action(self):
        self.action = None
        self.assert_problem(
            self.observation(), 'no instance action of request req-1')

    def test_one_that_ends_later(self):
        # The evidence is older than the check.
        self.assert_passes(self.observation(
            builders.new_evidence(action=builders.action())))

    def test_hosts_that_the_scheduler_tried_before(self):
        for name in actions.CANDIDATE_CHECKS:
            refused = builders.event(
                name, 'Error', host='gamma', details='CPU')
            self.action = builders.action(
                refused, *builders.completed_events())
            self.assert_passes(self.observation(builders.new_evidence(
                request=builders.new_request(destination=''))))
            self.assert_problem(self.observation(), name)

    def test_of_other_verdicts_they_are_the_cause(self):
        self.action = builders.action(self.failed)
        self.assert_skipped(self.observation(self.rolled_back()),
                            'was completed')

    def test_the_answer_was_lost(self):
        self.assert_skipped(self.observation(builders.new_evidence(
            request=builders.new_request(request_id=''))), 'request id')

    def test_the_policy_hides_actions(self):
        self.servers.show_instance_action.side_effect = lib_exc.Forbidden(
            'by policy')
        self.assert_skipped(self.observation(), 'hides instance actions')


class ForceCompleteTest(NovaTestCase):

    check = staticmethod(nova.force_complete)

    def forced(self, at_s=3.0, ended_s=60.0, status='', status_s=0.0,
               outage_s=None):
        """Return an observation of a migration that was forced."""
        S = builders.S
        followed = builders.completed()
        followed.ended_ns = builders.REQUESTED_NS + round(ended_s * S)
        followed.transitions = [schema.Transition(
            at_s=status_s, uncertainty_s=0.5, subject='record',
            state=status)]
        continuity = builders.continuity(outage=builders.outage(
            0.0 if outage_s is None else 0.5))
        if outage_s is not None:
            longest = continuity.outage.outages[0]
            continuity = builders.continuity(outage=msgspec.structs.replace(
                continuity.outage, outages=(msgspec.structs.replace(
                    longest, start_ns=builders.REQUESTED_NS +
                    round(outage_s * S)),)))
        return builders.observation(builders.judged(
            migration=followed, continuity=continuity,
            forced_ns=builders.REQUESTED_NS + round(at_s * S)))

    def test_it_has_an_effect(self):
        for effect in ({'ended_s': 12.0}, {'outage_s': 4.0},
                       {'status': 'running (post-copy)', 'status_s': 4.0},
                       {'status': 'failed', 'status_s': 4.0}):
            self.assert_passes(self.forced(**effect))

    def test_it_has_no_effect(self):
        self.assert_problem(
            self.forced(), 'no effect within 10 s, but 57.0 s after it',
            'no end, no post-copy, no outage')
        # Before the request, or of another kind.
        self.assert_problem(self.forced(outage_s=2.0), 'no effect')
        self.assert_problem(
            self.forced(status='running', status_s=4.0), 'no effect')

    def test_none_was_forced(self):
        self.assert_skipped(self.observation(), 'was forced to complete')
        self.assert_skipped(builders.observation(builders.judged(
            continuity=None, forced_ns=1)), 'of a probed guest')


class LeftMigratingTest(NovaTestCase):

    check = staticmethod(nova.left_migrating)

    def hosts(self):
        return {call.kwargs['host']
                for call in self.servers.list_servers.call_args_list}

    def test_none_is_migrating_on_either_host(self):
        self.assert_passes(self.observation())
        self.assertEqual({'alpha', 'beta'}, self.hosts())

    def test_a_server_is_left_migrating(self):
        for each in (builders.migrating(server_id=OTHER_ID),
                     builders.server(server_id=OTHER_ID,
                                     task_state='migrating')):
            self.on_hosts['alpha'] = [each]
            self.assert_problem(
                self.observation(), 'server other (guest) is left in',
                each.state, server_id=OTHER_ID)

    def test_others_may_migrate_their_servers(self):
        self.on_hosts['alpha'] = [builders.migrating(server_id=OTHER_ID)]
        seen = self.observation()
        self.records[OTHER_ID] = (builders.record('running'),)
        self.assert_passes(seen)
        self.records[OTHER_ID] = (builders.record('error'),)
        self.assert_problem(seen, server_id=OTHER_ID)

    def test_our_own_is_told_whatever_its_record_is(self):
        self.on_hosts['alpha'] = [builders.migrating()]
        self.assert_problem(self.observation(builders.new_evidence(
            records=(builders.record('running'),))), 'is left in')

    def test_a_destination_that_was_never_chosen(self):
        self.assert_passes(self.observation(self.refused(destination='')))
        self.assertEqual({'alpha'}, self.hosts())


class LeftBehindTest(NovaTestCase):

    check = staticmethod(nova.left_behind)

    def test_it_has_moved(self):
        self.assert_passes(self.observation())

    def test_it_is_still_on_the_source(self):
        self.server = builders.server()
        self.assert_problem(self.observation(),
                            'still on the source, host alpha')

    def test_after_a_rollback_it_may_be_on_the_source(self):
        self.assert_passes(self.observation(self.rolled_back()))

    def test_it_was_deleted(self):
        self.server = None
        self.assert_passes(self.observation())


class OneRecordTest(NovaTestCase):

    check = staticmethod(nova.one_record)

    def test_one_record_that_has_ended(self):
        self.assert_passes(self.observation())

    def test_a_refusal_has_no_record(self):
        self.assert_passes(self.observation(self.refused()))

    def test_a_request_without_a_record(self):
        self.assert_problem(
            self.observation(self.rolled_back(records=())),
            '0 migration records: no record')

    def test_records_of_a_deleted_server_are_hidden(self):
        self.server = None
        self.assert_passes(self.observation(
            builders.new_evidence(records=())))

    def test_a_request_with_two_records(self):
        self.assert_problem(
            self.observation(builders.new_evidence(records=(
                builders.record(), builders.record(number=8)))),
            '2 migration records', 'record 8')

    def test_a_record_that_never_ended(self):
        self.assert_problem(
            self.observation(self.rolled_back(
                records=(builders.record('queued'),), timed_out='waited')),
            'the migration record never ended', 'record 7 queued')


class AllocationsTest(NovaTestCase):

    check = staticmethod(nova.allocations)

    def test_on_the_server_s_host_alone(self):
        self.assert_passes(self.observation())
        self.assert_passes(self.observation(self.rolled_back()))

    def test_on_both_hosts(self):
        self.allocations[fakes.SERVER_ID] = ['uuid-of-alpha', 'uuid-of-beta']
        self.assert_problem(self.observation(), 'on host beta',
                            'allocations are on alpha, beta')

    def test_on_the_wrong_host(self):
        self.allocations[fakes.SERVER_ID] = ['uuid-of-alpha']
        self.assert_problem(self.observation(),
                            'its allocations are on alpha')

    def test_none(self):
        self.allocations = {}
        self.assert_problem(self.observation(),
                            'its allocations are on none')

    def test_a_server_that_was_shelved_meanwhile(self):
        self.server = builders.server(status='SHELVED_OFFLOADED', host='')
        self.allocations = {}
        self.assert_passes(self.observation())

    def serve(self, **changes):
        """Add a provider on which the server has an allocation."""
        self.allocations[fakes.SERVER_ID] = ['uuid-of-beta', 'uuid-of-pool']
        self.providers.show_resource_provider.side_effect = lambda uuid: {
            'name': 'pool', 'root_provider_uuid': changes.get('root', uuid)}
        self.providers.list_resource_provider_traits.return_value = {
            'traits': changes.get('traits', [])}
        self.providers.list_resource_provider_aggregates.side_effect = (
            lambda uuid: {'aggregates': changes.get(uuid, [])})

    def test_on_a_nested_provider_of_its_host(self):
        self.serve(root='uuid-of-beta')
        self.assert_passes(self.observation())

    def test_on_a_provider_that_shares_with_its_host(self):
        self.serve(traits=['MISC_SHARES_VIA_AGGREGATE'], **{
            'uuid-of-pool': ['rack-1'], 'uuid-of-beta': ['rack-1', 'az']})
        self.assert_passes(self.observation())

    def test_on_other_providers(self):
        rack = {'uuid-of-pool': ['rack-1'], 'uuid-of-beta': ['rack-1']}
        for changes in (
                {}, {'root': 'uuid-of-alpha'}, rack,
                {'traits': ['MISC_SHARES_VIA_AGGREGATE'],
                 **rack, 'uuid-of-beta': ['rack-2']}):
            self.serve(**changes)
            self.assert_problem(self.observation(),
                                'its allocations are on beta, pool')

    def test_on_a_provider_that_is_gone(self):
        self.allocations[fakes.SERVER_ID] = ['uuid-of-beta', 'gone']
        self.assert_problem(self.observation(),
                            'its allocations are on beta, gone')

    def test_on_a_nested_provider_alone(self):
        self.serve(root='uuid-of-beta')
        self.allocations[fakes.SERVER_ID] = ['uuid-of-pool']
        self.assert_problem(self.observation(),
                            'its allocations are on pool')

    def test_the_record_keeps_an_allocation(self):
        self.allocations['uuid-7'] = ['uuid-of-alpha']
        self.assert_problem(
            self.observation(), 'record 7 still holds allocations on alpha')

    def test_a_migration_that_goes_on_is_not_judged(self):
        self.allocations['uuid-7'] = ['uuid-of-alpha']
        self.assert_passes(self.observation(self.rolled_back(
            records=(builders.record('running'),), timed_out='waited')))

    def test_each_of_several_servers(self):
        other = builders.new_request(
            server=builders.server(server_id=OTHER_ID, name='second'))
        self.allocations[OTHER_ID] = []
        seen = self.observation(
            builders.new_evidence(), builders.new_evidence(request=other))
        self.assert_problem(seen, 'allocations are on none',
                            server_id=OTHER_ID)

    def test_a_server_that_was_deleted(self):
        self.server, self.allocations = None, {}
        self.assert_passes(self.observation())


class VolumesTestCase(NovaTestCase):
    """Attaches a volume of 1 GiB to the server."""

    def setUp(self):
        super().setUp()
        self.on = 'beta'
        self.clients.volumes.show_volume.side_effect = lambda volume_id: {
            'volume': {'id': volume_id, 'name': 'data', 'status': 'in-use',
                       'size': 1, 'attachments': [
                           {'attachment_id': 'a', 'host_name': self.on}]}}
        self.clients.attachments.get.side_effect = lambda url: (
            fakes.Response(200), json.dumps({'attachments': [{
                'id': 'a', 'volume_id': 'v', 'instance': fakes.SERVER_ID,
                'status': 'attached'}]}))

    def attached(self, *migrations):
        return builders.observation(
            *migrations, clients=self.clients, plan=builders.new_plan(
                plan.PlannedServer(fakes.SERVER_ID, volumes=('v',))))


class VolumeAttachmentTest(VolumesTestCase):

    check = staticmethod(nova.volume_attachment)

    def test_attached_once_on_the_server_s_host(self):
        self.assert_passes(self.attached())

    def test_attached_on_another_host(self):
        self.on = 'alpha'
        self.assert_problem(
            self.attached(), 'volume v (data): attachment a is on host '
            'alpha, not on beta')

    def test_a_server_that_was_deleted(self):
        self.server = None
        self.assert_passes(self.attached())
        self.clients.volumes.show_volume.assert_not_called()

    def test_no_volume(self):
        self.assert_skipped(self.observation(), 'no server has a volume')


class VolumeCopiedTest(VolumesTestCase):

    check = staticmethod(nova.volume_copied)

    def copied(self, gib, disk_gib):
        """Return an observation of a server and its copied disks."""
        followed = builders.migration(
            server=builders.server(disk_gib=disk_gib))
        followed.progress.append(
            builders.progress(disk=round(gib * builders.GIB)))
        return self.attached(builders.judged(migration=followed))

    def test_no_more_than_the_local_disks_is_copied(self):
        # The volume has 1 GiB; a server without disks booted from it.
        for gib, disk_gib in ((0.0, 0.0), (0.1, 0.0), (20.0, 20.0),
                              (20.1, 20.0), (0.0, 20.0)):
            self.assert_passes(self.copied(gib, disk_gib))

    def test_the_volume_is_copied(self):
        for gib, disk_gib in ((1.0, 0.0), (21.0, 20.0)):
            self.assert_problem(
                self.copied(gib, disk_gib), f'{gib:.1f} GiB of disks',
                f'local disks of {disk_gib:g} GiB', 'its volume was copied')

    def test_no_progress_was_seen(self):
        self.assert_passes(self.attached())

    def test_no_volume(self):
        self.assert_skipped(self.observation(), 'no server has a volume')
