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

"""Configuration files name the Zuul's own paths, keys and ports."""

import configparser
import json
import os
import pathlib
import subprocess

from gate import machine
from gate import rest
from gate import services
from gate.tests import base
from lab import layout
from lab.machine import debian


class ServicesTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(os, 'environ', {
            'PATH': os.environ['PATH'], 'PIP_CERT': '/a b.pem',
            'SECRET': 'secret'})
        self.services = services.Services(self.paths)
        self.commands = []
        self.patch(debian, 'run_installer', self.install)

    def install(self, command, log, doing, **_):
        """Write the files that a command would write."""
        self.commands.append(command)
        for option in ('-f', '-out', '-keyout'):
            if option in command:
                path = pathlib.Path(command[command.index(option) + 1])
                path.write_text(f'{path.name}\n')
                if option == '-f':
                    path.with_suffix('.pub').write_text(
                        f'ssh-ed25519 {path.name}-key comment\n')

    def configured(self, name):
        self.services.configure()
        return (self.paths.etc(machine.HOST) / name).read_text()

    def test_zuul(self):
        parser = configparser.RawConfigParser()
        parser.read_string(self.configured('zuul.conf'))
        for name in services.ZUUL:
            self.assertEqual(f'{self.paths.services}/{name}',
                             parser[name]['state_dir'])
            self.assertTrue((self.services.etc / f'log-{name}.yaml').exists())
        self.assertEqual('/run/jobs', parser['executor']['job_dir'])
        self.assertEqual(str(rest.PORT), parser['web']['port'])
        tenant = pathlib.Path(parser['scheduler']['tenant_config'])
        self.assertIn('openstack/nova', tenant.read_text())

    def test_known_hosts_have_the_new_key(self):
        self.services.configure()
        self.assertEqual(
            '127.0.0.1 ssh-ed25519 host-key\n'
            '[127.0.0.1]:29418 ssh-ed25519 host-key\n',
            (self.paths.node / '.ssh' / 'known_hosts').read_text())

    def test_home_of_root(self):
        root, *others = self.configured('etc-passwd').splitlines()
        self.assertEqual(f'root:x:0:0:root:{self.paths.node}:/bin/bash', root)
        with open('/etc/passwd', encoding='utf-8') as stream:
            self.assertEqual(stream.read().splitlines()[1:], others)

    def test_sessions_know_where_packages_are(self):
        text = self.configured('sshd-node')
        self.assertIn('"PIP_CERT=/a b.pem"', text)
        self.assertIn(f'"HOME={self.paths.node}"', text)
        self.assertNotIn('secret', text)
        self.assertNotIn('ForceCommand', text)

    def test_review_server_runs_no_other_command(self):
        self.assertIn(f'-m gate.review {self.paths.review}\n',
                      self.configured('sshd-review'))

    def test_programs(self):
        text = self.configured('supervisord.conf')
        for program in self.services.programs():
            self.assertIn(f'[program:{program.identifier}]', text)
            self.assertEqual(program.identifier != 'sshd-node',
                             program.command[0] == 'nice')

    def test_store_of_zookeeper_has_certificate_and_key(self):
        self.assertEqual('zookeeper.pem\nzookeeper.key\n', self.configured(
            'certificates/zookeeper-store.pem'))

    def test_steps_need_each_other(self):
        self.patch(services.Services, 'supervisor')
        found = {step.name: step for step in self.services.steps()}
        self.assertEqual({program.identifier for program
                          in self.services.programs()},
                         set(found) - {'Zuul takes changes'})
        for name in services.ZUUL:
            self.assertIn('zookeeper', found[name].needs)
        self.assertEqual(services.ZUUL, found['Zuul takes changes'].needs)

    def test_database(self):
        supervisor = self.patch(services.Services, 'supervisor')
        self.patch(machine, 'find').return_value.pid = 7
        run = self.patch(subprocess, 'run', autospec=True)
        run.return_value.returncode = 0
        self.services._start_mariadb()
        self.assertEqual('mariadb-install-db', self.commands[0][0])
        supervisor.start.assert_called_once_with('mariadb')
        self.assertIn('--target=7', run.call_args.args[0])


class ConfigTest(base.TestCase):
    """The config project."""

    def render(self, name, **values):
        files = services.Services(self.paths)
        return files.render(f'config/{name}.yaml', label='a-label',
                            parents=('a-parent',), nova='openstack/nova',
                            plugin='openstack/plugin', host_key='ssh-x key',
                            **({'job': 'a-job', 'tests': ''} | values))

    def test_projects(self):
        text = self.render('projects')
        self.assertEqual(2, text.count('        - a-job\n'))
        self.assertNotIn('lab_tests', text)

    def test_tests(self):
        text = self.render('projects', tests='a|"b"')
        self.assertEqual(2, text.count('        - a-job:\n'))
        line = next(line for line in text.splitlines() if 'lab_tests' in line)
        self.assertEqual('a|"b"', json.loads(line.partition(': ')[2]))

    def test_node(self):
        text = self.render('providers')
        self.assertIn('host-key: ssh-x key\n', text)
        self.assertIn(f'connection-port: {services.PORTS["node"]}\n', text)

    def test_jobs(self):
        text = self.render('jobs')
        self.assertIn('- job:\n    name: a-parent\n    abstract: true\n', text)
        self.assertIn(f'builds: {self.paths.builds}\n', text)


class CheckTest(base.TestCase):

    def test_java(self):
        self.patch(services.shutil, 'which', autospec=True,
                   return_value='/usr/bin/java')
        services.check_java()
        services.shutil.which.return_value = None
        self.assertIn('default-jre-headless', self.refused(
            services.check_java))

    def test_templates_of_the_lab_are_there(self):
        self.assertTrue((layout.REPOSITORY / 'lab' / 'templates' /
                         'supervisord.conf.j2').exists())
