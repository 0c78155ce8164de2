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

import dataclasses
import pathlib
import shlex

from lab.cloud import programs
from lab.tests.unit import base
from lab import topology as topologies

CONTROLLER = {
    'mariadb', 'rabbitmq', 'memcached', 'ovn-nb', 'ovn-sb', 'ovn-northd',
    'keystone', 'placement', 'glance', 'neutron', 'nova-api',
    'nova-metadata', 'neutron-ovn-maintenance-worker', 'nova-conductor',
    'nova-scheduler'}
COMPUTE = {'ovsdb', 'ovs-vswitchd', 'ovn-controller', 'libvirtd',
           'nova-compute', 'neutron-ovn-metadata-agent', 'sshd'}


class TestPlan(base.TestCase):

    def setUp(self):
        super().setUp()
        self.topology = topologies.Topology(computes=3)
        self.plan = programs.plan(self.layout, self.topology)
        self.known = {each.identifier: each for each in self.plan}

    def test_identifiers_and_logs_are_unique(self):
        self.assertEqual(len(self.plan), len(self.known))
        self.assertEqual(len(self.plan), len({each.log
                                              for each in self.plan}))

    def test_each_host_has_its_services(self):
        for host in self.topology.hosts:
            names = {each.name for each in self.plan
                     if each.host == host.name}
            self.assertEqual(CONTROLLER if host.is_controller else COMPUTE,
                             names)

    def test_ceph(self):
        topology = topologies.Topology(storage='ceph')
        found = {each.identifier: each
                 for each in programs.plan(self.layout, topology)}
        added = set(found) - {each.identifier for each in programs.plan(
            self.layout, topologies.Topology())}
        self.assertEqual({'ceph-mon', 'ceph-mgr', 'ceph-osd'}, added)
        for name in added:
            self.assertEqual('controller', found[name].host)
            # The supervisor keeps what stays in the foreground.
            self.assertIn('-f', found[name].command)
        # Guests wait for these.
        self.assertEqual({'ceph-mon', 'ceph-osd'}, {
            name for name in added if found[name].nice < 0})

    def test_volumes(self):
        topology = topologies.Topology(storage='ceph', volumes=True)
        found = {each.identifier: each
                 for each in programs.plan(self.layout, topology)}
        added = set(found) - {each.identifier for each in programs.plan(
            self.layout, topologies.Topology(storage='ceph'))}
        self.assertEqual({'cinder-api', 'cinder-scheduler', 'cinder-volume'},
                         added)
        option = f'--config-file={self.layout.etc("controller")}/cinder.conf'
        for name in added:
            self.assertEqual('controller', found[name].host)
            self.assertEqual(0, found[name].nice)
        for name in programs.CINDER:
            self.assertIn(option, found[name].command)

    def test_identifiers_name_the_host(self):
        self.assertIn('mariadb', self.known)
        self.assertEqual('compute2', self.known['compute2-libvirtd'].host)

    def test_one_compute(self):
        plan = programs.plan(self.layout, topologies.Topology(computes=1))
        self.assertEqual({'controller', 'compute1'},
                         {each.host for each in plan})

    def test_commands_are_absolute(self):
        for each in self.plan:
            self.assertTrue(pathlib.Path(each.command[0]).is_absolute(),
                            each.command)
            for word in each.command:
                self.assertIsInstance(word, str)

    def test_logs_lie_in_the_labs_folder(self):
        for each in self.plan:
            self.assertEqual(
                self.layout.log / f'{each.identifier}.log', each.log)

    def test_programs_of_a_host_run_inside_of_it(self):
        words = shlex.split(self.known['compute2-libvirtd'].command_line)
        self.assertEqual('nsenter', words[0])
        self.assertIn('--net=/run/lab/compute2/net', words)
        self.assertEqual(['/usr/sbin/libvirtd', '--listen'], words[-2:])
        words = shlex.split(self.known['mariadb'].command_line)
        self.assertEqual('/usr/sbin/mariadbd', words[0])

    def test_guests_and_their_packets_go_first(self):
        for each in self.plan:
            self.assertEqual(
                each.name.startswith(('ovs', 'ovn-')) or
                each.name == 'libvirtd', each.nice < 0, each.identifier)

    def test_programs_of_a_host_use_its_own_files(self):
        for each in self.plan:
            text = ' '.join((*each.command, each.environment_line))
            for host in self.topology.hosts:
                if host.name != each.host:
                    self.assertNotIn(f'/etc/{host.name}/', text)
                    self.assertNotIn(f'/data/{host.name}/', text)

    def test_environment(self):
        for each in self.plan:
            values = dict(each.environment)
            self.assertEqual(len(values), len(each.environment))
            self.assertTrue(values['PATH'].startswith(
                f'{self.layout.venvs}/cloud/bin:'))
            # Nothing is written outside of the lab.
            for name in ('HOME', 'TMPDIR'):
                self.assertIn(self.layout.data(each.host),
                              (pathlib.Path(values[name]),
                               *pathlib.Path(values[name]).parents))

    def test_ports_are_unique(self):
        ports = [each.port for each in programs.applications(
            self.layout, topologies.Topology(storage='ceph', volumes=True))]
        self.assertEqual(len(ports), len(set(ports)))

    def test_applications(self):
        for application in programs.applications(
                self.layout, self.topology):
            program = self.known[application.name]
            values = dict(program.environment)
            for name, value in application.environment:
                self.assertEqual(value, values[name])
            self.assertTrue(program.command[-1].endswith(
                f'/uwsgi-{application.name}.ini'))

    def test_paste_file_of_nova_comes_first(self):
        values = dict(self.known['nova-api'].environment)
        first, second = values['OS_NOVA_CONFIG_FILES'].split(';')
        self.assertTrue(first.endswith('/api-paste.ini'))
        self.assertEqual('nova.conf', second)


class TestProgram(base.TestCase):

    def _program(self, *command, host='controller', **environment):
        return programs.Program(host, 'x', command,
                                tuple(environment.items()), self.folder)

    def test_quoting(self):
        command = ('/bin/a b', "it's", '$HOME', '"x"', '')
        self.assertEqual(list(command), shlex.split(
            self._program(*command).command_line))

    def test_priority(self):
        program = dataclasses.replace(self._program('/x', host='compute1'),
                                      nice=-5)
        words = shlex.split(program.command_line)
        self.assertEqual(['nice', '--adjustment=-5', '/x'], words[-3:])
        self.assertEqual('nsenter', words[0])

    def test_environment(self):
        self.assertEqual('A="1 2",B="3,4"', self._program(
            '/x', A='1 2', B='3,4').environment_line)
