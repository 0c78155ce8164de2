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
from openstack import exceptions as sdk_exc

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import flavors
from lm_tempest_plugin.operator import images
from lm_tempest_plugin.operator import inventory
from lm_tempest_plugin.operator import made
from lm_tempest_plugin.operator import marks
from lm_tempest_plugin.operator import networks
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.operator import fakes

IMAGE = images.Image(made.Made('image', 'i', 'i', False), 'root', 0, 0)


class InventoryTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.network = self.connection.network
        self.public = self.connection.go_external()

    def make_all(self):
        networks.provide(self.access, self.public)
        networks.provide_group(self.access, [22, 7])
        flavors.provide(self.access, flavors.SIZES, IMAGE)
        self.image = self.connection.image.all_images.add(
            name='live-migration-ha-x', tags=[marks.TAG], status='active')

    def kinds(self):
        return [each.kind for each in inventory.find(self.access)]

    def test_all_that_was_made_is_found_in_the_order_of_deletion(self):
        self.make_all()
        self.assertEqual(
            ['router', 'subnet', 'network', 'security group', 'flavor',
             'flavor', 'flavor', 'image'], self.kinds())

    def test_all_that_was_made_goes(self):
        self.make_all()
        removal = inventory.remove(self.access)
        self.assertEqual(8, len(removal.deleted))
        self.assertEqual((), removal.kept)
        self.assertEqual([], inventory.find(self.access))
        self.assertEqual([self.public.id], list(self.network.all_networks))
        self.assertEqual({}, dict(self.connection.compute.all_flavors))
        self.assertEqual({}, dict(self.network.all_ports))

    def test_a_second_time_nothing_is_deleted(self):
        self.make_all()
        inventory.remove(self.access)
        before = self.connection.writes()
        self.assertEqual(inventory.Removal((), ()),
                         inventory.remove(self.access))
        self.assertEqual(before, self.connection.writes())

    def test_what_has_our_name_and_no_mark_stays(self):
        named = {'name': marks.NAME}
        others = [
            self.network.all_networks.add(subnet_ids=[], **named),
            self.network.all_routers.add(**named),
            self.network.all_groups.add(description='mine', **named)]
        flavor = self.connection.compute.all_flavors.add(
            name='lm.small', description='mine')
        image = self.connection.image.all_images.add(
            name='live-migration-ha-x', tags=['other'])
        self.make_all()
        # lm.small was there.
        self.assertEqual(7, len(inventory.remove(self.access).deleted))
        self.assertIn(flavor.id, self.connection.compute.all_flavors)
        self.assertIn(image.id, self.connection.image.all_images)
        for each, store in zip(others, (
                self.network.all_networks, self.network.all_routers,
                self.network.all_groups)):
            self.assertIn(each.id, store)

    def test_what_was_not_tagged_yet_is_known_by_its_description(self):
        self.network.tag_error = sdk_exc.SDKException('gone')
        self.assertRaises(errors.OperatorError, networks.provide,
                          self.access, self.public)
        self.assertEqual(['network'], self.kinds())

    def test_what_is_renamed_is_known_by_its_tag(self):
        self.network.all_networks.add(
            name='other', tags=[marks.TAG], subnet_ids=[])
        self.assertEqual(['network'], self.kinds())

    def test_what_is_to_be_kept(self):
        self.make_all()
        keep = {each.identifier for each in inventory.find(self.access)
                if each.kind == 'flavor'}
        self.assertEqual(5, len(inventory.remove(self.access, keep).deleted))
        self.assertEqual(['flavor'] * 3, self.kinds())

    def test_flavor_and_image_of_servers(self):
        self.make_all()
        flavor = next(iter(self.connection.compute.all_flavors.values()))
        for number in range(4):
            self.connection.compute.all_servers.add(
                name='guest-%d' % number, flavor_id=flavor.id,
                image_id=self.image.id)
        removal = inventory.remove(self.access)
        self.assertEqual(6, len(removal.deleted))
        self.assertEqual(2, len(removal.kept))
        for said in removal.kept:
            self.assertIn('is in use: 4 servers were made of it: guest-0 '
                          '(server-1)', said)
            self.assertTrue(said.endswith('...'), said)
            self.assertNotIn('guest-3', said)

    def test_network_with_a_server(self):
        self.make_all()
        inner = next(self.network.networks(name=marks.NAME))
        subnet = next(self.network.subnets(name=marks.NAME))
        self.network.all_ports.add(
            device_owner='compute:nova', device_id='server-9',
            network_id=inner.id, fixed_ips=[{'subnet_id': subnet.id}])
        removal = inventory.remove(self.access)
        self.assertEqual(2, len(removal.kept))
        for said in removal.kept:
            self.assertIn('of compute:nova server-9', said)
        self.assertEqual(['subnet', 'network'], self.kinds())

    def test_network_with_a_subnet_of_somebody_else(self):
        self.make_all()
        inner = next(self.network.networks(name=marks.NAME))
        other = self.network.create_subnet(
            name='theirs', network_id=inner.id)
        removal = inventory.remove(self.access)
        self.assertEqual(1, len(removal.kept))
        self.assertIn('subnets that were not made here: theirs (%s)' %
                      other.id, removal.kept[0])
        self.assertIn(other.id, self.network.all_subnets)

    def test_router_with_an_interface_of_somebody_else(self):
        self.make_all()
        router = next(self.network.routers(name=marks.NAME))
        other = self.connection.add_network('theirs')
        self.network.add_interface_to_router(router, other.subnet_ids[0])
        removal = inventory.remove(self.access)
        self.assertIn('interfaces on networks that were not made here',
                      removal.kept[0])
        self.assertIn(router.id, self.network.all_routers)
        self.assertIn(other.id, self.network.all_networks)

    def test_what_the_cloud_says_is_in_use(self):
        self.make_all()
        group = next(self.network.security_groups(name=marks.NAME))
        self.network.in_use.add(group.id)
        removal = inventory.remove(self.access)
        self.assertEqual(1, len(removal.kept))
        self.assertIn('is in use: ', removal.kept[0])
        self.assertIn('%s is in use' % group.id, removal.kept[0])

    def test_what_cannot_be_listed_keeps_nothing_else(self):
        self.make_all()
        self.useFixture(fixtures.MockPatchObject(
            self.network, 'security_groups',
            side_effect=fakes.forbidden()))
        removal = inventory.remove(self.access)
        self.assertEqual(7, len(removal.deleted))
        self.assertEqual(1, len(removal.kept))
        self.assertIn('security groups, if there are any: cloud here: user '
                      'admin may not list security groups', removal.kept[0])

    def test_what_cannot_be_deleted_keeps_nothing_else(self):
        self.make_all()
        self.useFixture(fixtures.MockPatchObject(
            self.network, 'delete_router', side_effect=fakes.forbidden()))
        removal = inventory.remove(self.access)
        self.assertEqual(7, len(removal.deleted))
        self.assertEqual(1, len(removal.kept))
        self.assertRegex(removal.kept[0], r'^router live-migration-ha \S+: '
                         'cloud here: user admin may not delete')

    def test_what_goes_meanwhile_counts_as_deleted(self):
        self.make_all()
        found = inventory.find(self.access)
        self.connection.image.all_images.clear()
        with self.access.to('delete it'):
            inventory._delete_image(self.connection, found[-1])
