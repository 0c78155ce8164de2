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
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes


class DiscoveryTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.nova = self.connection.compute

    def discover(self):
        return discovery.discover(self.access)

    def refused(self):
        return str(self.assertRaises(setup.SetupError, self.discover))

    def test_what_there_is(self):
        self.nova.all_services.add(host='gamma', binary='nova-compute',
                                   status='disabled', state='up')
        self.nova.all_services.add(host='zero', binary='nova-scheduler',
                                   status='enabled', state='up')
        found = self.discover()
        self.assertEqual(['alpha', 'beta'],
                         [host.name for host in found.hosts])
        self.assertEqual(['gamma'], [host.name for host in found.unusable])
        self.assertEqual(('2.1', '2.96', 'RegionOne', ''), (
            found.oldest, found.newest, found.region, found.storage))
        self.assertEqual(
            {'cinder': False, 'glance': True, 'neutron': True, 'nova': True,
             'swift': False}, found.services)

    def test_cinder(self):
        self.assertIsNone(self.discover().volume_versions)
        self.connection.catalog.add('block-storage')
        found = self.discover()
        self.assertTrue(found.services['cinder'])
        self.assertEqual(('3.0', '3.71'), found.volume_versions)

    def test_no_neutron(self):
        self.connection.catalog.remove('network')
        self.assertIn('the catalog has no neutron', self.refused())

    def test_too_few_hosts(self):
        self.nova.all_services.drop('service-2')
        self.nova.all_services.add(host='beta', binary='nova-compute',
                                   status='enabled', state='down')
        self.assertEqual(
            'cloud here: compute hosts that are up and enabled: 1, minimum '
            'for a live migration: 2; all hosts: alpha (enabled, up), beta '
            '(enabled, down)', self.refused())
        self.nova.all_services.clear()
        self.assertIn('up and enabled: 0, minimum', self.refused())

    def test_no_rights_in_nova(self):
        self.nova.error = fakes.forbidden()
        self.assertIn('user admin may not list the compute services (HTTP '
                      '403)', self.refused())

    def test_no_rights_in_keystone(self):
        self.connection.identity.error = fakes.forbidden()
        self.assertIn('may not list projects', self.refused())

    def test_an_old_nova(self):
        self.nova.newest = (2, 79)
        self.assertIn('microversions up to 2.79, and the tests need 2.84',
                      self.refused())

    def test_a_nova_without_microversions(self):
        self.nova.newest = None
        self.assertIn('tells no microversions', self.refused())


class StorageTest(base.TestCase):
    """A provider of disks that other providers share."""

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.answers = self.access.connection.placement.answers
        self.answers.update({
            '/resource_providers?required=MISC_SHARES_VIA_AGGREGATE': {
                'resource_providers': [{'uuid': 'pool'}]},
            '/resource_providers/pool/inventories': {
                'inventories': {'DISK_GB': {'total': 100}}},
            '/resource_providers/pool/aggregates': {'aggregates': ['a1']},
            '/resource_providers/provider-alpha/aggregates': {
                'aggregates': ['a1', 'a2']},
            '/resource_providers/provider-beta/aggregates': {
                'aggregates': ['a1']}})
        # The longer path is the one that counts.
        del self.answers['/resource_providers?required=']

    def storage(self):
        return discovery.discover(self.access).storage

    def test_all_hosts_share_it(self):
        self.assertEqual('shared', self.storage())

    def test_one_host_does_not(self):
        self.answers['/resource_providers/provider-beta/aggregates'] = {
            'aggregates': []}
        self.assertEqual('', self.storage())

    def test_what_is_shared_is_no_disk(self):
        self.answers['/resource_providers/pool/inventories'] = {
            'inventories': {'IPV4_ADDRESS': {'total': 100}}}
        self.assertEqual('', self.storage())
