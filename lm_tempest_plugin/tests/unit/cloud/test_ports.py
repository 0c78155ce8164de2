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

from tempest.lib.services.network import ports_client

from lm_tempest_plugin.cloud import ports
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class ListAllTest(base.TestCase):

    def list_all(self, *answers):
        """Return the ports by the client's answers, and the client."""
        client = mock.create_autospec(ports_client.PortsClient, instance=True)
        client.list_ports.side_effect = [
            {'ports': answer} for answer in answers]
        return ports.list_all(client, 'server'), client

    def test_ports_without_a_trunk(self):
        found, client = self.list_all(
            [fakes.port('one'),
             fakes.port('two', 'DOWN', None, admin_state_up=False,
                        trunk_details=None)])
        self.assertEqual([ports.Port('one', 'ACTIVE', True, 'beta'),
                          ports.Port('two', 'DOWN', False, '')], found)
        client.list_ports.assert_called_once_with(device_id='server')

    def test_subports_of_a_trunk(self):
        found, client = self.list_all(
            [fakes.port('one', trunk_details={
                'trunk_id': 'trunk', 'sub_ports': [{'port_id': 'below'}]})],
            [fakes.port('below', 'DOWN', '')])
        self.assertEqual([ports.Port('one', 'ACTIVE', True, 'beta'),
                          ports.Port('below', 'DOWN', True, '', 'one')],
                         found)
        self.assertEqual(mock.call(id=['below']),
                         client.list_ports.mock_calls[1])
        self.assertEqual(
            ['port one', 'subport below of the trunk of port one'],
            list(map(str, found)))

    def test_a_trunk_without_subports(self):
        found, client = self.list_all([fakes.port('one', trunk_details={
            'trunk_id': 'trunk', 'sub_ports': []})])
        self.assertEqual(1, len(found))
        client.list_ports.assert_called_once()


class BindingsTest(base.TestCase):

    def test_all_of_all_ports(self):
        client = fakes.ports(
            one=[('alpha', 'ACTIVE'), ('beta', 'INACTIVE')],
            two=[('beta', 'ACTIVE')])
        found = ports.list_bindings(client, 'id')
        self.assertEqual(
            [ports.PortBinding('one', 'alpha', 'ACTIVE'),
             ports.PortBinding('one', 'beta', 'INACTIVE'),
             ports.PortBinding('two', 'beta', 'ACTIVE')], found)
        self.assertEqual(
            [True, False, True], [each.active for each in found])
        client.list_ports.assert_called_once_with(device_id='id')
        self.assertEqual(
            [mock.call('/ports/one/bindings'),
             mock.call('/ports/two/bindings')],
            client.list_resources.mock_calls)

    def test_a_server_without_ports(self):
        client = fakes.ports()
        self.assertEqual([], ports.list_bindings(client, 'id'))
        client.list_resources.assert_not_called()

    def test_a_port_without_bindings(self):
        self.assertEqual(
            [], ports.list_bindings(fakes.ports(one=[]), 'id'))

    def test_in_words(self):
        self.assertEqual(
            'port one bound to beta (INACTIVE)',
            str(ports.PortBinding('one', 'beta', 'INACTIVE')))
        # neutron shows an unbound port as ACTIVE, on no host.
        self.assertEqual('port one bound to no host (ACTIVE)',
                         str(ports.PortBinding('one', '', 'ACTIVE')))
