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

import os
import pathlib

from lab import layout
from lab.tests.unit import base


class TestStateFolder(base.TestCase):

    def test_default(self):
        expected = layout.REPOSITORY / '.lab'
        self.assertEqual(expected, layout.state_folder({}))
        self.assertEqual(expected, layout.state_folder({'LM_LAB_DIR': ''}))
        self.assertTrue((layout.REPOSITORY / 'tools' / 'run-lab.sh').exists())

    def test_lm_lab_dir(self):
        self.assertEqual(pathlib.Path('/somewhere/else'),
                         layout.state_folder({'LM_LAB_DIR':
                                              '/somewhere/x/../else'}))

    def test_lm_lab_dir_from_the_environment(self):
        os.environ['LM_LAB_DIR'] = str(self.folder)
        self.assertEqual(self.folder, layout.state_folder())

    def test_links_are_followed(self):
        # Else one lab would have two names.
        link = self.folder / 'link'
        link.symlink_to(self.folder / 'target')
        self.assertEqual(self.folder / 'target',
                         layout.state_folder({'LM_LAB_DIR': str(link)}))

    def test_relative(self):
        found = layout.state_folder({'LM_LAB_DIR': 'x'})
        self.assertEqual(pathlib.Path.cwd().resolve() / 'x', found)


class TestLayout(base.TestCase):

    def test_all_lies_below_the_state_folder(self):
        paths = [getattr(self.layout, name) for name in dir(layout.Layout)
                 if isinstance(getattr(layout.Layout, name), property)]
        paths += [self.layout.etc('h'), self.layout.data('h'),
                  pathlib.Path(self.layout.venv_bin('cloud', 'p'))]
        self.assertEqual(len(paths), len(set(paths)))
        self.assertGreater(len(paths), 15)
        for path in paths:
            self.assertIn(self.layout.root, path.parents)

    def test_what_up_makes_anew_keeps_no_cache(self):
        # files.empty_folder(layout.cloud) must not take these with it.
        for path in (self.layout.venvs, self.layout.cache, self.layout.image,
                     self.layout.secrets, self.layout.lock,
                     self.layout.workspace, self.layout.log):
            self.assertNotIn(self.layout.cloud, path.parents)

    def test_hosts_have_folders_of_their_own(self):
        for of in (self.layout.etc, self.layout.data):
            self.assertNotEqual(of('compute1'), of('compute2'))

    def test_longest_socket_fits(self):
        # QEMU's monitor in libvirt's folder; sun_path has 108 bytes.
        root = pathlib.Path('/' + 'x' * (layout.MAX_ROOT_LENGTH - 1))
        socket = layout.Layout(root).data('compute8') / 'ovs.sock'
        self.assertLess(len(str(socket)), 108)

    def test_what_hosts_do_not_see(self):
        for folder in ('/run', '/sys', *layout.PRIVATE):
            self.assertIn(folder, layout.COVERED)

    def test_namespace(self):
        self.assertEqual(layout.RUN / 'compute1' / 'net',
                         layout.namespace('compute1', 'net'))
        self.assertIn(layout.RUN, layout.SUPERVISOR_SOCKET.parents)


class TestIsOwn(base.TestCase):

    def test_everything_of_a_lab(self):
        # What lies in the state folder itself, or above what does.
        for name in dir(layout.Layout):
            if isinstance(getattr(layout.Layout, name), property):
                path = getattr(self.layout, name)
                top = path.relative_to(self.layout.root).parts[0]
                self.assertTrue(layout.is_own(top), top)

    def test_file_that_is_being_written(self):
        self.assertTrue(layout.is_own('.secrets.json.x1y2z3'))

    def test_things_of_others(self):
        for name in ('.ssh', '.git', '.cache', '.config', '.lockfile',
                     'logs', 'secrets', '.secrets', 'Cloud', 'thesis.tex'):
            self.assertFalse(layout.is_own(name), name)
