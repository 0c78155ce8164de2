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

from tempest import clients as tempest_clients

from lm_tempest_plugin.cloud import clients
from lm_tempest_plugin.tests.unit import base

SERVICES = ('compute', 'network', 'placement', 'identity', 'identity_v2',
            'identity_v3', 'image_v2', 'object_storage', 'volume_v3')


def make_manager():
    """Return Tempest's manager, made without a configuration or a cloud."""
    module = 'tempest.clients.'
    with (mock.patch(module + 'clients.ServiceClients.__init__',
                     autospec=True, return_value=None),
          mock.patch(module + 'get_auth_provider_class', autospec=True,
                     return_value=(None, 'http://keystone.example.org')),
          mock.patch(module + 'config.service_client_config',
                     autospec=True),
          mock.patch(module + 'CONF', mock.MagicMock(
              record_resources=False))):
        return tempest_clients.Manager(None)


class ClientsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        for name in SERVICES:
            patcher = mock.patch.object(
                tempest_clients.Manager, name, mock.Mock(), create=True)
            patcher.start()
            self.addCleanup(patcher.stop)

    def test_each_is_the_client_of_that_name_in_tempest(self):
        found = clients.Clients.of(make_manager())
        manager = tempest_clients.Manager
        expected = {
            'servers': manager.compute.ServersClient,
            'migrations': manager.compute.MigrationsClient,
            'services': manager.compute.ServicesClient,
            'hypervisors': manager.compute.HypervisorClient,
            'versions': manager.compute.VersionsClient,
            'quotas': manager.compute.QuotasClient,
            'providers': manager.placement.ResourceProvidersClient,
            'placement': manager.placement.PlacementClient,
            'ports': manager.network.PortsClient,
            'volumes': manager.volume_v3.VolumesClient,
            'attachments': manager.volume_v3.AttachmentsClient}
        self.assertEqual(
            sorted(expected),
            sorted(field.name for field in dataclasses.fields(found)))
        for name, kind in expected.items():
            self.assertIs(kind.return_value, getattr(found, name), name)
