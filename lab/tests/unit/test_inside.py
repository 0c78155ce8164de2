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
import dataclasses
import graphlib
import io
import json
import re
import shutil
import subprocess
import threading
import types

import keystoneauth1.exceptions
import openstack
import pyroute2

from lab import configuration
from lab import errors
from lab.hosts import namespaces
from lab.hosts import network
from lab import inside
from lab import reload
from lab import services
from lab.services.base import Lab
from lab.services.base import Service
from lab.services import ceph
from lab.services import heat
from lab.services import hypervisors
from lab.services import infrastructure
from lab.services import keystone
from lab import steps
from lab import supervisor
from lab.tests.unit import base
from lab.topology import Topology
from lab import workspace


class Cloud(base.TestCase):
    """A cloud in which everything goes well at once, and is written down."""

    def setUp(self):
        super().setUp()
        self.lock = threading.Lock()
        self.events = []
        done = subprocess.CompletedProcess([], 0, b'mariadbd 10.11')
        self.patch(infrastructure.subprocess, 'run', return_value=done)
        configuration.passwords(self.layout)
        self.run_nova(**{host.name: self.nova()
                         for host in Topology(computes=8).hosts})
        self.patch(supervisor.Supervisor, 'start',
                   lambda _, name: self.note(f'start {name}'))
        self.patch(supervisor.Supervisor, 'stop',
                   lambda _, name: self.note(f'stop {name}'))
        self.patch(services.base, 'run', self._run)
        self.patch(
            supervisor, 'wait_for_port', lambda name, address, port: (
                self.note(f'port of {name}'), self.ports.append(port)))
        self.ports = []
        self.patch(namespaces, 'make_compute', lambda paths, host: self.note(
            f'host {host}'))
        self.patch(network, 'make', lambda topology: self.note('network'))
        self.patch(hypervisors, 'make_keys', lambda paths, topology: self.note(
            f'keys of {len(topology.compute_hosts)} hosts'))
        self.patch(keystone.Keystone, 'add_users', lambda _, owners, **new: (
            self.note('accounts' if new else f'account of {owners[0].name}')))
        self.cloud = object()
        self.patch(keystone, 'connect', lambda paths: self.cloud)
        for owner, name in ((workspace, 'make_flavors'),
                            (workspace, 'make_image'),
                            (workspace, 'lift_quotas'),
                            (workspace, 'make_network'),
                            (inside, 'wait_until_ready'),
                            (workspace, 'make')):
            self.patch(owner, name, self._noting(
                f'{owner.__name__.rpartition(".")[2]}.{name}'))

    def _noting(self, what):
        return lambda *_: self.note(what)

    def note(self, what):
        with self.lock:
            self.events.append(what)

    def _run(self, *command, **_):
        words = [str(word).rpartition('/')[2] for word in command]
        self.note(f'{words[0]} {" ".join(words[1:])}')
        data = self.layout.data('controller') / 'mariadb'
        if words[0] == 'mariadb-install-db':
            data.mkdir(parents=True)

    def plan(self, computes=2, **topology):
        return inside.StartPlan(Lab(self.layout, Topology(
            computes=computes, **topology))).all_steps()

    def run_plan(self, computes=2, **topology):
        nobody = types.SimpleNamespace(
            began=self._noting('...'), ended=lambda *_: None,
            failed=lambda *_: None)
        steps.run(self.plan(computes, **topology), nobody)

    def keep(self):
        """Prepare databases, as an earlier cloud did."""
        self.run_plan()
        for folder in (self.layout.data('controller'),):
            folder.rename(self.folder / 'old')
        self.events.clear()
        self.ports.clear()

    def assert_order(self, *events):
        """Each of them happened once, in this order."""
        for event in events:
            self.assertEqual(1, self.events.count(event), event)
        places = [self.events.index(event) for event in events]
        self.assertEqual(sorted(places), places, events)

    def first(self, beginning):
        return next(event for event in self.events
                    if event.startswith(beginning))


