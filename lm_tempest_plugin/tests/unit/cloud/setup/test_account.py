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

import os
import pathlib
import socket

import fixtures
import yaml

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import account
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes
from lm_tempest_plugin.tests.unit.cloud.setup import keystone


class ConnectTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name in ('OS_CLOUD', 'OS_AUTH_URL', 'OS_PASSWORD',
                     'OS_USERNAME'):
            self.useFixture(fixtures.EnvironmentVariable(name))
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLIENT_CONFIG_FILE', str(self.folder / 'clouds.yaml')))
        self.url = self.useFixture(keystone.Keystone()).url

    def clouds(self, **auth):
        """Write clouds.yaml with clouds one and two."""
        body = {'auth': {
            'auth_url': self.url, 'username': 'boss',
            'password': keystone.PASSWORD, 'project_name': 'ops',
            'user_domain_name': 'Default',
            'project_domain_name': 'Other', **auth}}
        body['auth'] = {name: value for name, value in body['auth'].items()
                        if value is not None}
        self.write({'one': body, 'two': body})
        return body

    def write(self, clouds):
        (self.folder / 'clouds.yaml').write_text(
            yaml.safe_dump({'clouds': clouds}))

    def refused(self, cloud='one'):
        text = str(self.assertRaises(
            setup.SetupError, account.connect, cloud))
        self.assertNotIn('\n', text)
        return text

    def test_it_works(self):
        self.clouds()
        found = account.connect('one').account
        self.assertEqual(
            account.Account(self.url + '/v3', 'boss', keystone.PASSWORD,
                            'ops', 'Default', 'Other'), found)
        self.assertNotIn(keystone.PASSWORD, repr(found))

    def test_names_come_from_the_token(self):
        self.clouds(username=None, user_id='u1', project_name=None,
                    project_id='p1', user_domain_name=None,
                    project_domain_name=None, auth_url=self.url + '/v3/')
        found = account.connect('one').account
        self.assertEqual(
            (self.url + '/v3', 'boss', 'ops', 'Default', 'Other'),
            (found.auth_url, found.username, found.project,
             found.user_domain, found.project_domain))

    def test_other_things_of_clouds_yaml(self):
        body = self.clouds()
        self.write({'one': {
            **body, 'region_name': 'north', 'interface': 'internal',
            'verify': False}})
        found = account.connect('one').account
        self.assertEqual(('north', 'internal', True),
                         (found.region, found.interface, found.insecure))

    def test_certificates(self):
        body = self.clouds()
        for said, found in (
                ({'insecure': True}, ('', True)),
                ({'insecure': True, 'cacert': 'ca.pem'}, ('', True)),
                ({'cacert': '~/ca.pem'}, (os.path.expanduser('~/ca.pem'),
                                          False)),
                ({'cacert': 'ca.pem'}, (os.path.abspath('ca.pem'), False)),
                ({'verify': True}, ('', False))):
            self.write({'one': {**body, **said}})
            user = account.connect('one').account
            self.assertEqual(found, (user.ca_file, user.insecure))

    def region(self, *regions):
        self.url = self.useFixture(keystone.Keystone(*regions)).url
        self.clouds()
        return discovery._region(account.connect('one'))

    def test_a_region_that_clouds_yaml_does_not_name(self):
        self.assertEqual('north', self.region('north'))
        self.assertEqual('', self.region())
        exc = self.assertRaises(setup.SetupError, self.region, 'south',
                                'north')
        self.assertEqual(
            'cloud one has 2 regions: choose one with region_name in '
            'clouds.yaml: north, south', str(exc))

    def test_no_such_cloud(self):
        self.clouds()
        self.assertEqual(
            "clouds.yaml has no cloud 'three'; it has: one, two",
            self.refused('three'))

    def test_no_clouds_at_all(self):
        text = self.refused()
        self.assertIn("cloud 'one' is not known", text)
        self.assertIn(str(self.folder / 'clouds.yaml'), text)

    def test_a_file_that_is_no_yaml(self):
        (self.folder / 'clouds.yaml').write_text('clouds: [')
        self.assertIn('there is no readable clouds.yaml', self.refused())

    def test_wrong_password(self):
        self.clouds(password='wr0ng')
        text = self.refused()
        self.assertIn(f'cloud one: keystone at {self.url} refuses user boss '
                      '(HTTP 401)', text)
        self.assertNotIn('wr0ng', text)

    def test_nobody_listens(self):
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        url = f'http://127.0.0.1:{port}/v3'
        self.clouds(auth_url=url)
        text = self.refused()
        self.assertIn(f'cloud one: cannot reach keystone at {url}', text)
        self.assertNotIn('object at 0x', text)

    def test_no_project(self):
        self.clouds(project_name=None, project_domain_name=None)
        self.assertIn('clouds.yaml names no project', self.refused())

    def test_no_password(self):
        self.clouds(password=None)
        self.assertEqual('cloud one: clouds.yaml has no password',
                         self.refused())

    def test_an_application_credential(self):
        body = self.clouds()
        self.write({'one': {
            'auth_type': 'v3applicationcredential', 'auth': {
                'auth_url': body['auth']['auth_url'],
                'application_credential_id': 'a',
                'application_credential_secret': 's'}}})
        self.assertIn('auth_type v3applicationcredential', self.refused())

    def test_no_password_in_what_is_not_allowed(self):
        found = fakes.cloud()

        def ask():
            with found.explaining('create a flavor'):
                raise fakes.forbidden()

        text = str(self.assertRaises(setup.SetupError, ask))
        self.assertIn('cloud here: user admin may not create a flavor (HTTP '
                      '403): use an administrator', text)
        self.assertNotIn(fakes.PASSWORD, text)
