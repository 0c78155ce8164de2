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

from unittest import mock

import fixtures
import msgspec
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.migration.preflight import Obstacle
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.tests.live_migration_ha import test_negative
from lm_tempest_plugin.tests.unit import fakes as api_fakes
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders


class NegativeTestCase(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.conf.compute_feature_enabled.suspend = True
        self.conf.live_migration_ha.changes_hosts = True
        self.events = []
        self.engine.side_effect = self.requested

    def requested(self, *args, **kwargs):
        self.events.append('request')
        return self.migrated(*args, **kwargs)

    def noted(self, event):
        """Return a function that notes an event."""
        return lambda *args, **kwargs: self.events.append(event)

    def assert_refused(self, status, obstacle, destination='beta'):
        plan, = self.plans
        self.assertEqual(
            (destination, (Kind.FAILED,), False,
             plans.ExpectedRefusal(status, obstacle)),
            (plan.destination, plan.expected, plan.measured,
             plan.expected_refusal))
        return plan


class HostsTest(NegativeTestCase):

    def setUp(self):
        super().setUp()
        self.clients.services.list_services.return_value = {'services': [
            {'id': f'service-of-{host}', 'host': host, 'status': 'enabled',
             'state': 'up'} for host in ('alpha', 'beta')]}
        self.clients.servers.list_servers.return_value = {'servers': []}

    def new_test(self, name, **attributes):
        return self.new(test_negative.HostsTest, name, **attributes)

    def test_hosts_that_must_not_change(self):
        self.conf.live_migration_ha.changes_hosts = False
        for name in ('test_disabled_host', 'test_host_down', 'test_no_room'):
            self.skips(self.new_test(name), 'changes_hosts is False')
        self.builder.build.assert_not_called()
        self.clients.services.update_service.assert_not_called()

    def test_an_unknown_host(self):
        self.passes(self.new_test('test_unknown_host'))
        destination = self.plans[0].destination
        self.assertTrue(destination.startswith('unknown-host-'), destination)
        self.assert_refused(400, Obstacle.UNKNOWN_HOST, destination)
        self.probes.finish.assert_called_once()

    def test_a_problem_of_the_migration_fails_the_test(self):
        self.problems = [fakes.problem('left-migrating', 'for ever')]
        self.fails(self.new_test('test_unknown_host'),
                   'left-migrating: for ever')

    def test_the_same_host(self):
        self.passes(self.new_test('test_same_host'))
        self.assert_refused(202, Obstacle.SAME_HOST, 'alpha')

    def test_a_nova_that_answers_after_its_checks(self):
        self.passes(self.new_test('test_same_host', microversion='2.33'))
        self.assert_refused(400, Obstacle.SAME_HOST, 'alpha')

    def changes_service(self, client):
        """Let a client of services change the one of beta, noting it."""
        client.list_services.side_effect = [
            {'services': [{'host': host, 'status': 'enabled', 'state': 'up'}
                          for host in ('alpha', 'beta')]},
            {'services': [{'id': 'service-of-beta'}]}]
        client.update_service.side_effect = (
            lambda service_id, **fields: self.events.append(
                (service_id, *fields.items())))

    def test_a_disabled_host(self):
        test = self.new_test('test_disabled_host')
        self.changes_service(self.clients.services)
        self.passes(test)
        self.assert_refused(202, Obstacle.HOST_DISABLED)
        self.clients.services.list_services.assert_called_with(
            binary='nova-compute', host='beta')
        self.assertEqual([
            ('service-of-beta', ('status', 'disabled'),
             ('disabled_reason', test.id())), 'request',
            ('service-of-beta', ('status', 'enabled'))], self.events)

    def test_an_administrator_may_use_a_disabled_host(self):
        self.skips(self.new_test('test_disabled_host', microversion='2.29'),
                   '2.30', '2.29')
        self.builder.build.assert_not_called()

    def test_a_host_that_is_down(self):
        self.changes_service(self.clients.services)
        self.passes(self.new_test('test_host_down'))
        self.assert_refused(202, Obstacle.HOST_DOWN)
        self.assertEqual([
            ('service-of-beta', ('forced_down', True)), 'request',
            ('service-of-beta', ('forced_down', False))], self.events)

    def test_a_host_with_servers_is_not_forced_down(self):
        self.clients.servers.list_servers.return_value = {
            'servers': [api_fakes.server(host='beta')]}
        self.skips(self.new_test('test_host_down'),
                   'Host beta has 1 servers')
        self.clients.servers.list_servers.assert_called_once_with(
            detail=True, all_tenants=True, host='beta')
        self.assertEqual([], self.events)

    def test_a_service_is_put_back_whatever_happens(self):
        for name in ('test_disabled_host', 'test_host_down'):
            self.events.clear()
            self.changes_service(self.clients.services)
            self.engine.side_effect = lib_exc.ServerFault('oops')
            self.run_test(self.new_test(name))
            self.assertEqual(2, len(self.events), self.events)

    def test_a_service_that_cannot_be_put_back_fails_the_test(self):
        self.changes_service(self.clients.services)
        self.clients.services.update_service.side_effect = [
            None, lib_exc.ServerFault('oops')]
        self.fails(self.new_test('test_host_down'), 'oops')

    def room(self, total, ratio, max_unit):
        inventory = {'total': total, 'reserved': 0, 'allocation_ratio': ratio,
                     'max_unit': max_unit}
        self.clients.hypervisors.list_hypervisors.return_value = {
            'hypervisors': [{'id': f'uuid-of-{host}',
                             'service': {'host': host}}
                            for host in ('alpha', 'beta')]}
        providers = self.clients.providers
        providers.list_resource_provider_inventories.return_value = {
            'inventories': {'MEMORY_MB': inventory}}
        providers.list_resource_provider_usages.return_value = {
            'usages': {'MEMORY_MB': 24}}
        held = {}

        def allocate(client, consumer, provider, **resources):
            self.events.append((provider, resources))
            held[consumer] = resources

        self.patch(placement, 'allocate', allocate)
        self.patch(placement, 'release', lambda client, consumer: (
            self.events.append(('released', held.pop(consumer)))))
        return held

    def test_no_room(self):
        held = self.room(1024, 1.0, 1024)
        self.passes(self.new_test('test_no_room'))
        self.assert_refused(202, Obstacle.NO_ROOM)
        taken = {'MEMORY_MB': 1000}
        self.assertEqual(
            [('uuid-of-beta', taken), 'request', ('released', taken)],
            self.events)
        self.assertEqual({}, held)

    def test_more_room_than_one_consumer_may_have(self):
        held = self.room(1024, 2.5, 1024)
        self.passes(self.new_test('test_no_room'))
        self.assertEqual([1024, 1024, 488], [
            each[1]['MEMORY_MB'] for each in self.events[:3]])
        self.assertEqual({}, held)

    def test_an_allocation_that_was_never_made(self):
        self.room(1024, 1.0, 1024)

        def allocate(*args, **kwargs):
            raise lib_exc.Conflict('no room any more')

        def release(*args):
            self.events.append('released')
            raise lib_exc.NotFound('no such consumer')

        self.patch(placement, 'allocate', allocate)
        self.patch(placement, 'release', release)
        found = self.fails(self.new_test('test_no_room'), 'no room any more')
        self.assertNotIn('no such consumer', found)
        self.assertEqual(['released'], self.events)


class ServersTest(NegativeTestCase):

    def setUp(self):
        super().setUp()
        self.sent = self.useFixture(fixtures.MockPatchObject(
            request, 'live_migrate', autospec=True)).mock

    def new_test(self, name):
        test = self.new(test_negative.ServersTest, name)
        for action in ('suspend', 'resume', 'stop', 'start'):
            getattr(test.servers_client, f'{action}_server').side_effect = (
                self.noted(action))
        self.builder.wait_for.side_effect = (
            lambda guest, status: self.events.append(status))
        return test

    def assert_not_probed(self, plan):
        self.assertEqual((plans.PlannedServer('server-0'),), plan.servers)

    def test_a_suspended_server(self):
        self.passes(self.new_test('test_suspended_server'))
        self.assert_not_probed(self.assert_refused(
            409, Obstacle.SERVER_STATE))
        self.assertEqual(['suspend', 'SUSPENDED', 'request', 'resume',
                          'ACTIVE'], self.events)
        self.probes.finish.assert_called_once()
        self.builder.verify.assert_called_once_with(*self.guests)

    def test_it_has_to_continue_from_where_it_was(self):
        self.reboot()
        self.fails(self.new_test('test_suspended_server'),
                   'boot id boot-2, before boot-1')

    def test_a_cloud_without_suspend(self):
        self.conf.compute_feature_enabled.suspend = False
        self.skips(self.new_test('test_suspended_server'),
                   'suspend is False')
        self.builder.build.assert_not_called()

    def boot_ids(self, *found):
        self.builder.inspect.side_effect = [
            msgspec.structs.replace(builders.INSPECTION, boot_id=each)
            for each in found]

    def test_a_server_that_is_off(self):
        # At the begin, at the end of the observation, and after the start.
        self.boot_ids('boot-1', 'boot-1', 'boot-2')
        self.builder.verify.side_effect = [
            {}, {'disk': '', 'outbound': 'broke'}]
        self.passes(self.new_test('test_shut_off_server'))
        self.assert_not_probed(self.assert_refused(
            409, Obstacle.SERVER_STATE))
        self.assertEqual(['stop', 'SHUTOFF', 'request', 'start', 'ACTIVE'],
                         self.events)
        self.builder.inspect.assert_called_with(
            self.guests[0], inspection.PARTS)

    def test_it_has_to_boot_again(self):
        self.boot_ids('boot-1', 'boot-1', 'boot-1')
        self.fails(self.new_test('test_shut_off_server'), 'boot-1')

    def test_its_disk_has_to_be_unharmed(self):
        self.boot_ids('boot-1', 'boot-1', 'boot-2')
        self.builder.verify.side_effect = [{}, {'disk': 'sum a, was b'}]
        self.fails(self.new_test('test_shut_off_server'), 'sum a, was b')

    def second_request(self, *seen, refusal=None):
        """Return the test, with snapshots of servers."""
        def polled(plan, clients, on_poll, **kwargs):
            for server in seen:
                on_poll(None, [mock.Mock(server=server)])
            return self.migrated(plan, clients, **kwargs)

        self.engine.side_effect = polled
        self.sent.return_value = builders.new_request(refusal=refusal)
        return self.new_test('test_second_request')

    def test_a_second_request(self):
        migrating = builders.migrating()
        self.passes(self.second_request(
            builders.server(), None, migrating, migrating,
            refusal=builders.refusal(409)))
        self.sent.assert_called_once_with(
            self.clients.servers, migrating, 'beta',
            self.plans[0].options)
        plan, = self.plans
        self.assertEqual(((Kind.COMPLETED,), None, False), (
            plan.expected, plan.expected_refusal, plan.measured))

    def test_another_answer_to_the_second_request(self):
        self.fails(self.second_request(
            builders.migrating(), refusal=builders.refusal(500)), '500')
        self.fails(self.second_request(builders.migrating()), '202')

    def test_it_was_never_seen_migrating(self):
        self.skips(self.second_request(builders.server()),
                   'never seen MIGRATING')


class FlagTest(NegativeTestCase):

    def new_test(self, name, right=True, **attributes):
        features = self.conf.compute_feature_enabled
        features.block_migration_for_live_migration = right
        return self.new(test_negative.FlagTest, name, **attributes)

    def test_the_flag_is_the_wrong_one(self):
        for right in (True, False):
            for name, version, status in (
                    ('test_block_migration_flag_wrong', '2.24', 400),
                    ('test_block_migration_flag_wrong_and_checked_later',
                     '2.84', 202)):
                self.passes(self.new_test(name, right))
                plan = self.assert_refused(status, None)
                self.assertEqual(request.RequestOptions(not right, version),
                                 plan.options)
                self.plans.clear()

    def test_its_disk_is_compared(self):
        self.passes(self.new_test('test_block_migration_flag_wrong'))
        self.builder.write_disks.assert_called_once_with(*self.guests)
        self.builder.verify.assert_called_once_with(*self.guests)
