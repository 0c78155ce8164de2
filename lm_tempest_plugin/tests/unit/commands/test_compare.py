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

import builtins
import contextlib
import io
import json
import os
import pathlib
import sys
import types
from unittest import mock

import fixtures

from lm_tempest_plugin.commands import compare
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import runs


class CompareTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.stdout, self.stderr = io.StringIO(), io.StringIO()

    def write(self, name, **how):
        return runs.write(self.directory, name, **how)

    def run_with(self, *arguments):
        command = compare.Compare(types.SimpleNamespace(
            stdout=self.stdout, stderr=self.stderr), None)
        parser = command.get_parser('compare')
        with contextlib.redirect_stderr(self.stderr):
            return command.take_action(parser.parse_args(
                list(map(str, arguments))))

    def said(self):
        """Return the last paragraph, on one line."""
        last = self.stdout.getvalue().rstrip().split('\n\n')[-1]
        return ' '.join(last.split())

    def test_equal(self):
        self.assertEqual(0, self.run_with(
            self.write('one'), self.write('two', seed=2)))
        self.assertEqual('No difference found: 7 comparisons in 2 groups.',
                         self.said())
        self.assertEqual('', self.stderr.getvalue())

    def test_worse(self):
        self.assertEqual(1, self.run_with(
            self.write('one'), self.write('two', factor=1.5)))
        self.assertRegex(self.said(), '^Worse: ')

    def test_worse_within_tolerance(self):
        self.assertEqual(0, self.run_with(
            self.write('one'), self.write('two', factor=1.5),
            '--tolerance', '90'))
        self.assertIn('worse within tolerance', self.said())

    def test_three_at_once(self):
        paths = self.write('one'), self.write('two', concurrency=3)
        self.assertEqual(2, self.run_with(*paths))
        self.assertIn('--ignore max_concurrent_live_migrations --ignore '
                      'strategy', self.stderr.getvalue())
        ignored = ('--ignore', 'max_concurrent_live_migrations',
                   '--ignore', 'strategy')
        # Each takes longer, all are done earlier.
        self.assertEqual(1, self.run_with(*paths, *ignored))
        self.assertIn('although each server takes longer',
                      ' '.join(self.stdout.getvalue().split()))
        self.assertEqual(0, self.run_with(
            *paths, *ignored, '--quantity', 'wall_s'))
        self.assertRegex(self.said(), "better: drain's wall time: .* -5. %")

    def test_two_settings_of_one_run(self):
        both = os.path.join(self.directory, 'both')
        for concurrency in (1, 3):
            runs.write(both, f'run-{concurrency}', concurrency=concurrency)
        self.assertEqual(2, self.run_with(
            both, both, '--ignore', 'max_concurrent_live_migrations',
            '--ignore', 'strategy'))
        self.assertIn('the command report', self.stderr.getvalue())

    def test_failures(self):
        self.assertEqual(1, self.run_with(
            self.write('one'), self.write('two', failures=1),
            '--tolerance', '1000'))
        self.assertRegex(self.said(), '^Worse: failures: 1 of 16')

    def test_altered(self):
        path = pathlib.Path(self.write('two'))
        path.write_bytes(path.read_bytes().replace(
            b'"queue_s":0.0', b'"queue_s":0.1', 1))
        self.assertEqual(2, self.run_with(self.write('one'), path))
        self.assertRegex(self.stderr.getvalue(),
                         r'^.*two\.jsonl was altered: .*\n$')
        self.assertEqual('', self.stdout.getvalue())

    def test_nothing_there(self):
        self.assertEqual(2, self.run_with(self.write('one'), '/no/such'))
        self.assertIn('/no/such', self.stderr.getvalue())

    def test_forms(self):
        paths = self.write('one'), self.write('two', seed=2)
        for name, begins in (('a.txt', 'Live'), ('a.md', '# Live'),
                             ('a.json', '{'), ('a.html', '<!DOCTYPE html>')):
            target = pathlib.Path(self.directory, name)
            self.assertEqual(0, self.run_with(*paths, '-o', target))
            self.assertEqual(begins, target.read_text()[:len(begins)])
            self.assertIn('No difference found', self.said())
        self.assertEqual(0, self.run_with(*paths, '--format', 'json'))
        self.assertIn('"worse": false', self.stdout.getvalue())

    def test_json_is_json(self):
        paths = self.write('one'), self.write('two', factor=2)
        self.run_with(*paths, '--format', 'json')
        found = json.loads(self.stdout.getvalue())
        self.assertTrue(found['worse'])
        self.assertEqual('wall_s', found['changes'][0]['quantity'])

    def test_results_are_not_overwritten(self):
        one, two = self.write('one'), self.write('two')
        before = pathlib.Path(one).read_bytes()
        self.assertEqual(2, self.run_with(
            one, two, '--format', 'text', '-o', one))
        self.assertEqual(before, pathlib.Path(one).read_bytes())
        self.assertIn('is not overwritten', self.stderr.getvalue())

    def test_unknown_extension(self):
        self.assertEqual(2, self.run_with('a', 'b', '-o', 'x.pdf'))
        self.assertIn('x.pdf', self.stderr.getvalue())

    def test_bad_arguments(self):
        for arguments in (('--tolerance', '-1'), ('--tolerance', 'nan'),
                          ('--tolerance', 'x'), ('--tolerance', 'inf'),
                          ('--quantity', 'x')):
            self.assertRaises(SystemExit, self.run_with, 'a', 'b',
                              *arguments)

    def test_missing_library(self):
        real = builtins.__import__

        def fake(name, *arguments, **keywords):
            if name.partition('.')[0] == 'scipy':
                raise ModuleNotFoundError('No module', name='scipy')
            return real(name, *arguments, **keywords)
        paths = self.write('one'), self.write('two')
        gone = {name for name in sys.modules if name.startswith((
            'scipy', 'lm_tempest_plugin.results.'))}
        with mock.patch.dict(sys.modules), mock.patch.object(
                builtins, '__import__', fake):
            for name in gone:
                del sys.modules[name]
            self.assertEqual(2, self.run_with(*paths))
        self.assertEqual(
            'scipy is not installed: pip install lm-tempest-plugin[report]'
            '\n', self.stderr.getvalue())

    def test_repeated_constants_are_equal(self):
        self.assertEqual(tuple(judgement.QUANTITIES), compare.QUANTITIES)
        self.assertEqual(judgement.TOLERANCE_PERCENT,
                         compare.TOLERANCE_PERCENT)
