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
import warnings

import fixtures

from lm_tempest_plugin.commands import reports
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import runs

EXPORT = 'lm_tempest_plugin.results.export'


class ReportTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.results = builders.write(self.directory, 'run-1', [
            builders.migration(), builders.failed(1), builders.drain()])

    def run_with(self, *arguments):
        command = reports.Report(types.SimpleNamespace(
            stdout=self.stdout, stderr=self.stderr), None)
        parser = command.get_parser('report')
        return command.take_action(parser.parse_args(
            list(map(str, arguments))))

    def refused(self, reason, *arguments):
        """Check that it ends with one sentence, and changes nothing."""
        before = {path: path.read_bytes()
                  for path in self.directory.iterdir() if path.is_file()}
        self.assertEqual(2, self.run_with(*arguments))
        self.assertIn(reason, self.stderr.getvalue())
        self.assertEqual(1, self.stderr.getvalue().count('\n'))
        self.assertEqual('', self.stdout.getvalue())
        self.assertEqual(before, {
            path: path.read_bytes()
            for path in self.directory.iterdir() if path.is_file()})

    def written(self, name, *arguments):
        path = self.directory / name
        self.assertEqual(0, self.run_with(
            self.results, '-o', path, *arguments), self.stderr.getvalue())
        self.assertEqual('', self.stdout.getvalue())
        return path.read_text('utf-8')

    def test_formats_by_extension(self):
        self.assertIn('<!DOCTYPE html>', self.written('report.html'))
        self.assertIn('<!DOCTYPE html>', self.written('REPORT.HTM'))
        self.assertIn('lm.small', self.written('report.md'))
        self.assertIn('1 of 2 migrations as expected',
                      self.written('report.txt'))
        json.loads(self.written('report.json'))

    def test_format_by_name(self):
        json.loads(self.written('report.html', '--format', 'json'))
        self.assertIn('| Settings |', self.written(
            'report', '--format', 'markdown'))

    def test_printed(self):
        # The exit code does not depend on the verdict.
        self.assertEqual(0, self.run_with(self.directory))
        self.assertIn('1 of 2 migrations as expected', self.stdout.getvalue())
        self.assertEqual('', self.stderr.getvalue())

    def test_title(self):
        self.assertIn('<h1>R &amp; D</h1>', self.written(
            'report.html', '--title', 'R & D'))

    def test_title_without_html(self):
        self.refused('--title', self.results, '--title', 'x')

    def test_unknown_extension(self):
        self.refused('report.pdf does not show the format', self.results,
                     '-o', self.directory / 'report.pdf')

    def test_no_results(self):
        self.refused('/no/such.jsonl', '/no/such.jsonl', '-o',
                     self.directory / 'report.html')

    def test_altered_results(self):
        path = self.directory / 'report.html'
        path.write_text('old')
        self.results.write_bytes(self.results.read_bytes().replace(
            b'rolled back', b'completed  '))
        self.refused('was altered', self.results, '-o', path)

    def test_no_place_for_it(self):
        self.refused('no directory', self.results, '-o',
                     self.directory / 'no' / 'report.html')

    def test_results_are_not_overwritten(self):
        self.refused('is one of the files that are read', self.directory,
                     '-o', self.results, '--format', 'html')

    def test_a_library_is_missing(self):
        for name in ('plotly', 'jinja2'):
            with mock.patch.dict(sys.modules, {name: None}):
                self.refused(
                    f'{name} is not installed: pip install '
                    f'lm-tempest-plugin[report]', self.results, '-o',
                    self.directory / 'report.html')
            self.stderr.truncate(0)
            self.stderr.seek(0)

    def test_a_missing_module_of_ours_is_a_bug(self):
        with mock.patch.dict(sys.modules, {
                'lm_tempest_plugin.results.renderers': None}):
            self.assertRaises(
                ModuleNotFoundError, self.run_with, self.results, '--format',
                'html')

    def test_standard_output_cannot_be_written(self):
        with open('/dev/full', 'w') as self.stdout:
            self.assertEqual(2, self.run_with(self.results))
            # Python flushes the rest at exit: that must not fail again.
            print('more', file=self.stdout, flush=True)
        self.assertEqual(
            'standard output cannot be written: No space left on device\n',
            self.stderr.getvalue())

    def test_standard_output_is_closed(self):
        # Python's sys.stdout is None then.
        self.stdout = None
        self.assertEqual(2, self.run_with(self.results))
        self.assertEqual(
            'standard output cannot be written: it is closed\n',
            self.stderr.getvalue())

    def test_standard_output_that_has_no_such_character(self):
        self.stdout = io.TextIOWrapper(io.BytesIO(), 'ascii')
        self.assertEqual(2, self.run_with(
            self.results, '--format', 'html'))
        self.assertRegex(
            self.stderr.getvalue(),
            "^standard output cannot be written: 'ascii' codec .*\n$")

    def test_a_text_that_cannot_be_encoded(self):
        path = self.directory / 'report.html'
        path.write_text('old')
        self.refused('cannot be processed: \'utf-8\' codec', self.results,
                     '-o', path, '--title', '\ud800')

    def test_an_error_of_the_system(self):
        with mock.patch.object(
                store, 'read', side_effect=OSError(24, 'Too many open files')):
            self.refused('cannot be processed: Too many open files',
                         self.results)

    def test_nesting_that_is_too_deep(self):
        with mock.patch.object(store, 'read', side_effect=RecursionError(
                'maximum recursion depth exceeded')):
            self.refused('cannot be processed: maximum recursion depth',
                         self.results)

    def test_wrong_arguments(self):
        for arguments in ((), (self.results, '--format', 'pdf')):
            with contextlib.redirect_stderr(self.stderr):
                self.assertRaises(SystemExit, self.run_with, *arguments)


class CompareTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.stdout, self.stderr = io.StringIO(), io.StringIO()

    def write(self, name, **how):
        return runs.write(self.directory, name, **how)

    def run_with(self, *arguments):
        command = reports.Compare(types.SimpleNamespace(
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

    def test_numbers_that_are_too_large(self):
        def outage(length_s=0.25, at_s=0.0, **rest):
            return one_outage(min(length_s, 9.0), min(at_s, 9.0), **rest)

        one_outage = builders.outage
        with mock.patch.object(builders, 'outage', outage):
            large = self.write('two', factor=7e306)
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter('always')
            self.assertEqual(2, self.run_with(self.write('one'), large))
        self.assertEqual([], raised)
        self.assertEqual(
            'the results cannot be processed: a value is not finite\n',
            self.stderr.getvalue())
        self.assertEqual('', self.stdout.getvalue())

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
        self.assertEqual(tuple(judgement.QUANTITIES), reports.QUANTITIES)
        self.assertEqual(judgement.TOLERANCE_PERCENT,
                         reports.TOLERANCE_PERCENT)


class ExportTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.path = builders.write(self.directory, 'run-1', [
            builders.migration(), builders.drain()])

    def run_with(self, *arguments):
        command = reports.Export(types.SimpleNamespace(
            stdout=self.stdout, stderr=self.stderr), None)
        parser = command.get_parser('export')
        return command.take_action(parser.parse_args(
            list(map(str, arguments))))

    def test_influx(self):
        self.assertEqual(0, self.run_with(
            self.directory, '--format', 'influx'))
        found = self.stdout.getvalue()
        self.assertEqual(['live_migration', 'live_migration_drain'], [
            line.partition(',')[0] for line in found.splitlines()])
        self.assertEqual('\n', found[-1])

    def test_openmetrics(self):
        self.assertEqual(0, self.run_with(
            self.path, '--format', 'openmetrics'))
        self.assertIn('\nlm_live_migration_good 1.0\n',
                      self.stdout.getvalue())

    def test_a_file(self):
        target = pathlib.Path(self.directory, 'lm.prom')
        self.assertEqual(0, self.run_with(
            self.path, '--format', 'openmetrics', '-o', target))
        self.assertIn('lm_live_migration_good', target.read_text())
        self.assertEqual('', self.stdout.getvalue())

    def test_results_are_not_overwritten(self):
        before = self.path.read_bytes()
        self.assertEqual(2, self.run_with(
            self.path, '--format', 'influx', '-o', self.path))
        self.assertEqual(before, self.path.read_bytes())
        self.assertIn('is not overwritten', self.stderr.getvalue())

    def test_no_directory(self):
        self.assertEqual(2, self.run_with(
            self.path, '--format', 'influx', '-o', '/no/such/file'))
        self.assertIn('/no/such', self.stderr.getvalue())

    def test_altered(self):
        self.path.write_bytes(self.path.read_bytes().replace(
            b'completed', b'cOmpleted', 1))
        target = pathlib.Path(self.directory, 'lm.prom')
        target.write_text('as before')
        self.assertEqual(2, self.run_with(
            self.path, '--format', 'influx', '-o', target))
        self.assertIn('was altered', self.stderr.getvalue())
        self.assertEqual('as before', target.read_text())

    def test_remarks(self):
        with open(self.path, 'ab') as stream:
            stream.write(b'{"version"')
        self.assertEqual(0, self.run_with(self.path, '--format', 'influx'))
        self.assertIn('ends in the middle of line 4', self.stderr.getvalue())

    def test_missing_library(self):
        for form, library in (('openmetrics', 'prometheus_client'),
                              ('influx', 'influxdb_client')):
            with mock.patch.dict(sys.modules):
                for name in list(sys.modules):
                    if name.startswith((f'{library}.', EXPORT)):
                        del sys.modules[name]
                sys.modules[library] = None
                self.assertEqual(2, self.run_with(
                    self.path, '--format', form))
            self.assertRegex(
                self.stderr.getvalue(), f'{library}.* is not installed: pip '
                r'install lm-tempest-plugin\[report\]')
