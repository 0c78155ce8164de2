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

from lm_tempest_plugin import config
from lm_tempest_plugin.migration import settings
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base

BLOCK, SHARED = settings.Storage.BLOCK, settings.Storage.SHARED


def combination(storage='', **values):
    """Return a combination of settings."""
    return schema.Settings(storage=storage, values=values)


class NovaConfTest(base.TestCase):

    def test_options_and_values(self):
        self.assertEqual(
            {config.ConfOption('DEFAULT',
                               'max_concurrent_live_migrations'): '3',
             config.ConfOption('libvirt',
                               'live_migration_tunnelled'): 'False'},
            settings.nova_conf(combination(
                max_concurrent_live_migrations=3, tunnelled=False)))
        self.assertEqual({}, settings.nova_conf(combination()))


class MergedTest(base.TestCase):

    def test_the_other_values_count(self):
        found = settings.merged(
            combination(BLOCK, tunnelled=True,
                        max_concurrent_live_migrations=1),
            combination(max_concurrent_live_migrations=3, native_tls=False))
        self.assertEqual(
            combination('block', max_concurrent_live_migrations=3,
                        tunnelled=True, native_tls=False), found)
        self.assertEqual(
            ['max_concurrent_live_migrations', 'tunnelled', 'native_tls'],
            list(found.values))

    def test_the_other_storage_counts(self):
        for one, other, storage in ((BLOCK, SHARED, 'shared'),
                                    (BLOCK, '', 'block'),
                                    ('', SHARED, 'shared'), ('', '', '')):
            self.assertEqual(storage, settings.merged(
                combination(one), combination(other)).storage)

    def test_text(self):
        self.assertEqual(
            'max concurrent live migrations 3, tunnelled off, native tls on',
            str(settings.merged(
                combination(tunnelled=False, native_tls=True),
                combination(max_concurrent_live_migrations=3))))
        self.assertEqual('as configured', str(combination()))


class OutcomeTest(base.TestCase):

    def test_outcomes(self):
        moves, refuses, fails = settings.Outcome
        for values, storage, expected in (
                ({}, BLOCK, moves),
                ({'tunnelled': False}, BLOCK, moves),
                ({'tunnelled': True}, SHARED, moves),
                ({'tunnelled': True}, BLOCK, refuses),
                ({'tunnelled': True, 'parallel_connections': 1}, BLOCK,
                 refuses),
                ({'tunnelled': True, 'parallel_connections': 1}, SHARED,
                 moves),
                ({'tunnelled': True, 'native_tls': True}, SHARED, fails),
                ({'tunnelled': True, 'native_tls': True}, BLOCK, fails),
                ({'tunnelled': True, 'parallel_connections': 4}, SHARED,
                 refuses),
                ({'tunnelled': True, 'post_copy': True}, SHARED, refuses),
                ({'tunnelled': True, 'post_copy': False}, SHARED, moves),
                ({'post_copy': True}, SHARED, moves),
                ({'native_tls': True}, SHARED, moves)):
            found = combination(storage, **values)
            self.assertEqual(expected, settings.outcome(found), str(found))


class BoundTest(base.TestCase):

    def test_the_largest_bound_that_applies(self):
        bounds = {'block': 1.0, 'tunnelled': 2.0, 'native_tls': 3.0}
        for found, expected in (
                (combination(BLOCK), 1.0),
                (combination(SHARED), 7.0),
                (combination(BLOCK, tunnelled=True), 2.0),
                (combination(SHARED, native_tls=False), 7.0),
                # 1 is a number here, not true.
                (combination(BLOCK, max_concurrent_live_migrations=1,
                             tunnelled=True, native_tls=True), 3.0)):
            self.assertEqual(
                expected, settings.bound_s(found, bounds, 7.0))


class MatrixTest(base.TestCase):

    def test_every_combination_once(self):
        found = settings.matrix({
            'tunnelled': [False, True],
            'max_concurrent_live_migrations': [1, 3], 'post_copy': []}, 0,
            BLOCK)
        self.assertEqual(4, len(found))
        for number in (1, 3):
            for tunnelled in (False, True):
                self.assertIn(combination(
                    BLOCK, max_concurrent_live_migrations=number,
                    tunnelled=tunnelled), found)

    def test_the_order_depends_on_the_seed(self):
        values = {'max_concurrent_live_migrations': list(range(1, 9))}
        self.assertEqual(settings.matrix(values, 1, BLOCK),
                         settings.matrix(values, 1, BLOCK))
        self.assertNotEqual(settings.matrix(values, 1, BLOCK),
                            settings.matrix(values, 2, BLOCK))

    def test_no_values(self):
        self.assertEqual([combination(SHARED)],
                         settings.matrix({}, 0, SHARED))

    def test_a_new_row_of_the_table_is_enough(self):
        row = config.NovaSetting(
            'compression', config.ConfOption('libvirt', 'x'),
            config.types.Boolean())
        self.patch(config, 'NOVA_SETTINGS', (*config.NOVA_SETTINGS, row))
        found, = settings.matrix({'compression': [True]}, 0, SHARED)
        self.assertEqual({row.option: 'True'}, settings.nova_conf(found))
        self.assertEqual('shared, compression on', str(found))
