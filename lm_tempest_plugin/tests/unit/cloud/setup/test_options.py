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
from lm_tempest_plugin.operator import options
from lm_tempest_plugin.tests.unit import base


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
            exc = self.assertRaises(errors.OperatorError, options.load, path)
            self.assertIn(str(path), str(exc))
        exc = self.assertRaises(errors.OperatorError, options.load,
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
            options.of(compute_feature_enabled={
                'x': True, 'y': None, 'z': 2}))

    def test_what_is_rendered_can_be_loaded(self):
        values = {'a': {'x': ['1', '2'], 'y': ['one\ntwo']}, 'b': {}}
        self.assertEqual(
            values, options.load(self.file(options.render(values))))

    def test_registered(self):
        one = self.file('[live_migration_ha]\ndrain_servers = 7\nseed = 1\n')
        two = self.file('[live_migration_ha]\nseed = 2\n')
        conf = options.registered(one, two)
        self.assertEqual((7, 2), (conf.live_migration_ha.drain_servers,
                                  conf.live_migration_ha.seed))
        self.assertEqual(
            12, options.registered().live_migration_ha.drain_servers)

    def test_what_the_plugin_does_not_take(self):
        for text, said in (
                ('seeed = 1', 'unknown option seeed in group'),
                ('seed = -1', 'bad value of option seed in group')):
            path = self.file('[live_migration_ha]\n%s\n' % text)
            exc = self.assertRaises(errors.OperatorError,
                                    options.registered, path)
            self.assertTrue(str(exc).startswith(said), str(exc))
