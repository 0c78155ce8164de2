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

import fixtures
from tempest import clients as tempest_clients
from tempest.lib import exceptions
from tempest.lib.services.compute import base_compute_client

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes

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
        found = api.Clients.of(make_manager())
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


class ParseTest(base.TestCase):

    def test_two_numbers(self):
        self.assertEqual((2, 84), api.parse_microversion('2.84'))
        self.assertEqual((2, 1), api.parse_microversion('2.1'))

    def test_what_is_none_is_named(self):
        for text in ('', '2', '2.', '.84', '2.84.1', 'v2.84', '2.x', '-2.1',
                     '2,84', ' 2.84', '2.84\n', 'latest', 'abc'):
            exc = self.assertRaises(
                ValueError, api.parse_microversion, text)
            self.assertEqual(
                '%r is no microversion, such as 2.84' % text, str(exc))

    def test_what_the_package_asks_for_is_one(self):
        self.assertEqual((2, 84), api.parse_microversion(api.MICROVERSION))


class AtLeastTest(base.TestCase):

    def test_the_same_and_later_ones(self):
        for version in ('2.25', '2.26', '2.100', '3.0'):
            self.assertTrue(
                api.at_least(version, '2.25'), version)

    def test_earlier_ones_by_number_not_by_text(self):
        for version in ('2.24', '2.3', '1.99'):
            self.assertFalse(
                api.at_least(version, '2.25'), version)


class OfferedTest(base.TestCase):

    def test_those_of_the_api_with_microversions(self):
        client = fakes.versions(('v2.0', '', ''), ('v2.1', '2.1', '2.96'))
        self.assertEqual(('2.1', '2.96'), api.offered_microversions(client))

    def test_a_cloud_without_that_api(self):
        for versions in ([], [('v2.0', '', '')]):
            exc = self.assertRaises(
                exceptions.InvalidConfiguration, api.offered_microversions,
                fakes.versions(*versions))
            self.assertIn('no compute API v2.1', str(exc))


class ChooseTest(base.TestCase):

    def choose(self, wanted, default='2.84', oldest='2.1', newest='2.96'):
        return api.choose_microversion(
            fakes.versions(('v2.1', oldest, newest)), wanted, default)

    def test_the_newest_that_is_known_if_the_cloud_has_it(self):
        self.assertEqual('2.84', self.choose(''))
        self.assertEqual('2.84', self.choose('', newest='2.84'))
        self.assertEqual('2.84', self.choose('', newest='2.100'))

    def test_the_newest_of_an_older_cloud(self):
        self.assertEqual('2.79', self.choose('', newest='2.79'))
        self.assertEqual('2.9', self.choose('', newest='2.9'))

    def test_what_is_wanted_up_to_both_bounds(self):
        for wanted in ('2.1', '2.24', '2.96'):
            self.assertEqual(wanted, self.choose(wanted))

    def test_what_is_wanted_may_be_newer_than_what_is_known(self):
        self.assertEqual('2.96', self.choose('2.96', default='2.84'))

    def test_what_the_cloud_does_not_offer(self):
        for wanted in ('2.0', '2.97', '2.100', '3.0'):
            exc = self.assertRaises(
                exceptions.InvalidConfiguration, self.choose, wanted)
            self.assertIn('microversion %s is wanted' % wanted, str(exc))
            self.assertIn('2.1 to 2.96', str(exc))


class UseTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch_version('2.84')

    def patch_version(self, version):
        self.useFixture(fixtures.MonkeyPatch(
            'tempest.lib.services.compute.base_compute_client.'
            'COMPUTE_MICROVERSION', version))

    def now(self):
        return base_compute_client.COMPUTE_MICROVERSION

    def test_within_and_after(self):
        with api.use_microversion('2.24'):
            self.assertEqual('2.24', self.now())
        self.assertEqual('2.84', self.now())

    def test_one_within_another(self):
        with api.use_microversion('2.24'):
            with api.use_microversion('2.1'):
                self.assertEqual('2.1', self.now())
            self.assertEqual('2.24', self.now())
        self.assertEqual('2.84', self.now())

    def test_after_an_exception(self):
        def fail():
            with api.use_microversion('2.24'):
                raise exceptions.BadRequest()

        self.assertRaises(exceptions.BadRequest, fail)
        self.assertEqual('2.84', self.now())

    def test_none_comes_back_too(self):
        self.patch_version(None)
        with api.use_microversion('latest'):
            self.assertEqual('latest', self.now())
        self.assertIsNone(self.now())