class TestPlan(Cloud):

    def _check_graph(self, computes):
        plan = self.plan(computes)
        names = [step.name for step in plan]
        self.assertEqual(len(names), len(set(names)))
        for step in plan:
            self.assertLessEqual(set(step.needs), set(names), step.name)
        graphlib.TopologicalSorter(
            {step.name: step.needs for step in plan}).prepare()

    def test_graph(self):
        for computes in (1, 2, 3):
            self._check_graph(computes)
        self.keep()
        for computes in (1, 2, 3):
            self._check_graph(computes)

    def _check_programs(self, computes):
        started = [event.removeprefix('start ') for event in self.events
                   if event.startswith('start ')]
        plan = Lab(self.layout, Topology(computes=computes)).programs
        self.assertEqual({each.identifier for each in plan}, set(started))
        return started

    def test_older_nova_registers_first(self):
        self.run_nova(compute2=self.nova('nova-33.0.2', age=72))
        registered = []
        self.cloud = types.SimpleNamespace(compute=types.SimpleNamespace(
            services=lambda **query: registered.append(query) or iter('x')))
        self.patch(reload, 'restart', lambda lab, names: self.note(
            f'restart {" ".join(sorted(names))}'))
        real = self.note

        def note(event):
            if event == 'start compute1-nova-compute':
                self.assertEqual([{'host': 'compute2',
                                   'binary': 'nova-compute'}], registered)
            real(event)
        self.note = note
        self.run_plan()
        self.assertIn('start compute1-nova-compute', self.events)
        # It chose its messages when there was no nova-compute.
        ready = 'inside.wait_until_ready'
        at = self.events.index('restart nova-api nova-conductor '
                               'nova-metadata nova-scheduler')
        self.assertEqual((1, 1), (self.events[:at].count(ready),
                                  self.events[at:].count(ready)))

    def test_every_program_is_started_once(self):
        for computes in (1, 3):
            self.events.clear()
            self.run_plan(computes)
            started = self._check_programs(computes)
            # The databases' server is started again when they are kept.
            started.remove('mariadb')
            self.assertEqual(len(started), len(set(started)))
            self.layout.data('controller').rename(
                self.folder / f'old{computes}')
            for kept in self.layout.cache.iterdir():
                kept.rename(self.folder / f'kept{computes}')

    def test_every_program_is_started_once_with_kept_databases(self):
        self.keep()
        self.run_plan()
        started = self._check_programs(2)
        self.assertEqual(len(started), len(set(started)))
        self.assertNotIn('accounts', self.events)
        self.assertFalse([event for event in self.events
                          if 'manage' in event])

    def test_hosts_come_before_all_programs(self):
        self.run_plan()
        begin = self.events.index('network')
        for number, event in enumerate(self.events):
            if event.startswith('host '):
                self.assertLess(number, begin)
            elif not event.startswith('...'):
                self.assertGreaterEqual(number, begin, event)

    def test_order_of_databases_and_accounts(self):
        self.run_plan()
        bootstrap = next(event for event in self.events
                         if 'bootstrap-public-url' in event
                         or ' bootstrap ' in event)
        self.assert_order('port of rabbitmq', 'start nova-conductor')
        self.assert_order(bootstrap, 'start keystone', 'port of keystone',
                          'accounts', 'stop mariadb', 'start nova-scheduler')
        # These end if keystone does not know them.
        for name in ('placement', 'glance', 'neutron', 'nova-api',
                     'nova-metadata', 'nova-conductor'):
            self.assert_order('stop mariadb', f'start {name}')
        for name in ('neutron', 'nova-api', 'nova-conductor'):
            self.assert_order('port of rabbitmq', f'start {name}')
        self.assert_order('start memcached', 'start keystone')
        self.assertLess(self.events.index(self.first('nova-manage')),
                        self.events.index('start nova-api'))

    def test_order_on_a_compute_host(self):
        self.run_plan()
        for host in ('compute1', 'compute2'):
            self.assert_order('start ovn-sb', f'start {host}-ovsdb',
                              f'start {host}-ovs-vswitchd',
                              f'start {host}-ovn-controller',
                              f'start {host}-nova-compute')
            self.assert_order(f'start {host}-libvirtd',
                              f'start {host}-nova-compute')
            self.assert_order('start nova-conductor',
                              f'start {host}-nova-compute')
            self.assert_order('keys of 2 hosts', f'start {host}-sshd',
                              f'port of {host}-sshd', 'workspace.make')

    def test_ready_comes_last(self):
        self.run_plan()
        for event in ('workspace.make_flavors', 'workspace.make_image',
                      'workspace.lift_quotas',
                      'workspace.make_network', 'inside.wait_until_ready'):
            self.assert_order(event, 'workspace.make')
        for event in self.events:
            if (event.startswith('start ') and event != 'start mariadb'
                    and 'maintenance' not in event):
                self.assert_order(event, 'workspace.make')
        self.assert_order('start compute2-nova-compute',
                          'inside.wait_until_ready')

    def test_ports(self):
        self.run_plan()
        applications = [
            each for service in Lab(self.layout, Topology()).services
            for each in service.applications()]
        self.assertEqual(
            {22, 5672, 3306, *(each.port for each in applications)},
            set(self.ports))


