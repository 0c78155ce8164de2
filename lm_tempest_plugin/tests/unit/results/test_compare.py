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

"""The comparison as a document, and in each format."""

import dataclasses
import itertools
import json
import re

import msgspec

from lm_tempest_plugin.results import compare
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.results import renderers
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import runs

SCRIPT = '<script>alert(1)</script>'


def with_problem(results):
    """Add a problem to the first migration."""
    results.migrations[0] = msgspec.structs.replace(
        results.migrations[0], problems=(builders.problem(),))
    return results


class VerdictTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.before = runs.run(1, runs.SimulatedCloud())

    def judge(self, **cloud):
        return judgement.judge(self.before, runs.run(
            2, runs.SimulatedCloud(**cloud)))

    def test_no_difference(self):
        self.assertEqual('No difference found: 42 comparisons in 12 groups.',
                         compare.verdict(self.judge()))

    def test_worse(self):
        said = compare.verdict(self.judge(factor=2))
        self.assertRegex(
            said, r"^Worse: drain's wall time \(window of 2; drain of 4 "
            r'lm.\w+\): [0-9.]+ s to [0-9.]+ s, \+')
        self.assertRegex(said, r'; \d+ more\.$')

    def test_better(self):
        said = compare.verdict(self.judge(factor=0.5))
        self.assertRegex(
            said, r'^Nothing got worse by more than 10 %, in 42 comparisons '
            r"in 12 groups; better: drain's wall time \(.*, -\d\d %")

    def test_failures_come_first(self):
        after = with_problem(runs.run(2, runs.SimulatedCloud(factor=2)))
        self.assertRegex(
            compare.verdict(judgement.judge(self.before, after)),
            r'^Worse: failures: 1 of 16 live migrations after, 0 of 16 '
            r'before')

    def test_servers_share_what_drains_gain(self):
        after = runs.run(
            2, runs.SimulatedCloud(factor=1.5), settings=builders.settings(
                max_concurrent_live_migrations=3, tunnelled=False))
        after.drains[:] = [
            msgspec.structs.replace(each, wall_s=each.wall_s / 3)
            for each in after.drains]
        remarks = compare.remarks(judgement.judge(
            self.before, after, ignored=['max_concurrent_live_migrations']))
        self.assertEqual(3, len(remarks))
        self.assertIn('is compared with', remarks[0])
        self.assertIn('live migrations 3', remarks[0])
        self.assertIn('although each server takes longer', remarks[2])
        self.assertEqual([], compare.remarks(self.judge()))

    def test_groups_of_one_side_alone(self):
        after = runs.run(2, runs.SimulatedCloud(), flavors=runs.FLAVORS[:2])
        after.remarks.append('a file ends early')
        remarks = compare.remarks(judgement.judge(self.before, after))
        self.assertIn('Only the results before have: ', remarks[0])
        self.assertIn('lm.medium', remarks[0])
        self.assertEqual('a file ends early.', remarks[1])

    def test_percent(self):
        self.assertEqual(
            ['+50 %', '-3.1 %', 'from none'],
            [compare.percent(each) for each in (
                0.5, -0.031, float('inf'))])


class HostsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        # Each of the hosts a, b and c sends to both others.
        self.before, self.after = (runs.run(
            seed, runs.SimulatedCloud()) for seed in (1, 2))
        for side in (self.before, self.after):
            side.migrations[:] = [msgspec.structs.replace(
                each, source=pair[0], destination=pair[1])
                for each, pair in zip(side.migrations, itertools.cycle((
                    'ab', 'bc', 'ca', 'ac', 'cb', 'ba')))]

    def fail(self, side):
        side.migrations[:] = [
            msgspec.structs.replace(each, problems=(builders.problem(),))
            if each.destination == 'c' else each for each in side.migrations]

    def test_worse(self):
        self.fail(self.after)
        found = compare.build(self.before, self.after)
        self.assertFalse(found.good)
        self.assertRegex(found.verdict, '^Worse: new problems on c; ')
        section, = (each for each in found.sections if each.key == 'hosts')
        row, = section.nodes[0].rows
        self.assertEqual('bad', row.mark)
        total = len(self.after.migrations) // 3
        self.assertEqual(
            ('c', 'receiving', f'✓ good, {total} of {total}',
             f'✗ problems, 0 of {total}'), row.cells[:4])
        self.assertRegex(row.cells[4], '^from [ab]: longest outage')
        self.assertEqual(
            'c', json.loads(renderers.json(found))['hosts'][0]['host'])

    def test_better(self):
        self.fail(self.before)
        found = compare.build(self.before, self.after)
        self.assertTrue(found.good)
        self.assertIn('better: no more problems on c', found.verdict)

    def test_no_difference(self):
        found = compare.build(self.before, self.after)
        self.assertNotIn('hosts', [each.key for each in found.sections])


class FormatsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        flavor = msgspec.structs.replace(runs.FLAVORS[0], name=SCRIPT)
        before, after = (runs.run(
            seed, runs.SimulatedCloud(factor=factor), flavors=[flavor])
            for seed, factor in ((1, 1.0), (2, 2.0)))
        self.found = judgement.judge(before, with_problem(after))
        self.document = compare.show(self.found, SCRIPT)

    def test_built_at_once(self):
        before, after = (runs.run(seed, runs.SimulatedCloud())
                         for seed in (1, 2))
        built = compare.build(before, after, quantities=['wall_s'])
        self.assertTrue(built.good)
        self.assertEqual('No difference found: 6 comparisons in 12 groups.',
                         built.verdict)

    def test_text(self):
        said = renderers.text(self.document)
        self.assertRegex(said, '(?m)^duration +[0-9.]')
        self.assertIn('1 of 16', said)
        lines = said.rstrip().splitlines()
        self.assertLessEqual(max(map(len, lines)), 100)
        # The verdict is first and last.
        last = ' '.join(said.rstrip().split('\n\n')[-1].split())
        self.assertEqual(compare.verdict(self.found), last)

    def test_text_does_nothing_to_a_terminal(self):
        found = dataclasses.replace(self.found, remarks=['\x1b[2Jgone'])
        self.assertNotIn('\x1b', renderers.text(compare.show(found)))

    def test_markdown(self):
        said = renderers.markdown(self.document)
        self.assertNotIn('<script', said)
        self.assertIn('| Quantity | Before (s) | After (s) |', said)
        self.assertLess(14, len(re.findall('(?m)^[|] ', said)))

    def test_json(self):
        found = json.loads(renderers.json(self.document))
        self.assertEqual(2, found['version'])
        self.assertTrue(found['worse'])
        self.assertEqual(14, len(found['changes']))
        change = found['changes'][0]
        self.assertEqual(('wall_s', 'worse'),
                         (change['quantity'], change['outcome']))
        self.assertIsNone(change['group']['flavor'])
        self.assertEqual(
            SCRIPT, found['changes'][-1]['group']['flavor']['name'])
        self.assertEqual(4, change['effect']['before']['count'])
        self.assertGreater(change['effect']['ratio']['low'], 1)

    def test_html(self):
        said = renderers.html(self.document)
        # Without plotly's own script.
        page = said.replace(str(renderers.plotly_script()), '')
        self.assertNotIn('<script>alert', page)
        self.assertNotIn('alert(1)</script', page)
        self.assertIn('&lt;script&gt;alert(1)&lt;/script&gt;', page)
        self.assertEqual(7, page.count('<option '))
        self.assertIn('✗ Not good', page)
        self.assertIn('outcome">worse</td>', page)
        for outside in ('src="http', 'href="http', 'url('):
            self.assertNotIn(outside, page)

    def test_html_without_figures(self):
        found = dataclasses.replace(self.found, changes=[])
        said = renderers.html(compare.show(found, 'T'))
        self.assertIn('There is no figure to compare', said)
        self.assertLess(len(said), 100_000)
