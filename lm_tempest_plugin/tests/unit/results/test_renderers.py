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

import json
import math
import re

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import renderers
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

EVIL = '<script>alert(1)</script>|`*_[x](y)\x1b[31m\x00\n# &amp; \ufffe'


def built(lines):
    return report.build(builders.read(lines))


def run(service_s=10.0, first=1, **changes):
    return [line for number in range(1, 7)
            for line in builders.drain_lines(
                first + number, [service_s + 0.1 * number, service_s],
                round_trip=number, **changes)]


def matrix():
    """Lines of two settings, with an effect, and a failure."""
    return [*run(), *run(15.0, 100, settings=builders.settings(
        tunnelled=True)), builders.failed(99, drain='drain-2')]


def evil():
    flavor = schema.Flavor(name=EVIL, vcpus=1, ram_gib=1.0, disk_gib=1.0)
    left = builders.problem(f'server {EVIL} is left', 'left-behind')
    return [
        builders.failed(1, server_name=EVIL, source=EVIL, cause=EVIL,
                        problems=(builders.problem(EVIL),), flavor=flavor),
        builders.drain(source=EVIL, problems=(left,))]


class TextTest(base.TestCase):

    def test_content(self):
        found = renderers.text(built(matrix()))
        for line in (
                'Live migration\n====', '24 of 25 migrations as expected',
                'block', 'Duration (s)', '12 of 13', '12 of 12', 'guest-99',
                'rolled back)', 'tunnelled: off → on', '1.49',
                'undecided: all hosts ran 1 at once',
                '+0.050', 'run-1.jsonl'):
            self.assertIn(line, found)

    def test_good(self):
        found = renderers.text(built(run()))
        self.assertIn('12 of 12 migrations as expected', found)
        self.assertNotIn('\nProblems\n', found)

    def test_fits_a_hundred_columns(self):
        for lines in (matrix(), evil(), [
                line for number in (1, 4) for line in run(
                    1234.5, flavor=schema.Flavor(
                        name='a.flavor.with.a.long.name', vcpus=1,
                        ram_gib=float(number), disk_gib=1.0),
                    settings=builders.settings(
                        max_concurrent_live_migrations=number,
                        auto_converge=True, post_copy=True),
                    strategy='window of 100', outage=builders.outage(123.4),
                    stall=builders.stall(123.4),
                    concurrency=builders.concurrency(1, 11))]):
            widths = [len(line) for line in renderers.text(
                built(lines)).splitlines()]
            self.assertLessEqual(max(widths), 100)

    def test_nothing_steers_the_terminal(self):
        found = renderers.text(built(evil()))
        self.assertIn('<script>alert(1)</script>', found)
        self.assertTrue(found.replace('\n', '').isprintable())
        self.assertIn(r'\x1b[31m\x00\n# &amp; \ufffe', found)

    def test_no_results(self):
        found = renderers.text(built([]))
        self.assertIn('no live migration was judged.', found)

    def test_many_problems(self):
        found = renderers.text(built([
            builders.failed(number)
            for number in range(renderers.MOST_LINES + 7)]))
        self.assertIn('* and 7 more', found)
        self.assertEqual(renderers.MOST_LINES,
                         found.count('* server guest-'))

    def test_a_wide_table_is_grouped_by_its_first_column(self):
        rows = [document.TableRow(('x' * 90, f'{number}', 'a b'))
                for number in range(2)]
        found = renderers.text(document.Document('t', True, 'v', (), [
            document.Section('s', 's', [document.Table(
                'c', ('One', 'Two', 'Three'), rows, words=3)])], {}))
        self.assertIn('Two  Three\n---  -----\n' + 'x' * 90 +
                      '\n0    a b\n1    a b\n', found)

    def brief(self, bad):
        rows = [document.TableRow((f'row-{number:03}',), mark)
                for number, mark in enumerate(
                    [document.GOOD, ''] + bad * [document.BAD])]
        made = document.Document('', True, '', (), [document.Section(
            's', 's', [document.Table('Caption.', ('Name',), rows,
                                      brief=True)])], None)
        return renderers.text(made), renderers.markdown(made)

    def test_a_brief_table(self):
        for said in self.brief(3):
            self.assertNotIn('row-001', said)
            self.assertEqual(3, said.count('row-'))
        for said in self.brief(renderers.MOST_LINES + 9):
            self.assertEqual(renderers.MOST_LINES, said.count('row-'))
            self.assertIn('Caption. The first 50 of 59 rows', said)
        for said in self.brief(0):
            self.assertNotIn('Caption', said)

    def test_plots_are_left_out(self):
        found = renderers.text(document.Document('t', True, 'v', (), [
            document.Section('s', 'Heading', [document.Plot('k', 'c')])], {}))
        self.assertNotIn('Heading', found)


