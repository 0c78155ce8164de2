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
import errno
import io
import os
import signal
import subprocess
import sys

from lab import __main__ as program
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab.machine import checks
from lab.machine import debian
from lab.machine import virtualenvs
from lab.tests.unit import base
from lab import use


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        os.environ['LM_LAB_DIR'] = str(self.layout.root)
        self.patch(os, 'geteuid', return_value=0)
        self.patch(checks, 'system')
        self.patch(checks, 'disk')
        self.installed = []
        self.current = self.whole = True
        self.patch(virtualenvs, 'is_current',
                   lambda layout, name: self.current)
        self.patch(virtualenvs, 'is_whole', lambda layout, name: self.whole)
        self.process = self.others = None
        self.patch(sandbox, 'find', lambda root: self.process)
        self.patch(sandbox, 'refuse_others', self._refuse_others)
        self.handlers = {}
        self.patch(signal, 'signal', self.handlers.__setitem__)
        self.patch(debian, 'install', lambda packages, log: (
            self.installed.append(tuple(packages))))
        self.patch(virtualenvs, 'make', lambda layout, name: (
            self.installed.append(name)))
        self.executed = []
        self.patch(os, 'execv', self._execv)
        self.dispatched = self.patch(use, 'dispatch', autospec=True,
                                     return_value=0)

    def _refuse_others(self, root):
        if self.others:
            raise errors.LabError(self.others)

    def _execv(self, path, arguments):
        self.executed.append((path, arguments))
        raise SystemExit(99)

    def main(self, *arguments):
        """Exit code and standard error of the program."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = program.main(list(arguments))
            except SystemExit as done:
                status = done.code
        self.out = out.getvalue()
        return status, err.getvalue()

    def inside(self):
        """Go on as in the lab's own virtualenv."""
        self.patch(sys, 'prefix', str(self.layout.venvs / 'tempest'))


class TestFirst(TestCase):
    """With the system's Python."""

    def test_goes_on_in_the_virtualenv(self):
        for arguments in ((), ('up', '--computes', '1'), ('run', '-x', '')):
            self.assertEqual(99, self.main(*arguments)[0])
            python = self.layout.venv_bin('tempest', 'python')
            self.assertEqual(
                (python, [python, '-m', 'lab', *arguments]),
                self.executed[-1])
        self.assertEqual([], self.installed)
        self.dispatched.assert_not_called()

    def test_installs_what_is_missing(self):
        self.current = False
        for arguments in ((), ('up',)):
            self.installed.clear()
            self.assertEqual(99, self.main(*arguments)[0])
            self.assertEqual([debian.PYTHON, 'tempest'], self.installed)

    def test_one_at_a_time(self):
        self.current = False
        with layout.locked(self.layout):
            status, said = self.main('up')
        self.assertEqual(1, status)
        self.assertIn('Another run-lab.sh', said)
        self.assertEqual([], self.installed)

    def test_cloud_that_is_up_keeps_its_virtualenv(self):
        # It runs from that.
        self.current = False
        self.write(self.layout.ready)
        self.process = sandbox.Process(7, self.layout.root, True)
        for arguments in ((), ('up',)):
            self.assertEqual(99, self.main(*arguments)[0])
        self.assertEqual([], self.installed)
        # This one has ended.
        self.process = None
        self.assertEqual(99, self.main('up')[0])
        self.assertIn('tempest', self.installed)

    def test_other_lab_is_seen_before_anything_is_installed(self):
        self.current = False
        self.others = 'Another lab.'
        self.assertEqual((1, 'run-lab.sh: Another lab.\n'), self.main('up'))
        self.assertEqual([], self.installed)

    def test_other_commands_install_nothing(self):
        self.current = self.whole = False
        for arguments in (('run',), ('status',), ('exec', 'ls'),
                          ('logs', 'x')):
            status, said = self.main(*arguments)
            self.assertEqual(1, status)
            self.assertIn('tools/run-lab.sh up first.', said)
        self.assertEqual([], self.installed)
        self.assertEqual([], self.executed)

    def test_cloud_may_be_older_than_the_checkout(self):
        self.current = False
        for arguments in (('run',), ('status',), ('exec', 'ls')):
            self.assertEqual(99, self.main(*arguments)[0])
        self.assertEqual([], self.installed)

    def test_clearing_needs_nothing_installed(self):
        self.current = self.whole = False
        down = self.patch(sandbox, 'down', autospec=True)
        for was_up, text in ((True, 'has ended'), (False, 'No cloud')):
            down.return_value = was_up
            self.assertEqual((0, ''), self.main('down'))
            self.assertIn(text, self.out)
        destroy = self.patch(sandbox, 'destroy', autospec=True)
        for was_there, text in ((True, ' is gone'), (False, 'no lab in ')):
            destroy.return_value = was_there
            self.assertEqual((0, ''), self.main('destroy'))
            self.assertIn(str(self.layout.root), self.out)
            self.assertIn(text, self.out)
        for call in (down, destroy):
            call.assert_called_with(self.layout)
        self.assertEqual([], self.installed)
        self.assertEqual([], self.executed)

    def test_process_that_does_not_end(self):
        for command in ('down', 'destroy'):
            self.patch(sandbox, command,
                       side_effect=errors.LabError('Stays.'))
            self.assertEqual((1, 'run-lab.sh: Stays.\n'), self.main(command))

    def test_full_disk(self):
        self.current = False
        self.patch(checks, 'disk', side_effect=errors.LabError('Full.'))
        self.assertEqual((1, 'run-lab.sh: Full.\n'), self.main('up'))
        self.assertEqual([], self.installed)

    def test_usage(self):
        self.assertEqual(2, self.main('--nonsense')[0])
        self.assertEqual(0, self.main('--help')[0])