class TestNeeds(Cloud):

    def _steps_with(self, **values):
        """Return the steps of a cloud with one more service, by name."""
        lab = Lab(self.layout, Topology())
        values = {'programs': lambda it: [it.program('more', '/x')], **values}
        kind = type('More', (Service,), {'name': 'more', **values})
        lab.services += [
            kind(lab, host) for host in lab.topology.hosts
            if host.is_controller is not kind.on_compute_hosts]
        return {step.name: step
                for step in inside.StartPlan(lab).all_steps()}

    def test_a_service_stands_for_all_its_steps(self):
        found = self._steps_with(needs=('nova',))
        self.assertEqual(
            {'hosts and networks', 'nova-api', 'nova-metadata',
             'nova-conductor', 'nova-scheduler'}, set(found['more'].needs))

    def test_a_program_comes_before_a_service_of_that_name(self):
        found = self._steps_with(needs=('neutron',))
        self.assertEqual({'hosts and networks', 'neutron'},
                         set(found['more'].needs))

    def test_the_same_host_comes_before_others(self):
        found = self._steps_with(needs=('libvirt', 'sshd', 'glance'),
                                 on_compute_hosts=True)
        self.assertEqual(
            {'hosts and networks', 'compute2-libvirtd', 'compute2-sshd',
             'glance'}, set(found['compute2-more'].needs))

    def test_the_controller_needs_all_compute_hosts(self):
        found = self._steps_with(needs=('libvirt',))
        self.assertEqual(
            {'hosts and networks', 'compute1-libvirtd', 'compute2-libvirtd'},
            set(found['more'].needs))

    def test_a_service_that_is_not_part_of_the_lab_is_no_need(self):
        found = self._steps_with(needs=('ceph', 'cinder'))
        self.assertEqual(('hosts and networks',), found['more'].needs)

    def test_unknown(self):
        with self.assertRaisesRegex(ValueError, "more needs 'oracle'"):
            self._steps_with(needs=('oracle',))

    def test_the_cloud_is_not_ready_without_it(self):
        self.assertIn('more', self._steps_with()['ready'].needs)


