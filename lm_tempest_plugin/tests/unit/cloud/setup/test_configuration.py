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
import pathlib

import fixtures
from oslo_config import cfg
from tempest import config

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import networks
from lm_tempest_plugin.cloud.setup import options
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin import config as own_config
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes

FIXED = networks.GuestNetwork('prov', '', '', ())
FLOATING = networks.GuestNetwork('ours', 'public-id', 'public', ())


def new_target(network=FIXED, storage='block', **account):
    """Return a cloud that is ready for the tests."""
    found = discovery.discover(fakes.cloud())
    return configuration.Target(
        fakes.new_account(**account), found, resources.GuestImage(
            resources.Resource('image', 'image-1', 'guest', True), 'me', 0,
            0),
        ['f1', 'f2', 'f3'], network, storage)


class ConfigurationTest(base.TestCase):
    """What Tempest finds in the file."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def read(self, known, *others):
        """Return Tempest's own options, with ours, as Tempest reads them."""
        path = self.folder / 'tempest.conf'
        path.write_text(options.render(configuration.build(
            known, workspace.Workspace(self.folder), *others)))
        conf = cfg.ConfigOpts()
        for group, opts in config._opts:
            if group is not None:
                conf.register_group(group)
            conf.register_opts(opts, group=group)
        own_config.register_opts(conf)
        conf([], project='tempest', default_config_files=[str(path)])
        own_config.check(conf)
        return conf

    def test_fixed_addresses(self):
        conf = self.read(new_target())
        self.assertEqual(
            ('fixed', 'prov', 'prov', True, 'me'),
            (conf.validation.connect_method, conf.validation.network_for_ssh,
             conf.compute.fixed_network_name,
             conf.network.project_networks_reachable,
             conf.validation.image_ssh_user))

    def test_floating_addresses(self):
        conf = self.read(new_target(FLOATING))
        self.assertEqual(
            ('floating', 'ours', 'public-id', 'public', False),
            (conf.validation.connect_method, conf.compute.fixed_network_name,
             conf.network.public_network_id,
             conf.network.floating_network_name,
             conf.network.project_networks_reachable))

    def test_what_the_tests_look_at(self):
        conf = self.read(new_target())
        self.assertTrue(conf['compute-feature-enabled'].live_migration)
        self.assertEqual(
            (2, '2.1', '2.96', 'image-1', 'f1', 'f2'),
            (conf.compute.min_compute_nodes, conf.compute.min_microversion,
             conf.compute.max_microversion, conf.compute.image_ref,
             conf.compute.flavor_ref, conf.compute.flavor_ref_alt))
        self.assertTrue(conf.auth.use_dynamic_credentials)
        self.assertTrue(conf.validation.run_validation)
        self.assertFalse(conf.service_available.cinder)

    def test_volumes(self):
        known = new_target()
        self.assertIsNone(self.read(known).volume.max_microversion)
        known = dataclasses.replace(
            known, image=dataclasses.replace(known.image, size_gib=3),
            facts=dataclasses.replace(
                known.facts, volume_versions=('3.0', '3.71')))
        conf = self.read(known)
        self.assertEqual(
            ('3.71', 3), (conf.volume.max_microversion,
                          conf.volume.volume_size))
        self.assertTrue(conf['compute-feature-enabled']
                        .volume_backed_live_migration)

    def test_storage(self):
        for storage, block in (('block', True), ('shared', False),
                               ('', False)):
            conf = self.read(new_target(storage=storage))
            self.assertEqual(storage, conf.live_migration_ha.storage)
            self.assertEqual(
                block, conf['compute-feature-enabled']
                .block_migration_for_live_migration)

    def test_the_account(self):
        conf = self.read(new_target())
        self.assertEqual(
            ('admin', 'admin', 'Default', 'RegionOne'),
            (conf.auth.admin_username, conf.auth.admin_project_name,
             conf.auth.admin_domain_name, conf.identity.region))
        self.assertEqual('http://192.0.2.1:5000/v3', conf.identity.uri_v3)
        self.assertEqual('publicURL', conf.compute.endpoint_type)

    def test_other_endpoints_domains_and_certificates(self):
        conf = self.read(new_target(
            interface='internal', project_domain='Other', ca_file='/ca.pem',
            insecure=True))
        self.assertEqual(
            ['internal'] * 3,
            [conf.identity.v3_endpoint_type, conf.compute.endpoint_type,
             conf.placement.endpoint_type])
        self.assertEqual(('Default', 'Other'), (
            conf.auth.admin_user_domain_name,
            conf.auth.admin_project_domain_name))
        self.assertEqual('/ca.pem', conf.identity.ca_certificates_file)
        self.assertTrue(conf.identity.disable_ssl_certificate_validation)

    def test_passwords(self):
        for password in ('a$b', '$$', '"q"', "'", '"', ' s ', '#x', 'a=b:c',
                         '%(x)s', '[x]', '\\n', '${x}', 'é'):
            conf = self.read(new_target(password=password))
            self.assertEqual(password, conf.auth.admin_password)

    def test_passwords_that_no_file_can_hold(self):
        for password in ('a\nb', 'a\\$b'):
            exc = self.assertRaises(setup.SetupError, self.read,
                                    new_target(password=password))
            self.assertNotIn(password, str(exc))

    def test_the_later_counts(self):
        conf = self.read(
            new_target(), {'live_migration_ha': {'seed': ['1']}},
            {'live_migration_ha': {'seed': ['2'], 'storage': ['shared']}})
        self.assertEqual((2, 'block'), (conf.live_migration_ha.seed,
                                        conf.live_migration_ha.storage))

    def test_words_for_flavors(self):
        conf = self.read(new_target(), {
            'live_migration_ha_matrix': {'flavors': ['small, large,m1']}})
        self.assertEqual(['f1', 'f3', 'm1'],
                         conf.live_migration_ha_matrix.flavors)
