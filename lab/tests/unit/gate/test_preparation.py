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
import subprocess

from lab.gate import preparation
from lab.machine import overlays
from lab.machine import sources
from lab.tests.unit import base


class TestPlan(base.TestCase):

    def setUp(self):
        super().setUp()
        self.checkout = self.folder / 'nova'
        self.module = self.write(
            self.checkout / 'nova' / 'compute' / 'manager.py', 'one = 1\n')
        self.write(self.checkout / 'setup.cfg', '[metadata]\nname = nova\n')
        self._git('init', '--quiet', '--initial-branch', 'master')
        self.first = self._commit()
        self.module.write_text('one = 2\n')
        self.second = self._commit()

    def _git(self, *arguments):
        return subprocess.run(
            ['git', '-c', 'user.name=A', '-c', 'user.email=a@example.org',
             '-C', self.checkout, *arguments], check=True,
            capture_output=True, text=True).stdout.strip()

    def _commit(self):
        self._git('add', '.')
        self._git('commit', '--quiet', '--message', 'Change')
        return self._git('rev-parse', 'HEAD')

    def _plan(self, base=None, path=None, profile='quick', limit_s=3000):
        return preparation.plan(self.layout, path or str(self.checkout), base,
                                profile, limit_s)

    def test_parent_of_a_clean_checkout(self):
        self.write(self.checkout / 'notes.txt')
        found = self._plan()
        self.assertEqual(self.first, found.base_commit)
        self.assertEqual(f'HEAD^ ({self.first[:10]})', found.base_name)
        self.assertEqual(str(self.checkout), found.change_name)
        self.assertTrue(found.folder.startswith(
            f'{self.layout.workspace}/gate-'))

    def test_head_with_uncommitted_changes(self):
        self.module.write_text('one = 3\n')
        self.assertEqual(self.second, self._plan().base_commit)

    def test_named_base(self):
        found = self._plan(self.first[:12])
        self.assertEqual(self.first, found.base_commit)
        self.assertEqual(self.first[:12], found.base_name)

    def test_refused(self):
        for arguments, said in (
                ({'base': 'nowhere'}, 'has no revision nowhere'),
                ({'base': '--all'}, 'has no revision --all'),
                ({'base': f'{self.first}^'}, 'has no revision'),
                ({'path': str(self.folder)}, 'holds no nova'),
                ({'path': str(self.folder / 'none')}, 'neither a release'),
                ({'path': sources.pinned()}, 'not the release'),
                ({'limit_s': 300}, '--limit 5 is too short')):
            with self.subTest(said):
                message = self.refused(self._plan, **arguments)
                self.assertIn(said, message)
                self.assert_sentence(message)

    def test_limit_fixes_the_looks(self):
        for minutes, looks in ((15, [2]), (31, [2, 4]), (600, [2, 4, 6])):
            self.assertEqual(looks, self._plan(limit_s=60 * minutes).looks)

    def test_description(self):
        for found, said in (
                (self._plan(), 'about 15 to 45 minutes.'),
                (self._plan(limit_s=1000), 'about 15 minutes.'),
                (self._plan(profile='gate'),
                 'profile gate come first (every test once, ')):
            self.assertIn(said, found.describe())

    def test_json(self):
        found = self._plan()
        self.assertEqual(found, preparation.Plan(
            **json.loads(found.as_json())))

    def test_install(self):
        def install(paths, source):
            return self.folder / (source.revision or 'change')
        self.patch(overlays, 'install', install)
        with contextlib.redirect_stdout(io.StringIO()):
            found = preparation.install(self.layout, self._plan())
        self.assertEqual(str(self.folder / self.first), found.base_venv)
        self.assertEqual(str(self.folder / 'change'), found.change_venv)