class TestCeph(Cloud):

    def setUp(self):
        super().setUp()
        for name in ('_make_monitor', '_make_store', '_make_pools'):
            self.patch(ceph.Ceph, name, self._noting(name))
        self.patch(ceph.CephClient, '_give_keys', lambda client: self.note(
            f'keys of {client.host.name}'))
        self.uploaded = []
        self.patch(workspace, 'make_image', lambda cloud, image, kind: (
            self.uploaded.append((image, kind)), self.note('upload')))

    def test_order(self):
        self.run_plan(storage='ceph')
        self.assert_order('network', '_make_monitor', 'start ceph-mon',
                          'port of ceph-mon', self.first('ceph '),
                          'start ceph-osd', '_make_pools', 'start glance',
                          'upload')
        self.assert_order('_make_store', self.first('ceph '))
        self.assert_order('port of ceph-mon', 'start ceph-mgr', '_make_pools')
        for host in ('compute1', 'compute2'):
            self.assert_order(f'start {host}-libvirtd', f'keys of {host}',
                              f'start {host}-nova-compute')
            self.assert_order('_make_pools', f'start {host}-nova-compute')

    def test_image_is_raw(self):
        self.run_plan(storage='ceph')
        [(image, kind)] = self.uploaded
        self.assertEqual('raw', kind)
        self.assertIn(self.layout.cloud, image.parents)
        self.assert_order(
            f'qemu-img convert -O raw {self.layout.image.name} {image.name}',
            'upload')

    def test_none_without_it(self):
        self.run_plan()
        self.assertNotIn('_make_monitor', self.events)
        self.assertEqual([(self.layout.image, 'qcow2')], self.uploaded)

    def test_volumes(self):
        self.run_plan(storage='ceph', volumes=True)
        # Kept databases are for every lab: they hold only the schema.
        self.assert_order('stop mariadb', 'account of cinder',
                          'start cinder-api', 'port of cinder-api',
                          'inside.wait_until_ready')
        self.assertLess(self.events.index(self.first('cinder-manage')),
                        self.events.index('stop mariadb'))
        for name in services.storage.DAEMONS:
            self.assert_order('stop mariadb', f'start {name}',
                              'inside.wait_until_ready')
            self.assert_order('port of rabbitmq', f'start {name}')
        self.assert_order('_make_pools', 'start cinder-volume')

    def test_volumes_with_kept_databases(self):
        self.keep()
        self.run_plan(storage='ceph', volumes=True)
        self.assert_order('port of keystone', 'account of cinder',
                          'start cinder-api')

    def test_no_volumes_without_them(self):
        self.run_plan(storage='ceph')
        self.assertFalse([event for event in self.events if re.match(
            'start cinder|account of', event)])
        # But kept databases are for labs with volumes, too.
        self.assertTrue(self.first('cinder-manage'))


class TestHeat(Cloud):

    def test_order(self):
        for name in ('make_domain', 'await_engine'):
            self.patch(heat.Heat, name, self._noting(name))
        self.run_plan(heat=True)
        # Its users are not kept with the databases.
        self.assert_order(self.first('heat-manage'), 'stop mariadb',
                          'account of heat', 'start heat-api',
                          'inside.wait_until_ready')
        self.assert_order('account of heat', 'make_domain',
                          'start heat-engine', 'inside.wait_until_ready')
        self.assert_order('port of rabbitmq', 'start heat-engine',
                          'await_engine', 'inside.wait_until_ready')

    def test_none_without_it(self):
        self.run_plan()
        self.assertFalse([event for event in self.events if 'heat' in event])


