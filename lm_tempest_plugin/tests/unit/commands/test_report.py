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
from xml.etree import ElementTree

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
        self.records = builders.write(self.directory, 'run-1', [
            ('attempt', builders.attempt_line()),
            ('attempt', builders.failed_line(1)),
            ('drain', builders.drain_line())])

    def run_with(self, *arguments):
        command = report.Report(types.SimpleNamespace(
            stdout=self.stdout, stderr=self.stderr), None)
        parser = command.get_parser('report')
        return command.take_action(parser.parse_args(
            list(map(str, arguments))))

    def refused(self, reason, *arguments):
        """Look whether it ends with one sentence, and changes nothing."""
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
            self.records, '-o', path, *arguments), self.stderr.getvalue())
        self.assertEqual('', self.stdout.getvalue())
        return path.read_text('utf-8')

    def test_formats_by_extension(self):
        self.assertIn('<!DOCTYPE html>', self.written('report.html'))
        self.assertIn('<!DOCTYPE html>', self.written('REPORT.HTM'))
        self.assertIn('lm.small', self.written('report.md'))
        self.assertIn('1 of 2 live migrations', self.written('report.txt'))
        json.loads(self.written('report.json'))
        ElementTree.fromstring(self.written('report.xml'))

    def test_format_by_name(self):
        json.loads(self.written('report.html', '--format', 'json'))
        ElementTree.fromstring(self.written('report', '--format', 'junit'))

    def test_printed(self):
        # Whatever the verdict, the report was made.
        self.assertEqual(0, self.run_with(self.directory))
        self.assertIn('1 of 2 live migrations', self.stdout.getvalue())
        self.assertEqual('', self.stderr.getvalue())

    def test_title(self):
        self.assertIn('<h1>R &amp; D</h1>', self.written(
            'report.html', '--title', 'R & D'))

    def test_title_of_what_has_none(self):
        self.refused('--title', self.records, '--title', 'x')

    def test_unknown_extension(self):
        self.refused('report.pdf does not say which format', self.records,
                     '-o', self.directory / 'report.pdf')

    def test_no_records(self):
        self.refused('/no/such.jsonl', '/no/such.jsonl', '-o',
                     self.directory / 'report.html')

    def test_altered_records(self):
        path = self.directory / 'report.html'
        path.write_text('old')
        self.records.write_bytes(self.records.read_bytes().replace(
            b'rolled back', b'completed  '))
        self.refused('was altered', self.records, '-o', path)

    def test_no_place_for_it(self):
        self.refused('no directory', self.records, '-o',
                     self.directory / 'no' / 'report.html')

    def test_records_are_not_overwritten(self):
        for path in (self.records, self.directory / 'run-1.jsonl.head'):
            self.refused('is one of the files that are read', self.directory,
                         '-o', path, '--format', 'html')
            self.stderr.truncate(0)
            self.stderr.seek(0)

    def test_a_library_is_missing(self):
        for name in ('plotly', 'jinja2'):
            with mock.patch.dict(sys.modules, {name: None}):
                sys.modules.pop(report._MODULES['html'], None)
                self.refused(
                    'a report needs %s, which is not installed: pip install '
                    'lm-tempest-plugin[report]' % name, self.records, '-o',
                    self.directory / 'report.html')
            self.stderr.truncate(0)
            self.stderr.seek(0)

    def test_a_fault_of_ours_is_no_missing_library(self):
        with mock.patch.dict(report._MODULES, {
                'text': 'lm_tempest_plugin.no_such'}):
            self.assertRaises(ModuleNotFoundError, self.run_with,
                              self.records)

    def test_wrong_arguments(self):
        for arguments in ((), (self.records, '--format', 'pdf')):
            with contextlib.redirect_stderr(self.stderr):
                self.assertRaises(SystemExit, self.run_with, *arguments)
