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

import contextlib
import subprocess

import pyroute2

from lab.hosts import network
from lab import layout
from lab.tests.unit import base
from lab import topology


class Kernel:
    """Network namespaces; the controller's is called None."""

    def __init__(self):
        self.links = {}

    def find(self, namespace, index):
        [link] = [link for (where, _), link in self.links.items()
                  if where == namespace and link['index'] == index]
        return link

    def add(self, namespace, name, **values):
        key = namespace, name
        if key in self.links:
            raise AssertionError(f'{key} is there already')
        self.links[key] = {'name': name, 'index': len(self.links) + 10,
                           'addresses': [], 'state': 'down', **values}


class Route:
    """The parts of pyroute2.IPRoute and pyroute2.NetNS that the lab uses."""

    def __init__(self, kernel, namespace=None):
        self.kernel = kernel
        self.namespace = namespace

    def link_lookup(self, ifname):
        return [link['index'] for (where, name), link
                in self.kernel.links.items()
                if (where, name) == (self.namespace, ifname)]

    def link(self, what, **values):
        if what == 'add':
            peer = values.pop('peer', None)
            self.kernel.add(self.namespace, values.pop('ifname'), **values)
            if peer:
                self.kernel.add(peer['net_ns_fd'], peer['ifname'],
                                kind=values['kind'])
            return
        assert what == 'set', what
        link = self.kernel.find(self.namespace, values.pop('index'))
        if 'master' in values:
            values['master'] = self.kernel.find(
                self.namespace, values['master'])['name']
        link.update(values)

    def addr(self, what, index, address, prefixlen):
        found = self.kernel.find(self.namespace, index)['addresses']
        text = f'{address}/{prefixlen}'
        if what == 'del' or what == 'replace' and text in found:
            found.remove(text)
        if what != 'del':
            found.append(text)


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.kernel = Kernel()
        self.patch(pyroute2, 'IPRoute', lambda: contextlib.nullcontext(
            Route(self.kernel)))
        self.patch(pyroute2, 'NetNS', lambda name: contextlib.nullcontext(
            Route(self.kernel, name)))
        self.offloading = []
        self.patch(subprocess, 'run', self._ethtool)

    def _ethtool(self, command, check, **_):
        """ethtool --offload INTERFACE tx off, perhaps in a namespace."""
        self.assertTrue(check)
        namespace = None
        if command[0] == 'nsenter':
            namespace = command[1].removeprefix('--net=')
            command = command[2:]
        tool, option, interface, *values = command
        self.assertEqual(('ethtool', '--offload', ['tx', 'off']),
                         (tool, option, values))
        self.offloading.append((namespace, interface))


class TestMake(TestCase):

    def setUp(self):
        super().setUp()
        self.topology = topology.Topology(computes=2)
        network.make(self.topology)
        self.links = self.kernel.links

    def test_bridges(self):
        for name, address in (('br-mgmt', '198.18.0.1/24'),
                              ('br-prov', '198.18.4.1/22')):
            bridge = self.links[None, name]
            self.assertEqual(('bridge', [address], 'up'), (
                bridge['kind'], bridge['addresses'], bridge['state']))

    def test_second_address_of_the_controller(self):
        addresses = self.links[None, 'br-prov']['addresses']
        # A run that was killed may have left it.
        for _ in range(2):
            network.set_provider_address('198.19.0.1', 24, present=True)
            self.assertEqual(['198.18.4.1/22', '198.19.0.1/24'], addresses)
        network.set_provider_address('198.19.0.1', 24, present=False)
        self.assertEqual(['198.18.4.1/22'], addresses)

    def test_every_host_is_at_both_bridges(self):
        for host in self.topology.compute_hosts:
            for bridge, port in (('br-mgmt', 'eth0'), ('br-prov', 'eth1')):
                here = self.links[None, f'{host.name}-{port}']
                self.assertEqual((bridge, 'up'),
                                 (here['master'], here['state']))
                there = self.links[self._namespace(host), port]
                self.assertEqual('up', there['state'])

    def _namespace(self, host):
        return str(layout.namespace(host.name, 'net'))

    def test_addresses_of_hosts(self):
        for host in self.topology.compute_hosts:
            self.assertEqual(
                [f'{host.address}/24'],
                self.links[self._namespace(host), 'eth0']['addresses'])
            # Open vSwitch has it.
            self.assertEqual(
                [], self.links[self._namespace(host), 'eth1']['addresses'])

    def test_nothing_else(self):
        self.assertEqual(2 + 2 * 2 * 2, len(self.links))

    def test_names_fit(self):
        # IFNAMSIZ is 16, with the final zero.
        for _, name in self.links:
            self.assertLess(len(name), 16)

    def test_checksums_are_whole_everywhere(self):
        self.assertEqual(set(self.links), set(self.offloading))


class TestNamespace(TestCase):

    def test_loopback(self):
        self.kernel.add(None, 'lo')
        network.loopback_up()
        self.assertEqual('up', self.kernel.links[None, 'lo']['state'])

    def test_ping_sockets(self):
        groups = self.write(self.folder / 'ping_group_range', '1 0')
        self.patch(network, 'PING_GROUPS', groups)
        network.allow_ping_sockets()
        low, high = map(int, groups.read_text().split())
        self.assertEqual((0, 2 ** 31 - 1), (low, high))