class TestMain(Cloud):

    def _main(self):
        topology = Topology(computes=1)
        module, name, command, *arguments = inside.start_command(
            self.layout, topology)
        self.assertEqual(('-m', inside.__name__), (module, name))
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = inside.COMMANDS[command](*arguments)
        self.out = out.getvalue()
        return status, err.getvalue()

    def test_success_shows_every_step(self):
        self.assertEqual((0, ''), self._main())
        for name in ('rabbitmq', 'keystone', 'compute1-nova-compute',
                     'Tempest workspace'):
            self.assertIn(f' s  {name}\n', self.out)

    def test_topology_arrives(self):
        arguments = inside.start_command(self.layout,
                                         Topology(computes=4, kvm=True))
        self.assertEqual(
            {'computes': 4, 'qemu_on': '', 'kvm': True, 'storage': 'block',
             'max_concurrent_live_migrations': 1, 'volumes': False,
             'heat': False, 'sources': [], 'nova_on': []},
            json.loads(arguments[-1]))

    def test_failure_is_one_sentence(self):
        self.patch(inside, 'wait_until_ready', side_effect=errors.LabError(
            'It lacks a hypervisor.', status=4))
        status, said = self._main()
        self.assertEqual(4, status)
        self.assertEqual('run-lab.sh: It lacks a hypervisor.\n', said)
        self.assertIn('ready: FAILED', self.out)
        self.assertNotIn('workspace.make', self.events)

    def test_interrupted(self):
        self.patch(network, 'make', side_effect=KeyboardInterrupt)
        self.assertEqual((130, ''), self._main())

    def test_failure_of_the_system(self):
        for error, expected in (
                (subprocess.CalledProcessError(1, ['ethtool']), 'ethtool'),
                (pyroute2.NetlinkError(17, 'File exists'), 'File exists'),
                (OSError(28, 'No space left on device'), 'disk is full'),
                (shutil.Error([('a', 'b', 'No space left on device')]),
                 'disk is full'),
                (errors.LabError('The supervisor does not answer.'),
                 'does not answer')):
            self.patch(network, 'make', side_effect=error)
            status, said = self._main()
            self.assertEqual(1, status)
            self.assertTrue(said.startswith('run-lab.sh: '), said)
            self.assertIn(expected, said)
            self.assertEqual(1, said.count('\n'))

    def test_failure_of_the_api(self):
        for error in (openstack.exceptions.SDKException('no flavors'),
                      keystoneauth1.exceptions.ConnectFailure('no flavors')):
            self.patch(workspace, 'make_flavors', side_effect=error)
            status, said = self._main()
            self.assertEqual(1, status)
            self.assertIn('no flavors', said)
            self.assertEqual(1, said.count('\n'))
            self.layout.data('controller').rename(
                self.folder / f'old-{type(error).__name__}')


def thing(**values):
    return types.SimpleNamespace(**values)


class ReadyCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.topology = Topology(computes=2)
        names = ('compute1', 'compute2')
        self.services = [
            thing(binary='nova-conductor', host='controller', state='up'),
            thing(binary='nova-scheduler', host='controller', state='up'),
            *(thing(binary='nova-compute', host=name, state='up')
              for name in names)]
        self.hypervisors = [thing(name=name) for name in names]
        self.agents = [
            thing(binary=binary, host=name, is_alive=True)
            for name in names
            for binary in ('ovn-controller', 'neutron-ovn-metadata-agent')]
        self.cloud = thing(
            compute=thing(services=lambda: iter(self.services),
                          hypervisors=lambda: iter(self.hypervisors)),
            network=thing(agents=lambda: iter(self.agents)))

    def _missing(self, **topology):
        lab = Lab(self.layout, dataclasses.replace(
            self.topology, **topology))
        return [each for service in lab.services
                for each in service.missing(self.cloud)]


class TestMissing(ReadyCase):

    def test_nothing(self):
        self.assertEqual([], self._missing())

    def test_empty_cloud(self):
        self.services, self.hypervisors, self.agents = [], [], []
        self.assertCountEqual(
            ['nova-conductor', 'nova-scheduler',
             *(f'{what} on {host}' for host in ('compute1', 'compute2')
               for what in ('nova-compute', 'ovn-controller',
                            'neutron-ovn-metadata-agent')),
             'hypervisor compute1', 'hypervisor compute2'], self._missing())

    def test_service_that_is_down(self):
        for number, expected in ((0, 'nova-conductor'),
                                 (3, 'nova-compute on compute2')):
            self.services[number].state = 'down'
            self.assertEqual([expected], self._missing())
            self.services[number].state = 'up'

    def test_hypervisor(self):
        self.hypervisors.pop(0)
        self.assertEqual(['hypervisor compute1'], self._missing())

    def test_agent_that_is_dead(self):
        self.agents[1].is_alive = False
        self.assertEqual(['neutron-ovn-metadata-agent on compute1'],
                         self._missing())

    def test_service_of_another_host_does_not_count(self):
        self.services[-1].host = 'compute7'
        self.assertEqual(['nova-compute on compute2'], self._missing())


