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

import configparser
import os
import pathlib
import stat
from unittest import mock

import fixtures

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.tests.unit import base


class WorkspaceTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.workspace = workspace.Workspace(self.folder / 'new')

    def refused(self, call, *args):
        return str(self.assertRaises(setup.SetupError, call, *args))

    def test_make(self):
        self.workspace.check(self.workspace.tempest_conf)
        self.workspace.create()
        self.workspace.create()
        parser = configparser.ConfigParser()
        parser.read(self.workspace.directory / '.stestr.conf')
        path = pathlib.Path(parser['DEFAULT']['test_path'])
        self.assertTrue((path / 'test_discover.py').is_file(), path)
        self.assertTrue(self.workspace.logs.is_dir())
        self.assertTrue(self.workspace.locks.is_dir())

    def test_the_stestr_conf_of_tempest_init_stays(self):
        self.workspace.directory.mkdir()
        path = self.workspace.directory / '.stestr.conf'
        path.write_text('[DEFAULT]\n')
        self.workspace.create()
        self.assertEqual('[DEFAULT]\n', path.read_text())

    def test_write(self):
        path = self.workspace.tempest_conf
        self.assertTrue(self.workspace.write(path, '[a]\n'))
        self.assertFalse(self.workspace.write(path, '[a]\n'))
        self.assertTrue(self.workspace.write(path, '[b]\n'))
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual(f'{workspace.MARK}\n[b]\n', path.read_text())

    def test_permissions_are_put_right(self):
        path = self.workspace.tempest_conf
        self.workspace.write(path, '[a]\n')
        path.chmod(0o644)
        self.workspace.write(path, '[a]\n')
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))

    def test_what_is_not_ours_stays(self):
        path = self.workspace.tempest_conf
        path.parent.mkdir(parents=True)
        path.write_text('[mine]\n')
        for call, args in ((self.workspace.check, (path,)),
                           (self.workspace.write, (path, '[a]\n'))):
            self.assertIn(f'{path} was not written by this command',
                          self.refused(call, *args))
        self.assertEqual(([], []), self.workspace.delete(path))
        self.assertEqual('[mine]\n', path.read_text())

    def test_delete(self):
        paths = self.workspace.tempest_conf, self.workspace.verify_conf
        self.assertEqual(([], []), self.workspace.delete(*paths))
        for path in paths:
            self.workspace.write(path, '[a]\n')
        unlink = pathlib.Path.unlink

        def refuse(path, missing_ok):
            if path == paths[0]:
                raise PermissionError(13, 'Permission denied')
            unlink(path, missing_ok)

        with mock.patch.object(pathlib.Path, 'unlink', refuse):
            self.assertEqual(
                ([str(paths[1])],
                 [f'{paths[0]} cannot be deleted: Permission denied']),
                self.workspace.delete(*paths))
        self.assertEqual(([str(paths[0])], []),
                         self.workspace.delete(*paths))

    def test_a_file_is_in_the_way(self):
        self.workspace.directory.write_text('')
        self.assertIn('is no directory', self.refused(self.workspace.check))

    def test_a_file_that_cannot_be_written(self):
        # Not even root makes a directory there.
        self.workspace = workspace.Workspace('/proc/self/no')
        self.assertIn('/proc/self/no/bootstrap.json cannot be written',
                      self.refused(self.workspace.save_arguments, 'here', {}))

    def test_a_write_that_fails_leaves_nothing(self):
        path = self.workspace.directory / workspace.ARGUMENTS
        path.mkdir(parents=True)
        self.refused(self.workspace.save_arguments, 'here', {})
        self.assertEqual([path.name], os.listdir(self.workspace.directory))

    def test_arguments(self):
        self.assertEqual({}, self.workspace.load_arguments('here'))
        self.workspace.save_arguments('here', {'image': 'i'})
        self.assertEqual({'image': 'i'},
                         self.workspace.load_arguments('here'))

    def test_arguments_of_another_cloud(self):
        self.workspace.save_arguments('there', {})
        self.assertIn('belongs to cloud there, not to here',
                      self.refused(self.workspace.load_arguments, 'here'))

    def test_arguments_that_another_program_wrote(self):
        self.workspace.directory.mkdir()
        for text in ('', '[]', '{"cloud": "here"}'):
            (self.workspace.directory / workspace.ARGUMENTS).write_text(text)
            self.assertIn('was not written by bootstrap', self.refused(
                self.workspace.load_arguments, 'here'))

    def test_resources_before_a_run_that_was_killed(self):
        self.assertIsNone(self.workspace.load_before())
        self.workspace.save_before(['b', 'a'])
        self.assertEqual({'a', 'b'}, self.workspace.load_before())
        for _ in range(2):
            self.workspace.forget_before()
            self.assertIsNone(self.workspace.load_before())
        self.workspace.save_before([])
        self.assertEqual(set(), self.workspace.load_before())
        for text in ('', '5'):
            self.workspace.before.write_text(text)
            self.assertIn('was not written by verify', self.refused(
                self.workspace.load_before))
        self.workspace.before.unlink()
        self.workspace.before.mkdir()
        self.assertIn('cannot be deleted', self.refused(
            self.workspace.forget_before))
