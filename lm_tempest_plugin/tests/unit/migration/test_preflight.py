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
from unittest import mock

from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration.preflight import Obstacle
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class SourceTest(base.TestCase):

    def assert_refused(self, parts, services, source):
        exc = self.assertRaises(preflight.CannotMigrate,
                                preflight.check_source, services, source)
        for part in parts:
            self.assertIn(part, str(exc))

    def test_good(self):
        preflight.check_source(iter(builders.UP), 'alpha')

    def test_unknown(self):
        self.assert_refused(
            ['host gamma', 'no nova-compute', 'alpha (enabled, up), beta'],
            iter(builders.UP), 'gamma')

    def test_down(self):
        self.assert_refused(['host alpha', 'is down'],
                            builders.SOURCE_DOWN, 'alpha')

    def test_disabled_is_no_reason(self):
        preflight.check_source([compute_hosts.ComputeService(
            'alpha', 'disabled', 'up')], 'alpha')


class CheckTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        hypervisors, providers = mock.Mock(), mock.Mock()
        hypervisors.list_hypervisors.return_value = {'hypervisors': [
            {'id': f'uuid-of-{name}', 'service': {'host': name}}
            for name in ('alpha', 'beta')]}
        self.inventories = {
            name: {'total': total, 'reserved': reserved,
                   'allocation_ratio': ratio}
            for name, total, reserved, ratio in (
                ('VCPU', 4, 0, 2.0), ('MEMORY_MB', 8192, 512, 1.0),
                ('DISK_GB', 100, 0, 1.0))}
        providers.list_resource_provider_inventories.return_value = {
            'inventories': self.inventories}
        self.usages = {'VCPU': 2, 'MEMORY_MB': 1024, 'DISK_GB': 10}
        providers.list_resource_provider_usages.return_value = {
            'usages': self.usages}
        self.providers = providers
        self.clients = simulation.clients(
            hypervisors=hypervisors, providers=providers)

    def check(self, *servers, destination='beta', services=builders.UP,
              **kwargs):
        preflight.check(
            self.clients, iter(services), list(servers),
            lambda server_id: destination, **kwargs)

    def assert_refused(self, parts, *servers, **kwargs):
        exc = self.assertRaises(
            preflight.CannotMigrate, self.check, *servers, **kwargs)
        for part in parts:
            self.assertIn(part, str(exc))


