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

from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class HostsTest(base.TestCase):

    def list(self, *services, avoid=''):
        return compute_hosts.list_hosts(fakes.services(*services), avoid)

    def test_only_nova_compute_is_asked_for_and_order_is_by_name(self):
        client = fakes.services(('beta', 'enabled', 'up'),
                                ('alpha', 'disabled', 'down'))
        found = compute_hosts.list_hosts(client)
        self.assertEqual(['alpha', 'beta'], [host.name for host in found])
        client.list_services.assert_called_once_with(binary='nova-compute')

    def test_hosts_to_avoid(self):
        found = self.list(('alpha-ironic', 'enabled', 'up'),
                          ('beta', 'enabled', 'up'), avoid='-ironic')
        self.assertEqual(['beta'], [host.name for host in found])

    def test_services_of_a_cell_that_is_down_have_no_state(self):
        client = fakes.services(('alpha', 'UNKNOWN', 'up'))
        del client.list_services.return_value['services'][0]['state']
        host, = compute_hosts.list_hosts(client)
        self.assertEqual(compute_hosts.ComputeService(
            'alpha', 'UNKNOWN', 'unknown'), host)
        self.assertFalse(host.usable)

    def test_any_other_that_is_enabled_and_up(self):
        found = self.list(
            ('alpha', 'enabled', 'up'), ('beta', 'disabled', 'up'),
            ('delta', 'enabled', 'up'), ('gamma', 'enabled', 'down'))
        self.assertEqual(
            'delta', compute_hosts.choose_destination(found, 'alpha'))

    def test_the_one_that_is_wanted(self):
        found = self.list(
            ('alpha', 'enabled', 'up'), ('beta', 'enabled', 'up'),
            ('gamma', 'enabled', 'up'))
        self.assertEqual(
            'gamma', compute_hosts.choose_destination(found, 'alpha', 'gamma'))

    def test_no_wish_may_be_empty(self):
        found = self.list(
            ('alpha', 'enabled', 'up'), ('beta', 'enabled', 'up'))
        self.assertEqual(
            'beta', compute_hosts.choose_destination(found, 'alpha', ''))

    def test_hosts_may_come_one_by_one(self):
        found = self.list(('alpha', 'enabled', 'up'))
        self.assertIn('alpha (enabled, up)',
                      self.refusal(iter(found), 'alpha', 'omega'))

    def refusal(self, *args):
        return str(self.assertRaises(
            compute_hosts.NoSuitableHost, compute_hosts.choose_destination,
            *args))

    def test_refusals_name_host_and_reason(self):
        found = self.list(
            ('alpha', 'enabled', 'up'), ('beta', 'disabled', 'up'),
            ('gamma', 'enabled', 'down'))
        self.assertIn('beta (disabled, up), gamma (enabled, down)',
                      self.refusal(found, 'alpha'))
        self.assertIn('named beta', self.refusal(found, 'alpha', 'beta'))
        self.assertIn('host omega has no nova-compute',
                      self.refusal(found, 'alpha', 'omega'))
        # The source cannot be the destination: any other host is meant.
        self.assertNotIn('named', self.refusal(found, 'alpha', 'alpha'))
        self.assertIn('none at all', self.refusal([], 'alpha'))

    def test_in_words(self):
        found = self.list(
            ('beta', 'disabled', 'up'), ('alpha', 'enabled', 'down'))
        self.assertEqual('alpha (enabled, down), beta (disabled, up)',
                         compute_hosts.describe(found))


class ProvidersTest(base.TestCase):

    def test_by_the_name_that_nova_has_for_the_host(self):
        client = fakes.hypervisors(alpha='provider-1', beta='provider-2')
        self.assertEqual(
            {'alpha': 'provider-1', 'beta': 'provider-2'},
            compute_hosts.provider_uuids(client))
        client.list_hypervisors.assert_called_once_with(detail=True)

    def test_more_than_a_page(self):
        client = fakes.hypervisors()
        client.list_hypervisors.side_effect = [
            {'hypervisors': [{'id': 'provider-1', 'service': {'host': 'a'}}],
             'hypervisors_links': [{'rel': 'next', 'href': 'http://nova'}]},
            {'hypervisors': [{'id': 'provider-2', 'service': {'host': 'b'}}]}]
        self.assertEqual({'a': 'provider-1', 'b': 'provider-2'},
                         compute_hosts.provider_uuids(client))
        client.list_hypervisors.assert_called_with(
            detail=True, marker='provider-1')

    def test_none_at_all(self):
        self.assertEqual({}, compute_hosts.provider_uuids(fakes.hypervisors()))
