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
import math

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import cells
from lm_tempest_plugin.results.html import clouds
from lm_tempest_plugin.results.html import drains
from lm_tempest_plugin.results.html import figure
from lm_tempest_plugin.results.html import material
from lm_tempest_plugin.results.html import names
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials

SCRIPT = '<script>alert(1)</script>'


class ThemeTest(base.TestCase):

    def test_text_stays_text(self):
        self.assertEqual('&lt;b&gt; &amp;amp;', theme.text('<b> &amp;'))

    def test_short(self):
        self.assertEqual('&lt;script…', theme.short(SCRIPT, 8))
        self.assertEqual('a b', theme.short('a\n  b'))

    def test_wrapped(self):
        self.assertEqual('one two &lt;<br>three …',
                         theme.wrapped('one two < three four', 9, 2))
        self.assertEqual('x' * 20 + '<br>' + 'x' * 5,
                         theme.wrapped('x' * 25))

    def test_hover(self):
        self.assertEqual('&lt;i&gt;<br>2', theme.hover('<i>', 2))
        self.assertEqual('<br>a', theme.hover('', 'a'))

    def test_things_in_turn(self):
        for choose, of in ((theme.colour, theme.COLOURS),
                           (theme.symbol, theme.SYMBOLS),
                           (theme.dash, theme.DASHES)):
            self.assertEqual([*of, of[0]],
                             [choose(each) for each in range(len(of) + 1)])

    def test_rows_from_the_top(self):
        self.assertEqual([1.5, -0.5], theme.rows(['a', 'b'])['range'])


class FigureTest(base.TestCase):

    def test_json(self):
        made = figure.Figure({'height': 1})
        made.add('bar', x=[1])
        self.assertEqual(
            '{"data":[{"type":"bar","x":[1]}],"layout":{"height":1}}',
            made.as_json())

    def test_what_is_no_number(self):
        made = figure.Figure({})
        made.add('bar', x=[math.nan])
        self.assertRaises(ValueError, made.as_json)

    def test_error_bars(self):
        found = figure.error_bars([
            intervals.Estimate(2.0, 1.0, 4.0, 9),
            intervals.Estimate(2.0, None, None, 1)], width=3)
        self.assertEqual(([2.0, 0.0], [1.0, 0.0], 3), (
            found['array'], found['arrayminus'], found['width']))


class WordsTest(base.TestCase):

    def test_numbers(self):
        for value, word in ((0, '0.00'), (0.1234, '0.123'), (1.234, '1.23'),
                            (-12.34, '-12.3'), (123.4, '123')):
            self.assertEqual(word, words.number(value))
        self.assertEqual(['+1.00', '-1.00'],
                         [words.signed(1), words.signed(-1)])

    def test_intervals(self):
        for low, high, word in (
                (1.0, 3.0, ' (1.00 to 3.00)'), (1.0, None, ' (1.00 or more)'),
                (None, 3.0, ' (3.00 or less)'), (None, None, '')):
            self.assertEqual(word, words.interval(
                intervals.Estimate(2.0, low, high, 9)))
        self.assertEqual('2.00 (1.00 to 3.00)', words.estimate(
            intervals.Estimate(2.0, 1.0, 3.0, 9)))
        self.assertEqual(' (-1.00 to +3.00)', words.interval(
            intervals.Estimate(2.0, -1.0, 3.0, 9), sign=True))

    def test_counts(self):
        self.assertEqual(['1 drain', '2 drains', '2 series'], [
            words.count(1, 'drain'), words.count(2, 'drain'),
            words.count(2, 'series', 'series')])

    def test_day(self):
        self.assertEqual('2026-11-25 08:00:00 UTC',
                         words.day(builders.BEGAN.timestamp()))


class NamesTest(base.TestCase):

    def cell(self, **settings):
        return collection.Cell('block', tuple(settings.items()))

    def test_only_what_differs(self):
        one = self.cell(tunnelled=False, max_concurrent_live_migrations=1)
        two = self.cell(tunnelled=False, max_concurrent_live_migrations=3)
        found = names.Names([(one, 'w'), (two, 'w')])
        self.assertEqual('block, tunnelled off', found.common)
        self.assertEqual('limit: max_concurrent_live_migrations',
                         found.explained)
        self.assertEqual(['limit 1', 'limit 3'],
                         [found.cell(one), found.group(two, 'w')])

    def test_one_cell(self):
        one = self.cell(tunnelled=True)
        found = names.Names([(one, 'v'), (one, 'w')])
        self.assertEqual('', found.common + found.explained)
        self.assertEqual('block, tunnelled on – w', found.group(one, 'w'))

    def test_a_cell_of_nothing_else(self):
        one, two = self.cell(), self.cell(post_copy=True)
        found = names.Names([(one, 'w'), (two, 'w')])
        self.assertEqual(['block', 'post copy on'],
                         [found.cell(one), found.cell(two)])

    def test_nothing_at_all(self):
        self.assertEqual('', names.Names([]).common)
        self.assertEqual('as it is', names.Names([]).cell(
            collection.Cell('', ())))