class TestRefusals(TestCase):

    def _refused(self, *arguments):
        status, said = self.main(*arguments)
        self.assertEqual(1, status)
        self.assertTrue(said.startswith('run-lab.sh: '), said)
        self.assertEqual(1, said.count('\n'))
        self.assertEqual([], self.installed)
        self.assertEqual([], self.executed)
        self.dispatched.assert_not_called()
        return said

    def test_not_root(self):
        self.patch(os, 'geteuid', return_value=1000)
        for arguments in ((), ('up',), ('status',), ('destroy',)):
            self.assertIn('as root', self._refused(*arguments))

    def test_other_system(self):
        self.patch(checks, 'system', side_effect=errors.LabError('Haiku.'))
        self.assertIn('Haiku.', self._refused('up'))

    def test_gate_without_a_verdict(self):
        # 1 would mean "worse".
        self.patch(os, 'geteuid', return_value=1000)
        status, said = self.main('gate', '--nova', '/nova')
        self.assertEqual(125, status)
        self.assertIn('as root', said)

    def test_state_folder_of_somebody_else(self):
        mine = self.write(self.layout.root / 'thesis.tex', 'mine')
        for arguments in (('up',), ('destroy',)):
            self.assertIn('thesis.tex', self._refused(*arguments))
        self.assertEqual('mine', mine.read_text())


class TestInside(TestCase):

    def setUp(self):
        super().setUp()
        self.inside()

    def test_exit_code(self):
        for status in (0, 1, 42):
            self.dispatched.return_value = status
            self.assertEqual((status, ''), self.main('run', '--list'))
        options, layout = self.dispatched.call_args.args
        self.assertEqual(('run', ['--list']),
                         (options.command, options.arguments))
        self.assertEqual(self.layout, layout)
        self.assertEqual([], self.executed)

    def test_failure_has_a_message_and_no_traceback(self):
        for error, expected in (
                (errors.LabError('No cloud is up.', status=3),
                 (3, 'run-lab.sh: No cloud is up.\n')),
                (KeyboardInterrupt(), (130, 'run-lab.sh: interrupted.\n'))):
            self.dispatched.side_effect = error
            self.assertEqual(expected, self.main('status'))

    def test_sigterm_clears_away_as_ctrl_c_does(self):
        def run(*_):
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)

        self.dispatched.side_effect = run
        self.assertEqual(130, self.main('up')[0])

    def test_failure_of_the_system_names_the_file(self):
        self.dispatched.side_effect = OSError(
            errno.EACCES, 'Permission denied', '/x/.lab/secrets.json')
        status, said = self.main('up')
        self.assertEqual(1, status)
        self.assertIn('Permission denied (/x/.lab/secrets.json)', said)

    def test_failure_of_the_system_without_a_file(self):
        for error, expected in (
                (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
                 'The disk is full'),
                (OSError('Cannot call rmtree on a symbolic link'),
                 'Cannot call rmtree on a symbolic link'),
                (OSError(errno.EMFILE, 'Too many open files'),
                 'Too many open files')):
            self.dispatched.side_effect = error
            status, said = self.main('up')
            self.assertEqual(1, status)
            self.assertIn(f'run-lab.sh: {expected}', said)
            self.assertNotIn('None', said)
            self.assertEqual(1, said.count('\n'))


class TestProgram(base.TestCase):
    """The real one, up to where it refuses."""

    def test_message_and_exit_code(self):
        root = self.write(self.folder / 'state', 'not a folder')
        # Whoever runs this test: nobody, or a state folder that is none.
        result = subprocess.run(
            [sys.executable, '-m', 'lab', 'up'], cwd=layout.REPOSITORY,
            env={'PATH': os.environ['PATH'], 'LM_LAB_DIR': str(root)},
            capture_output=True, text=True)
        self.assertEqual(1, result.returncode)
        self.assertRegex(result.stderr, r'^run-lab\.sh: .*\.\n$')
        self.assertEqual('', result.stdout)
        self.assertEqual('not a folder', root.read_text())

    def test_begins_with_python_alone(self):
        # None of these exists before the virtualenvs do.
        code = ('import sys; import lab.__main__; '
                'print(*(name for name in ("rich", "pyroute2", "openstack", '
                '"supervisor", "jinja2") if name in sys.modules))')
        result = subprocess.run(
            [sys.executable, '-c', code], cwd=layout.REPOSITORY,
            capture_output=True, text=True, check=True)
        self.assertEqual('\n', result.stdout)
