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

import pathlib

import fixtures

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes


class ImagesTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.glance = self.access.connection.image
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def file(self, name, content=b'QFI\xfb and so on'):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def provide(self, wanted='', user=''):
        return resources.provide_image(self.access, wanted, user)

    def refused(self, wanted=''):
        exc = self.assertRaises(setup.SetupError, self.provide, wanted)
        self.assertEqual([], self.glance.uploaded)
        return str(exc)

    def add(self, name, **attributes):
        return self.glance.all_images.add(name=name, **{
            'status': 'active', 'visibility': 'public', **attributes})

    def test_a_file_is_uploaded(self):
        found = self.provide(self.file('guest.img'), 'me')
        image = self.glance.all_images[found.resource.identifier]
        self.assertTrue(found.resource.created)
        self.assertEqual(
            ('live-migration-ha-guest', 'qcow2', 'community', [resources.TAG],
             'me'),
            (image.name, image.disk_format, image.visibility, image.tags,
             image.os_admin_user))

    def test_a_second_time_it_is_not(self):
        first = self.provide(self.file('guest.img'))
        second = self.provide(self.file('renamed.img'))
        self.assertEqual(1, len(self.glance.uploaded))
        self.assertFalse(second.resource.created)
        self.assertEqual(first.resource.identifier, second.resource.identifier)

    def test_another_file_is_another_image(self):
        self.provide(self.file('guest.img'))
        found = self.provide(self.file('guest.img', b'raw bytes'))
        self.assertTrue(found.resource.created)
        self.assertEqual('raw', self.glance.all_images[
            found.resource.identifier].disk_format)

    def test_an_upload_that_was_cut_off_is_not_used(self):
        self.provide(self.file('guest.img'))
        image, = self.glance.all_images.values()
        image._body.attributes['status'] = 'saving'
        self.assertTrue(self.provide(self.file('guest.img')).resource.created)

    def test_files_that_are_no_images(self):
        self.assertIn('is empty', self.refused(self.file('a', b'')))
        self.assertIn('is compressed (gzip)',
                      self.refused(self.file('b', b'\x1f\x8b\x08')))
        self.assertIn('is compressed (xz)',
                      self.refused(self.file('c', b'\xfd7zXZ\x00')))

    def test_a_file_that_cannot_be_read(self):
        # Not even root reads the first page of a process.
        self.assertIn('cannot be read: ', self.refused('/proc/self/mem'))

    def test_neither_file_nor_image(self):
        self.assertEqual(
            'there is no file no.img, and cloud here has no image of that '
            'name or id', self.refused('no.img'))

    def test_by_name_and_by_id(self):
        image = self.add('mine')
        for wanted in ('mine', image.id):
            found = self.provide(wanted)
            self.assertEqual(image.id, found.resource.identifier)
            self.assertFalse(found.resource.created)

    def test_a_name_of_two(self):
        self.add('mine')
        self.add('mine')
        self.assertIn('several images have the name mine',
                      self.refused('mine'))

    def test_images_that_guests_cannot_have(self):
        self.add('mine', visibility='private')
        self.add('slow', status='queued')
        self.assertIn('image mine is private', self.refused('mine'))
        self.assertIn('image slow is queued, not active',
                      self.refused('slow'))

    def test_the_one_of_before(self):
        first = self.provide(self.file('guest.img'))
        self.add('other')
        self.assertEqual(first.resource.identifier,
                         self.provide().resource.identifier)

    def test_none_given(self):
        self.assertIn('the cloud has: none', self.refused())
        self.add('cirros')
        self.assertIn('with --image; the cloud has: cirros', self.refused())

    def test_two_of_before(self):
        for content in (b'one', b'two'):
            self.provide(self.file('guest.img', content))
        exc = self.assertRaises(setup.SetupError, self.provide)
        self.assertIn('no image was chosen', str(exc))

    def test_who_logs_in(self):
        self.add('Debian 12', min_disk=2, min_ram=256)
        self.add('plain')
        self.add('said', os_admin_user='boss')
        self.add('distro', os_distro='ubuntu')
        for wanted, user in (('Debian 12', 'debian'), ('plain', 'root'),
                             ('said', 'boss'), ('distro', 'ubuntu')):
            self.assertEqual(user, self.provide(wanted).user)
            self.assertIn(f'user {user} (',
                          self.provide(wanted).resource.remark)
        self.assertEqual('x', self.provide('said', 'x').user)
        found = self.provide('Debian 12')
        self.assertEqual((2, 256), (found.min_disk_gib, found.min_ram_mib))

    def test_what_a_volume_has_to_hold(self):
        for wanted, attributes in (
                (1, {}), (1, {'size': 1000}), (2, {'size': 2 ** 30 + 1}),
                (3, {'size': 5, 'virtual_size': 3 * 2 ** 30}),
                (7, {'size': 5, 'min_disk': 7})):
            image = self.add('sized', **attributes)
            self.assertEqual(wanted, self.provide(image.id).size_gib)


