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

import types

import openstack

from lab import configuration
from lab.services.base import Lab
from lab.services.infrastructure import MariaDb
from lab.tests.unit import base
from lab.topology import CONTROLLER
from lab.topology import Topology


class Identity:
    """A keystone that has just been bootstrapped."""

    def __init__(self):
        self.projects = {}
        self.users = {}
        self.services = {}
        self.endpoints = []
        self.granted = set()

    def create_project(self, name, domain_id):
        project = types.SimpleNamespace(id=f'id of {name}', name=name)
        self.projects[name] = project
        return project

    def find_project(self, name, ignore_missing):
        assert not ignore_missing
        return self.projects[name]

    def find_role(self, name, ignore_missing):
        assert name in ('admin', 'service') and not ignore_missing
        return types.SimpleNamespace(name=name)

    def create_user(self, name, **values):
        self.users[name] = types.SimpleNamespace(name=name, **values)
        return self.users[name]

    def assign_project_role_to_user(self, project, user, role):
        self.granted.add((project.name, user.name, role.name))

    def create_service(self, name, type):
        self.services[name] = types.SimpleNamespace(id=name, type=type)
        return self.services[name]

    def create_endpoint(self, **values):
        self.endpoints.append(values)


class TestMake(base.TestCase):

    def setUp(self):
        super().setUp()
        self.identity = Identity()
        self.connected = []
        self.patch(openstack, 'connect', lambda **values: (
            self.connected.append(values),
            types.SimpleNamespace(identity=self.identity))[1])
        self.patch(MariaDb, 'is_kept', False)
        self._run('accounts and catalogue')

    def _run(self, name, **topology):
        lab = Lab(self.layout, Topology(**topology))
        [step] = [step for service in lab.services
                  if service.name == 'keystone'
                  for step in service.steps() if step.name == name]
        step.run()

    def test_connection_is_the_administrators_and_not_the_users(self):
        [values] = self.connected
        self.assertEqual('admin', values['username'])
        self.assertEqual(configuration.passwords(self.layout)['admin'],
                         values['password'])
        self.assertIs(False, values['load_yaml_config'])
        self.assertIs(False, values['load_envvars'])
        self.assertIn(CONTROLLER.address,
                      values['auth_url'])

    def test_users(self):
        names = {'glance', 'placement', 'neutron', 'nova'}
        self.assertEqual(names, set(self.identity.users))
        password = configuration.passwords(self.layout)['service']
        for user in self.identity.users.values():
            self.assertEqual(password, user.password)
            self.assertEqual('id of service', user.default_project_id)
        self.assertEqual({('service', name, role) for name in names
                          for role in ('admin', 'service')},
                         self.identity.granted)

    def test_catalogue(self):
        self.assertEqual(
            {'glance': 'image', 'placement': 'placement',
             'neutron': 'network', 'nova': 'compute'},
            {name: service.type for name, service
             in self.identity.services.items()})
        self.assertEqual(set(self.identity.services),
                         {each['service_id']
                          for each in self.identity.endpoints})
        for endpoint in self.identity.endpoints:
            self.assertEqual(configuration.REGION, endpoint['region_id'])
            self.assertEqual('public', endpoint['interface'])

    def test_cinder_is_added_to_what_is_there(self):
        self.assertNotIn('cinder', self.identity.users)
        self._run('account of cinder', storage='ceph', volumes=True)
        self.assertEqual('id of service',
                         self.identity.users['cinder'].default_project_id)
        for role in ('admin', 'service'):
            self.assertIn(('service', 'cinder', role),
                          self.identity.granted)
        self.assertEqual('block-storage',
                         self.identity.services['cinder'].type)
        # Clients put the project's id there, or nothing.
        self.assertEqual('http://198.18.0.1:8776/v3',
                         self.identity.endpoints[-1]['url'])
