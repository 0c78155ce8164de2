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
import re
from xml.etree import ElementTree

from lm_tempest_plugin.results.rendering import document
from lm_tempest_plugin.results.rendering import junit
from lm_tempest_plugin.results.rendering import markdown
from lm_tempest_plugin.results.rendering import text
from lm_tempest_plugin.results.rendering import words
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

# What a user of the cloud may call a server.
EVIL = '<script>alert(1)</script>|`*_[x](y)\x1b[31m\x00\n# &amp; \ud800\ufffe'


def render(module, lines):
    records = builders.read(lines)
    return module.render(summary.summarize(records), records)


def run(service_s=10.0, first=1, **changes):
    return [line for trip in range(1, 7)
            for line in builders.drain_lines(
                first + trip, [service_s + 0.1 * trip, service_s], trip=trip,
                **changes)]


def matrix():
    """Lines of two cells, with an effect, and with something that failed."""
    return [*run(), *run(15.0, 100, cell=builders.cell(tunnelled=True)),
            ('attempt', builders.failed_line(99, drain='drain-2'))]


def evil():
    return [('attempt', builders.failed_line(
        1, server_name=EVIL, source=EVIL, violations=[EVIL], cause=EVIL,
        flavor={'name': EVIL, 'vcpus': 1, 'ram_gib': 1.0, 'disk_gib': 1.0})),
        ('drain', builders.drain_line(
            name=EVIL, left_over=['server %s is left' % EVIL]))]


class TextTest(base.TestCase):

    def test_what_is_told(self):
        found = render(text, matrix())
        for line in (
                'Live migration: NOT GOOD',
                '24 of 25 live migrations of 1 flavor in 2 cells did what '
                'was expected; 1 did not: 1 rolled back;',
                'block, tunnelled off',
                'Duration', '12 of 13', '12 of 12', 'guest-99',
                '* block, tunnelled off, lm.small, 2 servers, window of 2: 12 '
                'completed, 1 rolled back',
                'tunnelled: on instead of off (block)', '1.49',
                '* undecided: no host was seen to run other than 1 at once',
                'service of lm.small, 2 servers, window of 2, block, '
                'tunnelled off: +0.050 s with each of 6', 'run-1.jsonl'):
            self.assertIn(line, found)

    def test_good(self):
        found = render(text, run())
        self.assertIn('Live migration: good\n', found)
        self.assertNotIn('Failures', found)

    def test_fits_a_hundred_columns(self):
        for lines in (matrix(), evil(), [
                line for number in (1, 4) for line in run(
                    1234.5, flavor={'name': 'a.flavor.with.a.long.name',
                                    'vcpus': 1, 'ram_gib': float(number),
                                    'disk_gib': 1.0},
                    cell=builders.cell(
                        max_concurrent_live_migrations=number,
                        auto_converge=True, post_copy=True),
                    strategy='window of 100', icmp=builders.outage(123.4),
                    tcp=builders.stall(123.4),
                    **builders.observed(1, 11))]):
            widths = [len(line) for line in render(text, lines).splitlines()]
            self.assertLessEqual(max(widths), 100)

    def test_nothing_steers_the_terminal(self):
        found = render(text, evil())
        self.assertIn('<script>alert(1)</script>', found)
        self.assertTrue(found.replace('\n', '').isprintable())
        self.assertIn(r'\x1b[31m\x00\n# &amp; \ud800', found)

    def test_no_records(self):
        found = render(text, [])
        self.assertIn('NOT GOOD', found)
        self.assertIn('no live migration was judged.', found)

    def test_many_failures(self):
        found = render(text, [
            ('attempt', builders.failed_line(number))
            for number in range(words.FAILURES + 7)])
        self.assertIn('* and 7 more', found)
        self.assertEqual(words.FAILURES, found.count('* server guest-'))


class MarkdownTest(base.TestCase):

    def test_tables(self):
        found = render(markdown, matrix())
        self.assertTrue(found.startswith('# Live migration: NOT GOOD\n'))
        self.assertIn('### block, tunnelled off\n\n| Flavor | Servers |',
                      found)
        for table in re.findall(r'(?:^\|.*\n)+', found, re.M):
            columns = {len(re.findall(r'(?<!\\)\|', line))
                       for line in table.splitlines()}
            self.assertEqual(1, len(columns), table)

    def test_escaped(self):
        found = render(markdown, evil())
        self.assertIn('&lt;script&gt;alert(1)&lt;/script&gt;\\|\\`\\*\\_\\['
                      'x\\](y)\\\\x1b\\[31m\\\\x00\\\\n# &amp;amp; ', found)
        self.assertNotIn('<', found)
        self.assertTrue(found.replace('\n', '').isprintable())
        self.assertEqual([], [line for line in found.splitlines()
                              if not line.startswith(('#', '|', '* '))
                              and 'script' in line and
                              'did what' not in line])

    def test_escape(self):
        self.assertEqual('a\\|b \\~c\\~ \\$d\\$ "e"',
                         markdown.escape('a|b ~c~ $d$ "e"'))