class CheckTest(CheckTestCase):

    def test_good(self):
        self.check(builders.server(), builders.server(status='PAUSED'))
        self.providers.list_resource_provider_usages.assert_called_once_with(
            'uuid-of-beta')

    def test_servers_in_other_states(self):
        for server in (
                builders.server(status='SHUTOFF'), builders.migrating(),
                builders.server(task_state='rebooting')):
            self.assert_refused(
                [fakes.SERVER_ID, 'guest', server.state, 'ACTIVE or PAUSED'],
                builders.server(), server)

    def test_no_server(self):
        self.assert_refused(['no server to live-migrate'])

    def test_the_source_is_down(self):
        self.assert_refused(['the source, host alpha, is down'],
                            builders.server(), services=builders.SOURCE_DOWN)

    def test_each_source_is_checked(self):
        self.assert_refused(
            ['the source, host gamma, has no nova-compute'],
            builders.server(), builders.server(host='gamma'))

    def test_the_scheduler_chooses(self):
        self.check(builders.server(), destination='')
        self.providers.list_resource_provider_usages.assert_not_called()

    def test_an_unknown_destination(self):
        self.assert_refused(
            ['host gamma', 'no nova-compute', 'alpha (enabled, up)'],
            builders.server(), destination='gamma')

    def test_a_destination_that_is_not_usable(self):
        for status, state in (('disabled', 'up'), ('enabled', 'down')):
            self.assert_refused(
                ['host beta', f'{status} and {state}'], builders.server(),
                services=[builders.UP[0], compute_hosts.ComputeService(
                    'beta', status, state)])

    def test_a_server_that_is_there_already(self):
        self.assert_refused([fakes.SERVER_ID, 'already on host beta'],
                            builders.server(host='beta'))

    def test_room(self):
        # 8 virtual CPUs by their ratio, 2 of them taken.
        self.check(*[builders.server()] * 3)
        self.assert_refused(
            ['host beta', 'no room for 4 servers',
             'VCPU: 8 needed, 6 free', 'MEMORY_MB: 8192 needed, 6656 free'],
            *[builders.server()] * 4)

    def test_destinations_of_their_own(self):
        gamma = compute_hosts.ComputeService('gamma', 'disabled', 'up')
        servers = [builders.server(server_id=each) for each in (
            'one', 'two', 'three', 'four')]
        destinations = dict.fromkeys(('one', 'two', 'three'), 'beta')
        # No host has to take all four.
        for name, text in (('', ''), ('gamma', 'host gamma, is disabled'),
                           ('alpha', 'four (guest) is already on host alpha'),
                           ('beta', 'no room for 4 servers')):
            destinations['four'] = name

            def check():
                preflight.check(self.clients, [*builders.UP, gamma], servers,
                                destinations.get)

            if text:
                exc = self.assertRaises(preflight.CannotMigrate, check)
                self.assertIn(text, str(exc))
            else:
                check()
        self.clients.hypervisors.list_hypervisors.reset_mock()
        self.assertRaises(preflight.CannotMigrate, check)
        self.clients.hypervisors.list_hypervisors.assert_called_once_with(
            detail=True)

    def test_local_disks(self):
        self.assert_refused(['DISK_GB: 91 needed, 90 free'],
                            builders.server(disk_gib=91.0))

    def test_shared_storage_has_no_limit_here(self):
        del self.inventories['DISK_GB']
        self.check(builders.server(disk_gib=5000.0))

    def test_free_resources_of_the_destination(self):
        self.assertEqual(placement.Resources(6, 6656, 90),
                         placement.free_on_host(self.clients, 'beta'))

    def test_a_destination_without_a_hypervisor(self):
        gamma = compute_hosts.ComputeService('gamma', 'enabled', 'up')
        exc = self.assertRaises(
            placement.NoHypervisor, self.check, builders.server(),
            destination='gamma', services=[*builders.UP, gamma])
        for part in ('host gamma', 'no hypervisor'):
            self.assertIn(part, str(exc))


class ExpectedObstacleTest(CheckTestCase):

    def setUp(self):
        super().setUp()
        beta = builders.UP[1]
        self.cases = {
            Obstacle.SERVER_STATE: ([builders.server(status='SHUTOFF')], {}),
            Obstacle.UNKNOWN_HOST: (
                [builders.server()], {'destination': 'gamma'}),
            Obstacle.HOST_DISABLED: ([builders.server()], {'services': [
                builders.UP[0],
                dataclasses.replace(beta, status='disabled')]}),
            Obstacle.HOST_DOWN: ([builders.server()], {'services': [
                builders.UP[0], dataclasses.replace(beta, state='down')]}),
            Obstacle.SAME_HOST: (
                [builders.server()], {'destination': 'alpha'}),
            Obstacle.NO_ROOM: ([builders.server()] * 4, {})}

    def test_each_is_accepted_alone(self):
        self.assertEqual(set(Obstacle), set(self.cases))
        for expected in Obstacle:
            for found, (servers, changes) in self.cases.items():
                if found is expected:
                    self.check(*servers, expected=expected, **changes)
                else:
                    self.assertRaises(
                        preflight.CannotMigrate, self.check, *servers,
                        expected=expected, **changes)

    def test_it_is_not_there(self):
        for expected in Obstacle:
            self.assert_refused(
                ['expected to refuse', str(expected), 'is not there'],
                builders.server(), expected=expected)

    def test_another_one_is_there_as_well(self):
        servers, changes = self.cases[Obstacle.HOST_DISABLED]
        self.assert_refused(
            ['no room for 4 servers'], *servers * 4,
            expected=Obstacle.HOST_DISABLED, **changes)

    def test_the_source_has_to_be_up_in_any_case(self):
        self.assert_refused(
            ['the source, host alpha, is down'], builders.server(),
            services=builders.SOURCE_DOWN, expected=Obstacle.SAME_HOST,
            destination='alpha')
