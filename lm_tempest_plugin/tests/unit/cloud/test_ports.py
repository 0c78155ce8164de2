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
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class BindingsTest(base.TestCase):

    def test_all_of_all_ports(self):
        client = fakes.ports(
            one=[('alpha', 'ACTIVE'), ('beta', 'INACTIVE')],
            two=[('beta', 'ACTIVE')])
        found = ports.list_bindings(client, 'id')
        self.assertEqual(
            [ports.Binding('one', 'alpha', 'ACTIVE'),
             ports.Binding('one', 'beta', 'INACTIVE'),
             ports.Binding('two', 'beta', 'ACTIVE')], found)
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
            str(ports.Binding('one', 'beta', 'INACTIVE')))