class MarkdownTest(base.TestCase):

    def test_tables(self):
        found = renderers.markdown(built(matrix()))
        self.assertTrue(found.startswith('# Live migration\n'))
        self.assertIn('| Settings | Flavor | As expected |', found)
        for table in re.findall(r'(?:^\|.*\n)+', found, re.M):
            columns = {len(re.findall(r'(?<!\\)\|', line))
                       for line in table.splitlines()}
            self.assertEqual(1, len(columns), table)

    def test_escaped(self):
        found = renderers.markdown(built(evil()))
        self.assertIn('&lt;script&gt;alert(1)&lt;/script&gt;\\|\\`\\*\\_\\['
                      'x\\](y)\\\\x1b\\[31m\\\\x00\\\\n# &amp;amp; ', found)
        self.assertNotIn('<', found)
        self.assertTrue(found.replace('\n', '').isprintable())
        self.assertEqual([], [line for line in found.splitlines()
                              if not line.startswith(('#', '|', '* '))
                              and 'script' in line])

    def test_escape(self):
        self.assertEqual('a\\|b \\~c\\~ \\$d\\$ "e"',
                         renderers.escape('a|b ~c~ $d$ "e"'))


class JsonTest(base.TestCase):

    def load(self, lines):
        return json.loads(renderers.json(built(lines)))

    def test_content(self):
        found = self.load(matrix())
        self.assertEqual((2, 'report'), (found['version'], found['kind']))
        self.assertEqual('run-1', found['runs'][0]['run'])
        self.assertEqual('2.104', found['runs'][0]['compute_api'])
        summary = found['summary']
        self.assertFalse(summary['good'])
        group = summary['groups'][0]
        self.assertEqual(
            {'storage': 'block', 'values': {'tunnelled': False}},
            group['conditions']['settings'])
        self.assertEqual({'completed': 12, 'rolled back': 1},
                         group['verdicts'])
        self.assertEqual(
            {'value', 'low', 'high', 'count'},
            set(group['spreads']['service_s']['median']))
        self.assertIsNone(group['spreads']['service_s']['p95']['high'])
        self.assertEqual([1, 1], summary['drains'][0]['ran'])
        self.assertIn('median', summary['drains'][0]['wall'])
        self.assertIn('value', summary['drifts'][0]['per_round_trip'])
        self.assertIsNone(summary['recommendation']['concurrency'])
        self.assertEqual(1, len(summary['problems']))

    def test_an_undefined_figure_is_null(self):
        # Nobody waits: ratios of zero.
        lines = [
            line for first, tunnelled in ((1, False), (100, True))
            for line in run(first=first, settings=builders.settings(
                tunnelled=tunnelled), of_migrations={'queue_s': 0.0})]
        ratios = [each['effect']['ratio']['value']
                  for each in self.load(lines)['summary']['differences']
                  if each['quantity'] == 'queue_s']
        self.assertEqual([None], ratios)

    def test_any_name(self):
        found = self.load(evil())
        self.assertEqual(EVIL, found['summary']['groups'][0]['conditions'][
            'flavor']['name'])


class NumbersTest(base.TestCase):

    def test_numbers(self):
        for value, text in (
                (0, '0.00'), (0.1234, '0.123'), (0.9996, '1.00'),
                (1.234, '1.23'), (9.99, '9.99'), (9.996, '10.0'),
                (-12.34, '-12.3'), (99.94, '99.9'), (99.96, '100'),
                (123.4, '123'), (-3.14, '-3.14'), (-123, '-123')):
            self.assertEqual(text, document.number(value))
        self.assertEqual(['+1.00', '-1.00'],
                         [document.signed(1), document.signed(-1)])

    def test_intervals(self):
        for low, high, text in (
                (1.0, 3.0, ' (1.00 to 3.00)'), (1.0, None, ' (1.00 or more)'),
                (None, 3.0, ' (3.00 or less)'), (None, None, '')):
            self.assertEqual(text, document.interval(
                estimates.Estimate(2.0, low, high, 9)))
        self.assertEqual('2.00 (1.00 to 3.00)', document.estimate(
            estimates.Estimate(2.0, 1.0, 3.0, 9)))
        self.assertEqual(' (-1.00 to +3.00)', document.interval(
            estimates.Estimate(2.0, -1.0, 3.0, 9), sign=True))

    def test_counts(self):
        self.assertEqual(['1 drain', '2 drains', '2 series'], [
            document.count(1, 'drain'), document.count(2, 'drain'),
            document.count(2, 'series', 'series')])
        self.assertEqual(['1', '1 to 3'], [
            document.spread(1, 1), document.spread(1, 3)])

    def test_time_of_day(self):
        self.assertEqual('2026-11-25 08:00:00 UTC',
                         document.time_of_day(builders.STARTED))

    def test_printable(self):
        self.assertEqual('größer 漢', document.printable('größer 漢'))
        self.assertEqual(r'a\nb\x9bc\u202ed', document.printable(
            'a\nb\x9bc\u202ed'))


class FigureTest(base.TestCase):

    def test_json(self):
        made = document.Figure({'height': 1})
        made.add('bar', x=[1])
        self.assertEqual(
            '{"data":[{"type":"bar","x":[1]}],"layout":{"height":1}}',
            made.as_json())

    def test_not_a_number(self):
        made = document.Figure({})
        made.add('bar', x=[math.nan])
        self.assertRaises(ValueError, made.as_json)
