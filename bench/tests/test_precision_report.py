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

import pathlib
import tempfile

import testtools

from bench.precision import claims
from bench.precision import machine
from bench.precision import plot
from bench.precision import report
from bench.precision import results
from bench.precision import rows
from bench.precision import tables


class ReportTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.found = results.Results(facts={'seed': 1}, readings=[
            rows.Row('trials', tool, kind, 0.2, 0.2, 0.0, 0.3)
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
        text = report.as_markdown(tables.Table(
            'T', ('a', 'b|'), [('1', '|2|')]))
        self.assertEqual('## T\n\n| a | b\\| |\n| --- | --- |\n'
                         '| 1 | \\|2\\| |\n', text)

    def test_a_file_is_written_as_a_whole_or_not_at_all(self):
        path = self.folder / 'some'
        report.write(path, lambda to: to.write_text('old'))
        self.assertRaises(ZeroDivisionError, report.write, path,
                          lambda to: to.write_text('%d' % (1 / 0)))
        self.assertEqual(['some'],
                         [found.name for found in self.folder.iterdir()])
        self.assertEqual('old', path.read_text())

    def test_plot(self):
        for kind, start in (('png', b'\x89PNG'), ('svg', b'<?xml')):
            path = self.folder / kind
            plot.draw(self.found.readings, path, kind)
            self.assertTrue(path.read_bytes().startswith(start))

    def test_stolen_cpu_time(self):
        self.assertEqual((7, 107), machine.cpu_times(
            'cpu  10 20 30 40 0 0 0 7 5 5\ncpu0 1 2 3'))
