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

import io
import os
import types

import fixtures

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.commands import bootstrap
from lm_tempest_plugin.commands import verify
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin import utils


class CloudCommandTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.app = types.SimpleNamespace(
            stdout=self.stdout, stderr=self.stderr)
        self.calls = []
        self.folder = self.useFixture(fixtures.TempDir()).path

    def run_command(self, cls, *arguments):
        command = cls(self.app, None)
        parser = command.get_parser('command')
        return command.run(parser.parse_args(
            ['--os-cloud', 'here', *arguments]))

    def patch(self, where, name, result):
        def call(*args):
            self.calls.append(args)
            if isinstance(result, BaseException):
                raise result
            return result
        self.useFixture(fixtures.MockPatchObject(where, name, call))

    def test_bootstrap(self):
        self.patch(bootstrap, 'create', None)
        self.assertEqual(0, self.run_command(
            bootstrap.Bootstrap, '--image', 'i', '--storage', 'shared'))
        (cloud, wanted, workspace, _), = self.calls
        self.assertEqual('here', cloud)
        self.assertEqual(preparation.Arguments(image='i', storage='shared'),
                         wanted)
        self.assertEqual('live-migration-ha-here', workspace.directory.name)
        self.assertIn('tempest run', self.stdout.getvalue())

    def test_bootstrap_delete(self):
        for gone, code in ((True, 0), (False, 1)):
            self.patch(bootstrap, 'delete', gone)
            self.assertEqual(code, self.run_command(
                bootstrap.Bootstrap, '--delete', '--workspace',
                self.folder))
        self.assertEqual(self.folder, str(self.calls[0][1].directory))

    def test_bootstrap_interrupted(self):
        self.patch(bootstrap, 'create', KeyboardInterrupt())
        self.assertRaises(KeyboardInterrupt, self.run_command,
                          bootstrap.Bootstrap)
        self.assertIn('Resources that were created remain',
                      self.stdout.getvalue())

    def test_what_cannot_be_done(self):
        for cls, where, name, error in (
                (bootstrap.Bootstrap, bootstrap, 'create', setup.SetupError),
                (verify.Verify, verify.Verification, 'run',
                 setup.SetupError),
                (verify.Verify, verify.Verification, 'run',
                 utils.MissingLibrary)):
            self.patch(where, name, error('it is so'))
            self.assertEqual(2, self.run_command(cls))
        self.assertEqual('it is so\n' * 3, self.stderr.getvalue())

    def test_nobody_reads_stdout(self):
        self.app.stdout = self.broken()
        self.assertEqual(0, self.delete('one', 'two'))
        self.assertEqual('one\ntwo\n', self.stderr.getvalue())

    def test_nobody_reads_anything(self):
        self.app.stdout, self.app.stderr = self.broken(), self.broken()
        self.assertEqual(0, self.delete('one', 'two'))
        self.patch(bootstrap, 'delete', setup.SetupError('it is so'))
        self.assertEqual(2, self.run_command(
            bootstrap.Bootstrap, '--delete'))

    def broken(self):
        """Return a pipe that nobody reads; it is to close without error."""
        reader, writer = os.pipe()
        os.close(reader)
        stream = open(writer, 'w')
        self.addCleanup(stream.close)
        return stream

    def delete(self, *lines):
        """Return the exit code of a command that says these lines."""
        def call(cloud, workspace, say):
            for each in lines:
                say(each)
            return True
        self.useFixture(fixtures.MockPatchObject(bootstrap, 'delete', call))
        return self.run_command(bootstrap.Bootstrap, '--delete')

    def test_verify(self):
        runs = []

        def run(verification):
            runs.append(verification)
            return 130

        self.useFixture(fixtures.MockPatchObject(
            verify.Verification, 'run', run))
        self.assertEqual(130, self.run_command(
            verify.Verify, '--profile', 'gate', '--keep', '-o', 'r.html',
            '--cleanup-timeout', '30'))
        self.assertEqual(
            ('here', 'gate', True, True, 30.0),
            (runs[0].cloud, runs[0].profile.name, runs[0].keep,
             runs[0].page.is_absolute(), runs[0].cleanup_s))
        say = runs[0].say
        say('a line')
        self.assertRegex(self.stdout.getvalue(),
                         r'^\d\d:\d\d:\d\d a line\n$')
        say('a\ntable')
        self.assertTrue(self.stdout.getvalue().endswith('\na\ntable\n'))

    def test_verify_without_such_a_profile(self):
        self.assertEqual(2, self.run_command(
            verify.Verify, '--profile', 'no'))
        self.assertIn('there is no profile no', self.stderr.getvalue())
