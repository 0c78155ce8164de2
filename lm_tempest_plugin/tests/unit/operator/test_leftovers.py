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
from openstack.compute.v2 import keypair

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
        user = keystone.all_users.add(name=PREFIX + '-user')
        nova.others_keypairs = {
            user.id: {'a': keypair.Keypair(name='a')},
            'other': {'b': keypair.Keypair(name='b')}}
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
            ['server', 'volume', 'security', 'key', 'user', 'floating',
             'security', 'project'], [each.split()[0] for each in deleted])
        for each, store in zip(others, (
                nova.all_servers, keystone.all_users, neutron.all_groups,
                neutron.all_ips)):
            self.assertEqual([each.id], list(store))
        self.assertEqual({user.id: {}, 'other': {
            'b': keypair.Keypair(name='b')}}, nova.others_keypairs)
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

    def refuse(self, service, name):
        self.useFixture(fixtures.MockPatchObject(
            service, name, side_effect=fakes.forbidden()))

    def test_what_cannot_be_listed_keeps_nothing_else(self):
        self.connection.identity.all_users.add(name=PREFIX + '-user')
        self.refuse(self.connection.compute, 'servers')
        deleted, kept = self.clear()
        self.assertEqual(['user verify-1-user (user-1)'], deleted)
        self.assertEqual(1, len(kept))
        self.assertIn('servers, if there are any: cloud here: user admin '
                      'may not list servers', kept[0])

    def test_an_owner_stays_with_what_could_not_be_deleted(self):
        nova, keystone = self.connection.compute, self.connection.identity
        user = keystone.all_users.add(name=PREFIX + '-user')
        project = keystone.all_projects.add(name=PREFIX + '-project')
        keystone.all_projects.add(name=PREFIX + '-other')
        nova.others_keypairs = {user.id: {'a': keypair.Keypair(name='a')}}
        self.refuse(nova, 'delete_keypair')
        self.connection.network.all_ips.add(
            name='203.0.113.9', project_id=project.id)
        self.refuse(self.connection.network, 'delete_ip')
        deleted, kept = self.clear()
        self.assertEqual(['project verify-1-other (project-3)'], deleted)
        self.assertEqual(
            ['key', 'user', 'floating', 'project'],
            [each.split()[0] for each in kept])
        self.assertEqual(
            'user verify-1-user (user-1): it is the owner of what was not '
            'deleted', kept[1])
