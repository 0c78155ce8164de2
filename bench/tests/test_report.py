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
import pathlib
import tempfile
import unittest
from unittest import mock

from bench import report
from lm_tempest_plugin.results import store


class WriteTest(unittest.TestCase):

    def test_as_a_run_writes_them(self):
        with tempfile.TemporaryDirectory() as directory:
            path = report.write(pathlib.Path(directory), 50)
            found = store.read([path])
            size = path.stat().st_size
        self.assertEqual([], found.remarks)
        # Whole drains of 12, so there are more than 50.
        self.assertEqual(60, len(found.migrations))
        self.assertEqual(5, len(found.drains))
        self.assertGreater(size / len(found.migrations), 10_000)

    def test_many_hosts(self):
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(
                report, 'NO_RECEIVING_EVERY', 2):
            found = store.read([report.write(
                pathlib.Path(directory), 40, hosts=4)])
        self.assertEqual(4, len(found.runs[0].hosts))
        self.assertEqual(
            {'compute3'}, {each.destination for each in found.migrations
                           if each.problems})

    def test_some_have_problems(self):
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(
                report, 'PROBLEM_EVERY', 10):
            found = store.read([report.write(pathlib.Path(directory), 12)])
        self.assertEqual(
            1, sum(bool(each.problems) for each in found.migrations))


class MainTest(unittest.TestCase):

    def run_with(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            code = report.main(['--migrations', '30', *arguments])
        return code, stdout.getvalue()

    def test_kept(self):
        code, text = self.run_with('--format', 'json')
        self.assertEqual(0, code, text)
        self.assertRegex(text, r'json +30 live migrations: .*: kept')

    def test_not_kept(self):
        for name, value, form in (
                ('SECONDS', 0.001, 'json'), ('BYTES', 1000, 'json'),
                ('PAGE_BYTES', 1000, 'html')):
            with mock.patch.object(report, name, value):
                code, text = self.run_with('--format', form)
            self.assertEqual(1, code)
            self.assertIn('NOT KEPT', text)

    def test_a_report_that_fails(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / 'no.jsonl'
            found = report.measure(path, path.with_name('report.html'))
        self.assertEqual(2, found.code)
        self.assertGreater(found.bytes, 1_000_000)
