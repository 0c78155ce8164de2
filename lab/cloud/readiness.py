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

"""Asks the API whether the cloud is usable, instead of sleeping."""

import time
import typing

import openstack

from lab.cloud import programs
from lab import errors
from lab import topology as topologies

SECONDS = 120
POLL_SECONDS = 0.5

#: What nova has to run beside a nova-compute on each compute host.
NOVA_SERVICES = ('nova-conductor', 'nova-scheduler')
#: What neutron has to see on each compute host.
NETWORK_AGENTS = ('ovn-controller', 'neutron-ovn-metadata-agent')
#: What cinder has to run, and where it has to see room for volumes.
VOLUME_SERVICES = programs.CINDER
VOLUME_POOL = f'{topologies.CONTROLLER.name}@ceph#ceph'


def wait(cloud: openstack.connection.Connection,
         topology: topologies.Topology, seconds: float = SECONDS) -> None:
    """Wait until servers, and volumes if there are any, can be made.

    :param cloud: connection as administrator
    :param topology: the hosts
    :param seconds: how long to wait
    :raises errors.LabError: naming what is still missing by then
    """
    deadline = time.monotonic() + seconds
    while True:
        lacking = list(missing(cloud, topology))
        if not lacking:
            return
        if time.monotonic() > deadline:
            raise errors.LabError(
                f'After {seconds:.0f} s the cloud still lacks '
                f'{", ".join(lacking)}: tools/run-lab.sh status')
        time.sleep(POLL_SECONDS)


def missing(cloud: openstack.connection.Connection,
            topology: topologies.Topology) -> typing.Iterator[str]:
    """What a usable cloud still lacks.

    :param cloud: connection as administrator
    :param topology: the hosts
    :returns: a few words for each thing that is not there yet
    """
    names = [host.name for host in topology.compute_hosts]
    services = {(service.binary, service.host)
                for service in cloud.compute.services()
                if service.state == 'up'}
    for binary in NOVA_SERVICES:
        if binary not in {found for found, _ in services}:
            yield binary
    hypervisors = {hypervisor.name
                   for hypervisor in cloud.compute.hypervisors()}
    agents = {(agent.binary, agent.host)
              for agent in cloud.network.agents() if agent.is_alive}
    for name in names:
        if ('nova-compute', name) not in services:
            yield f'nova-compute on {name}'
        if name not in hypervisors:
            yield f'hypervisor {name}'
        for binary in NETWORK_AGENTS:
            if (binary, name) not in agents:
                yield f'{binary} on {name}'
    if topology.volumes:
        yield from _missing_for_volumes(cloud)


def _missing_for_volumes(cloud: openstack.connection.Connection
                         ) -> typing.Iterator[str]:
    up = {service.binary for service in cloud.block_storage.services()
          if service.state == 'up'}
    lacking = [binary for binary in VOLUME_SERVICES if binary not in up]
    yield from lacking
    # The scheduler answers this, and the API waits a minute for it.
    if not lacking and VOLUME_POOL not in {
            pool.name for pool in cloud.block_storage.backend_pools()}:
        yield f'pool {VOLUME_POOL} of cinder-volume'
