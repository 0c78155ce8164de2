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

import io
import pathlib
import sys
import types
from unittest import mock

import fixtures

from lm_tempest_plugin.commands import export
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

MODULE = 'lm_tempest_plugin.results.export'


class ExportTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.path = builders.write(self.directory, 'run-1', [
            builders.migration(), builders.drain()])

    def run_with(self, *arguments):
        command = export.Export(types.SimpleNamespace(
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
                    if name.startswith((f'{library}.', MODULE)):
                        del sys.modules[name]
                sys.modules[library] = None
                self.assertEqual(2, self.run_with(
                    self.path, '--format', form))
            self.assertRegex(
                self.stderr.getvalue(), f'{library}.* is not installed: pip '
                r'install lm-tempest-plugin\[report\]')
