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

"""glance and cinder: images and volumes, in local files or in Ceph."""

import collections.abc

import openstack

from lab.services import base
from lab.services import ceph
from lab.topology import CONTROLLER
from lab.topology import Topology

#: The daemons beside the API.
DAEMONS = ('cinder-scheduler', 'cinder-volume')
#: The backend's pool, as cinder calls it.
POOL = f'{CONTROLLER.name}@ceph#ceph'


class Glance(base.Service):
    """glance."""

    name = 'glance'
    project = 'glance'
    schema = (('glance-manage', 'db_sync'),)
    configuration = 'glance-api.conf'
    values = {'ceph': ceph}
    folders = ('glance',)
    databases = ('glance',)
    endpoint = base.Endpoint('image', 9292)
    needs = (base.DATABASES, 'keystone', 'ceph')

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'glance', 'glance.wsgi.api', self.endpoint.port, 1,
            (('OS_GLANCE_CONFIG_DIR', str(self.etc)),)),)


class Cinder(base.Service):
    """cinder's API, scheduler and volume service."""

    name = 'cinder'
    project = 'cinder'
    schema = (('cinder-manage', 'db', 'sync'),)
    configuration = 'cinder.conf'
    values = {'ceph': ceph}
    folders = ('cinder',)
    databases = ('cinder',)
    # Clients put the project's id behind it, or nothing.
    endpoint = base.Endpoint('block-storage', 8776, '/v3')
    needs = (base.DATABASES, 'rabbitmq')

    @classmethod
    def is_part_of(cls, topology: Topology) -> bool:
        """Return whether the lab is to have volumes."""
        return topology.volumes

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'cinder-api', 'cinder.wsgi.api', self.endpoint.port, 1,
            arguments=(f'--config-file={self.etc}/cinder.conf',),
            needs=('account of cinder',)),)

    def programs(self) -> list[base.Program]:
        """Return the API, the scheduler and the volume service."""
        return [*super().programs(), self.daemon('cinder-scheduler'),
                self.daemon('cinder-volume', needs=('ceph',))]

    def missing(self, cloud: openstack.connection.Connection
                ) -> collections.abc.Iterator[str]:
        """Yield each daemon that is not up, or the pool that has no room."""
        up = {service.binary for service in cloud.block_storage.services()
              if service.state == 'up'}
        absent = [binary for binary in DAEMONS if binary not in up]
        yield from absent
        # The scheduler answers this, and the API waits a minute for it.
        if not absent and POOL not in {
                pool.name for pool in cloud.block_storage.backend_pools()}:
            yield f'pool {POOL} of cinder-volume'