class DocumentTest(base.TestCase):

    def test_what_is_told(self):
        found = json.loads(render(document, matrix()))
        self.assertEqual((1, 'summary', False), (
            found['schema'], found['kind'], found['good']))
        self.assertEqual('run-1', found['runs'][0]['name'])
        self.assertEqual('2.104', found['runs'][0]['about']['cloud'][
            'compute_api'])
        group = found['groups'][0]
        self.assertEqual({'storage': 'block',
                          'settings': {'tunnelled': False}}, group['cell'])
        self.assertEqual({'completed': 12, 'rolled back': 1},
                         group['verdicts'])
        self.assertEqual(
            {'value', 'low', 'high', 'count'},
            set(group['spreads']['service_s']['median']))
        self.assertIsNone(group['spreads']['service_s']['p95']['high'])
        self.assertEqual([1, 1], found['drains'][0]['ran'])
        self.assertIn('median', found['drains'][0]['wall_s'])
        self.assertIn('value', found['drifts'][0]['per_trip_s'])
        self.assertIsNone(found['recommendation']['concurrency'])
        self.assertEqual(1, len(found['failures']))

    def test_what_is_not_defined_is_null(self):
        # Nobody waits: ratios of nothing.
        lines = [(kind, {**body, 'queue_s': 0.0}) for kind, body in (
            *run(), *run(first=100, cell=builders.cell(tunnelled=True)))]
        found = json.loads(render(document, lines))
        ratios = [each['effect']['ratio']['value']
                  for each in found['differences']
                  if each['quantity'] == 'queue_s']
        self.assertEqual([None], ratios)

    def test_any_name(self):
        found = json.loads(render(document, evil()))
        self.assertEqual(EVIL, found['groups'][0]['flavor']['name'])

    def test_is_ascii(self):
        render(document, evil()).encode('ascii')


class JunitTest(base.TestCase):

    def parse(self, lines):
        return ElementTree.fromstring(
            render(junit, lines).encode('utf-8'))

    def test_a_suite_for_each_cell(self):
        suites = self.parse(matrix())
        self.assertEqual(
            [('block, tunnelled off', '19', '1', '0'),
             ('block, tunnelled on', '18', '0', '0')],
            [(each.get('name'), each.get('tests'), each.get('failures'),
              each.get('errors')) for each in suites])
        for suite in suites:
            self.assertEqual(int(suite.get('tests')),
                             len(suite.findall('testcase')))
            # In the order of the schema.
            tags = [each.tag for each in suite]
            self.assertEqual(
                ['properties', *['testcase'] * int(suite.get('tests')),
                 'system-out', 'system-err'], tags)
            self.assertEqual('2026-11-25T08:00:00', suite.get('timestamp'))

    def test_cases(self):
        suite = self.parse(matrix())[0]
        case = suite.find('testcase')
        self.assertEqual('live_migration_ha.window of 2, lm_small',
                         case.get('classname'))
        self.assertEqual('guest-0 (server-0), trip 1, compute1 to compute2, '
                         'drain-2 of run-1', case.get('name'))
        self.assertEqual('10.100', case.get('time'))
        self.assertEqual(0, len(case))
        failure, = suite.findall('testcase/failure')
        self.assertEqual('rolled back', failure.get('type'))
        self.assertEqual(
            'the verdict is rolled back: it failed while copying; expected: '
            'completed', failure.get('message'))
        self.assertEqual(failure.get('message'), failure.text)

    def test_names_are_unique(self):
        names = [(case.get('classname'), case.get('name'))
                 for case in self.parse(matrix()).iter('testcase')]
        self.assertEqual(len(names), len(set(names)))

    def test_drains_and_what_was_never_judged(self):
        ended = {'attempt': 'attempt-7', 'drain': 'drain-1',
                 'server_id': 'server-7', 'source': 'compute1',
                 'destination': 'compute2', 'requested_at': builders.iso(0),
                 'duration_s': 9.0, 'record_status': 'completed',
                 'server_status': 'ACTIVE', 'given_up': ''}
        suites = self.parse([
            ('drain', builders.drain_line(contradictions=['not tunnelled'])),
            ('ended', ended)])
        self.assertEqual(
            ['not as declared', 'never judged', 'no records'],
            [each.get('type') for each in suites.iter('failure')])

    def test_nothing_is_a_failure(self):
        suites = self.parse([])
        self.assertEqual(1, len(list(suites.iter('failure'))))

    def test_any_name(self):
        suites = self.parse(evil())
        case = suites.find('testsuite/testcase')
        self.assertIn('<script>alert(1)</script>|`*_[x](y)\\x1b[31m\\x00\n'
                      '# &amp; \\ud800\\ufffe (server-1)', case.get('name'))
        self.assertIn('\\x00', case.find('failure').text)


class WordsTest(base.TestCase):

    def test_numbers(self):
        self.assertEqual(
            ['0.00', '9.99', '10.0', '99.9', '100', '-3.14', '-123'],
            [words.number(value) for value in (
                0, 9.99, 9.996, 99.94, 99.96, -3.14, -123)])

    def test_printable(self):
        self.assertEqual('größer 漢', words.printable('größer 漢'))
        self.assertEqual(r'a\nb\x9bc\u202ed', words.printable(
            'a\nb\x9bc\u202ed'))
