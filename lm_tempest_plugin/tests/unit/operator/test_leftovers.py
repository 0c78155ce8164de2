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

import fixtures

from lm_tempest_plugin.operator import leftovers
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.operator import fakes

PREFIX = 'verify-1'


class LeftoversTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.useFixture(fixtures.MockPatchObject(leftovers, 'POLL_S', 0.01))

    def clear(self):
        return leftovers.clear(self.access, PREFIX, 0.05)

    def test_nothing(self):
        before = self.connection.writes()
        self.assertEqual(([], []), self.clear())
        self.assertEqual(before, self.connection.writes())

    def test_all_of_the_run_and_nothing_else(self):
        nova, neutron, keystone = (
            self.connection.compute, self.connection.network,
            self.connection.identity)
        self.connection.catalog.add('block-storage')
        self.connection.block_storage.all_volumes.add(
            name=PREFIX + '-volume')
        nova.all_servers.add(name=PREFIX + '-guest')
        mine = keystone.all_projects.add(name=PREFIX + '-project')
        keystone.all_users.add(name=PREFIX + '-user')
        neutron.all_ips.add(name='203.0.113.9', project_id=mine.id)
        neutron.all_groups.add(name='default', project_id=mine.id)
        neutron.all_groups.add(name=PREFIX + '-group')
        others = [
            nova.all_servers.add(name='mine-%s' % PREFIX),
            keystone.all_users.add(name='boss'),
            neutron.all_groups.add(name='default', project_id='other'),
            neutron.all_ips.add(name='203.0.113.8', project_id='other')]
        deleted, kept = self.clear()
        self.assertEqual([], kept)
        self.assertEqual(
            ['server', 'volume', 'floating', 'security', 'security', 'user',
             'project'], [each.split()[0] for each in deleted])
        for each, store in zip(others, (
                nova.all_servers, keystone.all_users, neutron.all_groups,
                neutron.all_ips)):
            self.assertEqual([each.id], list(store))
        self.assertEqual(
            ['admin'],
            [each.name for each in keystone.all_projects.values()])

    def test_a_server_that_does_not_go(self):
        self.connection.compute.all_servers.add(
            name=PREFIX + '-guest', status='ERROR')
        self.useFixture(fixtures.MockPatchObject(
            self.connection.compute, 'delete_server'))
        deleted, kept = self.clear()
        self.assertEqual([], deleted)
        self.assertEqual(
            ['server verify-1-guest (server-1): it is still there after '
             '0.05 s, ERROR'], kept)

    def test_what_the_cloud_refuses(self):
        self.connection.identity.all_users.add(name=PREFIX + '-user')
        self.useFixture(fixtures.MockPatchObject(
            self.connection.identity, 'delete_user',
            side_effect=fakes.forbidden()))
        self.assertIn('may not delete user verify-1-user',
                      self.clear()[1][0])
