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

from lm_tempest_plugin.cloud import ports
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin.guests import stack_builder
from lm_tempest_plugin.tests.live_migration_ha import test_stack
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes

STACK = stacks.Stack('uuid', 'name', 'CREATE_COMPLETE')


class StackTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.client = mock.create_autospec(stacks.StacksClient, instance=True)
        self.client.resources.return_value = [
            stacks.StackResource('0', stacks.SERVER, 'server-0',
                                 'CHECK_COMPLETE'),
            stacks.StackResource(
                'security_group', 'OS::Neutron::SecurityGroup', 'group',
                'CHECK_COMPLETE')]
        self.client.find.return_value = None
        self.stacked = mock.create_autospec(
            stack_builder.StackBuilder, instance=True)
        self.stacked.client = self.client
        self.stacked.room.return_value = 2
        self.stacked.adopt_stack.return_value = None, []
        self.stacked.deploy.side_effect = lambda number, host: (
            STACK, self.build(number, host))
        self.host = 'beta'
        self.patch(servers, 'show', lambda client, server_id: mock.Mock(
            host=self.host))
        self.left = self.left_ports = None
        self.patch(servers, 'find', lambda client, server_id: self.left)
        self.patch(ports, 'list_all',
                   lambda client, server_id: self.left_ports or [])
        self.groups = []
        self.owner.security_groups_client.list_security_groups = (
            lambda id: {'security_groups': self.groups})

    def test(self, **attributes):
        return self.new(test_stack.StackTest, 'test_drain_stack', **{
            'build_stacks': lambda test: self.stacked, **attributes})

    def test_new_stack(self):
        self.passes(self.test())
        self.stacked.deploy.assert_called_once_with(2, 'alpha')
        self.assertEqual(['beta'], [each.destination for each in self.plans])
        names = [name for name, *_ in self.client.mock_calls]
        for first, second in (('check', 'update'), ('update', 'delete')):
            self.assertLess(names.index(first), names.index(second))
        self.client.delete.assert_called_once_with('uuid', 10)

    def test_existing_stack(self):
        self.stacked.adopt_stack.return_value = STACK, self.build(2, 'alpha')
        self.passes(self.test())
        # It is left as it was.
        self.assertEqual(['beta', 'alpha'],
                         [each.destination for each in self.plans])
        self.stacked.deploy.assert_not_called()
        self.client.delete.assert_not_called()

    def test_no_heat(self):
        def build_stacks(test):
            raise stacks.NoHeat('the cloud has no service orchestration')

        self.skips(self.test(build_stacks=build_stacks),
                   'the cloud has no service orchestration')

    def test_an_update_changes_a_server(self):
        before = self.client.resources.return_value
        for values in (('server-0', 'UPDATE_COMPLETE'),
                       ('other', 'CREATE_COMPLETE')):
            self.client.resources.side_effect = [before, [
                stacks.StackResource('0', stacks.SERVER, *values), before[1]]]
            self.fails(self.test(), *values)
            self.plans.clear()

    def test_an_update_moves_a_server_back(self):
        self.host = 'alpha'
        self.fails(self.test(), "in actual but not in expected:\n['alpha']")

    def test_leftovers(self):
        for name, value in (('left', 'server'), ('left_ports', ['port']),
                            ('groups', ['group'])):
            before = getattr(self, name)
            setattr(self, name, value)
            self.fails(self.test())
            setattr(self, name, before)
            self.plans.clear()
