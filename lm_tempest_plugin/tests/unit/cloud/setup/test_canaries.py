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

import io
import stat

import fixtures
from openstack import exceptions as sdk_exc
import paramiko

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import canaries
from lm_tempest_plugin.cloud.setup import cleanup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes

CANARIES = ['live-migration-ha-canary-alpha-1',
            'live-migration-ha-canary-beta-1']


class ProvideTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.compute = self.access.connection.compute
        self.network = self.access.connection.network
        self.files = workspace.Workspace(
            self.useFixture(fixtures.TempDir()).path)
        self.guests = resources.GuestNetwork('prov', '', '', ())

    def provide(self, number=1, files=None):
        """Build canaries; return their names, and which were created."""
        target = configuration.Target(
            self.access.account, discovery.discover(self.access),
            resources.GuestImage(resources.Resource(
                'image', 'image-1', 'guest', True), 'me', 0, 0),
            ['f1', 'f2', 'f3'], self.guests, 'block')
        return {each.name: each.created for each in canaries.provide(
            self.access, target, files or self.files, number, 7)
            if each.kind == 'canary'}

    def refused(self, **keywords):
        before = self.access.connection.writes()
        exc = self.assertRaises(setup.SetupError, self.provide, **keywords)
        self.assertEqual(before, self.access.connection.writes())
        return str(exc)

    def test_one_on_each_host(self):
        self.assertEqual(dict.fromkeys(CANARIES, True), self.provide())
        alpha, beta = self.compute.all_servers.values()
        self.assertEqual(
            ('alpha', 'beta', 'ACTIVE', [resources.TAG], 'f1', 'image-1'),
            (alpha.compute_host, beta.compute_host, alpha.status, alpha.tags,
             alpha.flavor_id, alpha.image_id))
        network, = self.network.all_networks.values()
        self.assertEqual([{'uuid': network.id}], alpha.networks)
        group, = self.network.all_groups.values()
        self.assertEqual([{'name': group.id}], alpha.security_groups)
        self.assertEqual(
            {('IPv4', 'icmp', None), ('IPv4', 'tcp', 22), ('IPv4', 'tcp', 7),
             ('IPv6', 'ipv6-icmp', None), ('IPv6', 'tcp', 22),
             ('IPv6', 'tcp', 7)},
            {(each.ether_type, each.protocol, each.port_range_min)
             for each in self.network.all_rules.values()})

    def test_their_key(self):
        self.provide()
        path = self.files.canary_key
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        # As Tempest reads it.
        key = paramiko.ECDSAKey.from_private_key(io.StringIO(
            builder.bare_key(path.read_text())))
        pair, = self.compute.keypairs()
        self.assertIn(key.get_base64(), pair.public_key)

    def test_a_second_time_only_those_that_are_missing(self):
        self.provide()
        before = self.access.connection.writes()
        self.assertEqual(dict.fromkeys(CANARIES, False), self.provide())
        self.assertEqual(before, self.access.connection.writes())
        # It may be on another host by now.
        self.compute.all_servers.drop('server-1')
        self.compute.all_servers['server-2']._body.attributes[
            'OS-EXT-SRV-ATTR:host'] = 'alpha'
        self.assertEqual({CANARIES[0]: True, CANARIES[1]: False},
                         self.provide())
        self.assertEqual(4, len(self.provide(number=2)))

    def test_behind_a_router(self):
        self.guests = resources.GuestNetwork('prov', 'public-id', 'p', ())
        for number in (1, 2):
            self.network.all_ports.add(device_id=f'server-{number}')
        self.provide()
        self.assertEqual(
            [('public-id', 'port-1'), ('public-id', 'port-2')],
            [(each.floating_network_id, each.port_id)
             for each in self.network.all_ips.values()])

    def test_one_that_cannot_be_built(self):
        self.compute.build_error = sdk_exc.ResourceFailure('went to ERROR')
        exc = self.assertRaises(setup.SetupError, self.provide)
        self.assertIn(f'build canary {CANARIES[0]}', str(exc))
        self.assertIn('went to ERROR', str(exc))

    def test_a_private_key_that_is_missing(self):
        self.provide()
        other = workspace.Workspace(self.useFixture(fixtures.TempDir()).path)
        self.assertIn('bootstrap --delete', self.refused(files=other))
        self.assertFalse(other.canary_key.exists())

    def test_another_private_key(self):
        self.provide()
        self.compute.all_keypairs.clear()
        other = workspace.Workspace(self.useFixture(fixtures.TempDir()).path)
        self.provide(files=other)
        self.assertIn('is not that of', self.refused())

    def test_a_key_of_nobody(self):
        self.files.write(self.files.canary_key, 'nonsense')
        self.assertIn('is no private key', self.refused())

    def test_all_of_them_are_deleted(self):
        self.guests = resources.GuestNetwork('prov', 'public-id', 'p', ())
        for number in (2, 3):
            self.network.all_ports.add(device_id=f'server-{number}')
        theirs = self.compute.all_servers.add(name=CANARIES[0], tags=['x'])
        self.compute.create_keypair('theirs', 'ssh-rsa AAAA me@here')
        self.provide()
        removal = cleanup.delete_marked(self.access)
        self.assertEqual([], removal.kept)
        self.assertEqual(
            ['server', 'server', 'floating', 'floating', 'security', 'key'],
            [each.split()[0] for each in removal.deleted])
        self.assertEqual([theirs.id], list(self.compute.all_servers))
        self.assertEqual(['theirs'],
                         [each.name for each in self.compute.keypairs()])
        self.assertEqual(({}, {}), (dict(self.network.all_ips),
                                    dict(self.network.all_groups)))
