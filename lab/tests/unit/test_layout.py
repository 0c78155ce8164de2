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

import fcntl
import json
import os
import pathlib
import stat
import subprocess
import sys

from lab import errors
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
        # layout.empty_folder(layout.cloud) must not take these with it.
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
        # Each path is in the state folder, or above a path in it.
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


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


class TestWrite(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = self.folder / 'a' / 'b' / 'file'

    def test_makes_folders(self):
        layout.write(self.path, 'text \N{SNOWMAN}\n')
        self.assertEqual('text \N{SNOWMAN}\n',
                         self.path.read_text(encoding='utf-8'))
        self.assertEqual([self.path], list(self.path.parent.iterdir()))

    def test_mode(self):
        self.addCleanup(os.umask, os.umask(0o077))
        layout.write(self.path, '')
        self.assertEqual(0o644, mode_of(self.path))
        layout.write(self.path, '', mode=0o600)
        self.assertEqual(0o600, mode_of(self.path))

    def test_never_readable_by_others_meanwhile(self):
        # The text is not in a file of the final mode before it is whole.
        seen = []
        real = os.fchmod
        self.patch(os, 'fchmod', side_effect=lambda number, mode: (
            seen.extend(stat.S_IMODE(os.stat(self.path.parent / name).st_mode)
                        for name in os.listdir(self.path.parent)),
            real(number, mode)))
        layout.write(self.path, 'secret', mode=0o640)
        self.assertEqual([0o600], seen)

    def test_reader_keeps_the_old_text(self):
        layout.write(self.path, 'old')
        with open(self.path) as reader:
            layout.write(self.path, 'new')
            self.assertEqual('old', reader.read())
        self.assertEqual('new', self.path.read_text())

    def _fail(self, error):
        with self.assertRaises(error):
            layout.write(self.path, 'new')
        self.assertEqual('old', self.path.read_text())
        self.assertEqual([self.path], list(self.path.parent.iterdir()))

    def test_old_file_is_kept_when_writing_fails(self):
        layout.write(self.path, 'old')
        with open('/dev/full', 'w') as full:
            self.patch(os, 'fchmod', side_effect=lambda *_: (
                full.write('x'), full.flush()))
            self._fail(OSError)
            # Or closing complains once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())

    def test_old_file_is_kept_when_replacing_fails(self):
        layout.write(self.path, 'old')
        self.patch(os, 'replace', side_effect=OSError)
        self._fail(OSError)

    def test_interrupted(self):
        layout.write(self.path, 'old')
        self.patch(os, 'replace', side_effect=KeyboardInterrupt)
        self._fail(KeyboardInterrupt)

    def test_json(self):
        layout.write_json(self.path, {'b': [1], 'a': None}, mode=0o600)
        text = self.path.read_text()
        self.assertEqual({'a': None, 'b': [1]}, json.loads(text))
        self.assertLess(text.index('"a"'), text.index('"b"'))
        self.assertTrue(text.endswith('}\n'))
        self.assertEqual(0o600, mode_of(self.path))


class TestEmptyFolder(base.TestCase):

    def test_makes_and_empties(self):
        self.addCleanup(os.umask, os.umask(0o022))
        path = self.folder / 'x' / 'y'
        self.assertEqual(path, layout.empty_folder(path, mode=0o711))
        self.assertEqual(0o711, mode_of(path))
        self.write(path / 'below' / 'file')
        layout.empty_folder(path)
        self.assertEqual([], list(path.iterdir()))
        self.assertEqual(0o755, mode_of(path))

    def test_leaves_what_links_lead_to(self):
        kept = self.write(self.folder / 'elsewhere' / 'file')
        path = self.folder / 'x'
        path.mkdir()
        pathlib.Path(path, 'link').symlink_to(kept.parent)
        layout.empty_folder(path)
        self.assertTrue(kept.exists())


class TestLocked(base.TestCase):

    def test_second_holder_is_refused(self):
        with layout.locked(self.layout):
            message = self.refused(layout.locked(self.layout).__enter__)
        self.assertIn(f'process {os.getpid()}', message)
        self.assertIn(str(self.layout.root), message)
        self.assert_sentence(message)

    def test_other_process_is_refused(self):
        code = ('import pathlib, sys; from lab import errors, layout\n'
                'try:\n'
                '    with layout.locked(layout.Layout(pathlib.Path('
                'sys.argv[1]))):\n'
                '        print("held")\n'
                'except errors.LabError as error:\n'
                '    print(error)\n')
        command = [sys.executable, '-c', code, str(self.layout.root)]
        with layout.locked(self.layout):
            refused = subprocess.run(command, cwd=layout.REPOSITORY,
                                     capture_output=True, text=True)
        taken = subprocess.run(command, cwd=layout.REPOSITORY,
                               capture_output=True, text=True)
        self.assertIn(f'(process {os.getpid()})', refused.stdout)
        self.assertEqual('held\n', taken.stdout)

    def test_folder_is_for_its_owner_only(self):
        # Passwords will lie in it.
        with layout.locked(self.layout):
            self.assertEqual(0o700, self.layout.root.stat().st_mode & 0o777)

    def test_given_back(self):
        for _ in range(2):
            with layout.locked(self.layout):
                self.assertEqual(f'{os.getpid()}\n',
                                 self.layout.lock.read_text())

    def test_given_back_after_a_failure(self):
        with self.assertRaises(errors.LabError):
            with layout.locked(self.layout):
                raise errors.LabError('no')
        with layout.locked(self.layout):
            pass

    def test_number_of_a_dead_holder_is_replaced(self):
        self.write(self.layout.lock, '123456789012345\n')
        with layout.locked(self.layout):
            self.assertEqual(f'{os.getpid()}\n',
                             self.layout.lock.read_text())

    def test_programs_that_are_started_do_not_inherit_it(self):
        with layout.locked(self.layout):
            child = subprocess.Popen(['sleep', '10'])
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
        with open(self.layout.lock) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
