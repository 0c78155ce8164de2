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

import fixtures

import lm_tempest_plugin
from lm_tempest_plugin.operator import options
from lm_tempest_plugin.operator import plan
from lm_tempest_plugin.operator import profiles
from lm_tempest_plugin.tests.unit import base


class PlanTest(base.TestCase):

    def conf(self, *paths, text=''):
        path = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'a.conf'
        path.write_text(text)
        return options.registered(*paths, path)

    def test_every_test_is_known(self):
        folder = pathlib.Path(lm_tempest_plugin.__file__).parent / (
            'tests/live_migration_ha')
        found = set()
        for path in folder.glob('test_*.py'):
            for cls in ast.parse(path.read_text()).body:
                found |= {
                    '%s.%s.%s' % (path.stem, cls.name, each.name)
                    for each in getattr(cls, 'body', ())
                    if isinstance(each, ast.FunctionDef) and
                    each.name.startswith('test_')}
        self.assertEqual(found, set(plan.by_test(self.conf())))

    def test_quick(self):
        profile = profiles.load('quick')
        self.assertEqual(4, plan.expected(self.conf(profile.path), profile))

    def test_gate(self):
        profile = profiles.load('gate')
        conf = self.conf(profile.path)
        self.assertEqual(34, plan.expected(conf, profile))
        self.assertEqual(
            32, plan.expected(conf, profile, plan.NEED_STORAGE))
        self.assertEqual(38, plan.expected(conf, profile, volumes=True))

    def test_the_white_papers(self):
        profile = profiles.load('osic')
        text = ('[live_migration_ha_hosts]\nssh_user = root\n'
                '[live_migration_ha]\nstorage = block\n')
        # 8 cells of a warm-up, three flavors and a drain of 12, 20 times
        # there and back; as often 12 servers in batches of four sizes.
        self.assertEqual(
            8 * 2 * (1 + 20 * (3 + 12)) + 20 * 2 * 12 * 4,
            plan.expected(self.conf(profile.path, text=text), profile))

    def test_profiles_with_cells(self):
        text = '[live_migration_ha_hosts]\nssh_user = root\n'
        cells = text + '[live_migration_ha_cells]\ntunnelled = true\n'
        for name, more, found in (('osic', text, True),
                                  ('gate', text, False),
                                  ('gate', cells, True),
                                  ('quick', cells, False)):
            profile = profiles.load(name)
            self.assertIs(found, plan.has_cells(
                self.conf(profile.path, text=more), profile))

    def test_cells_take_storage(self):
        profile = profiles.load('osic')
        text = '[live_migration_ha_hosts]\nssh_user = root\n'
        self.assertEqual(
            20 * 2 * 12 * 4,
            plan.expected(self.conf(profile.path, text=text), profile))
