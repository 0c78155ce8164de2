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

import ipaddress
import types
import unittest

from lab.cloud import resources
from lab import topology as topologies


class Api:
    """An API that takes note of what is made."""

    def __init__(self):
        self.made = []

    def __getattr__(self, name):
        if not name.startswith('create_'):
            raise AttributeError(name)

        def create(*args, **values):
            self.made.append((name.removeprefix('create_'), args, values))
            return types.SimpleNamespace(id=f'id-{len(self.made)}', **values)
        return create

    def all(self, kind):
        return [values for each, _, values in self.made if each == kind]


class TestResources(unittest.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = types.SimpleNamespace(compute=Api(), image=Api(),
                                           network=Api())

    def test_flavors_keep_the_white_papers_proportions(self):
        resources.make_flavors(self.cloud)
        made = self.cloud.compute.all('flavor')
        self.assertEqual(3, len(made))
        small = made[0]
        for factor, flavor in zip((1, 2, 4), made, strict=True):
            for what in ('ram', 'disk'):
                self.assertEqual(factor * small[what], flavor[what])

    def test_no_flavor_takes_more_cpus_than_a_lab_has(self):
        resources.make_flavors(self.cloud)
        self.assertEqual([1, 2, 2], [
            each['vcpus'] for each in self.cloud.compute.all('flavor')])

    def test_quotas_of_the_administrator(self):
        lifted = []
        self.cloud.current_project_id = 'project-1'
        self.cloud.set_compute_quotas = lambda *args, **values: lifted.append(
            (args, values))
        resources.lift_quotas(self.cloud)
        self.assertEqual(
            [(('project-1',), {'instances': -1, 'cores': -1, 'ram': -1})],
            lifted)

    def test_guests_have_a_source_of_randomness(self):
        resources.make_flavors(self.cloud)
        specs = [args for kind, args, _ in self.cloud.compute.made
                 if kind == 'flavor_extra_specs']
        self.assertEqual([flavor.name for flavor in resources.FLAVORS],
                         [flavor.name for flavor, _ in specs])
        for _, values in specs:
            self.assertEqual({'hw_rng:allowed': 'True'}, values)
        resources.make_image(self.cloud, 'guest.qcow2', 'qcow2')
        self.assertEqual('virtio',
                         self.cloud.image.all('image')[0]['hw_rng_model'])

    def test_image(self):
        resources.make_image(self.cloud, 'guest.qcow2', 'qcow2')
        [image] = self.cloud.image.all('image')
        self.assertEqual(
            ('guest.qcow2', 'qcow2', 'bare', 'public', True),
            tuple(image[name] for name in (
                'filename', 'disk_format', 'container_format', 'visibility',
                'wait')))

    def test_network(self):
        topology = topologies.Topology()
        resources.make_network(self.cloud, topology)
        [network] = self.cloud.network.all('network')
        [subnet] = self.cloud.network.all('subnet')
        self.assertEqual(('flat', True), (network['provider_network_type'],
                                          network['is_shared']))
        self.assertEqual('id-1', subnet['network_id'])
        cidr = ipaddress.ip_network(subnet['cidr'])
        self.assertEqual(topologies.PROVIDER, cidr)
        # OVN answers DHCP only on a subnet that has a gateway.
        self.assertIn(ipaddress.ip_address(subnet['gateway_ip']), cidr)
        [pool] = subnet['allocation_pools']
        self.assertEqual({'start', 'end'}, set(pool))
        for address in pool.values():
            self.assertIn(ipaddress.ip_address(address), cidr)

    def test_probes_are_let_in(self):
        resources.make_network(self.cloud, topologies.Topology())
        rules = self.cloud.network.all('security_group_rule')
        self.assertEqual({'ingress'}, {rule['direction'] for rule in rules})
        self.assertEqual({('icmp', None), ('tcp', 22),
                          ('tcp', resources.ECHO_PORT)}, {
            (rule['protocol'], rule.get('port_range_min'))
            for rule in rules})
        for rule in rules:
            self.assertEqual(rule.get('port_range_min'),
                             rule.get('port_range_max'))
