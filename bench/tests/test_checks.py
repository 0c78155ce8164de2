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
import re
import subprocess
import tempfile
import unittest
from unittest import mock

from bench import checks
from lab import layout
from lm_tempest_plugin.tests.unit.results import builders

OUTPUT = '{0} live_migration_ha.TestX.test_y [%.6fs] ... ok\n'


class ChecksTest(unittest.TestCase):

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.paths = layout.Layout(pathlib.Path(folder))
        self.paths.tempest_conf.parent.mkdir(parents=True)
        self.paths.tempest_conf.write_text('[DEFAULT]\n')
        self.written = []

    def tempest(self, with_s, without_s, outage_s=0.2):
        """Return a stand-in of `tempest run` that writes results."""
        def run(command, *, env, **kwargs):
            text = self.paths.tempest_conf.with_name(
                env['TEMPEST_CONFIG']).read_text()
            self.written.append(text)
            folder = re.search('results_directory = (.*)', text)[1]
            checked = 'leave_out_checks' not in text
            builders.write(folder, 'run', [
                builders.migration(continuity=builders.continuity(
                    outage=builders.outage(outage_s if checked else 0.2)))])
            return subprocess.CompletedProcess(
                command, 0, OUTPUT % (with_s if checked else without_s), '')
        return run

    def main(self, run, pairs=6):
        with mock.patch('subprocess.run', run), mock.patch.object(
                layout, 'Layout', return_value=self.paths), \
                contextlib.redirect_stdout(io.StringIO()) as stdout:
            code = checks.main(['--pairs', str(pairs)])
        return code, stdout.getvalue()

    def test_claims(self):
        for with_s, outage_s, code, said in (
                (72.0, 0.2, 0, 'PASS wall time: 20 (20 to 20) % longer'),
                (90.0, 0.2, 1, 'FAIL wall time: 50 (50 to 50) % longer'),
                (60.0, 0.4, 1, 'FAIL outage: 200 (200 to 200) ms longer')):
            with self.subTest(said):
                found = self.main(self.tempest(with_s, 60.0, outage_s))
                self.assertEqual(code, found[0], found[1])
                self.assertIn(said, found[1])

    def test_too_few_pairs_for_an_interval(self):
        _, text = self.main(self.tempest(60.0, 60.0), pairs=1)
        self.assertIn('too few pairs', text)

    def test_configuration(self):
        self.main(self.tempest(60.0, 60.0), pairs=2)
        left_out = ['leave_out_checks' in text for text in self.written]
        self.assertEqual([False, True, True, False], left_out)
        self.assertIn('outage', self.written[1])
        self.assertEqual([self.paths.tempest_conf.name], [
            path.name for path in self.paths.tempest_conf.parent.iterdir()])

    def test_failed_test_is_no_measurement(self):
        def run(command, **kwargs):
            return subprocess.CompletedProcess(command, 1, 'FAILED', '')
        with self.assertRaisesRegex(checks.TestFailed, 'FAILED'):
            self.main(run)
