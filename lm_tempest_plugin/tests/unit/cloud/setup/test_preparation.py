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

import ast
import pathlib
import re

import fixtures

import lm_tempest_plugin
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.commands import verify
from lm_tempest_plugin.tests.unit import base

HOSTS = '[live_migration_ha_hosts]\nssh_user = root\n'


class NamesOfTestsTest(base.TestCase):
    """A test that is renamed must not leave its old name behind."""

    def setUp(self):
        super().setUp()
        folder = (pathlib.Path(lm_tempest_plugin.__file__).parent /
                  'tests' / 'live_migration_ha')
        self.tests = {
            f'{path.stem}.{cls.name}.{each.name}'
            for path in folder.glob('test_*.py')
            for cls in ast.parse(path.read_text()).body
            for each in getattr(cls, 'body', ())
            if isinstance(each, ast.FunctionDef) and
            each.name.startswith('test_')}

    def test_matrix(self):
        self.assertIn(preparation.MATRIX_TEST, self.tests)

    def test_tests_that_need_storage(self):
        self.assertEqual(1, sum(
            f'.{verify.NEED_STORAGE}.' in each for each in self.tests))

    def test_each_profile_matches_tests(self):
        hosts = sum('test_hosts.' in each for each in self.tests)
        upgrade = hosts + sum('test_upgrade.' in each for each in self.tests)
        for name, number in (('quick', 1), ('upgrade', upgrade),
                             ('gate', len(self.tests) - upgrade),
                             ('osic', 2), ('hosts', hosts)):
            regex = configuration.load_profile(name).regex
            self.assertEqual(number, sum(
                bool(re.search(regex, f'{preparation.TESTS}.{each}'))
                for each in self.tests), name)


class ChangesSettingsTest(base.TestCase):

    def test_profiles(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        more = folder / 'more.conf'
        settings = '[live_migration_ha_matrix]\ntunnelled = true\n'
        for name, text, changes in (('osic', HOSTS, True),
                                    ('gate', HOSTS, False),
                                    ('upgrade', HOSTS + settings, False),
                                    ('gate', HOSTS + settings, True),
                                    ('quick', HOSTS + settings, False)):
            more.write_text(text)
            profile = configuration.load_profile(name)
            self.assertIs(changes, preparation._changes_settings(
                configuration.read_checked(profile.path, more), profile))


class ArgumentsTest(base.TestCase):

    def test_earlier_ones(self):
        wanted = preparation.Arguments(storage='shared')
        self.assertEqual(
            preparation.Arguments(image='i', storage='shared'),
            wanted.or_else({'image': 'i', 'storage': 'block'}))

    def test_an_earlier_file_that_is_gone(self):
        self.assertEqual(preparation.Arguments(ssh_user='me'), (
            preparation.Arguments().or_else(
                {'image': '/no/such.img', 'ssh_user': 'me'})))
