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
import os
import shlex
import subprocess
import sys
import types

from lab.cloud import service
from lab.cloud import supervisor
from lab import errors
from lab import layout as layouts
from lab.tests.unit import base


class TestMain(base.TestCase):

    def _main(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = service.main(*arguments)
        return status, out.getvalue(), err.getvalue()

    def test_restart(self):
        restarted = []
        self.patch(supervisor.Supervisor, 'restart',
                   lambda _, name: restarted.append(name))
        self.assertEqual((0, '', ''),
                         self._main('restart', 'compute1-nova-compute'))
        self.assertEqual(['compute1-nova-compute'], restarted)

    def test_pid(self):
        for pid in (17, 0):
            self.patch(supervisor.Supervisor, 'state',
                       lambda _, name, pid=pid: types.SimpleNamespace(
                           pid=pid))
            self.assertEqual((0, f'{pid}\n', ''), self._main('pid', 'x'))

    def test_refusal(self):
        self.patch(supervisor.Supervisor, 'restart',
                   side_effect=errors.LabError('It does not end.'))
        self.assertEqual((1, '', 'run-lab.sh: It does not end.\n'),
                         self._main('restart', 'x'))


class TestCommand(base.TestCase):

    def test_it_finds_the_lab_from_anywhere(self):
        python = self.layout.venvs / 'tempest' / 'bin' / 'python'
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        self.write(self.folder / 'a b' / 'lab' / 'cloud' / 'service.py',
                   'import sys; print(sys.argv[1:])')
        self.patch(layouts, 'REPOSITORY', self.folder / 'a b')
        line = f'{service.command(self.layout)} restart x'
        self.assertEqual(str(python), shlex.split(line)[2])
        done = subprocess.run(
            ['sh', '-c', line], cwd=self.folder, env=dict(os.environ),
            capture_output=True, text=True)
        self.assertEqual("['restart', 'x']\n", done.stdout, done.stderr)
