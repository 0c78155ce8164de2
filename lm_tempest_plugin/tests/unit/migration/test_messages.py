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

import msgspec
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import test_engine


class SummaryLineTest(test_engine.OneServerTestCase):

    def line(self, **kwargs):
        result, = self.run_plan(**kwargs).results
        line = messages.summary_line(result)
        self.assertNotIn('\n', line)
        return line

    def test_figures(self):
        line = self.line(hosts=self.hosts)
        for part in ('server server-0 from alpha to beta: completed after '
                     '5.5 s, setup 0.5 s', "libvirt's downtime 180 ms",
                     'outage 0.200 s +/- 0.010 s (limit 1 s), 25 of 900 '
                     'probes lost', 'stall 0.650 s +/- 0.050 s (limit 3 s)',
                     'problems: none'):
            self.assertIn(part, line)
        self.assertNotIn('too busy', line)

    def test_problems_are_counted(self):
        self.cloud.outcomes['server-0'] = 'failed'
        line = self.line()
        for part in ('rolled back after', 'problems: 1'):
            self.assertIn(part, line)

    def test_a_machine_that_was_too_busy(self):
        continuity = builders.continuity()
        self.probes.continuity.return_value = builders.continuity(
            quality=msgspec.structs.replace(
                continuity.quality, too_busy=True))
        self.assertIn('too busy to measure well', self.line())

    def test_without_figures(self):
        self.cloud.refusals['server-0'] = lib_exc.Conflict(
            'no', resp=fakes.Response(409, date='today'))
        line = self.line(
            probes=None, planned=self.plan(destination=''))
        for part in ('failed after', 'from alpha to no host'):
            self.assertIn(part, line)
        for part in ('outage', 'stall', 'downtime', 'copy'):
            self.assertNotIn(part, line)


class CombinedTest(base.TestCase):

    def test_a_long_failure_hides_no_other(self):
        text = messages.combined('2 of 3 have problems', [
            '\n'.join(f'line {number}' for number in range(99)), 'short'])
        lines = text.splitlines()
        self.assertEqual(
            ('2 of 3 have problems:', 'line 0', 'short'),
            (lines[0], lines[1], lines[-1]))
        self.assertIn('91 more lines: see the log', lines)
        self.assertLessEqual(len(lines), messages.MAX_LINES)


class DescribeProblemsTest(test_engine.EngineTestCase):

    def setUp(self):
        super().setUp()
        # Room for the evidence of two servers.
        self.patch(messages, 'MAX_LINES', 32)

    def describe(self, run):
        """Return the lines, which fit on a terminal."""
        lines = messages.describe_problems(
            run.problems, run.drain, run.results).split('\n')
        self.assertLessEqual(len(lines), messages.MAX_LINES)
        for line in lines:
            self.assertLessEqual(len(line), messages.WIDTH, line)
        return lines

    def failed(self):
        """Return a run in which every migration was rolled back."""
        for server_id in self.cloud.servers:
            self.cloud.outcomes[server_id] = 'failed'
        return self.run_plan()

    def problems(self, *texts, server_ids=('server-0',), evidence=()):
        """Return a run with each of these problems for each server."""
        return dataclasses.replace(self.run_plan(), problems=[
            schema.Problem(check='outage', text=text, server_id=server_id,
                           evidence=tuple(evidence))
            for server_id in server_ids for text in texts])

    def test_problems_and_evidence(self):
        first, *lines = self.describe(self.failed())
        self.assertEqual('2 problems: live migration of 2 from alpha to '
                         'beta, window of 2', first)
        for number in range(2):
            self.assertIn(f'Server server-{number} (guest-{number}):', lines)
            self.assertIn(f'Evidence for server server-{number}:', lines)
            self.assertIn(f'  Migration records: record {number + 1} failed '
                          'from alpha to beta', lines)
        self.assertIn('- verdict: the verdict is rolled back: it failed '
                      'while copying (last progress after',
                      '\n'.join(lines))

    def test_one_problem(self):
        first, second, third = self.describe(self.problems('too long'))[:3]
        self.assertTrue(first.startswith('1 problem: '), first)
        self.assertEqual(('Server server-0 (guest-0):', '- outage: too long'),
                         (second, third))

    def test_problems_of_hosts_and_of_other_servers(self):
        run = dataclasses.replace(self.run_plan(), problems=[
            schema.Problem(check='host-access', text='beta: no SSH'),
            schema.Problem(check='left-migrating', text='left',
                           server_id='other')])
        self.assertEqual(
            ['Hosts:', '- host-access: beta: no SSH',
             'Server other (other):', '- left-migrating: left'],
            self.describe(run)[1:])

    def test_hosts_that_are_not_named(self):
        self.cloud.servers['server-1'] = dataclasses.replace(
            self.cloud.servers['server-1'], host='beta')
        run = dataclasses.replace(
            self.run_plan(self.plan(destination='')), problems=[
                schema.Problem(check='host-access', text='no SSH')])
        self.assertIn('from several hosts to other hosts',
                      self.describe(run)[0])

    def test_long_evidence_is_cut_first(self):
        lines = self.describe(self.problems(
            'one', 'another', evidence=['word ' * 500] * 40))
        self.assertIn('- outage: one', lines)
        self.assertIn('- outage: another', lines)
        self.assertEqual(messages.MAX_LINES, len(lines))
        self.assertEqual('More evidence: see the attached results',
                         lines[-1])

    def test_a_long_text_is_cut(self):
        lines = self.describe(self.problems('word ' * 500))
        problem = [line for line in lines if 'word' in line]
        self.assertEqual(4, len(problem))
        self.assertTrue(problem[-1].endswith(' ...'), problem[-1])

    def test_a_text_without_spaces_and_long_names_are_cut(self):
        run = self.problems('x' * 5000, evidence=['y' * 5000])
        self.describe(dataclasses.replace(
            run, results=[msgspec.structs.replace(
                each, server_name='n' * 255) for each in run.results],
            drain=msgspec.structs.replace(
                run.drain, source='a' * 255, destination='b' * 255)))

    def test_long_texts_do_not_hide_other_servers(self):
        # Each has room for its name and one line.
        server_ids = [f'server-{number}'
                      for number in range((messages.MAX_LINES - 2) // 2)]
        lines = self.describe(self.problems(
            'word ' * 500, server_ids=server_ids))
        self.assertEqual(server_ids, [
            line.split()[1] for line in lines if line.startswith('Server ')])

    def test_many_problems_do_not_hide_other_servers(self):
        number = messages.MAX_LINES - 2
        server_ids = [f'server-{each}' for each in range(number)]
        first, *lines = self.describe(self.problems(
            *['word ' * 500] * 5, server_ids=server_ids))
        self.assertTrue(first.startswith(f'{5 * number} problems: '), first)
        self.assertEqual(server_ids,
                         [line.split()[1] for line in lines[:number]])
        for line in lines[:number]:
            self.assertIn('outage: word word', line)

    def test_more_servers_than_lines(self):
        server_ids = [f'server-{number}' for number in range(100)]
        lines = self.describe(self.problems('bad', server_ids=server_ids))
        self.assertEqual(messages.MAX_LINES, len(lines))
        # One line for the drain, and one for this remark.
        self.assertEqual(
            f'{100 - messages.MAX_LINES + 2} more lines: see the attached '
            'results', lines[-1])