def image(disk=0, ram=0):
    return resources.GuestImage(
        resources.Resource('image', 'i', 'i', False), 'root', disk, ram)


class FlavorsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.nova = self.access.connection.compute

    def provide(self, chosen=None):
        return resources.provide_flavors(
            self.access, resources.SIZES, chosen or image())

    def test_all_are_made(self):
        found = self.provide()
        self.assertEqual([True] * 3, [each.created for each in found])
        self.assertEqual(
            [('lm.small', 1, 1024, 10), ('lm.medium', 2, 2048, 20),
             ('lm.large', 4, 4096, 40)],
            [(each.name, each.vcpus, each.ram, each.disk)
             for each in self.nova.all_flavors.values()])
        for each in self.nova.all_flavors.values():
            self.assertEqual(resources.DESCRIPTION, each.description)

    def test_a_second_time_none_is_made(self):
        first = self.provide()
        before = self.access.connection.writes()
        second = self.provide()
        self.assertEqual(before, self.access.connection.writes())
        self.assertEqual([each.identifier for each in first],
                         [each.identifier for each in second])
        self.assertEqual([False] * 3, [each.created for each in second])

    def test_one_that_is_there_is_used_as_it_is(self):
        mine = self.nova.all_flavors.add(
            name='lm.medium', vcpus=2, ram=384, disk=2)
        found = self.provide()
        self.assertEqual([True, False, True], [each.created for each in found])
        self.assertEqual(mine.id, found[1].identifier)
        self.assertIn('384 MiB', str(found[1]))

    def test_a_large_image_makes_flavors_larger(self):
        self.provide(image(15, 1500))
        self.assertEqual(
            [(1500, 15), (2048, 20), (4096, 40)],
            [(each.ram, each.disk)
             for each in self.nova.all_flavors.values()])

    def test_named(self):
        mine = self.nova.all_flavors.add(name='m1', vcpus=2, ram=384, disk=2)
        found = resources.named_flavors(self.access, ['m1', mine.id])
        self.assertEqual([mine.id] * 2, [each.identifier for each in found])
        exc = self.assertRaises(setup.SetupError, resources.named_flavors,
                                self.access, ['m2'])
        self.assertEqual('cloud here has no flavor m2; it has: m1', str(exc))

    def test_names(self):
        self.assertEqual(['a', 'b c', 'd'],
                         resources.split_flavors('a, b c ,d'))
        self.assertEqual([], resources.split_flavors(''))
        for text in ('a', 'a,b', 'a,b,', 'a,,b', 'a,b,c,d', ','):
            exc = self.assertRaises(setup.SetupError, resources.split_flavors,
                                    text)
            self.assertIn('for each of small, medium, large', str(exc))

    def test_parse(self):
        self.assertEqual(resources.FlavorSize('a b', 2, 4096, 40),
                         resources.parse_size(' a b: 2:4096 :40'))
        for text in ('', 'a', 'a:1:2', 'a:1:2:x', ':1:2:3', 'a:0:1:1',
                     'a:1:1:1:1'):
            self.assertRaises(ValueError, resources.parse_size, text)


class ChooseNetworkTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection

    def choose(self, wanted=''):
        return resources.choose_network(self.access, wanted).name

    def refused(self, wanted=''):
        return str(self.assertRaises(
            setup.SetupError, resources.choose_network, self.access, wanted))

    def test_the_only_shared_one(self):
        self.connection.add_network('private')
        self.assertEqual('prov', self.choose())

    def test_an_external_one_before_a_shared_one(self):
        self.connection.add_network('public', is_router_external=True)
        self.assertEqual('public', self.choose())
        self.assertEqual('prov', self.choose('prov'))

    def test_several(self):
        for name in ('p1', 'p2'):
            self.connection.add_network(name, is_router_external=True)
        self.assertIn('has 2 external networks: choose one with --network: '
                      'p1, p2', self.refused())

    def test_none(self):
        self.connection.network.all_networks.clear()
        self.assertIn('has neither an external network', self.refused())

    def test_one_without_addresses(self):
        self.connection.network.all_networks.add(
            name='bare', is_router_external=True, subnet_ids=[])
        self.assertEqual('prov', self.choose())

    def test_our_own_is_not_taken_for_a_shared_one(self):
        public = self.connection.go_external()
        resources.provide_network(self.access, public)
        self.assertEqual('public', self.choose())
        self.connection.network.all_networks.pop(public.id)
        self.assertIn('has neither', self.refused())

    def test_one_that_is_not_there(self):
        self.assertIn('cloud here has no network other',
                      self.refused('other'))

    def test_guests_on_a_network_that_shares_its_name(self):
        ids = [self.connection.add_network('prov', is_shared=True).id, *(
            self.connection.network.all_networks)]
        for wanted in ('prov', *ids):
            text = self.refused(wanted)
            self.assertIn('guests would be on network prov, which Tempest '
                          'knows by its name only', text)
            self.assertNotIn('an id', text)

    def test_a_name_that_networks_of_projects_have_too(self):
        # The tests do not see them.
        self.connection.add_network('prov')
        self.assertEqual('prov', self.choose())
        self.assertEqual('prov', self.choose('prov'))

    def test_external_networks_of_one_name(self):
        first, second = (
            self.connection.add_network('public', is_router_external=True)
            for _ in range(2))
        self.assertIn(
            '2 networks have the name public: give the id of an external '
            f'one: {first.id}, {second.id}',
            self.refused('public'))
        # They are written by id.
        self.assertEqual(second.id, resources.choose_network(
            self.access, second.id).id)

    def test_a_network_of_somebody_else_with_the_name_of_ours(self):
        self.connection.go_external()
        self.connection.add_network(resources.NAME)
        self.assertEqual('public', self.choose())
        other = self.connection.add_network(resources.NAME, is_shared=True)
        self.assertIn(f'guests would be on network {resources.NAME}',
                      self.refused())
        self.assertIn(other.id, self.refused())

    def test_one_of_a_project(self):
        self.connection.add_network('private')
        self.assertIn('network private is neither external nor shared',
                      self.refused('private'))


class ProvideNetworkTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.network = self.connection.network

    def provide(self):
        return resources.provide_network(
            self.access, resources.choose_network(self.access, ''))

    def test_a_shared_network_takes_nothing(self):
        before = self.connection.writes()
        found = self.provide()
        self.assertEqual(('prov', False), (found.name, found.floating))
        self.assertEqual([False], [each.created for each in found.resources])
        self.assertEqual(before, self.connection.writes())

    def test_behind_an_external_network(self):
        public = self.connection.go_external()
        found = self.provide()
        self.assertEqual(
            (resources.NAME, True, public.id, 'public'),
            (found.name, found.floating, found.external_id,
             found.external_name))
        self.assertEqual(['network', 'subnet', 'router'],
                         [each.kind for each in found.resources])
        inner = next(self.network.networks(name=resources.NAME))
        subnet = next(self.network.subnets(name=resources.NAME))
        router = next(self.network.routers(name=resources.NAME))
        self.assertTrue(inner.is_shared)
        self.assertEqual(inner.id, subnet.network_id)
        self.assertEqual(public.id,
                         router.external_gateway_info['network_id'])
        self.assertEqual(
            [subnet.id], [each['subnet_id'] for port in self.network.ports(
                device_id=router.id) if port.network_id == inner.id
                for each in port.fixed_ips])
        for each in (inner, subnet, router):
            self.assertEqual([resources.TAG], each.tags)
            self.assertEqual(resources.DESCRIPTION, each.description)

    def test_a_second_time_nothing_is_made(self):
        self.connection.go_external()
        first = self.provide()
        before = self.connection.writes()
        second = self.provide()
        self.assertEqual(before, self.connection.writes())
        self.assertEqual([each.identifier for each in first.resources],
                         [each.identifier for each in second.resources])
        self.assertEqual([False] * 3,
                         [each.created for each in second.resources])

    def test_what_a_killed_run_has_left_is_completed(self):
        self.connection.go_external()
        self.provide()
        router = next(self.network.routers(name=resources.NAME))
        self.network.set_tags(router, [])
        for port in list(self.network.ports(device_id=router.id)):
            if port.device_owner == 'network:router_interface':
                self.network.all_ports.drop(port.id)
        self.provide()
        self.assertEqual([resources.TAG], router.tags)
        self.assertEqual(2, len(list(self.network.ports(
            device_id=router.id))))

    def test_the_router_of_another_external_network(self):
        self.connection.go_external()
        self.provide()
        other = self.connection.add_network('p2', is_router_external=True)
        exc = self.assertRaises(setup.SetupError, resources.provide_network,
                                self.access, other)
        self.assertIn('does not lead to network p2', str(exc))

    def test_a_refusal(self):
        self.connection.go_external()
        self.network.tag_error = fakes.forbidden()
        exc = self.assertRaises(setup.SetupError, self.provide)
        self.assertIn('user admin may not create network live-migration-ha '
                      '(HTTP 403)', str(exc))
