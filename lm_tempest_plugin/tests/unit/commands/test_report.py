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

import contextlib
import io
import json
import pathlib
import sys
import types
from unittest import mock

import fixtures

from lm_tempest_plugin.commands import report
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders


class ReportTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.results = builders.write(self.directory, 'run-1', [
            builders.migration(), builders.failed(1), builders.drain()])

    def run_with(self, *arguments):
        command = report.Report(types.SimpleNamespace(
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

    def test_wrong_arguments(self):
        for arguments in ((), (self.results, '--format', 'pdf')):
            with contextlib.redirect_stderr(self.stderr):
                self.assertRaises(SystemExit, self.run_with, *arguments)
