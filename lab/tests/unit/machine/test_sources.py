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

import dataclasses
import os
import pathlib
import subprocess

from lab.machine import sources
from lab.tests.unit import base

MANAGER = 'nova/compute/manager.py'


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        # Users' settings may want signed commits or call hooks.
        os.environ.update(GIT_CONFIG_GLOBAL='/dev/null',
                          GIT_CONFIG_NOSYSTEM='1', HOME=str(self.folder))
        self.checkout = self.folder / 'nova checkout'
        self.write(self.checkout / MANAGER, 'VALUE = 1\n')
        self.write(self.checkout / 'nova/tests/test_x.py', 'VALUE = 1\n')
        self.write(self.checkout / 'nova/objects/service.py',
                   'SERVICE_VERSION = 73\n')
        self.write(self.checkout / '.gitignore', '*.pyc\n')
        self.write(self.checkout / 'setup.cfg', '[metadata]\nname = nova\n')
        self.git('init', '-q', '-b', 'master')
        self.commit()

    def git(self, *arguments):
        return subprocess.run(
            ['git', '-c', 'user.name=x', '-c', 'user.email=x@example.org',
             *arguments], cwd=self.checkout, check=True, text=True,
            capture_output=True).stdout.strip()

    def commit(self):
        self.git('add', '.')
        self.git('commit', '-q', '-m', 'x', '--allow-empty')
        return self.git('rev-parse', 'HEAD')


class TestParse(TestCase):

    def test_release(self):
        for text in ('33.0.2', '34.0.0.0rc1', '34.0.0rc1', ''):
            source = sources.Source.parse(text)
            self.assertEqual(text, source.text)
            self.assertFalse(source.is_checkout)

    def test_checkout(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        for text in (str(self.checkout), 'nova checkout', './nova checkout/'):
            source = sources.Source.parse(text)
            self.assertEqual(str(self.checkout), source.text)
            self.assertTrue(source.is_checkout)

    def test_neither(self):
        self.write(self.folder / 'other' / 'setup.cfg')
        self.write(self.folder / 'unpacked' / 'setup.cfg',
                   '[metadata]\nname = nova\n')
        for text, reason in (
                ('33', 'neither a release of nova, such as 34.'),
                ('main', 'nor a folder'),
                (f'{self.folder}/none', 'nor a folder'),
                (f'{self.folder}/other', 'holds no nova'),
                (f'{self.folder}/unpacked', 'is no checkout of nova')):
            message = self.refused(sources.Source.parse, text)
            self.assertIn(reason, message)

    def test_pinned(self):
        for project in ('nova', 'openstack-placement', 'os-vif'):
            self.assertRegex(sources.pinned(project), r'^\d+\.\d+\.\d+$')

    def test_project(self):
        for given, found in (('nova', 'nova'), ('os_vif', 'os-vif'),
                             ('oslo.messaging', 'oslo-messaging'),
                             ('placement', 'openstack-placement')):
            self.assertEqual(found, sources.find_project(given))
        self.assertIn("'heat' is no project of the cloud",
                      self.refused(sources.find_project, 'heat'))

    def test_checkout_of_another_project(self):
        self.assertEqual(
            f'{self.checkout} holds no neutron: setup.cfg and pyproject.toml '
            f'there name nova.',
            self.refused(sources.Source.parse, str(self.checkout), 'neutron'))


class TestPrepare(TestCase):

    def prepare(self, **changes):
        source = dataclasses.replace(
            sources.Source.parse(str(self.checkout)), **changes)
        return sources.prepare(source, self.folder / 'copies', ['nova'])

    def content(self, prepared, path=MANAGER):
        return (pathlib.Path(prepared.target) / path).read_text()

    def files(self):
        """Return the content of all files of the checkout, .git as well."""
        return {path: path.read_bytes()
                for path in self.checkout.rglob('*') if path.is_file()}

    def test_nothing_is_written_into_the_checkout(self):
        self.write(self.checkout / MANAGER, 'VALUE = 2\n')
        self.write(self.checkout / 'nova/new.py')
        before = self.files()
        self.prepare()
        self.assertEqual(before, self.files())

    def test_removed_file(self):
        self.write(self.checkout / 'nova' / 'old.py', 'OLD = 1\n')
        self.commit()
        (self.checkout / 'nova' / 'old.py').unlink()
        copy = pathlib.Path(self.prepare().target)
        self.assertTrue((copy / MANAGER).exists())
        self.assertFalse((copy / 'nova' / 'old.py').exists())

    def test_revision(self):
        old = self.git('rev-parse', 'HEAD')
        self.write(self.checkout / MANAGER, 'VALUE = 2\n')
        self.commit()
        self.write(self.checkout / MANAGER, 'VALUE = 3\n')
        found = self.prepare(revision='HEAD^')
        self.assertEqual('VALUE = 1\n', self.content(found))
        self.assertEqual(old[:12], found.facts['commit'])
        self.assertEqual('VALUE = 3\n', self.content(self.prepare()))

    def test_unknown_revision(self):
        message = self.refused(self.prepare, revision='nonesuch')
        self.assertEqual(f'{self.checkout} has no revision nonesuch.',
                         message)

    def test_conflict(self):
        self.git('branch', 'other')
        self.write(self.checkout / MANAGER, 'VALUE = 2\n')
        self.commit()
        self.git('checkout', '-q', 'other')
        self.write(self.checkout / MANAGER, 'VALUE = 3\n')
        self.commit()
        with self.assertRaises(subprocess.CalledProcessError):
            self.git('merge', 'master')
        message = self.refused(self.prepare)
        self.assertIn(f'has conflicts, first in {MANAGER}', message)

    def test_checkout_without_a_commit(self):
        subprocess.run(['rm', '-rf', self.checkout / '.git'], check=True)
        self.git('init', '-q')
        self.assertIn('has no revision HEAD', self.refused(self.prepare))

    def test_worktree(self):
        other = self.folder / 'worktree'
        self.git('worktree', 'add', '-q', '-b', 'side', str(other))
        self.write(other / MANAGER, 'VALUE = 2\n')
        found = self.prepare(text=str(other))
        self.assertEqual('VALUE = 2\n', self.content(found))

    def test_version(self):
        for tag, expected in ((None, '0.0.1.dev0'), ('34.0.0.0rc1',
                                                     '34.0.0.0rc1')):
            if tag:
                self.git('tag', tag)
            self.assertEqual(expected, self.prepare().version)
        for tag, expected in (('34.0.1.0rc1', '34.0.1.dev1'),
                              ('34.1.0', '34.1.1.dev1')):
            self.commit()
            self.git('tag', tag)
            self.commit()
            self.assertEqual(expected, self.prepare().version)

    def test_git_is_missing(self):
        os.environ['PATH'] = str(self.folder)
        self.assertIn('git is missing', self.refused(self.prepare))

    def test_hook_of_git(self):
        # git tells its hooks the repository.
        os.environ.update(GIT_DIR='/nonesuch', GIT_INDEX_FILE='/nonesuch/i')
        self.assertEqual('VALUE = 1\n', self.content(self.prepare()))

    def test_release(self):
        for project, text, series in (
                ('nova', '33.0.2', '2026.1'), ('neutron', '28.0.0', '2026.1'),
                ('openstack-placement', '14.0.0', '2025.2'),
                ('os-vif', '4.3.0', '')):
            found = self.prepare(text=text, project=project)
            self.assertEqual((f'{project}=={text}', text, series),
                             (found.target, found.version, found.series))
