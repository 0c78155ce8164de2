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

import json
from unittest import mock

from tempest.lib import exceptions as lib_exc
from tempest.lib.services.placement import base_placement_client
from tempest.lib.services.placement import placement_client

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


def inventory(total, reserved=0, allocation_ratio=1.0):
    return {'total': total, 'reserved': reserved,
            'allocation_ratio': allocation_ratio}


INVENTORIES = {'VCPU': inventory(8, 0, 4.0),
               'MEMORY_MB': inventory(16384, 512),
               'DISK_GB': inventory(100)}
SMALL = placement.Resources(2, 512, 1)


class ResourcesTest(base.TestCase):

    def of(self, **kwargs):
        return placement.Resources.of(servers.show(
            fakes.servers(fakes.server(**kwargs)), 'id'))

    def test_what_a_server_takes(self):
        self.assertEqual(
            placement.Resources(2, 2048, 24), self.of())

    def test_memory_that_is_no_whole_gib(self):
        for ram in (64, 192, 1000, 5121):
            self.assertEqual(ram, self.of(ram=ram).ram_mib)

    def test_a_volume_takes_no_local_disk(self):
        self.assertEqual(4, self.of(image=None).disk_gib)

    def test_sum(self):
        self.assertEqual(
            placement.Resources(3, 30, 300), sum(
                [placement.Resources(1, 10, 100),
                 placement.Resources(2, 20, 200)], placement.NOTHING))


class FitTest(base.TestCase):

    def test_what_is_just_free_is_enough(self):
        amount = placement.Resources(2, 2048, 20)
        self.assertEqual([], amount.beyond(amount))
        self.assertEqual(1, amount.times(amount))

    def test_each_class_of_which_there_is_too_little(self):
        amount = placement.Resources(2, 2048, 20)
        self.assertEqual(
            ['VCPU: 2 needed, 1 free', 'DISK_GB: 20 needed, 0 free'],
            amount.beyond(placement.Resources(1, 2048, 0)))
        self.assertEqual(
            ['MEMORY_MB: 2048 needed, -1 free'],
            amount.beyond(placement.Resources(9, -1, 99)))

    def test_nothing_is_never_too_much(self):
        self.assertEqual([], placement.NOTHING.beyond(placement.NOTHING))

    def test_the_scarcest_says_how_often(self):
        amount = placement.Resources(2, 2048, 20)
        for free, often in (((9, 99999, 999), 4), ((99, 6143, 999), 2),
                            ((99, 99999, 60), 3), ((1, 99999, 999), 0)):
            self.assertEqual(
                often, amount.times(placement.Resources(*free)))

    def test_no_less_than_not_at_all(self):
        self.assertEqual(0, placement.Resources(1, 64, 0).times(
            placement.Resources(-5, 64, 0)))

    def test_what_is_not_needed_may_be_used_up(self):
        self.assertEqual(3, placement.Resources(1, 64, 0).times(
            placement.Resources(3, 999, -7)))


class FreeTest(base.TestCase):

    def free(self, inventories, usages):
        return placement.free(
            fakes.providers(inventories, usages), 'provider-1')

    def test_of_the_provider_that_is_asked_for(self):
        client = fakes.providers(INVENTORIES, {})
        placement.free(client, 'provider-1')
        client.list_resource_provider_inventories.assert_called_once_with(
            'provider-1')
        client.list_resource_provider_usages.assert_called_once_with(
            'provider-1')

    def test_less_what_is_reserved_and_used_with_overcommitment(self):
        self.assertEqual(
            placement.Resources(30, 14848, 80),
            self.free(INVENTORIES,
                      {'VCPU': 2, 'MEMORY_MB': 1024, 'DISK_GB': 20}))

    def test_what_is_reserved_is_not_overcommitted(self):
        found = self.free({**INVENTORIES, 'VCPU': inventory(8, 2, 4.0)}, {})
        self.assertEqual(24, found.vcpus)

    def test_a_fraction_is_not_free(self):
        found = self.free(
            {**INVENTORIES, 'MEMORY_MB': inventory(1001, 0, 1.5)},
            {'MEMORY_MB': 1})
        self.assertEqual(1500, found.ram_mib)

    def test_a_class_that_nobody_uses(self):
        self.assertEqual(
            placement.Resources(32, 15872, 100), self.free(INVENTORIES, {}))

    def test_a_class_that_the_host_does_not_have_is_no_limit(self):
        found = self.free({name: INVENTORIES[name]
                           for name in ('VCPU', 'MEMORY_MB')}, {})
        self.assertEqual([], placement.Resources(
            32, 15872, 10 ** 6).beyond(found))
        self.assertEqual(
            32, placement.Resources(1, 1, 1000).times(found))

    def test_more_used_than_there_is(self):
        found = self.free(INVENTORIES, {'VCPU': 40})
        self.assertEqual(-8, found.vcpus)

    def test_other_classes_are_not_looked_at(self):
        self.assertEqual(
            placement.Resources(32, 15872, 100),
            self.free({**INVENTORIES, 'VGPU': inventory(1)}, {'VGPU': 1}))


