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

import dataclasses
import ipaddress
import json
import unittest

from lab import topology

BENCHMARKS = ipaddress.ip_network('198.18.0.0/15')


class TestTopology(unittest.TestCase):

    def test_hosts(self):
        hosts = topology.Topology(computes=3).hosts
        self.assertEqual(['controller', 'compute1', 'compute2', 'compute3'],
                         [host.name for host in hosts])
        self.assertEqual([True, False, False, False],
                         [host.is_controller for host in hosts])

    def test_addresses(self):
        most = topology.Topology(computes=topology.MAX_COMPUTES)
        addresses = [ipaddress.ip_address(host.address)
                     for host in most.hosts]
        self.assertEqual(len(addresses), len(set(addresses)))
        for address in addresses:
            self.assertIn(address, topology.MANAGEMENT)
            self.assertNotIn(address, (
                topology.MANAGEMENT.network_address,
                topology.MANAGEMENT.broadcast_address))

    def test_addresses_do_not_depend_on_the_number_of_hosts(self):
        self.assertEqual(topology.Topology(computes=2).hosts,
                         topology.Topology(computes=8).hosts[:3])

    def test_networks_are_for_benchmarks_and_apart(self):
        for network in (topology.MANAGEMENT, topology.PROVIDER):
            self.assertTrue(network.subnet_of(BENCHMARKS))
        self.assertFalse(topology.MANAGEMENT.overlaps(topology.PROVIDER))

    def test_provider_network(self):
        made = topology.Topology()
        network = ipaddress.ip_network(made.provider_cidr)
        gateway = ipaddress.ip_address(made.provider_gateway)
        first, last = map(ipaddress.ip_address, topology.PROVIDER_POOL)
        self.assertIn(gateway, network)
        self.assertIn(first, network)
        self.assertIn(last, network)
        self.assertLess(first, last)
        self.assertFalse(first <= gateway <= last)

    def test_survives_json(self):
        made = topology.Topology(computes=4, kvm=True,
                                 max_concurrent_live_migrations=3)
        text = json.dumps(dataclasses.asdict(made))
        self.assertEqual(made, topology.Topology(**json.loads(text)))

    def test_ceph(self):
        self.assertFalse(topology.Topology().has_ceph)
        made = topology.Topology(storage='ceph')
        self.assertTrue(made.has_ceph)
        self.assertEqual('--computes 2 --storage ceph', made.describe())

    def test_volumes(self):
        made = topology.Topology(storage='ceph', volumes=True)
        self.assertEqual('--computes 2 --storage ceph --volumes',
                         made.describe())
        text = json.dumps(dataclasses.asdict(made))
        self.assertEqual(made, topology.Topology(**json.loads(text)))

    def test_volumes_are_in_nobodys_way(self):
        plain = topology.Topology(storage='ceph')
        more = topology.Topology(storage='ceph', volumes=True)
        self.assertTrue(more.has_all_of(plain))
        self.assertTrue(more.has_all_of(more))
        self.assertFalse(plain.has_all_of(more))
        self.assertFalse(more.has_all_of(topology.Topology()))

    def test_heat(self):
        plain = topology.Topology(storage='ceph')
        more = topology.Topology(storage='ceph', heat=True)
        self.assertEqual('--computes 2 --storage ceph --heat',
                         more.describe())
        self.assertTrue(more.has_all_of(plain))
        self.assertFalse(plain.has_all_of(more))
        self.assertFalse(more.has_all_of(
            topology.Topology(storage='ceph', volumes=True)))

    def test_suites(self):
        self.assertEqual({}, topology.Topology().suites)
        made = topology.Topology(qemu_on='compute1=trixie,compute2=forky')
        self.assertEqual({'compute1': 'trixie', 'compute2': 'forky'},
                         made.suites)
        self.assertEqual(
            '--computes 2 --storage block --qemu-on '
            'compute1=trixie,compute2=forky', made.describe())

    def test_nova(self):
        made = topology.Topology(sources=('nova=34.0.0',), nova_on=(
            'compute1=/a=b', 'compute1=33.0.2', 'controller=35.0.0'))
        self.assertEqual(['35.0.0', '/a=b', '34.0.0'], [
            made.source_of('nova', host.name) for host in made.hosts])
        self.assertEqual('--computes 2 --storage block --from nova=34.0.0 '
                         '--nova-on compute1=/a=b --nova-on controller=35.0.0',
                         made.describe())
        text = json.dumps(dataclasses.asdict(made))
        self.assertEqual(made, topology.Topology(**json.loads(text)))

    def test_describe_names_the_options(self):
        self.assertEqual('--computes 2 --storage block',
                         topology.Topology().describe())
        self.assertEqual('--computes 1 --storage block --kvm',
                         topology.Topology(computes=1, kvm=True).describe())
        self.assertEqual(
            '--computes 2 --storage block --max-concurrent-live-migrations 4',
            topology.Topology(max_concurrent_live_migrations=4).describe())
