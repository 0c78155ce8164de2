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
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin import config as own_config
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes

HOSTS = '[live_migration_ha_hosts]\nssh_user = root\n'
FIXED = resources.GuestNetwork('prov', '', '', ())
FLOATING = resources.GuestNetwork('ours', 'public-id', 'public', ())


def new_target(network=FIXED, storage='block', **account):
    """Return a cloud that is ready for the tests."""
    found = discovery.discover(fakes.cloud())
    return configuration.Target(
        fakes.new_account(**account), found, resources.GuestImage(
            resources.Resource('image', 'image-1', 'guest', True), 'me', 0,
            0),
        ['f1', 'f2', 'f3'], network, storage)


class ConfigurationTest(base.TestCase):
    """Options that Tempest finds in the file."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def read(self, known, *others):
        """Return Tempest's own options, with ours, as Tempest reads them."""
        path = self.folder / 'tempest.conf'
        path.write_text(configuration.render(configuration.build(
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


class OptionsTest(base.TestCase):

    def file(self, text):
        path = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'a.conf'
        path.write_text(text)
        return path

    def test_load_as_oslo_config_does(self):
        self.assertEqual(
            {'a': {'x': ['1', '2'], 'y': ['one\ntwo']}, 'b': {}},
            configuration.load(self.file(
                '# c\n[a]\nx = 1\ny: one\n  two\n[b]\n[a]\nx=2\n')))

    def test_what_cannot_be_loaded(self):
        for text in ('x = 1\n', '[a]\nword\n'):
            path = self.file(text)
            exc = self.assertRaises(setup.SetupError, configuration.load, path)
            self.assertIn(str(path), str(exc))
        exc = self.assertRaises(setup.SetupError, configuration.load,
                                path.with_name('none'))
        self.assertIn('No such file', str(exc))

    def test_the_later_counts(self):
        first = {'a': {'x': ['1'], 'y': ['1']}}
        self.assertEqual(
            {'a': {'x': ['2'], 'y': ['1']}, 'b': {'z': ['3']}},
            configuration.merge(first, {'a': {'x': ['2']}, 'b': {'z': ['3']}}))
        self.assertEqual({'a': {'x': ['1'], 'y': ['1']}}, first)

    def test_values_of_python(self):
        self.assertEqual(
            {'compute-feature-enabled': {'x': ['True'], 'z': ['2']}},
            configuration.convert(compute_feature_enabled={
                'x': True, 'y': None, 'z': 2}))

    def test_what_is_rendered_can_be_loaded(self):
        values = {'a': {'x': ['1', '2'], 'y': ['one\ntwo']}, 'b': {}}
        self.assertEqual(
            values,
            configuration.load(self.file(configuration.render(values))))

    def test_registered(self):
        one = self.file('[live_migration_ha]\ndrain_servers = 7\nseed = 1\n')
        two = self.file('[live_migration_ha]\nseed = 2\n')
        conf = configuration.read_checked(one, two)
        self.assertEqual((7, 2), (conf.live_migration_ha.drain_servers,
                                  conf.live_migration_ha.seed))
        self.assertEqual(
            12, configuration.read_checked().live_migration_ha.drain_servers)

    def test_what_the_plugin_does_not_take(self):
        for text, said in (
                ('seeed = 1', 'unknown option seeed in group'),
                ('seed = -1', 'bad value of option seed in group')):
            path = self.file(f'[live_migration_ha]\n{text}\n')
            exc = self.assertRaises(setup.SetupError,
                                    configuration.read_checked, path)
            self.assertTrue(str(exc).startswith(said), str(exc))


class ShippedTest(base.TestCase):

    def test_there_are_some(self):
        self.assertEqual(
            ['gate', 'hosts', 'osic', 'quick', 'upgrade', 'workloads'],
            configuration.profiles())

    def test_the_plugin_takes_their_options(self):
        hosts = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'hosts.conf'
        hosts.write_text(HOSTS)
        for name in configuration.profiles():
            profile = configuration.load_profile(name)
            self.assertTrue(profile.about, name)
            configuration.read_checked(profile.path, hosts)

    def test_only_the_white_papers_needs_hosts(self):
        for name in ('gate', 'quick', 'upgrade', 'workloads'):
            configuration.read_checked(configuration.load_profile(name).path)
        exc = self.assertRaises(setup.SetupError, configuration.read_checked,
                                configuration.load_profile('osic').path)
        self.assertIn('there is no access to the hosts', str(exc))

    def test_the_white_papers_flavors(self):
        self.assertEqual(
            [(2, 4096, 40), (4, 8192, 80), (8, 16384, 160)],
            [(each.vcpus, each.ram_mib, each.disk_gib)
             for each in configuration.load_profile('osic').sizes])

    def test_the_group_of_our_own_goes_no_further(self):
        for name in configuration.profiles():
            self.assertNotIn(configuration.GROUP,
                             configuration.load_profile(name).options)


class LoadTest(base.TestCase):

    def load(self, text):
        path = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'mine.conf'
        path.write_text(text)
        return configuration.load_profile(str(path))

    def refused(self, text):
        return str(self.assertRaises(setup.SetupError, self.load, text))

    def test_a_file_of_ones_own(self):
        found = self.load('[live_migration_ha]\nseed = 3\n')
        self.assertEqual(('mine', 'live_migration_ha', resources.SIZES),
                         (found.name, found.regex, found.sizes))
        self.assertEqual({'live_migration_ha': {'seed': ['3']}},
                         found.options)

    def test_none(self):
        exc = self.assertRaises(
            setup.SetupError, configuration.load_profile, 'slow')
        self.assertEqual(
            'there is no profile slow: give the path of a file, or one of '
            'gate, hosts, osic, quick, upgrade, workloads', str(exc))

    def test_mistakes(self):
        for text, said in (
                ('regexp = x', 'unknown option regexp in group [profile]'),
                ('regex = (live_migration_ha', 'bad value of option regex'),
                ('regex = .*', 'may match tests of other plugins'),
                ('flavors = a:1:2', 'bad value of option flavors'),
                ('flavors = a:1:2:3', ': 1; needed are small, medium, large')):
            self.assertIn(said, self.refused(f'[profile]\n{text}\n'))
