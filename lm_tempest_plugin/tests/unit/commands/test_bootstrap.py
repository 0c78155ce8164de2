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
import pathlib
import types

import fixtures

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import bootstrap
from lm_tempest_plugin.commands import verify
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes
from lm_tempest_plugin import utils


class CreateAndDeleteTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.workspace = workspace.Workspace(self.folder / 'workspace')
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.connection.go_external()
        self.image = self.folder / 'guest.img'
        self.image.write_bytes(b'QFI\xfb and so on')
        self.said = []
        self.connect = self.useFixture(fixtures.MockPatchObject(
            discovery, 'connect', return_value=self.access)).mock

    def create(self, **wanted):
        self.said.clear()
        bootstrap.create('here', preparation.Arguments(**wanted),
                         self.workspace, self.said.append)

    def delete(self):
        self.said.clear()
        return bootstrap.delete('here', self.workspace, self.said.append)

    def conf(self):
        return configuration.load(self.workspace.tempest_conf)

    def refused(self, **wanted):
        before = self.connection.writes()
        exc = self.assertRaises(setup.SetupError, self.create, **wanted)
        self.assertEqual(before, self.connection.writes())
        self.assertFalse(self.workspace.tempest_conf.exists())
        return str(exc)

    def test_all_is_made(self):
        self.create(image=str(self.image), storage='block')
        text = '\n'.join(self.said)
        for kind in ('image', 'flavor', 'network', 'subnet', 'router'):
            self.assertRegex(text, rf'(?m)^{kind} .*: created')
        conf = self.conf()
        self.assertEqual(['block'], conf['live_migration_ha']['storage'])
        self.assertEqual(
            [next(iter(self.connection.image.all_images))],
            conf['compute']['image_ref'])
        self.assertNotIn(fakes.PASSWORD, text)

    def test_a_second_time_nothing_is_made(self):
        self.create(image=str(self.image), storage='block')
        before = self.connection.writes()
        text = self.workspace.tempest_conf.read_text()
        # The workspace remembers the arguments.
        self.create()
        self.assertEqual(before, self.connection.writes())
        self.assertEqual(text, self.workspace.tempest_conf.read_text())
        self.assertEqual('Nothing was created: all resources exist.',
                         self.said[-1])
        self.assertIn('tempest.conf: unchanged', '\n'.join(self.said))

    def test_what_was_made_is_deleted_and_nothing_else(self):
        other = self.connection.compute.all_flavors.add(
            name='theirs', vcpus=1, ram=1, disk=1)
        self.create(image=str(self.image))
        self.assertTrue(self.delete())
        self.assertEqual([other.id],
                         list(self.connection.compute.all_flavors))
        self.assertEqual({}, dict(self.connection.image.all_images))
        self.assertEqual(
            ['public'], [each.name for each in
                         self.connection.network.all_networks.values()])
        self.assertFalse(self.workspace.tempest_conf.exists())
        before = self.connection.writes()
        self.assertTrue(self.delete())
        self.assertEqual(before, self.connection.writes())
        self.assertEqual(
            ['Nothing to delete: there are no resources of this plugin.'],
            self.said)

    def test_canaries(self):
        self.create(image=str(self.image), storage='block')
        self.assertNotIn('canary_key_file', self.conf()['live_migration_ha'])
        for number in range(1, 3):
            self.connection.network.all_ports.add(
                device_id=f'server-{number}')
        bootstrap.create('here', preparation.Arguments(), self.workspace,
                         self.said.append, 1)
        self.assertRegex('\n'.join(self.said),
                         r'(?m)^canary live-migration-ha-canary-alpha-1 .*: '
                         'created; on host alpha')
        self.assertEqual(
            [str(self.workspace.canary_key)],
            self.conf()['live_migration_ha']['canary_key_file'])
        # Later calls keep the option.
        self.create()
        self.assertIn('canary_key_file', self.conf()['live_migration_ha'])
        self.assertTrue(self.delete())
        self.assertEqual({}, dict(self.connection.compute.all_servers))
        self.assertFalse(self.workspace.canary_key.exists())

    def test_the_key_of_canaries_that_remain_is_kept(self):
        self.create(image=str(self.image))
        self.workspace.write(self.workspace.canary_key, 'key')
        self.connection.network.in_use.update(
            self.connection.network.all_routers)
        self.assertFalse(self.delete())
        self.assertTrue(self.workspace.canary_key.exists())

    def test_a_file_by_a_relative_path(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        self.create(image=self.image.name)
        os.chdir('/')
        self.create()
        self.assertEqual(1, len(self.connection.image.uploaded))
        self.assertEqual(str(self.image),
                         self.workspace.load_arguments('here')['image'])

    def test_a_file_that_has_gone(self):
        self.create(image=str(self.image))
        self.image.unlink()
        self.create()
        self.assertEqual(1, len(self.connection.image.all_images))
        # Whoever asks for it now is told.
        exc = self.assertRaises(setup.SetupError, self.create,
                                image=str(self.image))
        self.assertIn('there is no file', str(exc))

    def test_what_was_asked_for_is_forgotten_with_what_was_made(self):
        self.create(image=str(self.image), storage='block')
        self.delete()
        self.assertEqual({}, self.workspace.load_arguments('here'))

    def test_files_with_the_password_go_whatever_the_cloud_says(self):
        self.create(image=str(self.image))
        paths = self.workspace.tempest_conf, self.workspace.verify_conf
        self.workspace.write(paths[1], '[a]\n')
        self.connect.side_effect = setup.SetupError('gone')
        exc = self.assertRaises(setup.SetupError, self.delete)
        self.assertEqual('gone', str(exc))
        self.assertEqual([f'{each}: deleted' for each in paths],
                         self.said)
        for path in paths:
            self.assertFalse(path.exists())

    def test_what_cannot_be_deleted_keeps_nothing_else(self):
        self.create(image=str(self.image))
        self.useFixture(fixtures.MockPatchObject(
            self.connection.network, 'delete_router',
            side_effect=fakes.forbidden()))
        self.assertFalse(self.delete())
        text = '\n'.join(self.said)
        self.assertIn('NOT deleted: router live-migration-ha', text)
        self.assertIn('flavor lm.large', text)
        self.assertFalse(self.workspace.tempest_conf.exists())
        self.assertEqual({}, dict(self.connection.image.all_images))

    def test_deleted_from_another_workspace(self):
        self.create(image=str(self.image))
        self.workspace = workspace.Workspace(self.folder / 'other')
        self.assertTrue(self.delete())
        self.assertEqual({}, dict(self.connection.compute.all_flavors))

    def test_what_is_in_use_is_said(self):
        self.create(image=str(self.image))
        flavor = next(iter(self.connection.compute.all_flavors))
        self.connection.compute.all_servers.add(
            name='guest', flavor_id=flavor)
        self.assertFalse(self.delete())
        self.assertIn(f'NOT deleted: flavor lm.small ({flavor}) is in use: '
                      'servers that use it: 1: guest (server-1)',
                      self.said)

    def test_servers_deployed_by_heat(self):
        self.connection.catalog.add('orchestration')
        for wanted in ('heat', ''):
            self.create(image=str(self.image), deploy_by=wanted)
            self.assertEqual(['heat'],
                             self.conf()['live_migration_ha']['deploy_by'])

    def test_storage_is_not_known(self):
        self.create(image=str(self.image))
        self.assertNotIn('storage',
                         self.conf().get('live_migration_ha', {}))
        self.assertIn('not known', '\n'.join(self.said))

    def test_options_of_the_operator(self):
        path = self.folder / 'mine.conf'
        path.write_text('[live_migration_ha]\nprobe_interval = 0.05\n'
                        'storage = shared\n')
        self.create(image=str(self.image), config=str(path))
        conf = self.conf()
        self.assertEqual(['0.05'],
                         conf['live_migration_ha']['probe_interval'])
        self.assertEqual(
            ['False'], conf['compute-feature-enabled'][
                'block_migration_for_live_migration'])

    def test_options_that_do_not_exist(self):
        path = self.folder / 'mine.conf'
        path.write_text('[live_migration_ha]\nprobes = 1\n')
        self.assertIn('unknown option probes in group [live_migration_ha] '
                      f'of {path}', self.refused(config=str(path)))
        self.connect.assert_not_called()

    def test_a_tempest_conf_of_somebody_else(self):
        path = self.workspace.tempest_conf
        path.parent.mkdir(parents=True)
        path.write_text('[mine]\n')
        self.assertRaises(setup.SetupError, self.create)
        self.assertEqual('[mine]\n', path.read_text())
        self.connect.assert_not_called()

    def test_nothing_is_made_where_something_is_in_the_way(self):
        self.assertIn('there is no file no.img',
                      self.refused(image='no.img'))
        self.assertIn('has no network other', self.refused(
            image=str(self.image), network='other'))
        self.assertIn('has no flavor m1', self.refused(
            image=str(self.image), flavors='m1,m2,m3'))
        self.connection.compute.all_services.popitem()
        self.assertIn('minimum for a live migration: 2',
                      self.refused(image=str(self.image)))

    def test_flavors_that_are_not_three(self):
        self.assertIn('for each of small, medium, large', self.refused(
            image=str(self.image), flavors='m1,m2'))
        self.connect.assert_not_called()

    def test_named_flavors(self):
        for name in ('a', 'b', 'c'):
            self.connection.compute.all_flavors.add(
                id=name * 3, name=name, vcpus=1, ram=1, disk=1)
        self.create(image=str(self.image), flavors='a, b,c')
        conf = self.conf()
        self.assertEqual((['aaa'], ['bbb']), (
            conf['compute']['flavor_ref'], conf['compute']['flavor_ref_alt']))
        self.assertEqual(3, len(self.connection.compute.all_flavors))


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
        (cloud, wanted, workspace, _, canaries), = self.calls
        self.assertEqual(('here', 0), (cloud, canaries))
        self.assertEqual(preparation.Arguments(image='i', storage='shared'),
                         wanted)
        self.assertEqual('live-migration-ha-here', workspace.directory.name)
        self.assertIn('tempest run', self.stdout.getvalue())

    def test_bootstrap_canaries(self):
        self.patch(bootstrap, 'create', None)
        for text in ('0', '-1', '101', 'two', ''):
            stderr = io.StringIO()
            self.useFixture(fixtures.MonkeyPatch('sys.stderr', stderr))
            self.assertRaises(SystemExit, self.run_command,
                              bootstrap.Bootstrap, '--canaries', text)
            self.assertIn(f"'{text}' is no number from 1 to 100",
                          stderr.getvalue())
        self.assertEqual([], self.calls)
        self.assertEqual(0, self.run_command(
            bootstrap.Bootstrap, '--canaries', '2'))
        self.assertEqual(2, self.calls[0][-1])

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
