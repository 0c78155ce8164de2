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

from tempest.lib import exceptions

from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests import stack_builder
from lm_tempest_plugin.tests.unit import base

OPTIONS = builder.GuestOptions(
    flavor_ref='flavor', tcp_echo_port=7, build_timeout_s=10,
    build_interval_s=0, dynamic_credentials=True)
STACK = stacks.Stack('uuid', 'name', 'CREATE_COMPLETE')


class StackBuilderTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.test = mock.Mock()
        self.test.get_tenant_network.return_value = {'id': 'network'}
        self.test.create_keypair.return_value = {
            'name': 'key', 'private_key': 'private'}
        self.test.get_server_ip.side_effect = lambda body: (
            f'address of {body["id"]}')
        self.client = mock.create_autospec(stacks.StacksClient, instance=True)
        self.client.create.return_value = STACK
        self.client.servers.return_value = ['one', 'two']
        self.owner, self.admin = mock.Mock(), mock.Mock()
        self.owner.servers_client.show_server.side_effect = self.show
        self.admin.servers.show_server.side_effect = self.show
        self.hosts = {}

    def show(self, server_id):
        """Return a server as nova shows it to an administrator."""
        return {'server': {
            'id': server_id, 'name': f'name of {server_id}',
            'status': 'ACTIVE', 'OS-EXT-STS:task_state': None,
            'OS-EXT-SRV-ATTR:host': self.hosts.get(server_id, 'alpha'),
            'flavor': {'vcpus': 1, 'ram': 64, 'disk': 1, 'ephemeral': 0,
                       'swap': 0},
            'addresses': {'net': [{'version': 4, 'addr': server_id,
                                   'OS-EXT-IPS:type': 'fixed'}]}}}

    def builder(self, **stack):
        return stack_builder.StackBuilder(
            self.test, self.owner, self.admin, OPTIONS, self.client,
            stack_builder.StackOptions('image', **stack))


class DeployTest(StackBuilderTestCase):

    def test_parameters(self):
        self.builder(parameters={'availability_zone': 'z'}).deploy(
            2, 'alpha', image_id='other')
        name, template, given, timeout_s = self.client.create.call_args[0]
        self.assertTrue(name.startswith('tempest-Mock-stack-'), name)
        self.assertEqual(stacks.TEMPLATE.read_text('utf-8'), template)
        self.assertEqual(20, timeout_s)
        self.assertIn('socat', given.pop('workload'))
        self.assertEqual(
            {'count': 2, 'host': 'alpha', 'echo_port': 7, 'flavor': 'flavor',
             'image': 'other', 'network': 'network', 'key': 'key',
             'availability_zone': 'z'}, given)

    def test_guests(self):
        stack, guests = self.builder().deploy(2)
        self.assertIs(STACK, stack)
        self.assertEqual(
            [('one', 'alpha', 'address of one', 'private'),
             ('two', 'alpha', 'address of two', 'private')],
            [(each.server_id, each.host, each.address, each.private_key)
             for each in guests])

    def test_deleted_at_the_end_even_if_it_fails(self):
        self.client.create.side_effect = stacks.StackError('no')
        self.assertRaises(stacks.StackError, self.builder().deploy, 2)
        name = self.client.create.call_args[0][0]
        self.test.addCleanup.assert_called_once_with(
            self.client.delete, name, 20)

    def test_parameters_are_checked_first(self):
        self.client.check_parameters.side_effect = stacks.StackError('no')
        self.assertRaises(stacks.StackError, self.builder().deploy, 2)
        self.client.create.assert_not_called()

    def test_template_of_the_operator(self):
        [path] = self.create_tempfiles([('mine', 'mine: yes')], '.yaml')
        self.builder(template=path).deploy(1)
        self.assertEqual('mine: yes', self.client.create.call_args[0][1])
        exc = self.assertRaises(
            exceptions.InvalidConfiguration,
            self.builder(template='/nowhere/x').deploy, 1)
        self.assertIn('heat_template: /nowhere/x cannot be read: No such '
                      'file', str(exc))

    def test_quota_of_the_operator_stays(self):
        self.owner.flavors_client.show_flavor.return_value = {
            'flavor': {'name': 'small', 'vcpus': 1, 'ram': 64, 'disk': 1,
                       'OS-FLV-EXT-DATA:ephemeral': 0, 'swap': ''}}
        self.owner.limits_client.show_limits.return_value = {
            'limits': {'absolute': {
                'maxTotalInstances': 10, 'totalInstancesUsed': 7,
                'maxTotalCores': -1, 'totalCoresUsed': 0,
                'maxTotalRAMSize': -1, 'totalRAMUsed': 0}}}
        self.assertEqual(3, self.builder().room(12, 2))
        self.admin.quotas.update_quota_set.assert_not_called()


class BuildTest(StackBuilderTestCase):

    def test_plain_servers(self):
        guests = self.builder().build(2, 'alpha', image_id='other')
        self.assertEqual(['one', 'two'], [each.server_id for each in guests])

    def test_servers_with_volumes_are_built_by_nova(self):
        with mock.patch.object(builder.GuestBuilder, 'build') as build:
            self.builder().build(1, 'alpha', block_device_mapping_v2=[])
        build.assert_called_once_with(1, 'alpha', '',
                                      block_device_mapping_v2=[])
        self.client.create.assert_not_called()


class AdoptTest(StackBuilderTestCase):

    def setUp(self):
        super().setUp()
        [self.key] = self.create_tempfiles([('key', '-----BEGIN KEY')])
        self.client.complete.return_value = STACK

    def test_none(self):
        self.assertEqual((None, []), self.builder().adopt_stack())

    def test_servers_of_one_host(self):
        self.client.servers.return_value = ['one', 'two', 'three']
        self.hosts['two'] = 'beta'
        stack, guests = self.builder(
            stack_id='uuid', key_file=self.key).adopt_stack()
        self.assertIs(STACK, stack)
        self.assertEqual({'one', 'three'},
                         {each.server_id for each in guests})
        self.test.addCleanup.assert_not_called()

    def test_not_complete(self):
        self.client.complete.side_effect = stacks.StackError('it is not')
        self.assertRaises(stacks.StackError, self.builder(
            stack_id='uuid', key_file=self.key).adopt_stack)

    def test_no_servers(self):
        self.client.servers.return_value = []
        exc = self.assertRaises(stacks.StackError, self.builder(
            stack_id='uuid', key_file=self.key).adopt_stack)
        self.assertIn('stack name (uuid) has no servers', str(exc))

    def test_no_key(self):
        exc = self.assertRaises(
            exceptions.InvalidConfiguration, self.builder(
                stack_id='uuid', key_file='/nowhere/key').adopt_stack)
        self.assertIn('stack_key_file: /nowhere/key cannot be read', str(exc))
