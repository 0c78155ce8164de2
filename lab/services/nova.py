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

"""nova and placement; nova-compute on each compute host."""

import collections.abc
import dataclasses
import functools

import openstack

from lab import errors
from lab.machine import overlays
from lab.services import base
from lab.services import ceph
from lab.services import keystone
from lab.steps import Step
from lm_tempest_plugin import utils

#: Time for a nova-compute to register, in seconds.
REGISTRATION_S = 90


class Nova(base.Service):
    """nova's API, metadata API, conductor and scheduler."""

    name = 'nova'
    project = 'nova'
    schema = (('nova-manage', 'api_db', 'sync'),
              ('nova-manage', 'db', 'sync'))
    configuration = 'nova.conf'
    values = {'ceph': ceph}
    folders = ('nova',)
    databases = ('nova_api', 'nova', 'nova_cell0')
    # nova-manage writes addresses into the table of cells.
    stored = ('_common', 'nova.conf')
    endpoint = base.Endpoint('compute', 8774, '/v2.1')
    needs = (base.DATABASES, 'rabbitmq', 'keystone')

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API and the metadata API."""
        environment = (
            ('OS_NOVA_CONFIG_DIR', str(self.etc)),
            # The paste file has to come first.
            ('OS_NOVA_CONFIG_FILES',
             f'{self.virtualenv}/etc/nova/api-paste.ini;nova.conf'))
        return (
            base.Application('nova-api', 'nova.wsgi.osapi_compute',
                             self.endpoint.port, 2, environment),
            base.Application('nova-metadata', 'nova.wsgi.metadata', 8775, 1,
                             environment))

    def programs(self) -> list[base.Program]:
        """Return the APIs and the daemons."""
        return [*super().programs(), self.daemon('nova-conductor'),
                self.daemon('nova-scheduler')]

    def migrate(self) -> None:
        """Make its schemas and its two cells."""
        self.manage('nova-manage', 'api_db', 'sync')
        self.manage('nova-manage', 'cell_v2', 'map_cell0')
        self.manage('nova-manage', 'db', 'sync')
        self.manage('nova-manage', 'cell_v2', 'create_cell', '--name=cell1')

    def missing(self, cloud: openstack.connection.Connection
                ) -> collections.abc.Iterator[str]:
        """Yield each service that is not up, and each missing hypervisor.

        A server that is built before nova-compute reports gets "No valid
        host was found".
        """
        up = {(service.binary, service.host)
              for service in cloud.compute.services()
              if service.state == 'up'}
        for binary in ('nova-conductor', 'nova-scheduler'):
            if binary not in {found for found, _ in up}:
                yield binary
        hypervisors = {each.name for each in cloud.compute.hypervisors()}
        for host in self.lab.topology.compute_hosts:
            if ('nova-compute', host.name) not in up:
                yield f'nova-compute on {host.name}'
            if host.name not in hypervisors:
                yield f'hypervisor {host.name}'


class NovaCompute(base.Service):
    """nova-compute; it waits for nova-conductor before it does anything."""

    name = 'nova-compute'
    project = 'nova'
    on_compute_hosts = True
    configuration = 'nova.conf'
    values = {'ceph': ceph}
    folders = ('nova',)
    # Without room in Ceph's pools it would report no disk, and exit.
    needs = ('libvirt', 'openvswitch', 'nova-conductor', 'placement', 'ceph',
             'ceph-client')

    def programs(self) -> list[base.Program]:
        """Return the daemon."""
        return [self.daemon(self.name)]

    def steps(self) -> list[Step]:
        """Start the daemon; older ones first.

        nova refuses to register one that is older than all that have
        registered.
        """
        ages = {host: overlays.service_version(self.paths.nova(host.name))
                for host in self.lab.topology.compute_hosts}
        own = ages[self.host]
        older = [f'{host.name}-{self.name}'
                 for host, age in ages.items() if age < own]
        [program] = self.programs()
        if max(ages.values()) > own:
            program = dataclasses.replace(program, after=lambda: (
                utils.wait_until(
                    bool, self._is_registered,
                    f'{program.identifier} to register', REGISTRATION_S,
                    error=errors.LabError)))
        return [self.step(program.identifier, functools.partial(
            self.start, program), *older)]

    def _is_registered(self) -> bool:
        cloud = keystone.connect(self.paths)
        return any(cloud.compute.services(host=self.host.name,
                                          binary=self.name))


class Placement(base.Service):
    """placement."""

    name = 'placement'
    project = 'openstack-placement'
    schema = (('placement-manage', 'db', 'sync'),)
    configuration = 'placement.conf'
    databases = ('placement',)
    endpoint = base.Endpoint('placement', 8778)
    needs = (base.DATABASES, 'keystone')

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'placement', 'placement.wsgi.api', self.endpoint.port, 1,
            (('OS_PLACEMENT_CONFIG_DIR', str(self.etc)),)),)
