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
from openstack.config import loader
import yaml

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes
from lm_tempest_plugin.tests.unit.cloud.setup import keystone


class DiscoveryTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.nova = self.connection.compute

    def discover(self):
        return discovery.discover(self.access)

    def refused(self):
        return str(self.assertRaises(setup.SetupError, self.discover))

    def test_what_there_is(self):
        self.nova.all_services.add(host='gamma', binary='nova-compute',
                                   status='disabled', state='up')
        self.nova.all_services.add(host='zero', binary='nova-scheduler',
                                   status='enabled', state='up')
        found = self.discover()
        self.assertEqual(['alpha', 'beta'],
                         [host.name for host in found.hosts])
        self.assertEqual(['gamma'], [host.name for host in found.unusable])
        self.assertEqual(('2.1', '2.96', 'RegionOne', ''), (
            found.oldest, found.newest, found.region, found.storage))
        self.assertEqual(
            {'cinder': False, 'glance': True, 'neutron': True, 'nova': True,
             'swift': False}, found.services)

    def test_cinder(self):
        self.assertIsNone(self.discover().volume_versions)
        self.connection.catalog.add('block-storage')
        found = self.discover()
        self.assertTrue(found.services['cinder'])
        self.assertEqual(('3.0', '3.71'), found.volume_versions)

    def test_no_neutron(self):
        self.connection.catalog.remove('network')
        self.assertIn('the catalog has no neutron', self.refused())

    def test_too_few_hosts(self):
        self.nova.all_services.drop('service-2')
        self.nova.all_services.add(host='beta', binary='nova-compute',
                                   status='enabled', state='down')
        self.assertEqual(
            'cloud here: compute hosts that are up and enabled: 1, minimum '
            'for a live migration: 2; all hosts: alpha (enabled, up), beta '
            '(enabled, down)', self.refused())
        self.nova.all_services.clear()
        self.assertIn('up and enabled: 0, minimum', self.refused())

    def test_no_rights_in_nova(self):
        self.nova.error = fakes.forbidden()
        self.assertIn('user admin may not list the compute services (HTTP '
                      '403)', self.refused())

    def test_no_rights_in_keystone(self):
        self.connection.identity.error = fakes.forbidden()
        self.assertIn('may not list projects', self.refused())

    def test_an_old_nova(self):
        self.nova.newest = (2, 79)
        self.assertIn('microversions up to 2.79, and the tests need 2.84',
                      self.refused())

    def test_a_nova_without_microversions(self):
        self.nova.newest = None
        self.assertIn('tells no microversions', self.refused())


