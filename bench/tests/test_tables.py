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
import os
import pathlib
import tempfile
from unittest import mock

import testtools

from bench.precision import claims
from bench.precision import results
from bench.precision import tables


class ReportTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.found = results.BenchResults(facts={'seed': 1}, readings=[
            results.OutageError('trials', tool, kind, 0.2, 0.2, 0.0, 0.3)
            for tool in ('a', 'b') for kind in ('drop', 'hold')])

    def test_tables_without_lines_are_left_out(self):
        made = tables.tables(self.found, claims.check(self.found))
        self.assertEqual(['Errors by tool: trials',
                          'Errors by tool and length: trials', 'Claims'],
                         [table.title for table in made])
        for table in made:
            for line in table.cells:
                self.assertEqual(len(table.columns), len(line))

    def test_markdown(self):
        text = tables.as_markdown(tables.TextTable(
            'T', ('a', 'b|'), [('1', '|2|')]))
        self.assertEqual('## T\n\n| a | b\\| |\n| --- | --- |\n'
                         '| 1 | \\|2\\| |\n', text)

    def test_each_file_is_written(self):
        tables.publish(self.found, claims.check(self.found), self.folder)
        self.assertEqual(
            ['.gitignore', 'errors.png', 'errors.svg', 'report.md',
             'results.json'],
            sorted(found.name for found in self.folder.iterdir()))
        stored = json.loads((self.folder / 'results.json').read_text())
        self.assertEqual({'seed': 1}, stored['facts'])
        self.assertEqual(4, len(stored['readings']))
        self.assertEqual(7, len(stored['claims']))

    def test_a_file_is_written_as_a_whole_or_not_at_all(self):
        tables.publish(self.found, claims.check(self.found), self.folder)
        before = (self.folder / 'results.json').read_bytes()
        with mock.patch.object(
                os, 'replace', autospec=True, side_effect=OSError('full')):
            self.assertRaises(
                OSError, tables.publish, self.found, [], self.folder)
        self.assertEqual(5, len(list(self.folder.iterdir())))
        self.assertEqual(
            before, (self.folder / 'results.json').read_bytes())

    def test_plot(self):
        for kind, start in (('png', b'\x89PNG'), ('svg', b'<?xml')):
            self.assertTrue(tables.draw(
                self.found.readings, kind).startswith(start))
