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

from lab.cloud import access
from lab.cloud import accounts
from lab.cloud import ceph
from lab.cloud import commands
from lab.cloud import configuration
from lab.cloud import database
from lab.cloud import programs
from lab.cloud import readiness
from lab.cloud import resources
from lab.cloud import start
from lab.cloud import supervisor
from lab import errors
from lab.hosts import compute
from lab.hosts import network
from lab import steps
from lab.tests.unit import base
from lab import topology as topologies
from lab import workspace


class Cloud(base.TestCase):
    """A cloud in which everything goes well at once, and is written down."""

    def setUp(self):
        super().setUp()
        self.lock = threading.Lock()
        self.events = []
        done = subprocess.CompletedProcess([], 0, b'mariadbd 10.11')
        self.patch(database.subprocess, 'run', return_value=done)
        configuration.passwords(self.layout)
        self.patch(supervisor.Supervisor, 'start',
                   lambda _, name: self.note(f'start {name}'))
        self.patch(supervisor.Supervisor, 'stop',
                   lambda _, name: self.note(f'stop {name}'))
        self.patch(commands, 'run', self._run)
        self.patch(commands, 'wait_for_port', lambda name, address, port: (
            self.note(f'port of {name}'), self.ports.append(port)))
        self.ports = []
        self.patch(compute, 'make', lambda layout, host: self.note(
            f'host {host}'))
        self.patch(network, 'make', lambda topology: self.note('network'))
        self.patch(access, 'make_keys', lambda layout, topology: self.note(
            f'keys of {len(topology.compute_hosts)} hosts'))
        self.patch(accounts, 'make', lambda layout: self.note('accounts'))
        self.patch(accounts, 'add', lambda layout, service: self.note(
            f'account of {service.name}'))
        self.cloud = object()
        self.patch(accounts, 'connect', lambda layout: self.cloud)
        for owner, name in ((resources, 'make_flavors'),
                            (resources, 'make_image'),
                            (resources, 'lift_quotas'),
                            (resources, 'make_network'),
                            (readiness, 'wait'), (workspace, 'make')):
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
        return start.Plan(self.layout, topologies.Topology(
            computes=computes, **topology)).everything()

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
        plan = programs.plan(self.layout,
                             topologies.Topology(computes=computes))
        self.assertEqual({each.identifier for each in plan}, set(started))
        return started

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
        for event in ('resources.make_flavors', 'resources.make_image',
                      'resources.lift_quotas',
                      'resources.make_network', 'readiness.wait'):
            self.assert_order(event, 'workspace.make')
        for event in self.events:
            if (event.startswith('start ') and event != 'start mariadb'
                    and 'maintenance' not in event):
                self.assert_order(event, 'workspace.make')
        self.assert_order('start compute2-nova-compute', 'readiness.wait')

    def test_ports(self):
        self.run_plan()
        applications = programs.applications(
            self.layout, topologies.Topology())
        self.assertEqual(
            {22, 5672, 3306, *(each.port for each in applications)},
            set(self.ports))


class TestCeph(Cloud):

    def setUp(self):
        super().setUp()
        for name in ('start_monitor', 'make_store', 'start_osd',
                     'make_pools'):
            self.patch(ceph.Cluster, name, self._noting(name))
        self.patch(ceph.Cluster, 'give_keys',
                   lambda _, host: self.note(f'keys of {host.name}'))
        self.uploaded = []
        self.patch(resources, 'make_image', lambda cloud, image, kind: (
            self.uploaded.append((image, kind)), self.note('upload')))

    def test_order(self):
        self.run_plan(storage='ceph')
        self.assert_order('network', 'start_monitor', 'start_osd',
                          'make_pools', 'start glance', 'upload')
        self.assert_order('make_store', 'start_osd')
        self.assert_order('start_monitor', 'start ceph-mgr', 'make_pools')
        for host in ('compute1', 'compute2'):
            self.assert_order(f'start {host}-libvirtd', f'keys of {host}',
                              f'start {host}-nova-compute')
            self.assert_order('make_pools', f'start {host}-nova-compute')

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
        self.assertNotIn('start_monitor', self.events)
        self.assertEqual([(self.layout.image, 'qcow2')], self.uploaded)

    def test_volumes(self):
        self.run_plan(storage='ceph', volumes=True)
        # What is kept is for every lab: only the schema is in it.
        self.assert_order('stop mariadb', 'account of cinder',
                          'start cinder-api', 'port of cinder-api',
                          'readiness.wait')
        self.assertLess(self.events.index(self.first('cinder-manage')),
                        self.events.index('stop mariadb'))
        for name in programs.CINDER:
            self.assert_order('stop mariadb', f'start {name}',
                              'readiness.wait')
            self.assert_order('port of rabbitmq', f'start {name}')
        self.assert_order('make_pools', 'start cinder-volume')

    def test_volumes_with_kept_databases(self):
        self.keep()
        self.run_plan(storage='ceph', volumes=True)
        self.assert_order('port of keystone', 'account of cinder',
                          'start cinder-api')

    def test_no_volumes_without_them(self):
        self.run_plan(storage='ceph')
        self.assertFalse([event for event in self.events if re.match(
            'start cinder|account of', event)])
        # But what is kept is for labs with them, too.
        self.assertTrue(self.first('cinder-manage'))


class TestMain(Cloud):

    def _main(self):
        topology = topologies.Topology(computes=1)
        module, name, *arguments = start.arguments(self.layout, topology)
        self.assertEqual(('-m', start.__name__), (module, name))
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = start.main(*arguments)
        self.out = out.getvalue()
        return status, err.getvalue()

    def test_success_shows_every_step(self):
        self.assertEqual((0, ''), self._main())
        for name in ('RabbitMQ', 'keystone', 'compute1-nova-compute',
                     'Tempest workspace'):
            self.assertIn(f' s  {name}\n', self.out)

    def test_topology_arrives(self):
        arguments = start.arguments(self.layout,
                                    topologies.Topology(computes=4, kvm=True))
        self.assertEqual(
            {'computes': 4, 'kvm': True, 'storage': 'block',
             'max_concurrent_live_migrations': 1, 'volumes': False},
            json.loads(arguments[-1]))

    def test_failure_is_one_sentence(self):
        self.patch(readiness, 'wait', side_effect=errors.LabError(
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
            self.patch(resources, 'make_flavors', side_effect=error)
            status, said = self._main()
            self.assertEqual(1, status)
            self.assertIn('no flavors', said)
            self.assertEqual(1, said.count('\n'))
            self.layout.data('controller').rename(
                self.folder / f'old-{type(error).__name__}')
