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

import pathlib

import fixtures

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import options
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.tests.unit import base

HOSTS = '[live_migration_ha_hosts]\nssh_user = root\n'


class OptionsTest(base.TestCase):

    def file(self, text):
        path = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'a.conf'
        path.write_text(text)
        return path

    def test_load_as_oslo_config_does(self):
        self.assertEqual(
            {'a': {'x': ['1', '2'], 'y': ['one\ntwo']}, 'b': {}},
            options.load(self.file(
                '# c\n[a]\nx = 1\ny: one\n  two\n[b]\n[a]\nx=2\n')))

    def test_what_cannot_be_loaded(self):
        for text in ('x = 1\n', '[a]\nword\n'):
            path = self.file(text)
            exc = self.assertRaises(setup.SetupError, options.load, path)
            self.assertIn(str(path), str(exc))
        exc = self.assertRaises(setup.SetupError, options.load,
                                path.with_name('none'))
        self.assertIn('No such file', str(exc))

    def test_the_later_counts(self):
        first = {'a': {'x': ['1'], 'y': ['1']}}
        self.assertEqual(
            {'a': {'x': ['2'], 'y': ['1']}, 'b': {'z': ['3']}},
            options.merge(first, {'a': {'x': ['2']}, 'b': {'z': ['3']}}))
        self.assertEqual({'a': {'x': ['1'], 'y': ['1']}}, first)

    def test_values_of_python(self):
        self.assertEqual(
            {'compute-feature-enabled': {'x': ['True'], 'z': ['2']}},
            options.convert(compute_feature_enabled={
                'x': True, 'y': None, 'z': 2}))

    def test_what_is_rendered_can_be_loaded(self):
        values = {'a': {'x': ['1', '2'], 'y': ['one\ntwo']}, 'b': {}}
        self.assertEqual(
            values, options.load(self.file(options.render(values))))

    def test_registered(self):
        one = self.file('[live_migration_ha]\ndrain_servers = 7\nseed = 1\n')
        two = self.file('[live_migration_ha]\nseed = 2\n')
        conf = options.read_checked(one, two)
        self.assertEqual((7, 2), (conf.live_migration_ha.drain_servers,
                                  conf.live_migration_ha.seed))
        self.assertEqual(
            12, options.read_checked().live_migration_ha.drain_servers)

    def test_what_the_plugin_does_not_take(self):
        for text, said in (
                ('seeed = 1', 'unknown option seeed in group'),
                ('seed = -1', 'bad value of option seed in group')):
            path = self.file(f'[live_migration_ha]\n{text}\n')
            exc = self.assertRaises(setup.SetupError,
                                    options.read_checked, path)
            self.assertTrue(str(exc).startswith(said), str(exc))


class ShippedTest(base.TestCase):

    def test_there_are_some(self):
        self.assertEqual(['gate', 'osic', 'quick'], options.profiles())

    def test_the_plugin_takes_their_options(self):
        hosts = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'hosts.conf'
        hosts.write_text(HOSTS)
        for name in options.profiles():
            profile = options.load_profile(name)
            self.assertTrue(profile.about, name)
            options.read_checked(profile.path, hosts)

    def test_only_the_white_papers_needs_hosts(self):
        for name in ('gate', 'quick'):
            options.read_checked(options.load_profile(name).path)
        exc = self.assertRaises(setup.SetupError, options.read_checked,
                                options.load_profile('osic').path)
        self.assertIn('there is no access to the hosts', str(exc))

    def test_the_white_papers_flavors(self):
        self.assertEqual(
            [(2, 4096, 40), (4, 8192, 80), (8, 16384, 160)],
            [(each.vcpus, each.ram_mib, each.disk_gib)
             for each in options.load_profile('osic').sizes])

    def test_the_group_of_our_own_goes_no_further(self):
        for name in options.profiles():
            self.assertNotIn(options.GROUP, options.load_profile(name).options)


class LoadTest(base.TestCase):

    def load(self, text):
        path = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'mine.conf'
        path.write_text(text)
        return options.load_profile(str(path))

    def refused(self, text):
        return str(self.assertRaises(setup.SetupError, self.load, text))

    def test_a_file_of_ones_own(self):
        found = self.load('[live_migration_ha]\nseed = 3\n')
        self.assertEqual(('mine', 'live_migration_ha', resources.SIZES),
                         (found.name, found.regex, found.sizes))
        self.assertEqual({'live_migration_ha': {'seed': ['3']}},
                         found.options)

    def test_none(self):
        exc = self.assertRaises(setup.SetupError, options.load_profile, 'slow')
        self.assertEqual(
            'there is no profile slow: give the path of a file, or one of '
            'gate, osic, quick', str(exc))

    def test_mistakes(self):
        for text, said in (
                ('regexp = x', 'unknown option regexp in group [profile]'),
                ('regex = (live_migration_ha', 'bad value of option regex'),
                ('regex = .*', 'may match tests of other plugins'),
                ('flavors = a:1:2', 'bad value of option flavors'),
                ('flavors = a:1:2:3', ': 1; needed are small, medium, large')):
            self.assertIn(said, self.refused(f'[profile]\n{text}\n'))
