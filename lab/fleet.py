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

"""Servers for faults and benches, and the truth about them.

For programs that run on the controller of a cloud that is up. The truth is
libvirt's and that of nova's database, without nova's API.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import types
import typing

import openstack
from tempest import clients as tempest_clients
from tempest.common import credentials_factory

from lab import configuration
from lab import errors
from lab.hosts import sandbox
from lab.layout import Layout
from lab.topology import CONTROLLER
from lab import workspace
from lm_tempest_plugin.cloud import api

BUILD_SECONDS = 300
GONE_SECONDS = 120
#: State of every server and of its migrations in nova's database, the newest
#: last.
STATES = (
    'SELECT i.uuid, i.host, i.vm_state, i.task_state, m.status '
    'FROM instances i JOIN migrations m ON m.instance_uuid = i.uuid '
    'WHERE i.deleted = 0 ORDER BY m.id;')


class Fleet(contextlib.AbstractContextManager['Fleet']):
    """Servers on one host, deleted at the end.

    :param cloud: connection as administrator
    :param number: number of servers
    :param host: name of the host on which they are built
    :param flavor: name of their flavor
    :ivar servers: as openstacksdk has them, ACTIVE
    """

    def __init__(self, cloud: openstack.connection.Connection, number: int,
                 host: str, flavor: str = workspace.FLAVORS[0].name) -> None:
        self._cloud = cloud
        self._number = number
        self._host = host
        self._flavor = flavor
        self._group: typing.Any = None
        self.servers: list[typing.Any] = []

    @property
    def ids(self) -> list[str]:
        """UUIDs of the servers."""
        return [server.id for server in self.servers]

    def address(self, server_id: str) -> str:
        """Return the address of a server.

        :param server_id: its UUID
        """
        server = next(each for each in self.servers if each.id == server_id)
        return str(next(
            address['addr'] for addresses in server.addresses.values()
            for address in addresses))

    def __enter__(self) -> Fleet:
        try:
            self._make()
        except BaseException:
            self.delete()
            raise
        return self

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.delete()

    def _make(self) -> None:
        network = self._cloud.network
        self._group = network.create_security_group(name='lab-fleet')
        network.create_security_group_rule(
            security_group_id=self._group.id, direction='ingress',
            ethertype='IPv4')
        compute = self._cloud.compute
        image = self._cloud.image.find_image(
            workspace.IMAGE, ignore_missing=False)
        flavor = compute.find_flavor(self._flavor, ignore_missing=False)
        provider = network.find_network(
            workspace.NETWORK, ignore_missing=False)
        for number in range(self._number):
            self.servers.append(compute.create_server(
                name=f'lab-fleet-{number + 1}', image_id=image.id,
                flavor_id=flavor.id, networks=[{'uuid': provider.id}],
                security_groups=[{'name': self._group.id}],
                availability_zone=f'nova:{self._host}'))
        self.servers = [
            compute.wait_for_server(server, wait=BUILD_SECONDS)
            for server in self.servers]

    def delete(self) -> None:
        """Delete the servers in any state.

        :raises openstack.exceptions.SDKException: if one cannot be deleted
        """
        compute = self._cloud.compute
        for server in self.servers:
            compute.delete_server(server, force=True)
        for server in self.servers:
            compute.wait_for_delete(server, wait=GONE_SECONDS)
        self.servers = []
        if self._group is not None:
            self._cloud.network.delete_security_group(self._group)
            self._group = None


def administrator() -> api.Clients:
    """Return Tempest's clients of the cloud's administrator."""
    return api.Clients.of(tempest_clients.Manager(
        credentials_factory.get_configured_admin_credentials()))


def running_on(hosts: typing.Iterable[str]) -> dict[str, list[str]]:
    """Return the hosts whose libvirt runs each domain.

    :param hosts: names of compute hosts
    :returns: names of the hosts that run it, by the server's UUID
    """
    found: dict[str, list[str]] = {}
    for host in hosts:
        output = inside(host, 'virsh', '--quiet', 'list', '--uuid',
                        '--state-running', '--state-paused').stdout
        for uuid in output.split():
            found.setdefault(uuid, []).append(host)
    return found


def inside(host: str, *command: str, check: bool = True
           ) -> subprocess.CompletedProcess[str]:
    """Run a command inside a compute host.

    :param host: name of the host
    :param command: program and arguments
    :param check: whether a failure raises
    :raises subprocess.CalledProcessError: if it does not
    """
    return subprocess.run(
        [*sandbox.enter_compute(host), *command], check=check, text=True,
        capture_output=True)


def sql(paths: Layout, statement: str) -> list[list[str]]:
    """Run a statement in nova's database.

    :param paths: paths of the lab
    :param statement: one statement
    :returns: its rows
    :raises errors.LabError: if the database refuses
    """
    password = configuration.passwords(paths)['database']
    result = subprocess.run(
        ['mariadb', f'--host={CONTROLLER.address}', '--user=lab',
         '--batch', '--skip-column-names', 'nova'],
        input=statement, text=True, capture_output=True,
        env={**os.environ, 'MYSQL_PWD': password})
    if result.returncode:
        raise errors.LabError(f'The database refuses {statement!r}: '
                              f'{result.stderr.strip()}.')
    return [line.split('\t') for line in result.stdout.splitlines()]


def qemu_processes(server_id: str) -> list[str]:
    """Return the process ids of QEMU of a server, on any host.

    :param server_id: its UUID
    """
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = path.read_bytes()
        except OSError:
            # The process has ended meanwhile.
            continue
        if line.startswith(b'/usr/bin/qemu-system') and (
                server_id.encode() in line):
            found.append(path.parent.name)
    return found
