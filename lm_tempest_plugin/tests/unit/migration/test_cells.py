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
from lm_tempest_plugin.hosts import configuration
from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.tests.unit import base


class SettingsTest(base.TestCase):

    def test_each_has_an_option(self):
        self.assertEqual(set(config.SETTINGS), set(cells.SETTINGS))
        names = [opt.dest for opt in config.cells_opts]
        for name in cells.SETTINGS:
            self.assertIn(name, names)


class CellTest(base.TestCase):

    def test_what_nova_conf_has_to_say(self):
        self.assertEqual(
            {configuration.Option('DEFAULT',
                                  'max_concurrent_live_migrations'): '3',
             configuration.Option('libvirt',
                                  'live_migration_tunnelled'): 'False'},
            cells.Cell(3, tunnelled=False).values())
        self.assertEqual({}, cells.Cell().values())

    def test_with_other_settings(self):
        self.assertEqual(
            cells.Cell(3, True, native_tls=False),
            cells.Cell(1, True).but(cells.Cell(3, native_tls=False)))

    def test_in_words(self):
        self.assertEqual(
            'max concurrent live migrations 3, tunnelled off, native tls on',
            str(cells.Cell(3, tunnelled=False, native_tls=True)))
        self.assertEqual('as it is', str(cells.Cell()))

    def test_what_is_to_be_expected(self):
        block, shared = cells.Storage.BLOCK, cells.Storage.SHARED
        for cell, storage, expected in (
                (cells.Cell(), block, cells.Outcome.MOVES),
                (cells.Cell(tunnelled=False), block, cells.Outcome.MOVES),
                (cells.Cell(tunnelled=True), shared, cells.Outcome.MOVES),
                (cells.Cell(tunnelled=True), block, cells.Outcome.REFUSES),
                (cells.Cell(tunnelled=True, parallel_connections=1), block,
                 cells.Outcome.REFUSES),
                (cells.Cell(tunnelled=True, native_tls=True), shared,
                 cells.Outcome.DOES_NOT_START),
                (cells.Cell(tunnelled=True, parallel_connections=4), shared,
                 cells.Outcome.REFUSES),
                (cells.Cell(tunnelled=True, post_copy=True), shared,
                 cells.Outcome.REFUSES),
                (cells.Cell(tunnelled=True, post_copy=False), shared,
                 cells.Outcome.MOVES),
                (cells.Cell(post_copy=True), shared, cells.Outcome.MOVES),
                (cells.Cell(native_tls=True), shared, cells.Outcome.MOVES)):
            self.assertEqual(expected, cell.outcome(storage), str(cell))

    def test_the_largest_bound_of_what_is_on(self):
        bounds = {'block': 1.0, 'tunnelled': 2.0, 'native_tls': 3.0}
        for cell, storage, expected in (
                (cells.Cell(), cells.Storage.BLOCK, 1.0),
                (cells.Cell(), cells.Storage.SHARED, 7.0),
                (cells.Cell(tunnelled=True), cells.Storage.BLOCK, 2.0),
                (cells.Cell(native_tls=False), cells.Storage.SHARED, 7.0),
                (cells.Cell(1, tunnelled=True, native_tls=True),
                 cells.Storage.BLOCK, 3.0)):
            self.assertEqual(expected, cell.bound_s(bounds, storage, 7.0))


class MatrixTest(base.TestCase):

    def test_every_combination_once(self):
        found = cells.matrix({
            'tunnelled': [False, True],
            'max_concurrent_live_migrations': [1, 3], 'post_copy': []}, 0)
        self.assertEqual(4, len(found))
        self.assertEqual(
            {cells.Cell(number, tunnelled=tunnelled)
             for number in (1, 3) for tunnelled in (False, True)},
            set(found))

    def test_the_order_is_drawn(self):
        values = {'max_concurrent_live_migrations': list(range(1, 9))}
        self.assertEqual(cells.matrix(values, 1), cells.matrix(values, 1))
        self.assertNotEqual(cells.matrix(values, 1), cells.matrix(values, 2))

    def test_nothing_to_switch(self):
        self.assertEqual([cells.Cell()], cells.matrix({}, 0))