class TestMissingForVolumes(ReadyCase):

    def setUp(self):
        super().setUp()
        self.volumes = {name: thing(binary=name, state='up')
                        for name in ('cinder-scheduler', 'cinder-volume')}
        self.pools = [thing(name='controller@ceph#ceph')]
        self.asked = []
        self.cloud.block_storage = thing(
            services=lambda: iter(self.volumes.values()),
            backend_pools=lambda: self.asked.append(True) or self.pools)

    def test_nothing(self):
        self.assertEqual([], self._missing(storage='ceph', volumes=True))

    def test_not_asked_for_without_volumes(self):
        self.pools.clear()
        self.volumes.clear()
        self.assertEqual([], self._missing())

    def test_service_that_is_down(self):
        self.volumes['cinder-scheduler'].state = 'down'
        self.assertEqual(['cinder-scheduler'],
                         self._missing(storage='ceph', volumes=True))
        # Nobody would answer.
        self.assertEqual([], self.asked)

    def test_backend_that_has_not_told_its_room(self):
        self.pools.clear()
        self.assertEqual(['pool controller@ceph#ceph of cinder-volume'],
                         self._missing(storage='ceph', volumes=True))


class TestWait(ReadyCase):

    def setUp(self):
        super().setUp()
        self.now = 0
        for name, replacement in (('monotonic', lambda: self.now),
                                  ('sleep', self._sleep)):
            self.patch(inside.time, name, replacement)
        self.lab = Lab(self.layout, self.topology)

    def _sleep(self, seconds):
        self.now += seconds
        if self.now >= 5:
            self.services[0].state = 'up'

    def test_ready(self):
        inside.wait_until_ready(self.cloud, self.lab)
        self.assertEqual(0, self.now)

    def test_becomes_ready(self):
        self.services[0].state = 'down'
        inside.wait_until_ready(self.cloud, self.lab)
        self.assertEqual(5, self.now)

    def test_names_what_is_missing(self):
        self.hypervisors.pop()
        self.agents[0].is_alive = False
        with self.assertRaises(errors.LabError) as caught:
            inside.wait_until_ready(self.cloud, self.lab, seconds=30)
        message = str(caught.exception)
        self.assertIn('After 30 s', message)
        for each in ('ovn-controller on compute1', 'hypervisor compute2'):
            self.assertIn(each, message)
        self.assertIn(', ', message)


class TestServers(base.TestCase):

    def test_names_of_all_projects(self):
        def listed(all_projects):
            self.assertTrue(all_projects)
            return [types.SimpleNamespace(name=name) for name in ('b', 'a')]

        def connect(paths):
            self.assertEqual(self.layout, paths)
            return types.SimpleNamespace(
                compute=types.SimpleNamespace(servers=listed),
                has_service=lambda kind: False)

        self.patch(keystone, 'connect', connect)
        self.assertEqual(['a', 'b'], self._printed())

    def test_volumes_where_there_are_any(self):
        self.patch(keystone, 'connect', lambda paths: types.SimpleNamespace(
            compute=types.SimpleNamespace(
                servers=lambda all_projects: [
                    types.SimpleNamespace(name='server')]),
            has_service=lambda kind: kind == 'block-storage',
            block_storage=types.SimpleNamespace(
                volumes=lambda all_projects: [
                    types.SimpleNamespace(id='1', name=''),
                    types.SimpleNamespace(id='2', name='data')])))
        self.assertEqual(['1', 'data', 'server'], self._printed())

    def _printed(self):
        module, name, command, *arguments = inside.servers_command(
            self.layout)
        self.assertEqual(('-m', inside.__name__), (module, name))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = inside.COMMANDS[command](*arguments)
        self.assertEqual(0, status)
        return json.loads(out.getvalue())
