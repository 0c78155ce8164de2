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

"""The program installs what it needs, and tells errors in one sentence."""

import contextlib
import io
import os
import signal
import sys
import types

from gate import __main__ as program
from gate import machine
from gate.tests import base
from lab import errors
from lab.hosts import sandbox
from lab.machine import checks
from lab.machine import debian
from lab.machine import virtualenvs


class Replaced(Exception):
    """This process was replaced by another program."""


class MainTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(os, 'environ', os.environ | {
            'LM_ZUUL_DIR': str(self.folder / 'zuul')})
        self.paths = machine.Layout(self.folder / 'zuul')
        self.addCleanup(signal.signal, signal.SIGTERM,
                        signal.getsignal(signal.SIGTERM))
        self.patch(checks, 'root')
        self.patch(checks, 'system')
        self.patch(debian, 'install')
        self.make = self.patch(virtualenvs, 'make')
        self.execv = self.patch(os, 'execv', side_effect=Replaced)

    def run_it(self, *arguments):
        """Return exit code, output and complaint."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = program.main(list(arguments))
        return code, out.getvalue(), err.getvalue()

    def test_installation(self):
        for command in ((), ('up', '--job', 'x')):
            with self.assertRaises(Replaced):
                self.run_it(*command)
            self.make.assert_called_with(self.paths, 'machine')
            python = self.paths.venv_bin('machine', 'python')
            self.execv.assert_called_with(python, [
                python, '-m', 'gate', *command])

    def test_nothing_installed(self):
        code, _, err = self.run_it('status')
        self.assertEqual(1, code)
        self.assertIn('run-zuul.sh: Nothing is installed', err)
        self.make.assert_not_called()

    def test_down_and_destroy(self):
        self.paths.root.mkdir()
        for command, said in (('down', 'No Zuul was up.'),
                              ('destroy', 'is gone'),
                              ('destroy', 'There is no Zuul')):
            code, out, _ = self.run_it(command)
            self.assertEqual(0, code)
            self.assertIn(said, out)
        self.assertFalse(self.paths.root.exists())

    def test_folder_of_something_else(self):
        self.paths.root.mkdir()
        (self.paths.root / 'thesis.txt').write_text('')
        code, _, err = self.run_it('destroy')
        self.assertEqual(1, code)
        self.assertIn("'thesis.txt'", err)
        self.assertIn('LM_ZUUL_DIR', err)

    def test_errors(self):
        for error, code, said in (
                (errors.LabError('No.'), 1, 'run-zuul.sh: No.\n'),
                (OSError(28, 'x'), 1, 'The disk is full'),
                (KeyboardInterrupt(), 130, 'run-zuul.sh: interrupted.\n')):
            self.patch(sandbox, 'down', side_effect=error)
            found, _, err = self.run_it('down')
            self.assertEqual(code, found)
            self.assertIn(said, err)

    def test_command_in_the_virtualenv(self):
        self.patch(sys, 'prefix', str(self.paths.venvs / 'machine'))
        use = types.ModuleType('use')
        use.dispatch = lambda options, paths: 7
        with self.subTest('dispatched'):
            self.patch(sys, 'modules', sys.modules | {'gate.use': use})
            import gate
            self.patch(gate, 'use', use, create=True)
            self.assertEqual(7, self.run_it('status')[0])
