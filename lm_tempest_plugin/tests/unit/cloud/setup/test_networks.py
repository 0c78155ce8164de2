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

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import networks
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes


class ChooseTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection

    def choose(self, wanted=''):
        return networks.choose(self.access, wanted).name

    def refused(self, wanted=''):
        return str(self.assertRaises(
            setup.SetupError, networks.choose, self.access, wanted))

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
        networks.provide(self.access, public)
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
        self.assertEqual(second.id, networks.choose(
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


class ProvideTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.network = self.connection.network

    def provide(self):
        return networks.provide(
            self.access, networks.choose(self.access, ''))

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
        exc = self.assertRaises(setup.SetupError, networks.provide,
                                self.access, other)
        self.assertIn('does not lead to network p2', str(exc))

    def test_a_refusal(self):
        self.connection.go_external()
        self.network.tag_error = fakes.forbidden()
        exc = self.assertRaises(setup.SetupError, self.provide)
        self.assertIn('user admin may not create network live-migration-ha '
                      '(HTTP 403)', str(exc))
