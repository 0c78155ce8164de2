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

"""Starts the cloud, from inside of the lab's outermost namespaces.

Run as ``python -m lab.cloud.start STATE_FOLDER TOPOLOGY`` with the topology
as JSON.
"""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys

import keystoneauth1.exceptions
import openstack
import pyroute2

from lab.cloud import access
from lab.cloud import accounts
from lab.cloud import ceph
from lab.cloud import commands
from lab.cloud import database as databases
from lab.cloud import networking
from lab.cloud import programs
from lab.cloud import readiness
from lab.cloud import resources
from lab.cloud import supervisor as supervisors
from lab import console as consoles
from lab import errors
from lab.hosts import compute
from lab.hosts import network
from lab import layout as layouts
from lab import steps
from lab import topology as topologies
from lab import workspace

HOSTS = 'hosts and networks'
SSH_KEYS = 'SSH keys'
MARIADB = 'MariaDB'
#: When this step has ended, images and disks can be stored in Ceph.
POOLS = 'Ceph pools'
#: When this step has ended, every service finds its database.
DATABASES = 'databases'


class Plan:
    """The steps that make a cloud, and what each needs.

    :param layout: paths of the lab
    :param topology: the hosts
    """

    def __init__(self, layout: layouts.Layout,
                 topology: topologies.Topology) -> None:
        self._layout = layout
        self._topology = topology
        self._supervisor = supervisors.Supervisor(layouts.SUPERVISOR_SOCKET)
        self._database = databases.Database(layout, self._supervisor)
        self._ceph = ceph.Cluster(layout, topology, self._supervisor)
        self._ports = {each.name: each.port for each
                       in programs.applications(layout, topology)}

    def everything(self) -> list[steps.Step]:
        """All steps, in no particular order."""
        return [*self._foundations(), *self._databases(),
                *self._control_plane(), *self._storage(), *self._volumes(),
                *(step for host in self._topology.compute_hosts
                  for step in self._compute(host)),
                *self._resources()]

    def _foundations(self) -> list[steps.Step]:
        return [
            steps.Step(HOSTS, self._make_hosts),
            steps.Step(SSH_KEYS, functools.partial(
                access.make_keys, self._layout, self._topology), (HOSTS,)),
            steps.Step('RabbitMQ', self._rabbitmq, (HOSTS,)),
            self._daemon('memcached', HOSTS),
            *(steps.Step(f'OVN {short}', functools.partial(
                networking.start_ovn_database, self._layout,
                self._supervisor, short), (HOSTS,))
              for short in networking.PORTS),
            self._daemon('ovn-northd', 'OVN nb', 'OVN sb'),
        ]

    def _make_hosts(self) -> None:
        for host in self._topology.compute_hosts:
            compute.make(self._layout, host.name)
        network.make(self._topology)

    def _sshd(self, host: topologies.Host) -> None:
        self._supervisor.start(f'{host.name}-sshd')
        commands.wait_for_port(f'{host.name}-sshd', host.address, access.PORT)

    def _rabbitmq(self) -> None:
        self._supervisor.start('rabbitmq')
        commands.wait_for_port('rabbitmq', topologies.CONTROLLER.address,
                               5672)

    def _databases(self) -> list[steps.Step]:
        """Prepare the databases where that was not done before."""
        begin = steps.Step(MARIADB, self._database.start, (HOSTS,))
        if self._database.is_kept:
            return [begin, self._keystone(MARIADB),
                    steps.Step(DATABASES, lambda: None, (MARIADB,))]
        schemas = [
            steps.Step('schema of keystone', self._database.prepare_keystone,
                       (MARIADB,)),
            steps.Step('schema of glance', self._database.prepare_glance,
                       (MARIADB,)),
            steps.Step('schema of placement',
                       self._database.prepare_placement, (MARIADB,)),
            steps.Step('schema of neutron', self._database.prepare_neutron,
                       (MARIADB,)),
            steps.Step('schemas of nova', self._database.prepare_nova,
                       (MARIADB,)),
            steps.Step('schema of cinder', self._database.prepare_cinder,
                       (MARIADB,)),
        ]
        return [
            begin, *schemas, self._keystone('schema of keystone'),
            steps.Step('accounts and catalogue', functools.partial(
                accounts.make, self._layout), ('keystone',)),
            steps.Step(DATABASES, self._database.keep,
                       ('accounts and catalogue',
                        *(schema.name for schema in schemas))),
        ]

    def _keystone(self, need: str) -> steps.Step:
        return self._api('keystone', need, 'memcached')

    def _control_plane(self) -> list[steps.Step]:
        nova = (DATABASES, 'RabbitMQ', 'keystone')
        return [
            self._api('placement', DATABASES, 'keystone'),
            self._api('glance', DATABASES, 'keystone',
                      *self._only_with_ceph(POOLS)),
            self._api('neutron', DATABASES, 'RabbitMQ', 'OVN nb', 'OVN sb'),
            self._api('nova-api', *nova),
            self._api('nova-metadata', *nova),
            self._daemon('nova-conductor', *nova),
            self._daemon('nova-scheduler', *nova),
            # It repairs and does not serve: what is waited for comes first.
            self._daemon('neutron-ovn-maintenance-worker', 'neutron',
                         'ready'),
        ]

    def _only_with_ceph(self, *needs: str) -> tuple[str, ...]:
        return needs if self._topology.has_ceph else ()

    def _storage(self) -> list[steps.Step]:
        if not self._topology.has_ceph:
            return []
        return [
            steps.Step('Ceph monitor', self._ceph.start_monitor, (HOSTS,)),
            steps.Step('Ceph store', self._ceph.make_store, (HOSTS,)),
            steps.Step('ceph-osd', self._ceph.start_osd,
                       ('Ceph monitor', 'Ceph store')),
            self._daemon('ceph-mgr', 'Ceph monitor'),
            steps.Step(POOLS, self._ceph.make_pools,
                       ('ceph-osd', 'ceph-mgr')),
            *(steps.Step(f'keys of {host.name}', functools.partial(
                self._ceph.give_keys, host), (f'{host.name}-libvirtd',))
              for host in self._topology.compute_hosts),
        ]

    def _volumes(self) -> list[steps.Step]:
        if not self._topology.volumes:
            return []
        daemon = (DATABASES, 'RabbitMQ')
        return [
            # Not among the accounts that are kept: it is not in every lab.
            steps.Step('account of cinder', functools.partial(
                accounts.add, self._layout, accounts.CINDER),
                (DATABASES, 'keystone')),
            self._api('cinder-api', *daemon, 'account of cinder'),
            self._daemon('cinder-scheduler', *daemon),
            self._daemon('cinder-volume', *daemon, POOLS),
        ]

    def _only_with_volumes(self, *needs: str) -> tuple[str, ...]:
        return needs if self._topology.volumes else ()

    def _compute(self, host: topologies.Host) -> list[steps.Step]:
        name = host.name
        return [
            steps.Step(f'switch of {name}', functools.partial(
                networking.start_switch, self._layout, self._supervisor,
                host), ('OVN sb',)),
            self._daemon(f'{name}-libvirtd', HOSTS),
            self._daemon(f'{name}-nova-compute', f'{name}-libvirtd',
                         f'switch of {name}', 'nova-conductor', 'placement',
                         *self._only_with_ceph(POOLS, f'keys of {name}')),
            self._daemon(f'{name}-neutron-ovn-metadata-agent',
                         f'switch of {name}', 'ovn-northd'),
            steps.Step(f'{name}-sshd', functools.partial(
                self._sshd, host), (SSH_KEYS,)),
        ]

    def _resources(self) -> list[steps.Step]:
        layout, topology = self._layout, self._topology
        return [
            steps.Step('flavors', lambda: resources.make_flavors(
                accounts.connect(layout)), ('nova-api',)),
            steps.Step('quotas', lambda: resources.lift_quotas(
                accounts.connect(layout)), ('nova-api',)),
            steps.Step('image', self._make_image, ('glance',)),
            steps.Step('network', lambda: resources.make_network(
                accounts.connect(layout), topology), ('neutron',)),
            steps.Step('ready', lambda: readiness.wait(
                accounts.connect(layout), topology),
                ('neutron', 'nova-scheduler', 'nova-api', 'nova-metadata',
                 *self._only_with_volumes('cinder-api', *programs.CINDER),
                 *(f'{host.name}-{service}'
                   for host in topology.compute_hosts
                   for service in ('nova-compute',
                                   'neutron-ovn-metadata-agent')))),
            steps.Step('Tempest workspace', lambda: workspace.make(
                layout, topology, accounts.connect(layout)),
                ('ready', 'flavors', 'quotas', 'image', 'network',
                 *(f'{host.name}-sshd' for host in topology.compute_hosts))),
        ]

    def _make_image(self) -> None:
        image, disk_format = self._layout.image, 'qcow2'
        if self._topology.has_ceph:
            # nova clones no other format, but would copy it to each disk.
            tmp = self._layout.data(topologies.CONTROLLER.name) / 'tmp'
            image, disk_format = tmp / 'guest.raw', 'raw'
            commands.run('qemu-img', 'convert', '-O', 'raw',
                         self._layout.image, image)
        resources.make_image(accounts.connect(self._layout), image,
                             disk_format)

    def _daemon(self, name: str, *needs: str) -> steps.Step:
        return steps.Step(name, functools.partial(
            self._supervisor.start, name), needs)

    def _api(self, name: str, *needs: str) -> steps.Step:
        def start() -> None:
            self._supervisor.start(name)
            commands.wait_for_port(name, topologies.CONTROLLER.address,
                                   self._ports[name])
        return steps.Step(name, start, needs)


