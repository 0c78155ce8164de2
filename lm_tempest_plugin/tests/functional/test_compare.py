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

"""The command compare, in its own process."""

import pathlib
import subprocess
import sys

import fixtures

from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import runs

# Tempest's own command, from the same virtualenv.
TEMPEST = pathlib.Path(sys.executable).with_name('tempest')


class CompareTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        if not TEMPEST.is_file():
            self.fail(f'{TEMPEST} does not exist: install tempest and this '
                      f'plugin into the virtualenv of the tests')

    def write(self, name, **how):
        return runs.write(self.directory, name, **how)

    def compare(self, *arguments):
        done = subprocess.run(
            [TEMPEST, 'live-migration-ha', 'compare', *arguments],
            cwd=self.directory, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def last(self, text):
        """Return the last paragraph, on one line."""
        return ' '.join(text.rstrip().split('\n\n')[-1].split())

    def test_equal_runs(self):
        code, said, _ = self.compare(
            self.write('one'), self.write('two', seed=2))
        self.assertEqual(0, code)
        self.assertIn('No difference found', self.last(said))

    def test_a_slower_run(self):
        target = pathlib.Path(self.directory, 'compared.html')
        code, said, _ = self.compare(
            self.write('one'), self.write('two', factor=1.5), '-o',
            str(target))
        self.assertEqual(1, code)
        self.assertRegex(said, '^Worse: ')
        self.assertIn('Worse: ', target.read_text(encoding='utf-8'))

    def test_an_altered_run(self):
        path = pathlib.Path(self.write('two'))
        lines = path.read_bytes().splitlines(keepends=True)
        del lines[3]
        path.write_bytes(b''.join(lines))
        code, said, complaint = self.compare(self.write('one'), str(path))
        self.assertEqual((2, ''), (code, said))
        self.assertIn('two.jsonl was altered: line 3 is not the one',
                      complaint)

    def test_more_at_once(self):
        code, said, _ = self.compare(
            self.write('one'), self.write('two', concurrency=3),
            '--ignore', 'max_concurrent_live_migrations', '--ignore',
            'strategy', '--quantity', 'wall_s')
        self.assertEqual(0, code)
        self.assertIn("better: drain's wall time", self.last(said))
