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

import argparse
import contextlib
import io
import pathlib

from lab import cli
from lab import dispatch
from lab import everything
from lab import lifecycle
from lab.tests.unit import base
from lab import topology as topologies
from lab import use


class TestRun(base.TestCase):

    def _run(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = dispatch.run(cli.parse(list(arguments)), self.layout)
        return status, out.getvalue()

    def test_everything(self):
        run = self.patch(everything, 'run', autospec=True, return_value=7)
        self.assertEqual(7, self._run('--computes', '3', '--keep')[0])
        run.assert_called_once_with(
            self.layout, topologies.Topology(computes=3), True)

    def test_up(self):
        up = self.patch(lifecycle, 'up', autospec=True)
        self.assertEqual(0, self._run('up', '--kvm')[0])
        up.assert_called_once_with(
            self.layout, topologies.Topology(kvm=True), False)

    def test_storage_is_changed_only_when_it_is_named(self):
        up = self.patch(lifecycle, 'up', autospec=True)
        for storage in topologies.STORAGES:
            self._run('up', '--storage', storage)
            up.assert_called_with(
                self.layout, topologies.Topology(storage=storage), True)

    def test_run(self):
        run = self.patch(use, 'run', autospec=True, return_value=1)
        self.assertEqual(1, self._run('run', '--list')[0])
        run.assert_called_once_with(self.layout, ['--list'], None)

    def test_run_with_a_profile(self):
        run = self.patch(use, 'run', autospec=True, return_value=0)
        self._run('run', '--profile', 'etc/x.conf', '--list')
        run.assert_called_once_with(
            self.layout, ['--list'], pathlib.Path('etc/x.conf'))

    def test_exec(self):
        execute = self.patch(use, 'execute', autospec=True, return_value=5)
        self.assertEqual(5, self._run('exec', '--host', 'compute1', 'ls')[0])
        execute.assert_called_once_with(self.layout, 'compute1', ['ls'],
                                        pathlib.Path.cwd())

    def test_status(self):
        self.patch(use, 'status', autospec=True, return_value=3)
        self.assertEqual(3, self._run('status')[0])

    def test_logs(self):
        logs = self.patch(use, 'logs', autospec=True, return_value=0)
        self._run('logs', 'mariadb', '--follow', '--lines', '3')
        logs.assert_called_once_with(self.layout, 'mariadb', 3, True)

    def test_unknown(self):
        with self.assertRaisesRegex(ValueError, 'sideways'):
            dispatch.run(argparse.Namespace(command='sideways'), self.layout)