class AllocationsTest(base.TestCase):

    def test_on_which_providers(self):
        client = fakes.placement('provider-1', 'provider-2')
        self.assertEqual(
            frozenset(['provider-1', 'provider-2']),
            placement.allocations(client, 'consumer'))
        client.list_allocations.assert_called_once_with('consumer')

    def test_a_consumer_that_placement_does_not_know(self):
        self.assertEqual(frozenset(), placement.allocations(
            fakes.placement(), 'consumer'))


class AllocateTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.client = fakes.placement()
        self.client.configure_mock(project_id='project', user_id='user')
        self.client.put.side_effect = self.put
        self.client.expected_success.side_effect = (
            placement_client.PlacementClient.expected_success)
        self.sent, self.status = [], 204

    def put(self, url, body):
        self.sent.append((base_placement_client.PLACEMENT_MICROVERSION, url,
                          json.loads(body)))
        return fakes.Response(self.status), ''

    def test_allocate(self):
        placement.allocate(self.client, 'consumer', 'provider',
                           MEMORY_MB=512)
        self.assertEqual([('1.14', '/allocations/consumer', {
            'allocations': {'provider': {'resources': {'MEMORY_MB': 512}}},
            'project_id': 'project', 'user_id': 'user'})], self.sent)
        self.assertIsNone(base_placement_client.PLACEMENT_MICROVERSION)

    def test_release(self):
        self.client.delete.return_value = fakes.Response(204), ''
        placement.release(self.client, 'consumer')
        self.client.delete.assert_called_once_with('/allocations/consumer')

    def test_other_answers(self):
        self.status = 200
        self.assertRaises(
            lib_exc.InvalidHttpSuccessCode, placement.allocate, self.client,
            'consumer', 'provider', VCPU=1)
        self.client.delete.return_value = fakes.Response(200), ''
        self.assertRaises(lib_exc.InvalidHttpSuccessCode, placement.release,
                          self.client, 'consumer')


class CandidatesTest(base.TestCase):

    def test_query(self):
        for resources, query in (
                ((1, 1024, 10), 'VCPU:1,MEMORY_MB:1024,DISK_GB:10'),
                ((2, 512, 0), 'VCPU:2,MEMORY_MB:512')):
            self.assertEqual(
                f'/allocation_candidates?resources={query}',
                placement.room_query(placement.Resources(*resources)))

    def test_answer(self):
        client = fakes.placement()
        client.expected_success.side_effect = (
            placement_client.PlacementClient.expected_success)

        def get(url):
            # Since 1.12, allocations are a mapping.
            self.assertEqual(
                '1.14', base_placement_client.PLACEMENT_MICROVERSION)
            return fakes.Response(self.status), '{"a": 1}'

        client.get.side_effect = get
        self.status = 200
        self.assertEqual({'a': 1}, placement.list_candidates(
            client, placement.Resources(1, 1, 1)))
        self.status = 201
        self.assertRaises(
            lib_exc.InvalidHttpSuccessCode, placement.list_candidates,
            client, placement.Resources(1, 1, 1))


class FreeOnHostTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clients = mock.Mock(
            hypervisors=fakes.hypervisors(alpha='provider-1'),
            providers=fakes.providers(INVENTORIES, {}))

    def test_of_the_provider_of_the_hypervisor(self):
        self.assertEqual(placement.Resources(32, 15872, 100),
                         placement.free_on_host(self.clients, 'alpha'))
        providers = self.clients.providers
        providers.list_resource_provider_usages.assert_called_once_with(
            'provider-1')

    def test_several_hosts_by_one_list_of_hypervisors(self):
        self.clients.hypervisors = fakes.hypervisors(
            alpha='provider-1', beta='provider-2', gamma='provider-3')
        self.assertEqual({'alpha', 'gamma'}, set(placement.free_on_hosts(
            self.clients, iter(['alpha', 'gamma']))))
        self.clients.hypervisors.list_hypervisors.assert_called_once_with(
            detail=True)
        self.assertEqual({}, placement.free_on_hosts(self.clients, []))
        self.clients.hypervisors.list_hypervisors.assert_called_once()

    def test_a_host_without_a_hypervisor(self):
        exc = self.assertRaises(
            placement.NoHypervisor, placement.free_on_host, self.clients,
            'beta')
        self.assertIn('no hypervisor on host beta', str(exc))


class LiftQuotaTest(base.TestCase):

    def test_no_limit_is_left(self):
        client = mock.Mock()
        placement.lift_quota(client, 'project-1')
        client.update_quota_set.assert_called_once_with(
            'project-1', instances=-1, cores=-1, ram=-1)


class QuotaRoomTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.limits = {
            'maxTotalInstances': -1, 'totalInstancesUsed': 2,
            'maxTotalCores': -1, 'totalCoresUsed': 4,
            'maxTotalRAMSize': -1, 'totalRAMUsed': 1024}
        self.client = mock.Mock()
        self.client.show_limits.return_value = {
            'limits': {'absolute': self.limits}}

    def test_unlimited(self):
        self.assertIsNone(placement.quota_room(self.client, SMALL))

    def test_the_smallest_of_three_decides(self):
        for name, limit, expected in (
                ('maxTotalInstances', 10, 8), ('maxTotalCores', 9, 2),
                ('maxTotalRAMSize', 1536, 1), ('maxTotalCores', 3, 0)):
            self.limits[name] = limit
            self.assertEqual(
                expected, placement.quota_room(self.client, SMALL))


class ServesTest(base.TestCase):

    def client(self, root='other', traits=(), **aggregates):
        """Return a client with one provider, p, and the host's own, h."""
        self.versions = []

        def show(uuid):
            self.versions.append(
                base_placement_client.PLACEMENT_MICROVERSION)
            if uuid != 'p':
                raise lib_exc.NotFound('no such provider')
            return {'name': 'pool', 'root_provider_uuid': root}

        return mock.Mock(
            show_resource_provider=show,
            list_resource_provider_traits=lambda uuid: {
                'traits': list(traits)},
            list_resource_provider_aggregates=lambda uuid: {
                'aggregates': aggregates.get(uuid, [])})

    def test_providers(self):
        shares = {'traits': [placement.SHARING]}
        for expected, uuid, answers in (
                (True, 'h', {}), (True, 'p', {'root': 'h'}),
                (False, 'p', {}), (False, 'gone', {}),
                (True, 'p', {**shares, 'p': ['a', 'b'], 'h': ['b']}),
                (False, 'p', {**shares, 'p': ['a'], 'h': ['b']}),
                (False, 'p', {'p': ['a'], 'h': ['a']})):
            self.assertEqual(expected, placement.serves(
                self.client(**answers), uuid, 'h'), (uuid, answers))

    def test_the_microversion_is_restored(self):
        placement.serves(self.client(), 'p', 'h')
        self.assertEqual(['1.14'], self.versions)
        self.assertIsNone(base_placement_client.PLACEMENT_MICROVERSION)

    def test_names(self):
        for uuid, name in (('p', 'pool'), ('gone', 'gone')):
            self.assertEqual(
                name, placement.provider_name(self.client(), uuid))
