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

"""Commands that run inside of the lab's outermost namespaces.

``python -m lab.inside start STATE_FOLDER TOPOLOGY`` starts the cloud, with
the topology as JSON; ``python -m lab.inside servers STATE_FOLDER`` prints the
names of its servers and volumes.
"""

import collections.abc
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import time

import keystoneauth1.exceptions
import openstack
import pyroute2

from lab import console
from lab import errors
from lab.hosts import namespaces
from lab.hosts import network
from lab import layout
from lab.machine import overlays
from lab import reload
from lab.services import base
from lab.services import keystone
from lab.services import nova
from lab.services import storage
from lab import steps
from lab.topology import CONTROLLER
from lab.topology import Topology
from lab import workspace

READY_SECONDS = 120
POLL_SECONDS = 0.5


class StartPlan:
    """The steps that start a cloud, ordered by the needs of its services.

    :param lab: the lab
    """

    def __init__(self, lab: base.Lab) -> None:
        self._lab = lab
        self._by_service = {service: service.steps()
                            for service in lab.services}
        self._names = {base.HOSTS, base.READY, *(
            step.name for own in self._by_service.values() for step in own)}

    def all_steps(self) -> list[steps.Step]:
        """Return all steps, in no particular order.

        :raises ValueError: if a service needs something that nobody knows
        """
        paths, topology = self._lab.paths, self._lab.topology
        connect = functools.partial(keystone.connect, paths)
        started = [dataclasses.replace(step, needs=tuple(
            name for need in step.needs
            for name in self._resolve(need, service)))
            for service, own in self._by_service.items() for step in own]
        resources = [
            steps.Step('flavors', lambda: workspace.make_flavors(connect()),
                       ('nova-api',)),
            steps.Step('quotas', lambda: workspace.lift_quotas(connect()),
                       ('nova-api',)),
            steps.Step('image', self._make_image, ('glance',)),
            steps.Step('network', lambda: workspace.make_network(
                connect(), topology), ('neutron',)),
        ]
        ready = steps.Step(
            base.READY, self._await_ready,
            tuple(step.name for step in started
                  if base.READY not in step.needs))
        return [
            steps.Step(base.HOSTS, self._make_hosts), *started, *resources,
            ready, steps.Step(
                'Tempest workspace',
                lambda: workspace.make(paths, topology, connect()),
                (base.READY, *(step.name for step in resources)))]

    def _resolve(self, need: str, service: base.Service) -> tuple[str, ...]:
        """Return the names of the steps that a service's need stands for.

        A program or another step comes before a service of the same name,
        which stands for all its steps; the same host before others.
        """
        for name in (f'{service.host.name}-{need}', need):
            if name in self._names:
                return (name,)
        others = [each for each in self._by_service if each.name == need]
        near = [each for each in others if each.host == service.host]
        if not others and need not in {each.name for each
                                       in base.discover()}:
            raise ValueError(f'{service.name} needs {need!r}: there is no '
                             f'such service, program or step')
        return tuple(step.name for each in near or others
                     for step in self._by_service[each])

    def _await_ready(self) -> None:
        cloud = keystone.connect(self._lab.paths)
        wait_until_ready(cloud, self._lab)
        novas = reload.current(self._lab.paths, self._lab.topology).values()
        if len(set(map(overlays.service_version, novas))) > 1:
            # When they start, they decide about the version of messages to
            # nova-compute, of which there was none.
            reload.restart(self._lab, [
                each.name for each in self._lab.find(nova.Nova).programs()])
            wait_until_ready(cloud, self._lab)

    def _make_hosts(self) -> None:
        for host in self._lab.topology.compute_hosts:
            namespaces.make_compute(self._lab.paths, host.name)
        network.make(self._lab.topology)

    def _make_image(self) -> None:
        paths = self._lab.paths
        image, disk_format = paths.image, 'qcow2'
        if self._lab.topology.has_ceph:
            # nova clones no other format, but would copy it to each disk.
            tmp = paths.data(CONTROLLER.name) / 'tmp'
            image, disk_format = tmp / 'guest.raw', 'raw'
            base.run('qemu-img', 'convert', '-O', 'raw', paths.image, image)
        workspace.make_image(keystone.connect(paths), image, disk_format)


def wait_until_ready(cloud: openstack.connection.Connection, lab: base.Lab,
                     seconds: float = READY_SECONDS) -> None:
    """Wait until servers, and volumes if there are any, can be made.

    The APIs are asked, instead of sleeping.

    :param cloud: connection as administrator
    :param lab: the lab
    :param seconds: time-out
    :raises errors.LabError: naming everything that is still missing by then
    """
    deadline = time.monotonic() + seconds
    while True:
        missing = [each for service in lab.services
                   for each in service.missing(cloud)]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise errors.LabError(
                f'After {seconds:.0f} s the cloud still lacks '
                f'{", ".join(missing)}: tools/run-lab.sh status')
        time.sleep(POLL_SECONDS)


def start(root: str, topology: str) -> int:
    """Start the cloud.

    :param root: the lab's state folder
    :param topology: the hosts, as JSON
    :returns: exit code
    """
    lab = base.Lab(layout.Layout(pathlib.Path(root)),
                   Topology(**json.loads(topology)))
    try:
        with console.Console() as progress:
            # Steps under way end with the lab, which the caller ends.
            steps.run(StartPlan(lab).all_steps(), progress,
                      wait_on_failure=False)
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


def servers(root: str) -> int:
    """Print the names of all servers and volumes of all projects, as JSON.

    :param root: the lab's state folder
    :returns: exit code
    """
    cloud = keystone.connect(layout.Layout(pathlib.Path(root)))
    names = [server.name for server
             in cloud.compute.servers(all_projects=True)]
    if cloud.has_service(storage.Cinder.endpoint.kind):
        # nova gives no name to the volume that it makes for a server.
        names += [volume.name or volume.id for volume
                  in cloud.block_storage.volumes(all_projects=True)]
    print(json.dumps(sorted(names)))
    return 0


#: The commands, by name.
COMMANDS: dict[str, collections.abc.Callable[..., int]] = {
    'start': start, 'servers': servers}


def start_command(paths: layout.Layout,
                  topology: Topology) -> list[str]:
    """Return the command line that starts the cloud, for an interpreter.

    :param paths: paths of the lab
    :param topology: the hosts
    """
    return ['-m', 'lab.inside', 'start', str(paths.root),
            json.dumps(dataclasses.asdict(topology))]


def servers_command(paths: layout.Layout) -> list[str]:
    """Return the command line that prints servers, for an interpreter.

    :param paths: paths of the lab
    """
    return ['-m', 'lab.inside', 'servers', str(paths.root)]


if __name__ == '__main__':
    name, *arguments = sys.argv[1:]
    STATUS = COMMANDS[name](*arguments)
    sys.stdout.flush()
    # Without waiting for the threads of steps that a failure has left.
    os._exit(STATUS)
