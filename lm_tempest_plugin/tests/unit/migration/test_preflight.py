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

from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class PreflightTestCase(base.TestCase):

    def assert_refused(self, parts, call, *args):
        exc = self.assertRaises(preflight.CannotMove, call, *args)
        for part in parts:
            self.assertIn(part, str(exc))


class SourceTest(PreflightTestCase):

    def test_good(self):
        preflight.check_source(iter(builders.UP), 'alpha')

    def test_unknown(self):
        self.assert_refused(
            ['host gamma', 'no nova-compute', 'alpha (enabled, up), beta'],
            preflight.check_source, iter(builders.UP), 'gamma')

    def test_down(self):
        self.assert_refused(
            ['host alpha', 'is down'],
            preflight.check_source, builders.SOURCE_DOWN, 'alpha')

    def test_disabled_is_no_reason(self):
        preflight.check_source(
            [hosts.Host('alpha', 'disabled', 'up')], 'alpha')


class ServersTest(PreflightTestCase):

    def test_good(self):
        preflight.check_servers(
            [builders.server(), builders.server(status='PAUSED')])

    def test_other_states(self):
        for server in (
                builders.server(status='SHUTOFF'), builders.migrating(),
                builders.server(task_state='rebooting')):
            self.assert_refused(
                [fakes.SERVER_ID, 'guest', server.state, 'ACTIVE or PAUSED'],
                preflight.check_servers, [builders.server(), server])

    def test_none(self):
        self.assert_refused(
            ['no server to move'], preflight.check_servers, iter([]))


class DestinationTest(PreflightTestCase):

    def setUp(self):
        super().setUp()
        hypervisors, providers = mock.Mock(), mock.Mock()
        hypervisors.list_hypervisors.return_value = {'hypervisors': [
            {'id': 'uuid-of-%s' % name, 'service': {'host': name}}
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

    def args(self, destination='beta', number=1, known=builders.UP,
             **kwargs):
        return (preflight.check_destination, self.clients, iter(known),
                destination, [builders.server(**kwargs)] * number)

    def assert_good(self, *args, **kwargs):
        call, *rest = self.args(*args, **kwargs)
        call(*rest)

    def test_good(self):
        self.assert_good()
        self.providers.list_resource_provider_usages.assert_called_once_with(
            'uuid-of-beta')

    def test_unknown(self):
        self.assert_refused(
            ['host gamma', 'no nova-compute', 'alpha (enabled, up)'],
            *self.args('gamma'))

    def test_not_usable(self):
        for status, state in (('disabled', 'up'), ('enabled', 'down')):
            self.assert_refused(
                ['host beta', '%s and %s' % (status, state)],
                *self.args(known=[hosts.Host('beta', status, state)]))

    def test_a_server_that_is_there_already(self):
        self.assert_refused(
            [fakes.SERVER_ID, 'on host beta already'],
            *self.args(host='beta'))

    def test_room(self):
        # 8 virtual CPUs by their ratio, 2 of them taken.
        self.assert_good(number=3)
        self.assert_refused(
            ['host beta', 'no room for 4 servers',
             'VCPU: 8 needed, 6 free', 'MEMORY_MB: 8192 needed, 6656 free'],
            *self.args(number=4))

    def test_local_disks(self):
        self.assert_refused(
            ['DISK_GB: 91 needed, 90 free'], *self.args(disk_gib=91.0))

    def test_storage_that_is_shared_has_no_limit_here(self):
        del self.inventories['DISK_GB']
        self.assert_good(disk_gib=5000.0)

    def test_what_a_host_has_left(self):
        self.assertEqual(placement.Resources(6, 6656, 90),
                         preflight.room(self.clients, 'beta'))

    def test_a_host_without_a_hypervisor(self):
        self.assert_refused(['host gamma', 'no hypervisor'],
                            preflight.room, self.clients, 'gamma')
