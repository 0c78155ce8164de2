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

from lab import cli
from lab.tests.unit import base


class TestParse(base.TestCase):

    def _exit(self, *arguments):
        """Exit code and output of a command line that is not run."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            with self.assertRaises(SystemExit) as caught:
                cli.parse(list(arguments))
        return caught.exception.code, out.getvalue() + err.getvalue()

    def test_no_command(self):
        options = cli.parse([])
        self.assertIsNone(options.command)
        self.assertFalse(options.keep)
        topology = cli.chosen_topology(options)
        self.assertEqual((2, False, 'block', 1), (
            topology.computes, topology.kvm, topology.storage,
            topology.max_concurrent_live_migrations))

    def test_options_without_a_command(self):
        options = cli.parse(['--keep', '--kvm', '--computes', '3',
                             '--storage', 'block'])
        self.assertTrue(options.keep)
        topology = cli.chosen_topology(options)
        self.assertEqual((3, True, 'block'), (
            topology.computes, topology.kvm, topology.storage))

    def test_up(self):
        options = cli.parse(['up', '--computes', '1', '--kvm'])
        self.assertEqual('up', options.command)
        topology = cli.chosen_topology(options)
        self.assertEqual((1, True), (topology.computes, topology.kvm))

    def test_gate(self):
        options = cli.parse(['gate', '--nova', '~/nova'])
        self.assertEqual(('gate', '~/nova', None, 'quick', 50), (
            options.command, options.checkout, options.base, options.profile,
            options.limit))
        for arguments, said in ((['gate'], '--nova'), (
                ['gate', '--nova', 'x', '--limit', '0'], '1 to 1440'), (
                ['gate', '--nova', 'x', '--profile', 'osic'], 'osic')):
            code, text = self._exit(*arguments)
            self.assertEqual(2, code)
            self.assertIn(said, text)

    def test_options_before_the_command(self):
        topology = cli.chosen_topology(cli.parse(
            ['--computes', '3', '--kvm', '--storage', 'block', 'up']))
        self.assertEqual((3, True, 'block'), (
            topology.computes, topology.kvm, topology.storage))

    def test_options_on_both_sides_of_the_command(self):
        topology = cli.chosen_topology(cli.parse(
            ['--computes', '3', '--kvm', 'up', '--computes', '1']))
        self.assertEqual((1, True), (topology.computes, topology.kvm))

    def test_options_of_a_cloud_that_is_up_already(self):
        for given in (['--computes', '2'], ['--storage', 'block'], ['--kvm'],
                      ['--max-concurrent-live-migrations', '1'],
                      ['--volumes'], ['--heat'], ['--from', 'nova=33.0.2'],
                      ['--nova', '33.0.2']):
            for command in (['status'], ['logs', 'x'], ['exec', 'ls'],
                            ['down'], ['destroy'], ['run']):
                status, text = self._exit(*given, *command)
                self.assertEqual(2, status)
                # --nova is a short form.
                option = given[0].replace('--nova', '--from')
                self.assertIn(f'{option} does not go with {command[0]}', text)

    def test_keep_is_for_the_run_of_everything(self):
        for command in (['up'], ['status'], ['down']):
            status, text = self._exit('--keep', *command)
            self.assertEqual(2, status)
            self.assertIn('--keep does not go with', text)

    def test_bounds_of_computes(self):
        for number in ('1', '8'):
            self.assertEqual(int(number), cli.parse(
                ['up', '--computes', number]).computes)
        for number in ('0', '9', '-1', 'two', '', '2.5'):
            status, text = self._exit('up', f'--computes={number}')
            self.assertEqual(2, status)
            self.assertIn('is not a number from 1 to 8', text)

    def test_suites_of_hosts(self):
        chosen = cli.chosen_topology(cli.parse(
            ['up', '--qemu-on', 'compute1=trixie, compute2=trixie-backports']))
        self.assertEqual('compute1=trixie,compute2=trixie-backports',
                         chosen.qemu_on)
        for text in ('', 'compute1', 'compute1=', '=trixie',
                     'compute1=trixie,', 'compute1=trixie,compute1=forky'):
            status, output = self._exit('up', f'--qemu-on={text}')
            self.assertEqual(2, status)
            self.assertIn('has not the form HOST=SUITE', output)

    def test_bounds_of_concurrent_live_migrations(self):
        for before, after in (([], ['up']), (['up'], []), ([], [])):
            for number in ('1', '16'):
                options = cli.parse([
                    *before, '--max-concurrent-live-migrations', number,
                    *after])
                chosen = cli.chosen_topology(options)
                self.assertEqual(int(number),
                                 chosen.max_concurrent_live_migrations)
        for number in ('0', '17', '-1', 'all', ''):
            status, text = self._exit(
                'up', f'--max-concurrent-live-migrations={number}')
            self.assertEqual(2, status)
            self.assertIn('is not a number from 1 to 16', text)

    def test_described_as_it_is_asked_for(self):
        given = ['--computes', '3', '--storage', 'block', '--kvm',
                 '--max-concurrent-live-migrations', '2']
        self.assertEqual(given, cli.chosen_topology(
            cli.parse(['up', *given])).describe().split())

    def test_ceph(self):
        options = cli.parse(['up', '--storage', 'ceph'])
        self.assertEqual('ceph', cli.chosen_topology(options).storage)

    def test_volumes(self):
        for given in (['up', '--storage', 'ceph', '--volumes'],
                      ['--volumes', 'up', '--storage', 'ceph'],
                      ['--storage', 'ceph', '--volumes']):
            made = cli.chosen_topology(cli.parse(given))
            self.assertEqual(('ceph', True), (made.storage, made.volumes))
        self.assertFalse(cli.chosen_topology(cli.parse(
            ['up', '--storage', 'ceph'])).volumes)

    def test_heat(self):
        for given in (['up', '--heat'], ['--heat', 'up'], ['--heat']):
            self.assertTrue(cli.chosen_topology(cli.parse(given)).heat)
        self.assertFalse(cli.chosen_topology(cli.parse(['up'])).heat)

    def test_nova(self):
        checkout = self.folder / 'nova'
        self.write(checkout / 'setup.cfg', '[metadata]\nname = nova\n')
        (checkout / '.git').mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        options = cli.parse([
            'up', '--nova', 'nova', '--nova-on', 'compute1=33.0.2',
            '--nova-on', 'compute2=./nova', '--reload'])
        self.assertTrue(options.reload)
        made = cli.chosen_topology(options)
        self.assertEqual(
            ((f'nova={checkout}',),
             ('compute1=33.0.2', f'compute2={checkout}')),
            (made.sources, made.nova_on))
        self.assertEqual(('nova=33.0.2',), cli.chosen_topology(cli.parse(
            ['--nova', '33.0.2'])).sources)
        self.assertFalse(cli.parse(['up']).reload)

    def test_no_nova(self):
        for given in ('nonesuch', '33'):
            message = self.refused(cli.chosen_topology, cli.parse(
                ['up', '--nova', given]))
            self.assertIn('is neither a release of nova', message)
            self.assert_sentence(message)
        for given in ('compute1', 'compute1=', '=33.0.2'):
            status, text = self._exit('up', '--nova-on', given)
            self.assertEqual(2, status)
            self.assertIn('is neither HOST=VERSION nor HOST=PATH', text)
        status, text = self._exit('up', '--nova-on', 'compute1=33.0.2',
                                  '--nova-on', 'compute1=34.0.0')
        self.assertEqual(2, status)
        self.assertIn('--nova-on names compute1 twice', text)

    def test_from(self):
        checkout = self.folder / 'vif'
        self.write(checkout / 'setup.cfg', '[metadata]\nname = os-vif\n')
        (checkout / '.git').mkdir()
        self.assertEqual(
            ('openstack-placement=16.0.0', f'os-vif={checkout}',
             'nova=34.0.0'),
            cli.chosen_topology(cli.parse([
                'up', '--from', 'placement=16.0.0', '--from',
                f'os_vif={checkout}', '--nova', '34.0.0'])).sources)

    def test_no_project(self):
        self.write(self.folder / 'empty' / 'README')
        for given, said in (
                (['novas=34.0.0'], "'novas' is no project of the cloud: lab/"),
                (['os-vif=4'], "'4' is neither a release of os-vif"),
                ([f'os-vif={self.folder}/empty'],
                 'holds no os-vif: setup.cfg and pyproject.toml there name '
                 'no project.'),
                (['nova=34.0.0', 'neutron=29.0.0', 'nova=33.0.2'],
                 '--from names nova twice.'),
                (['os_vif=4.3.0', 'os-vif=4.3.0'],
                 '--from names os-vif twice.')):
            message = self.refused(cli.chosen_topology, cli.parse([
                'up', *(f'--from={each}' for each in given)]))
            self.assertIn(said, message)
        for given in ('nova', 'nova=', '=34.0.0'):
            status, text = self._exit('up', '--from', given)
            self.assertEqual(2, status)
            self.assertIn('is neither PROJECT=VERSION nor PROJECT=PATH', text)

    def test_volumes_without_ceph(self):
        for given in (['up', '--storage', 'block', '--volumes'],
                      ['up', '--volumes'], ['--volumes']):
            status, text = self._exit(*given)
            self.assertEqual(2, status)
            self.assertIn('--volumes does not go with --storage block', text)
            self.assertEqual('--storage' not in given,
                             ', the default' in text)

    def test_unknown_storage(self):
        status, text = self._exit('up', '--storage', 'floppy')
        self.assertEqual(2, status)
        self.assertIn('floppy', text)

    def test_unknown_option(self):
        for arguments in (['--nonsense'], ['up', '--nonsense'],
                          ['down', '--nonsense'], ['status', 'x']):
            status, text = self._exit(*arguments)
            self.assertEqual(2, status)
            self.assertIn(arguments[-1], text)

    def test_unknown_command(self):
        status, text = self._exit('sideways')
        self.assertEqual(2, status)
        self.assertIn('sideways', text)

    def test_run_passes_everything_on(self):
        given = ['--regex', 'a b', '--keep', '--computes', '9', '--', '-h',
                 '--help', '']
        options = cli.parse(['run', *given])
        self.assertEqual('run', options.command)
        self.assertEqual(given, options.arguments)

    def test_run_without_arguments(self):
        self.assertEqual(['--regex', 'live_migration_ha'],
                         cli.parse(['run']).arguments)

    def test_a_profile_for_tempest(self):
        options = cli.parse(['run', '--profile', 'x.conf', '--list'])
        self.assertEqual('x.conf', str(options.profile))
        self.assertEqual(['--list'], options.arguments)
        self.assertIsNone(cli.parse(['run', '--list']).profile)
        self.assertEqual(2, self._exit('run', '--profile')[0])

    def test_run_help_is_ours(self):
        for option in ('-h', '--help'):
            status, text = self._exit('run', option)
            self.assertEqual(0, status)
            self.assertIn('usage: run-lab.sh run', text)

    def test_help_names_every_command(self):
        status, text = self._exit('--help')
        self.assertEqual(0, status)
        for command in ('up', 'run', 'exec', 'status', 'logs', 'down',
                        'destroy', 'LM_LAB_DIR'):
            self.assertIn(command, text)

    def test_exec(self):
        for arguments, host, command in (
                (['--', 'ls', '-l'], 'controller', ['ls', '-l']),
                (['ls', '-l'], 'controller', ['ls', '-l']),
                (['--host', 'compute1', '--', 'ls'], 'compute1', ['ls']),
                (['--host', 'compute1', 'ls'], 'compute1', ['ls']),
                (['--host=compute2', '--', 'sh', '-c', 'a', '--', '-x'],
                 'compute2', ['sh', '-c', 'a', '--', '-x']),
                (['--', 'x', '--host', 'y'], 'controller',
                 ['x', '--host', 'y'])):
            options = cli.parse(['exec', *arguments])
            self.assertEqual((host, command),
                             (options.host, options.arguments), arguments)

    def test_exec_without_a_command(self):
        for arguments in ([], ['--'], ['--host', 'compute1'],
                          ['--host', 'compute1', '--']):
            status, text = self._exit('exec', *arguments)
            self.assertEqual(2, status)
            self.assertIn('which command', text)

    def test_logs(self):
        options = cli.parse(['logs', 'mariadb'])
        self.assertEqual(('mariadb', 100, False), (
            options.service, options.lines, options.follow))
        options = cli.parse(['logs', '-f', '--lines', '5', 'glance'])
        self.assertEqual(('glance', 5, True), (
            options.service, options.lines, options.follow))

    def test_logs_needs_a_number_of_lines(self):
        for text in ('all', '-1', '1.5'):
            status, said = self._exit('logs', 'x', f'--lines={text}')
            self.assertEqual(2, status)
            self.assertIn('is not a number of lines', said)

    def test_logs_needs_a_service(self):
        self.assertEqual(2, self._exit('logs')[0])

    def test_plain_commands(self):
        for command in ('status', 'down', 'destroy'):
            self.assertEqual(command, cli.parse([command]).command)
