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
import os
import pathlib
import shlex
import sys

from lab.machine import qemu
from lab import services
from lab.services.base import Lab
from lab.services.base import Program
from lab.services.base import Service
from lab import supervisor
from lab.tests.unit import base
from lab.topology import Topology

CONTROLLER = {
    'mariadb', 'rabbitmq', 'memcached', 'ovn-nb', 'ovn-sb', 'ovn-northd',
    'keystone', 'placement', 'glance', 'neutron', 'nova-api',
    'nova-metadata', 'neutron-ovn-maintenance-worker', 'nova-conductor',
    'nova-scheduler'}
COMPUTE = {'ovsdb', 'ovs-vswitchd', 'ovn-controller', 'libvirtd',
           'nova-compute', 'neutron-ovn-metadata-agent', 'sshd', 'taps'}


class TestPlan(base.TestCase):

    def setUp(self):
        super().setUp()
        self.topology = Topology(computes=3)
        self.plan = self.programs(self.topology)
        self.known = {each.identifier: each for each in self.plan}

    def programs(self, topology):
        return Lab(self.layout, topology).programs

    def applications(self, topology):
        return [each for service in Lab(self.layout, topology).services
                for each in service.applications()]

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
        topology = Topology(storage='ceph')
        found = {each.identifier: each
                 for each in self.programs(topology)}
        added = set(found) - {each.identifier for each in self.programs(
            Topology())}
        self.assertEqual({'ceph-mon', 'ceph-mgr', 'ceph-osd'}, added)
        for name in added:
            self.assertEqual('controller', found[name].host)
            # The supervisor needs programs that stay in the foreground.
            self.assertIn('-f', found[name].command)
        # Guests wait for these.
        self.assertEqual({'ceph-mon', 'ceph-osd'}, {
            name for name in added if found[name].nice < 0})

    def test_volumes(self):
        topology = Topology(storage='ceph', volumes=True)
        found = {each.identifier: each
                 for each in self.programs(topology)}
        added = set(found) - {each.identifier for each in self.programs(
            Topology(storage='ceph'))}
        self.assertEqual({'cinder-api', 'cinder-scheduler', 'cinder-volume'},
                         added)
        option = f'--config-file={self.layout.etc("controller")}/cinder.conf'
        for name in added:
            self.assertEqual('controller', found[name].host)
            self.assertEqual(0, found[name].nice)
        for name in services.storage.DAEMONS:
            self.assertIn(option, found[name].command)

    def test_identifiers_name_the_host(self):
        self.assertIn('mariadb', self.known)
        self.assertEqual('compute2', self.known['compute2-libvirtd'].host)

    def test_one_compute(self):
        plan = self.programs(Topology(computes=1))
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
            own, cloud, _ = values['PATH'].split(':', 2)
            # A tool that it calls has the code of its project.
            expected = {'neutron': 'neutron', 'keystone': 'keystone',
                        'placement': 'openstack-placement'}.get(each.name)
            if expected or each.name.startswith(('nova', 'libvirtd')):
                self.assertEqual(f'{self.layout.code}/{expected or "nova"}/'
                                 f'{each.host}/bin', own)
            self.assertEqual(f'{self.layout.venvs}/cloud/bin', cloud)
            # Nothing is written outside of the lab.
            for name in ('HOME', 'TMPDIR'):
                self.assertIn(self.layout.data(each.host),
                              (pathlib.Path(values[name]),
                               *pathlib.Path(values[name]).parents))

    def test_ports_are_unique(self):
        ports = [each.port for each in self.applications(
            Topology(storage='ceph', volumes=True))]
        self.assertEqual(len(ports), len(set(ports)))

    def test_applications(self):
        for application in self.applications(self.topology):
            program = self.known[application.name]
            values = dict(program.environment)
            for name, value in application.environment:
                self.assertEqual(value, values[name])
            self.assertTrue(program.command[-1].endswith(
                f'/uwsgi-{application.name}.ini'))

    def test_nova_of_the_host(self):
        for each in self.plan:
            own = self.layout.nova(each.host)
            if each.name in ('nova-api', 'nova-metadata'):
                # The script of uWSGI names the interpreter of the cloud.
                self.assertEqual(f'{own}/bin/python3', each.command[0])
                self.assertEqual(f'{self.layout.venvs}/cloud/bin/uwsgi',
                                 each.command[1])
            else:
                self.assertEqual(
                    each.name.startswith('nova-'),
                    each.command[0] == f'{own}/bin/{each.name}', each.name)

    def test_paste_file_of_nova_comes_first(self):
        values = dict(self.known['nova-api'].environment)
        first, second = values['OS_NOVA_CONFIG_FILES'].split(';')
        self.assertEqual(f'{self.layout.nova("controller")}/etc/nova/'
                         f'api-paste.ini', first)
        self.assertEqual('nova.conf', second)


