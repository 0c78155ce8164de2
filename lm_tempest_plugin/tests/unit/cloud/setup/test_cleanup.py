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

import fixtures
from openstack.compute.v2 import keypair
from openstack import exceptions as sdk_exc

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import cleanup
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes

PREFIX = 'verify-1'
IMAGE = resources.GuestImage(
    resources.Resource('image', 'i', 'i', False), 'root', 0, 0)


class DeleteMarkedTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.network = self.connection.network
        self.public = self.connection.go_external()

    def make_all(self):
        resources.provide_network(self.access, self.public)
        resources.provide_flavors(self.access, resources.SIZES, IMAGE)
        self.image = self.connection.image.all_images.add(
            name='live-migration-ha-x', tags=[resources.TAG], status='active')

    def marked(self):
        """Return the kinds of all marked resources."""
        return sorted(each.partition('-')[0]
                      for each in cleanup.marked_ids(self.access))

    def test_all_are_found(self):
        self.make_all()
        self.assertEqual(
            ['flavor', 'flavor', 'flavor', 'image', 'network', 'router',
             'subnet'], self.marked())

    def test_order(self):
        self.make_all()
        self.assertEqual(
            ['router', 'subnet', 'network', 'flavor', 'flavor', 'flavor',
             'image'], [each.split()[0] for each in
                        cleanup.delete_marked(self.access).deleted])

    def test_all_that_was_made_goes(self):
        self.make_all()
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(7, len(removal.deleted))
        self.assertEqual([], removal.kept)
        self.assertEqual([], self.marked())
        self.assertEqual([self.public.id], list(self.network.all_networks))
        self.assertEqual({}, dict(self.connection.compute.all_flavors))
        self.assertEqual({}, dict(self.network.all_ports))

    def test_a_second_time_nothing_is_deleted(self):
        self.make_all()
        cleanup.delete_marked(self.access)
        before = self.connection.writes()
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(([], []), (removal.deleted, removal.kept))
        self.assertEqual(before, self.connection.writes())

    def test_what_has_our_name_and_no_mark_stays(self):
        named = {'name': resources.NAME}
        others = [
            self.network.all_networks.add(subnet_ids=[], **named),
            self.network.all_routers.add(description='mine', **named)]
        flavor = self.connection.compute.all_flavors.add(
            name='lm.small', description='mine')
        image = self.connection.image.all_images.add(
            name='live-migration-ha-x', tags=['other'])
        self.make_all()
        # lm.small was there.
        self.assertEqual(6, len(cleanup.delete_marked(self.access).deleted))
        self.assertIn(flavor.id, self.connection.compute.all_flavors)
        self.assertIn(image.id, self.connection.image.all_images)
        for each, store in zip(others, (
                self.network.all_networks, self.network.all_routers)):
            self.assertIn(each.id, store)

    def test_what_was_not_tagged_yet_is_known_by_its_description(self):
        self.network.tag_error = sdk_exc.SDKException('gone')
        self.assertRaises(setup.SetupError, resources.provide_network,
                          self.access, self.public)
        self.assertEqual(['network'], self.marked())

    def test_what_is_renamed_is_known_by_its_tag(self):
        self.network.all_networks.add(
            name='other', tags=[resources.TAG], subnet_ids=[])
        self.assertEqual(['network'], self.marked())

    def test_what_is_to_be_kept(self):
        self.make_all()
        keep = set(self.connection.compute.all_flavors)
        self.assertEqual(
            4, len(cleanup.delete_marked(self.access, keep).deleted))
        self.assertEqual(['flavor'] * 3, self.marked())

    def test_flavor_and_image_of_servers(self):
        self.make_all()
        flavor = next(iter(self.connection.compute.all_flavors.values()))
        for number in range(4):
            self.connection.compute.all_servers.add(
                name=f'guest-{number}', flavor_id=flavor.id,
                image_id=self.image.id)
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(5, len(removal.deleted))
        self.assertEqual(2, len(removal.kept))
        for said in removal.kept:
            self.assertIn('is in use: servers that use it: 4: guest-0 '
                          '(server-1)', said)
            self.assertTrue(said.endswith('...'), said)
            self.assertNotIn('guest-3', said)

    def test_network_with_a_server(self):
        self.make_all()
        inner = next(self.network.networks(name=resources.NAME))
        subnet = next(self.network.subnets(name=resources.NAME))
        self.network.all_ports.add(
            device_owner='compute:nova', device_id='server-9',
            network_id=inner.id, fixed_ips=[{'subnet_id': subnet.id}])
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(2, len(removal.kept))
        for said in removal.kept:
            self.assertIn('of compute:nova server-9', said)
        self.assertEqual(['network', 'subnet'], self.marked())

    def test_network_with_a_subnet_of_somebody_else(self):
        self.make_all()
        inner = next(self.network.networks(name=resources.NAME))
        other = self.network.create_subnet(
            name='theirs', network_id=inner.id)
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(1, len(removal.kept))
        self.assertIn('subnets that this plugin did not create: theirs '
                      f'({other.id})', removal.kept[0])
        self.assertIn(other.id, self.network.all_subnets)

    def test_router_with_an_interface_of_somebody_else(self):
        self.make_all()
        router = next(self.network.routers(name=resources.NAME))
        other = self.connection.add_network('theirs')
        self.network.add_interface_to_router(router, other.subnet_ids[0])
        removal = cleanup.delete_marked(self.access)
        self.assertIn('interfaces on networks that this plugin did not create',
                      removal.kept[0])
        self.assertIn(router.id, self.network.all_routers)
        self.assertIn(other.id, self.network.all_networks)

    def test_what_the_cloud_says_is_in_use(self):
        self.make_all()
        router = next(self.network.routers(name=resources.NAME))
        self.network.in_use.add(router.id)
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(1, len(removal.kept))
        self.assertIn('is in use: ', removal.kept[0])
        self.assertIn(f'{router.id} is in use', removal.kept[0])

    def test_what_cannot_be_listed_keeps_nothing_else(self):
        self.make_all()
        self.useFixture(fixtures.MockPatchObject(
            self.connection.compute, 'flavors',
            side_effect=fakes.forbidden()))
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(4, len(removal.deleted))
        self.assertEqual(1, len(removal.kept))
        self.assertIn('flavors, if there are any: cloud here: user admin may '
                      'not list flavors', removal.kept[0])

    def test_what_cannot_be_deleted_keeps_nothing_else(self):
        self.make_all()
        self.useFixture(fixtures.MockPatchObject(
            self.network, 'delete_router', side_effect=fakes.forbidden()))
        removal = cleanup.delete_marked(self.access)
        self.assertEqual(6, len(removal.deleted))
        self.assertEqual(1, len(removal.kept))
        self.assertRegex(removal.kept[0], r'^router live-migration-ha \S+: '
                         'cloud here: user admin may not delete')

    def test_a_resource_that_disappears_counts_as_deleted(self):
        self.make_all()
        listed = list(self.connection.image.images(tag=resources.TAG))
        self.connection.image.all_images.clear()
        self.useFixture(fixtures.MockPatchObject(
            self.connection.image, 'images', return_value=listed))
        removal = cleanup.delete_marked(self.access)
        self.assertEqual([], removal.kept)
        self.assertIn(f'image live-migration-ha-x ({self.image.id})',
                      removal.deleted)


class DeleteLeftoversTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.useFixture(fixtures.MockPatchObject(cleanup, 'POLL_S', 0.01))

    def clear(self):
        outcome = cleanup.delete_leftovers(self.access, PREFIX, 0.05)
        return outcome.deleted, outcome.kept

    def test_nothing(self):
        before = self.connection.writes()
        self.assertEqual(([], []), self.clear())
        self.assertEqual(before, self.connection.writes())

    def test_stacks_with_their_key_pair(self):
        self.connection.catalog.add('orchestration')
        heat = self.connection.orchestration = mock.Mock()
        mine = mock.Mock(id='mine')
        mine.name = PREFIX + '-stack'
        other = mock.Mock(id='other')
        other.name = 'other'
        heat.stacks.return_value = [mine, other]
        heat.get_stack.side_effect = [
            mine, sdk_exc.NotFoundException('gone')]
        nova = self.connection.compute
        nova.all_keypairs = {nova.user_id: {
            name: keypair.Keypair(id=name, name=name)
            for name in (PREFIX + '-key', 'b')}}
        self.assertEqual(
            ([f'stack {PREFIX}-stack (mine)',
              f'key pair {PREFIX}-key ({PREFIX}-key)'], []), self.clear())
        heat.delete_stack.assert_called_once_with('mine')

    def test_a_stack_that_stays(self):
        self.connection.catalog.add('orchestration')
        heat = self.connection.orchestration = mock.Mock()
        stack = mock.Mock(id='mine')
        stack.name = PREFIX + '-stack'
        heat.stacks.return_value = [stack]
        heat.get_stack.return_value.status = 'DELETE_FAILED'
        deleted, [kept] = self.clear()
        self.assertEqual([], deleted)
        self.assertIn('its deletion; last state: DELETE_FAILED', kept)

    def test_all_of_the_run_and_nothing_else(self):
        nova, neutron, keystone = (
            self.connection.compute, self.connection.network,
            self.connection.identity)
        self.connection.catalog.add('block-storage')
        self.connection.block_storage.all_volumes.add(
            name=PREFIX + '-volume')
        nova.all_servers.add(name=PREFIX + '-guest')
        images = self.connection.image.all_images
        images.add(name=PREFIX + '-image')
        mine = keystone.all_projects.add(name=PREFIX + '-project')
        user = keystone.all_users.add(name=PREFIX + '-user')
        nova.all_keypairs = {
            user.id: {'a': keypair.Keypair(name='a')},
            'other': {'b': keypair.Keypair(name='b')}}
        neutron.all_ips.add(name='203.0.113.9', project_id=mine.id)
        neutron.all_groups.add(name='default', project_id=mine.id)
        neutron.all_groups.add(name=PREFIX + '-group')
        others = [
            nova.all_servers.add(name=f'mine-{PREFIX}'),
            keystone.all_users.add(name='boss'),
            neutron.all_groups.add(name='default', project_id='other'),
            neutron.all_ips.add(name='203.0.113.8', project_id='other'),
            images.add(name=f'mine-{PREFIX}')]
        deleted, kept = self.clear()
        self.assertEqual([], kept)
        self.assertEqual(
            ['server', 'volume', 'image', 'security', 'key', 'user',
             'floating', 'security', 'project'],
            [each.split()[0] for each in deleted])
        for each, store in zip(others, (
                nova.all_servers, keystone.all_users, neutron.all_groups,
                neutron.all_ips, images)):
            self.assertEqual([each.id], list(store))
        self.assertEqual({user.id: {}, 'other': {
            'b': keypair.Keypair(name='b')}}, nova.all_keypairs)
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
        self.assertEqual(1, len(kept))
        self.assertRegex(
            kept[0], r'^server verify-1-guest \(server-1\): waited \d+\.\d s '
            r'\(limit 0\.05 s\) for its deletion; last state: ERROR$')

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
        nova.all_keypairs = {user.id: {'a': keypair.Keypair(name='a')}}
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
            'user verify-1-user (user-1): it owns resources that were not '
            'deleted', kept[1])