class MaterialTest(base.TestCase):

    def test_what_belongs_where(self):
        found = materials.make([
            *materials.attempts(2),
            ('attempt', builders.attempt_line(2, measured=False)),
            ('attempt', builders.failed_line(3)),
            ('drain', builders.drain_line())])
        group = found.summary.groups[0]
        self.assertEqual(3, len(found.measured(group)))
        self.assertEqual(2, len(found.moved(group)))
        self.assertEqual(4, len(found.of(found.records.drains[0])))
        self.assertEqual(['lm.small'], list(map(str, found.flavors())))

    def test_longest(self):
        one, two = (collection.Longest(each, 0, 1) for each in (0.1, 0.2))
        self.assertIs(two, material.longest([one, None, two]))
        self.assertIsNone(material.longest([None]))


class CellsTest(base.TestCase):

    def rows(self, lines):
        table = cells.cells(materials.make(lines))
        for row in table.rows:
            self.assertEqual(len(table.columns), len(row.cells))
        return table.rows

    def test_all_that_is_known(self):
        row = self.rows([*materials.attempts(8),
                         ('drain', builders.drain_line(servers=8))])[0]
        self.assertEqual('good', row.mark)
        self.assertEqual((
            'block, tunnelled off', '8 lm.small, window of 2', '✓ 8 of 8',
            '9.00 (9.00 to 9.00)', '9.00', '0.250 ± 0.015 of 1',
            '0.400 ± 0.060 of 3', '0.180 / 0.180', '1', 'direct'),
            row.cells)

    def test_a_failure(self):
        row = self.rows([*materials.attempts(2),
                         ('attempt', builders.failed_line(2))])[0]
        self.assertEqual('bad', row.mark)
        self.assertEqual('✗ 2 of 3 (1 rolled back)', row.cells[2])

    def test_what_is_not_known(self):
        row = self.rows([('attempt', builders.failed_line(
            icmp=None, tcp=None))])[0]
        self.assertEqual((words.NOTHING,) * 7, row.cells[3:])

    def test_what_ran_at_once(self):
        at_once = [{**builders.drain_line()['observed_concurrency'][0],
                    'running': 3}]
        row = self.rows([
            *materials.attempts(2), ('drain', builders.drain_line()),
            *materials.attempts(2, drain='drain-2'),
            ('drain', builders.drain_line(
                'drain-2', observed_concurrency=at_once))])[0]
        self.assertEqual('1 to 3', row.cells[8])

    def test_drains(self):
        found = cells.drains(materials.whole())
        self.assertEqual(4, len(found.rows))
        for row in found.rows:
            self.assertEqual(len(found.columns), len(row.cells))
        self.assertEqual('window of 6', found.rows[0].cells[2])
        self.assertEqual(['1', '1', '3', '1'],
                         [row.cells[6] for row in found.rows])

    def test_no_model(self):
        found = cells.drains(materials.make([
            *materials.attempts(2, strategy='by hand'),
            ('drain', builders.drain_line(strategy='by hand'))]))
        self.assertEqual((words.NOTHING,) * 3, found.rows[0].cells[8:])

    def test_no_drain(self):
        self.assertIsNone(cells.drains(materials.make(
            materials.attempts(1))))


class CloudsTest(base.TestCase):

    def hosts(self, body):
        return clouds.runs(collection.Collection(
            [collection.Run('r', 'p', 0.0, body)], [], [], [], [])
        ).rows[0].cells

    def test_hosts_of_one_kind_together(self):
        self.assertEqual((
            'r', '1970-01-01 00:00:00 UTC', '1.0.0', 'RegionOne', '2.104',
            'compute1, compute2: QEMU 10.0.2, libvirt 9.0.0'),
            self.hosts(builders.run_line()))

    def test_nothing_is_known(self):
        self.assertEqual((words.NOTHING,) * 4, self.hosts({})[2:])
        self.assertEqual((words.NOTHING,) * 3,
                         self.hosts({'cloud': None})[3:])


class DrainsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        lines = []
        for trip in range(1, 11):
            drain = 'drain-%d' % trip
            outage = builders.outage(0.9 if trip == 5 else 0.2)
            bad = {'violations': ['bad']} if trip == 7 else {}
            lines += [
                ('attempt', builders.attempt_line(
                    trip, drain=drain, icmp=outage, **bad)),
                ('drain', builders.drain_line(
                    drain, trip=trip, name='drain %d' % trip,
                    began_at=builders.iso(100 * trip)))]
        self.material = materials.make(lines)
        self.drains = self.material.records.drains

    def trips(self, most):
        return [drain.trip for drain in drains.chosen(
            self.material, self.drains, most)]

    def test_those_that_tell_most(self):
        self.assertEqual([7], self.trips(1))
        self.assertEqual([5, 7], self.trips(2))
        self.assertEqual([1, 5, 7, 10], self.trips(4))
        self.assertEqual([1, 2, 5, 7, 10], self.trips(5))
        self.assertEqual(list(range(1, 11)), self.trips(24))

    def test_the_largest_comes_first(self):
        self.drains[3] = dataclasses.replace(self.drains[3], servers=12)
        self.assertEqual([4, 1, 2, 3, *range(5, 11)], self.trips(24))

    def test_what_is_left_out(self):
        self.assertEqual([], drains.notes(self.drains, self.drains))
        self.assertIn('4 of 10 drains', drains.notes(
            self.drains, self.drains[:4])[0])

    def test_labels(self):
        self.assertEqual(
            ['drain 6: block, tunnelled off',
             '(bad) drain 7: block, tunnelled off'],
            [drains.label(self.material, drain)
             for drain in self.drains[5:7]])
