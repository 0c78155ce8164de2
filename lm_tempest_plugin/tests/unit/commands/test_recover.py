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
import pathlib
import types
from unittest import mock

import fixtures

from lm_tempest_plugin.commands import recover
from lm_tempest_plugin.hosts import nova_conf
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import undo_log
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes


class RecoverTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.command = recover.Recover(types.SimpleNamespace(
            stdout=self.stdout, stderr=self.stderr), None)
        self.recover = self.useFixture(fixtures.MockPatchObject(
            nova_conf, 'recover', mock.Mock(return_value=['alpha']))).mock

    def run_with(self, *arguments):
        parser = self.command.get_parser('recover')
        return self.command.take_action(parser.parse_args(
            ['--undo-log', self.directory, *arguments]))

    def test_one_host(self):
        undo_log.UndoLog(self.directory).add(undo_log.UndoEntry(
            fakes.host_site(), fakes.NOVA_CONF + nova_conf.BACKUP, 'abc'))
        self.assertEqual(0, self.run_with('--timeout', '7'))
        self.assertIn('Restoring host alpha', self.stdout.getvalue())
        self.assertIn('restarted: alpha', self.stdout.getvalue())
        self.assertEqual(self.directory, str(
            self.recover.call_args.args[0].directory))

    def test_nothing_to_do(self):
        self.recover.return_value = []
        self.assertEqual(0, self.run_with())
        self.assertIn('Nothing to restore', self.stdout.getvalue())

    def test_a_host_that_refuses(self):
        self.recover.side_effect = remote.HostError('host alpha: no')
        self.assertEqual(1, self.run_with())
        self.assertEqual('host alpha: no\n', self.stderr.getvalue())

    def test_a_missing_directory(self):
        self.assertEqual(1, self.run_with('--undo-log', '/no/such'))
        self.assertIn('/no/such', self.stderr.getvalue())
        self.recover.assert_not_called()

    def test_a_file_instead_of_a_directory(self):
        path = pathlib.Path(self.directory, 'file')
        path.write_text('')
        self.assertEqual(1, self.run_with('--undo-log', str(path)))
        self.assertEqual(f'{path} is not a directory\n',
                         self.stderr.getvalue())
        self.recover.assert_not_called()

    def test_a_wrong_number_of_seconds(self):
        for value in ('nan', '0', 'abc', '1e9'):
            with contextlib.redirect_stderr(self.stderr):
                self.assertRaises(SystemExit, self.run_with, '--timeout',
                                  value)
