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

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import files
from lm_tempest_plugin.operator import manifest
from lm_tempest_plugin.operator import workspace
from lm_tempest_plugin.tests.unit import base


class WorkspaceTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.workspace = workspace.Workspace(self.folder / 'new')

    def refused(self, call, *args):
        return str(self.assertRaises(errors.OperatorError, call, *args))

    def test_make(self):
        self.workspace.check(self.workspace.tempest_conf)
        self.workspace.make()
        self.workspace.make()
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
        self.workspace.make()
        self.assertEqual('[DEFAULT]\n', path.read_text())

    def test_write(self):
        path = self.workspace.tempest_conf
        self.assertTrue(self.workspace.write(path, '[a]\n'))
        self.assertFalse(self.workspace.write(path, '[a]\n'))
        self.assertTrue(self.workspace.write(path, '[b]\n'))
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual('%s\n[b]\n' % workspace.MARK, path.read_text())

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
            self.assertIn('%s was not written by this command' % path,
                          self.refused(call, *args))
        self.assertFalse(self.workspace.remove(path))
        self.assertEqual('[mine]\n', path.read_text())

    def test_remove(self):
        path = self.workspace.verify_conf
        self.workspace.write(path, '[a]\n')
        self.assertTrue(self.workspace.remove(path))
        self.assertFalse(self.workspace.remove(path))
        self.assertFalse(path.exists())

    def test_clear(self):
        paths = self.workspace.tempest_conf, self.workspace.verify_conf
        self.assertEqual(([], []), self.workspace.clear(*paths))
        for path in paths:
            self.workspace.write(path, '[a]\n')
        unlink = pathlib.Path.unlink

        def refuse(path):
            if path == paths[0]:
                raise PermissionError(13, 'Permission denied')
            unlink(path)

        with mock.patch.object(pathlib.Path, 'unlink', refuse):
            self.assertEqual(
                ([str(paths[1])],
                 ['%s cannot be deleted: Permission denied' % paths[0]]),
                self.workspace.clear(*paths))
        self.assertEqual(([str(paths[0])], []),
                         self.workspace.clear(*paths))

    def test_a_file_is_in_the_way(self):
        self.workspace.directory.write_text('')
        self.assertIn('is no directory', self.refused(self.workspace.check))

    def test_a_file_that_cannot_be_written(self):
        # Not even root makes a directory there.
        path = pathlib.Path('/proc/self/no/file')
        self.assertIn('/proc/self/no/file cannot be written',
                      self.refused(files.write, path, ''))

    def test_a_write_that_fails_leaves_nothing(self):
        (self.folder / 'taken').mkdir()
        self.assertRaises(errors.OperatorError, files.write,
                          self.folder / 'taken', 'text')
        self.assertEqual(['taken'], os.listdir(self.folder))


class ManifestTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def test_saved_and_loaded(self):
        saved = manifest.Manifest('here', {'a': 'ssh-rsa A'}, ('x', 'y'),
                                  {'image': 'i'})
        saved.save(self.folder)
        self.assertEqual(saved, manifest.load(self.folder, 'here'))

    def test_of_a_new_workspace(self):
        self.assertEqual(manifest.Manifest('here'),
                         manifest.load(self.folder, 'here'))

    def test_of_another_cloud(self):
        manifest.Manifest('there').save(self.folder)
        exc = self.assertRaises(errors.OperatorError, manifest.load,
                                self.folder, 'here')
        self.assertIn('belongs to cloud there, not to here', str(exc))

    def test_of_nobody(self):
        for text in ('', '[]', '{"cloud": "here"}'):
            (self.folder / manifest.FILE).write_text(text)
            exc = self.assertRaises(errors.OperatorError, manifest.load,
                                    self.folder, 'here')
            self.assertIn('is not what bootstrap writes', str(exc))