def main(root: str, topology: str) -> int:
    """Start the cloud.

    :param root: the lab's state folder
    :param topology: the hosts, as JSON
    :returns: exit code
    """
    plan = Plan(layouts.Layout(pathlib.Path(root)),
                topologies.Topology(**json.loads(topology)))
    try:
        with consoles.Console() as console:
            # What is under way ends with the lab, which the caller ends.
            steps.run(plan.everything(), console, wait_on_failure=False)
    except (errors.LabError, OSError) as error:
        return errors.tell(error)
    except (subprocess.CalledProcessError,
            pyroute2.NetlinkError) as error:
        print(f'run-lab.sh: The hosts cannot be made: {error}',
              file=sys.stderr)
        return 1
    except (openstack.exceptions.SDKException,
            keystoneauth1.exceptions.ClientException) as error:
        print(f'run-lab.sh: The API of the cloud failed: {error}',
              file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def arguments(layout: layouts.Layout,
              topology: topologies.Topology) -> list[str]:
    """The command line that starts the cloud, without its interpreter."""
    return ['-m', 'lab.cloud.start', str(layout.root),
            json.dumps(dataclasses.asdict(topology))]


if __name__ == '__main__':
    STATUS = main(*sys.argv[1:])
    sys.stdout.flush()
    # Without waiting for the threads of steps that a failure has left.
    os._exit(STATUS)
