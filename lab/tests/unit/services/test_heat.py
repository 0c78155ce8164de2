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

import configparser
from unittest import mock

from lab import configuration
from lab import services
from lab.services.base import Lab
from lab.services import heat
from lab.services import keystone
from lab.tests.unit import base
from lab.topology import Topology


class TestHeat(base.TestCase):

    def setUp(self):
        super().setUp()
        self.lab = Lab(self.layout, Topology(heat=True))
        self.heat = self.lab.find(heat.Heat)
        self.cloud = mock.Mock()
        self.patch(keystone, 'connect', lambda paths: self.cloud)

    def test_only_where_it_is_asked_for(self):
        self.assertEqual(('cloud', 'heat'), self.lab.virtualenvs)
        plain = Lab(self.layout, Topology())
        self.assertEqual(('cloud',), plain.virtualenvs)
        for found in (plain.services, plain.schemas):
            self.assertNotIn('heat', [each.name for each in found])

    def test_programs(self):
        api, engine = self.heat.programs()
        venv = self.layout.venvs / 'heat' / 'bin'
        self.assertEqual(f'{venv}/python3', api.command[0])
        self.assertEqual(8004, api.port)
        self.assertEqual(
            (f'{venv}/heat-engine',
             f'--config-file={self.layout.etc("controller")}/heat.conf'),
            engine.command)

    def test_configuration(self):
        self.heat.configure()
        conf = configparser.ConfigParser(interpolation=None)
        conf.read(self.layout.etc('controller') / 'heat.conf')
        # The engine does not start with a key of another length.
        self.assertEqual(32, len(conf['DEFAULT']['auth_encryption_key']))
        self.assertEqual('1', conf['DEFAULT']['num_engine_workers'])
        # A trust cannot go with a project.
        self.assertNotIn('project_name', conf['trustee'])
        self.assertEqual(heat.DOMAIN_ADMIN,
                         conf['DEFAULT']['stack_domain_admin'])

    def test_domain(self):
        identity = self.cloud.identity
        self.heat.make_domain()
        identity.create_domain.assert_called_once_with(name='heat')
        domain = identity.create_domain.return_value
        password = configuration.passwords(self.layout)['service']
        identity.create_user.assert_called_once_with(
            name='heat_domain_admin', domain_id=domain.id, password=password)
        identity.assign_domain_role_to_user.assert_called_once_with(
            domain, identity.create_user.return_value,
            identity.find_role.return_value)
        identity.find_role.assert_called_once_with(
            'admin', ignore_missing=False)
        identity.create_role.assert_called_once_with(name='heat_stack_user')

    def test_engine_that_starts(self):
        answers = iter(['0\n', '1\n'])
        self.patch(services.base, 'run', lambda *command, text: next(answers))
        self.heat.programs()[1].after()
        self.assertEqual([], [*answers])

    def test_engine_that_does_not_start(self):
        self.patch(services.base, 'run', lambda *command, text: '0\n')
        self.patch(heat, 'ENGINE_S', 0)
        self.assertIn('heat-engine to report',
                      self.refused(self.heat.await_engine))

    def test_missing(self):
        for states, missing in (([], ['heat-engine']),
                                (['down'], ['heat-engine']),
                                (['down', 'up'], [])):
            answer = self.cloud.orchestration.get.return_value
            answer.json.return_value = {'services': [
                {'status': state} for state in states]}
            self.assertEqual(missing, [*self.heat.missing(self.cloud)])
        # The API has found no engine.
        answer.json.return_value = {'code': 503, 'title': 'Unavailable'}
        self.assertEqual(['heat-engine'], [*self.heat.missing(self.cloud)])
        self.cloud.orchestration.get.assert_called_with('/services')