class StorageTest(base.TestCase):
    """A provider of disks that other providers share."""

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.answers = self.access.connection.placement.answers
        self.answers.update({
            '/resource_providers?required=MISC_SHARES_VIA_AGGREGATE': {
                'resource_providers': [{'uuid': 'pool'}]},
            '/resource_providers/pool/inventories': {
                'inventories': {'DISK_GB': {'total': 100}}},
            '/resource_providers/pool/aggregates': {'aggregates': ['a1']},
            '/resource_providers/provider-alpha/aggregates': {
                'aggregates': ['a1', 'a2']},
            '/resource_providers/provider-beta/aggregates': {
                'aggregates': ['a1']}})
        # The longer path is the one that counts.
        del self.answers['/resource_providers?required=']

    def storage(self):
        return discovery.discover(self.access).storage

    def test_all_hosts_share_it(self):
        self.assertEqual('shared', self.storage())

    def test_one_host_does_not(self):
        self.answers['/resource_providers/provider-beta/aggregates'] = {
            'aggregates': []}
        self.assertEqual('', self.storage())

    def test_what_is_shared_is_no_disk(self):
        self.answers['/resource_providers/pool/inventories'] = {
            'inventories': {'IPV4_ADDRESS': {'total': 100}}}
        self.assertEqual('', self.storage())


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
            setup.SetupError, discovery.connect, cloud))
        self.assertNotIn('\n', text)
        return text

    def test_it_works(self):
        self.clouds()
        found = discovery.connect('one').account
        self.assertEqual(
            discovery.Account(self.url + '/v3', 'boss', keystone.PASSWORD,
                              'ops', 'Default', 'Other'), found)
        self.assertNotIn(keystone.PASSWORD, repr(found))

    def test_names_come_from_the_token(self):
        self.clouds(username=None, user_id='u1', project_name=None,
                    project_id='p1', user_domain_name=None,
                    project_domain_name=None, auth_url=self.url + '/v3/')
        found = discovery.connect('one').account
        self.assertEqual(
            (self.url + '/v3', 'boss', 'ops', 'Default', 'Other'),
            (found.auth_url, found.username, found.project,
             found.user_domain, found.project_domain))

    def test_other_things_of_clouds_yaml(self):
        body = self.clouds()
        self.write({'one': {
            **body, 'region_name': 'north', 'interface': 'internal',
            'verify': False}})
        found = discovery.connect('one').account
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
            user = discovery.connect('one').account
            self.assertEqual(found, (user.ca_file, user.insecure))

    def region(self, *regions):
        self.url = self.useFixture(keystone.Keystone(*regions)).url
        self.clouds()
        return discovery.find_region(discovery.connect('one'))

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

    def test_a_place_is_named_once(self):
        # An unset XDG_CONFIG_HOME makes openstacksdk list it twice.
        self.useFixture(fixtures.MockPatchObject(
            loader, 'CONFIG_SEARCH_PATH', ['/no/a', '/no/b', '/no/a']))
        self.useFixture(fixtures.MockPatchObject(
            loader, 'CONFIG_FILES', ['/no/a/clouds.yaml']))
        path = self.folder / 'clouds.yaml'
        self.assertEqual(
            "cloud 'one' is not known: there is no readable clouds.yaml in "
            f'{path} or /no/a or /no/b', self.refused())

    def test_a_file_that_is_no_yaml(self):
        path = self.folder / 'clouds.yaml'
        for content, place in (
                (b'clouds: [', 'line 1, column 10: expected the node content'),
                (b'clouds:\n  c: [\n x: y: z\n',
                 "line 3, column 6: expected ',' or ']', but got ':'"),
                (b'clouds: "\x07"', 'special characters are not allowed'),
                (b'\xff\xfe\x00', "'utf-8' codec can't decode byte 0xff"),
                (b'[' * 9999, 'maximum recursion depth')):
            path.write_bytes(content)
            text = self.refused()
            self.assertTrue(text.startswith(f'{path} is not valid: '), text)
            self.assertIn(place, text)

    def test_a_file_that_is_no_json(self):
        path = self.folder / 'clouds.json'
        path.write_text('{"clouds":\n x}')
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLIENT_CONFIG_FILE', str(path)))
        self.assertEqual(
            f'{path} is not valid: Expecting value: line 2 column 2 (char '
            '12)', self.refused())

    def test_values_of_a_wrong_type(self):
        path = self.folder / 'clouds.yaml'
        for content, fault in (
                ('5', 'the file is not a mapping'),
                ('clouds: 5', 'clouds is not a mapping'),
                ('clouds:', 'clouds is not a mapping'),
                ('clouds: {one: 5}', 'cloud one is not a mapping'),
                ('clouds: {one: {auth: 5}}',
                 'auth of cloud one is not a mapping'),
                ('clouds: {one: {}, 7: {}}',
                 '7 is not a text and cannot name a cloud')):
            path.write_text(content)
            self.assertEqual(f'{path} is not valid: {fault}', self.refused())
        for content in ('{auth: {auth_url: 5, password: 7}}', '{profile: 5}'):
            path.write_text(f'clouds: {{one: {content}}}')
            self.assertEqual(
                f'{path} is not valid: an option of cloud one has a wrong '
                'type, such as a number instead of a text', self.refused())

    def test_an_empty_file(self):
        (self.folder / 'clouds.yaml').write_text('')
        self.assertIn("cloud 'one' is not known", self.refused())

    def test_files_that_are_not_read(self):
        # openstacksdk takes the first one that it can open.
        bad = self.folder / 'bad.yaml'
        bad.write_text('[')
        self.clouds()
        self.useFixture(fixtures.MockPatchObject(
            loader, 'CONFIG_FILES', [str(bad)]))
        self.assertEqual('boss', discovery.connect('one').account.username)

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
