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

from tempest.lib import exceptions as lib_exc
from tempest.lib.services.compute import base_compute_client
from tempest.lib.services.placement import base_placement_client

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import clients
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes
from lm_tempest_plugin.tests.unit.cloud.setup import keystone
from lm_tempest_plugin.tests.unit import fakes as answers
from lm_tempest_plugin.tests.unit.migration import simulation


class CreateTest(base.TestCase):

    def access(self, **changes):
        server = self.useFixture(keystone.Keystone('north', 'south'))
        return dataclasses.replace(fakes.cloud(), account=fakes.new_account(
            auth_url=f'{server.url}/v3', password=keystone.PASSWORD,
            region='south', **changes))

    def test_each_has_its_service_region_and_interface(self):
        found, _ = clients.create(self.access(interface='internal'))
        self.assertEqual(
            [('migrations', 'compute'), ('placement', 'placement'),
             ('ports', 'network'), ('providers', 'placement'),
             ('servers', 'compute')],
            sorted((name, getattr(found, name).service) for name in (
                'servers', 'migrations', 'ports', 'placement', 'providers')))
        for each in (found.servers, found.ports, found.placement):
            self.assertEqual(('south', 'internal'),
                             (each.region, each.endpoint_type))
        self.assertIsNone(found.volumes)

    def test_they_reach_the_endpoint_of_the_catalog(self):
        """It refuses connections; keystone has told it, for the password."""
        found, provider = clients.create(self.access())
        self.assertEqual('http://127.0.0.1:9',
                         found.servers.base_url.rstrip('/'))
        exc = self.assertRaises(setup.SetupError, self.list, found)
        self.assertIn('cannot list hosts', str(exc))
        self.assertEqual(1, provider.requests)

    def test_a_wrong_password_is_told_and_not_printed(self):
        access = self.access()
        access = dataclasses.replace(access, account=dataclasses.replace(
            access.account, password='wr0ng'))
        exc = self.assertRaises(
            setup.SetupError, self.list, clients.create(access)[0])
        self.assertIn('may not list hosts', str(exc))
        self.assertNotIn('wr0ng', str(exc))

    def list(self, found):
        with clients.explaining(fakes.cloud(), 'list hosts'):
            found.services.list_services()


class ExplainingTest(base.TestCase):

    def test_texts(self):
        for exc, part in (
                (lib_exc.Forbidden('no'), 'user admin may not do it'),
                (lib_exc.NotFound('it'), 'cannot do it: '),
                # It has the whole catalog and the credentials.
                (lib_exc.EndpointNotFound('secret'),
                 'cannot do it: EndpointNotFound'),
                (OSError('reset'), 'cannot do it: reset')):
            with self.subTest(part=part):
                error = self.assertRaises(setup.SetupError, self.fail_with,
                                          exc)
                self.assertIn(part, str(error))
                self.assertNotIn('secret', str(error))
                self.assertNotIn('\n', str(error))

    def fail_with(self, exc):
        with clients.explaining(fakes.cloud(), 'do it'):
            raise exc


class MicroversionsTest(base.TestCase):

    def test_they_are_those_of_the_process(self):
        found = simulation.clients(versions=answers.versions(
            ('v2.1', '2.1', '2.96')))
        with clients.microversions(found):
            self.assertEqual('2.84', base_compute_client.COMPUTE_MICROVERSION)
            self.assertEqual(
                '1.14', base_placement_client.PLACEMENT_MICROVERSION)
        self.assertIsNone(base_compute_client.COMPUTE_MICROVERSION)

    def test_the_cloud_is_too_old(self):
        found = simulation.clients(versions=answers.versions(
            ('v2.1', '2.1', '2.60')))
        with self.assertRaisesRegex(lib_exc.InvalidConfiguration,
                                    'offers 2.1 to 2.60'):
            with clients.microversions(found):
                raise AssertionError('not reached')
