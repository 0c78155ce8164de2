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

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import flavors
from lm_tempest_plugin.operator import options
from lm_tempest_plugin.operator import profiles
from lm_tempest_plugin.tests.unit import base

HOSTS = '[live_migration_ha_hosts]\nssh_user = root\n'


class ShippedTest(base.TestCase):

    def test_there_are_some(self):
        self.assertEqual(['gate', 'osic', 'quick'], profiles.shipped())

    def test_the_plugin_takes_their_options(self):
        hosts = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'hosts.conf'
        hosts.write_text(HOSTS)
        for name in profiles.shipped():
            profile = profiles.load(name)
            self.assertTrue(profile.about, name)
            options.registered(profile.path, hosts)

    def test_only_the_white_papers_needs_hosts(self):
        for name in ('gate', 'quick'):
            options.registered(profiles.load(name).path)
        exc = self.assertRaises(errors.OperatorError, options.registered,
                                profiles.load('osic').path)
        self.assertIn('gives no access to the hosts', str(exc))

    def test_the_white_papers_flavors(self):
        self.assertEqual(
            [(2, 4096, 40), (4, 8192, 80), (8, 16384, 160)],
            [(each.vcpus, each.ram_mib, each.disk_gib)
             for each in profiles.load('osic').sizes])

    def test_the_group_of_our_own_goes_no_further(self):
        for name in profiles.shipped():
            self.assertNotIn(profiles.GROUP, profiles.load(name).options)


class LoadTest(base.TestCase):

    def load(self, text):
        path = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'mine.conf'
        path.write_text(text)
        return profiles.load(str(path))

    def refused(self, text):
        return str(self.assertRaises(errors.OperatorError, self.load, text))

    def test_a_file_of_ones_own(self):
        found = self.load('[live_migration_ha]\nseed = 3\n')
        self.assertEqual(('mine', 'live_migration_ha', flavors.SIZES),
                         (found.name, found.regex, found.sizes))
        self.assertEqual({'live_migration_ha': {'seed': ['3']}},
                         found.options)

    def test_none(self):
        exc = self.assertRaises(errors.OperatorError, profiles.load, 'slow')
        self.assertEqual(
            'there is no profile slow: it is the path of a file, or one of '
            'gate, osic, quick', str(exc))

    def test_mistakes(self):
        for text, said in (
                ('regexp = x', 'unknown option regexp in group [profile]'),
                ('regex = (live_migration_ha', 'bad value of option regex'),
                ('regex = .*', 'not about the tests of live_migration_ha'),
                ('flavors = a:1:2', 'bad value of option flavors'),
                ('flavors = a:1:2:3', 'has 1 flavors, not small')):
            self.assertIn(said, self.refused('[profile]\n%s\n' % text))