class TestProgram(base.TestCase):

    def _program(self, *command, host='controller', **environment):
        return Program(host, 'x', command,
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


class TestRun(base.TestCase):

    def test_output(self):
        self.assertEqual('a 1\n', services.base.run('echo', 'a', 1))

    def test_input(self):
        self.assertEqual('SELECT 1;', services.base.run(
            'cat', text='SELECT 1;'))

    def test_environment(self):
        os.environ['LAB_TEST_OLD'] = 'old'
        self.assertEqual('old new\n', services.base.run(
            'sh', '-c', 'echo $LAB_TEST_OLD $LAB_TEST_NEW',
            LAB_TEST_NEW='new'))

    def test_host(self):
        self.program('nsenter', 'echo "$@"')
        said = services.base.run('ovs-vsctl', 'show', host='compute2').split()
        self.assertIn('--net=/run/lab/compute2/net', said)
        self.assertEqual(['--', 'ovs-vsctl', 'show'], said[-3:])

    def test_failure_tells_the_last_line(self):
        self.program('some-tool', 'echo out; echo noise >&2; '
                     'echo "the reason" >&2; exit 2')
        message = self.refused(services.base.run, 'some-tool', 'db', 'sync')
        self.assertEqual('some-tool db sync failed on controller: the reason',
                         message)

    def test_failure_names_the_program_and_not_its_folder(self):
        self.program('some-tool', 'exit 2')
        message = self.refused(services.base.run,
                               self.folder / 'bin' / 'some-tool', 'x')
        self.assertTrue(message.startswith('some-tool x failed'), message)
        self.assertTrue(message.endswith('it printed nothing'), message)

    def test_failure_on_a_host(self):
        self.program('nsenter', 'echo no; exit 1')
        message = self.refused(services.base.run, 'ovs-vsctl', host='compute1')
        self.assertIn('failed on compute1: no', message)

    def test_long_command_is_cut(self):
        self.program('some-tool', 'exit 1')
        message = self.refused(services.base.run, 'some-tool', 'x' * 1000)
        self.assertLess(len(message), 150)


class TestDiscover(base.TestCase):

    def test_names_are_unique(self):
        kinds = services.base.discover()
        self.assertGreater(len(kinds), 12)
        self.assertEqual(len(kinds), len({kind.name for kind in kinds}))
        self.assertEqual(len(kinds), len({kind.__name__ for kind in kinds}))

    def test_a_module_is_all_that_a_new_service_needs(self):
        self.write(self.folder / 'lab_extra.py', """
from lab.services import base

class Extra(base.Service):
    name = 'extra'
    packages = ('extra-server',)
    needs = ('rabbitmq',)

    def programs(self):
        return [self.program('extrad', '/usr/sbin/extrad')]
""")
        self.patch(services, '__path__', [
            *services.__path__, str(self.folder)])
        name = 'lab.services.lab_extra'
        self.addCleanup(sys.modules.pop, name, None)
        lab = Lab(self.layout, Topology())
        self.assertIn('extrad', {each.name for each in lab.programs})
        self.assertIn('extra-server', lab.packages)

    def test_a_service_that_is_not_part_of_the_lab(self):
        with self.assertRaisesRegex(LookupError, 'Cinder'):
            Lab(self.layout, Topology()).find(services.storage.Cinder)


class TestPackages(base.TestCase):

    def test_tools_are_no_service(self):
        lab = Lab(self.layout, Topology(storage='ceph', volumes=True))
        self.assertEqual(set(), lab.packages & {*services.base.TOOLS})

    def test_each_once(self):
        for names in (services.base.TOOLS, *(
                kind.packages for kind in services.base.discover())):
            self.assertEqual(len(names), len(set(names)))

    def test_qemu_is_left_to_its_own_module(self):
        lab = Lab(self.layout, Topology(storage='ceph', volumes=True))
        self.assertEqual(set(), {*qemu.PACKAGES} & {
            *services.base.TOOLS, *lab.packages})


class TestStart(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.patch(supervisor, 'wait_for_port', lambda *args: (
            self.events.append(args)))
        lab = Lab(self.layout, Topology())
        lab.supervisor = self
        self.service = Service(lab, lab.topology.compute_hosts[0])

    def start(self, name):
        self.events.append(name)

    def test_order(self):
        self.service.start(self.service.program(
            'x', '/x', port=7, before=lambda: self.events.append('before'),
            after=lambda: self.events.append('after')))
        self.assertEqual(
            ['before', 'compute1-x', ('compute1-x', '198.18.0.11', 7),
             'after'], self.events)

    def test_program_without_a_port(self):
        self.service.start(self.service.program('x', '/x'))
        self.assertEqual(['compute1-x'], self.events)

    def test_needs(self):
        program = self.service.program('x', '/x', needs=('y',))
        self.patch(Service, 'needs', ('z',))
        self.patch(Service, 'programs', lambda _: [program])
        [step] = self.service.steps()
        self.assertEqual('compute1-x', step.name)
        self.assertEqual({services.base.HOSTS, 'y', 'z'}, set(step.needs))
