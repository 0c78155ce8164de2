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

import base64
import contextlib
import dataclasses
import io
import os
import pathlib
import shutil
import subprocess
import types
import typing

import openstack
import paramiko
from tempest import clients as tempest_clients
from tempest.common import credentials_factory
from tempest import config
from tempest.lib.common.utils.linux import remote_client

from lab import configuration
from lab import errors
from lab.hosts import network
from lab.hosts import sandbox
from lab.layout import Layout
from lab.services import neutron
from lab.topology import CONTROLLER
from lab import workspace
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.guests import builder

NAME = 'lab-fleet'
USER = 'root'
KEY_TYPE = 'ecdsa'
#: SSH to a guest that is cut off fails after this.
SSH_SECONDS = 60
#: The second ports are in a subnet of their own: a guest with two interfaces
#: in one subnet would answer through the first one, and neutron drops that.
SECOND_NAME = f'{NAME}-second'
SECOND_SUBNET = '198.19.0.0/24'
SECOND_GATEWAY = '198.19.0.1'
#: Its network card may be found after the guest has fetched this.
SECOND_CARD = """\
#!/bin/sh
until ip addr add {address} dev eth1; do sleep 1; done
"""
SUBPORT_SUBNET = '198.19.1.0/24'
SUBPORT_VLAN = 100
BUILD_SECONDS = 300
GONE_SECONDS = 120
#: virsh waits without end for a libvirtd that hangs.
VIRSH_SECONDS = 20
#: State of every server and of its migrations in nova's database, the newest
#: last. A server without one has NULL for its record.
STATES = (
    'SELECT i.uuid, i.host, i.vm_state, i.task_state, m.status '
    'FROM instances i LEFT JOIN migrations m ON m.instance_uuid = i.uuid '
    'WHERE i.deleted = 0 ORDER BY m.id;')


@dataclasses.dataclass(frozen=True)
class Shape:
    """Properties of the servers of a fleet.

    :ivar flavor: name of their flavor
    :ivar ephemeral: whether they also have an ephemeral disk of 1 GiB
    :ivar second_port: whether they have a second network interface, which
        this machine reaches as well
    :ivar subport: whether their first port is a trunk with one subport
    """

    flavor: str = workspace.FLAVORS[0].name
    ephemeral: bool = False
    second_port: bool = False
    subport: bool = False


class Fleet(contextlib.AbstractContextManager['Fleet']):
    """Servers on one host, deleted at the end in any state.

    Their security group opens ICMP, SSH and the echo service.

    :param cloud: connection as administrator
    :param number: number of servers
    :param host: name of the host on which they are built
    :param shape: their properties
    :ivar servers: as openstacksdk has them, ACTIVE
    :ivar ports: UUIDs of the ports of each server, by its UUID: the first
        one, the second one, the subport, as far as there are any
    """

    def __init__(self, cloud: openstack.connection.Connection, number: int,
                 host: str, shape: Shape | None = None) -> None:
        self._cloud = cloud
        self._number = number
        self._host = host
        self._shape = shape or Shape()
        self._stack = contextlib.ExitStack()
        self._private_key = ''
        self.servers: list[typing.Any] = []
        self.ports: dict[str, list[str]] = {}

    @property
    def ids(self) -> list[str]:
        """UUIDs of the servers."""
        return [server.id for server in self.servers]

    def address(self, server_id: str) -> str:
        """Return the address of the first port of a server.

        :param server_id: its UUID
        """
        port = self._cloud.network.get_port(self.ports[server_id][0])
        return str(port.fixed_ips[0]['ip_address'])

    @property
    def guests(self) -> tuple[builder.Guest, ...]:
        """The guests, for the plugin's probes and inspections."""
        return tuple(builder.Guest(
            body={'id': server_id}, host=self._host,
            address=self.address(server_id), private_key=self._private_key)
            for server_id in self.ids)

    def __enter__(self) -> Fleet:
        with self._stack as stack:
            self._make()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self._stack.close()

    def _make(self) -> None:
        # Deleted last, so that neither port nor flavor is in use any more.
        compute, networks = self._cloud.compute, self._cloud.network
        self._make_key()
        image = self._cloud.image.find_image(
            workspace.IMAGE, ignore_missing=False)
        flavor = self._find_flavor()
        first = networks.find_subnet(workspace.NETWORK, ignore_missing=False)
        second = self._make_second_subnet(first.network_id)
        subport = self._make_subport_network()
        made = []
        for number in range(self._number):
            ports = [self._make_port(first.network_id, first.id)]
            if second:
                ports.append(self._make_port(first.network_id, second))
            nics = [{'port': port} for port in ports]
            data = {'user_data': self._set_second_address(
                ports[1])} if second else {}
            if subport:
                ports.append(self._make_port(*subport))
                self._make_trunk(ports[0], ports[-1])
            server = compute.create_server(
                name=f'{NAME}-{number + 1}', image_id=image.id,
                flavor_id=flavor, networks=nics, key_name=NAME,
                availability_zone=f'nova:{self._host}', **data)
            self._stack.callback(self._await_deletion, server)
            made.append(server)
            self.ports[server.id] = ports
        # Requested together, so that nova deletes them side by side.
        self._stack.callback(self._request_deletion, made)
        self.servers = [compute.wait_for_server(server, wait=BUILD_SECONDS)
                        for server in made]

    def _request_deletion(self, servers: list[typing.Any]) -> None:
        for server in servers:
            # It may be gone already; that alone is ignored for force=False.
            with contextlib.suppress(openstack.exceptions.NotFoundException):
                self._cloud.compute.delete_server(server, force=True)

    def _await_deletion(self, server: typing.Any) -> None:
        # Again, for one whose build failed; it does not harm the others.
        self._cloud.compute.delete_server(server)
        self._cloud.compute.wait_for_delete(server, wait=GONE_SECONDS)

    def _make_key(self) -> None:
        """Make a key pair; nova makes none since microversion 2.92."""
        key = paramiko.ECDSAKey.generate()
        text = io.StringIO()
        key.write_private_key(text)
        self._private_key = text.getvalue()
        compute = self._cloud.compute
        # A run that was killed may have left one.
        compute.delete_keypair(NAME)
        compute.create_keypair(
            name=NAME, public_key=f'{key.get_name()} {key.get_base64()}')
        self._stack.callback(compute.delete_keypair, NAME)

    def _find_flavor(self) -> str:
        """Return the id of the flavor; make one with an ephemeral disk."""
        compute = self._cloud.compute
        flavor = compute.find_flavor(self._shape.flavor, ignore_missing=False)
        if not self._shape.ephemeral:
            return str(flavor.id)
        made = compute.create_flavor(
            name=f'{NAME}-ephemeral', vcpus=flavor.vcpus, ram=flavor.ram,
            disk=flavor.disk, ephemeral=1)
        self._stack.callback(compute.delete_flavor, made)
        return str(made.id)

    def _make_second_subnet(self, network_id: str) -> str:
        """Return the id of the subnet of second ports; empty for none."""
        if not self._shape.second_port:
            return ''
        networks = self._cloud.network
        # A subnet with DHCP gives the network's metadata port an address.
        # When that port changes, neutron 29.0.0 writes mtu=None to it in OVN,
        # at once and minutes later, and no guest gets metadata any more.
        made = networks.create_subnet(
            name=SECOND_NAME, network_id=network_id, ip_version=4,
            cidr=SECOND_SUBNET, gateway_ip=SECOND_GATEWAY,
            is_dhcp_enabled=False)
        self._stack.callback(networks.delete_subnet, made)
        prefix = int(SECOND_SUBNET.partition('/')[2])
        network.set_provider_address(SECOND_GATEWAY, prefix, present=True)
        self._stack.callback(network.set_provider_address, SECOND_GATEWAY,
                             prefix, present=False)
        return str(made.id)

    def _set_second_address(self, port: str) -> str:
        """Return user data that give the second card its address."""
        address = self._cloud.network.get_port(port).fixed_ips[0][
            'ip_address']
        prefix = SECOND_SUBNET.partition('/')[2]
        return base64.b64encode(SECOND_CARD.format(
            address=f'{address}/{prefix}').encode()).decode()

    def _make_subport_network(self) -> tuple[str, str] | None:
        """Return network and subnet of subports; None for none."""
        if not self._shape.subport:
            return None
        networks = self._cloud.network
        made = networks.create_network(name=f'{NAME}-subports')
        self._stack.callback(networks.delete_network, made)
        subnet = networks.create_subnet(
            name=f'{NAME}-subports', network_id=made.id, ip_version=4,
            cidr=SUBPORT_SUBNET, is_dhcp_enabled=False)
        return made.id, subnet.id

    def _make_port(self, network_id: str, subnet_id: str) -> str:
        networks = self._cloud.network
        group = networks.find_security_group(
            workspace.SECURITY_GROUP, ignore_missing=False,
            project_id=self._cloud.current_project_id)
        made = networks.create_port(
            name=NAME, network_id=network_id, security_groups=[group.id],
            fixed_ips=[{'subnet_id': subnet_id}])
        self._stack.callback(networks.delete_port, made)
        return str(made.id)

    def _make_trunk(self, parent: str, subport: str) -> None:
        networks = self._cloud.network
        made = networks.create_trunk(
            name=NAME, port_id=parent, sub_ports=[{
                'port_id': subport, 'segmentation_type': 'vlan',
                'segmentation_id': SUBPORT_VLAN}])
        self._stack.callback(networks.delete_trunk, made)


class Logins:
    """Makes SSH clients of guests, for the plugin's GuestBuilder."""

    def get_remote_client(self, address: str, *, private_key: str,
                          server: typing.Any
                          ) -> remote_client.RemoteClient:
        """Return a client of a guest.

        :param address: its address
        :param private_key: key of its user
        :param server: JSON of the server
        """
        return remote_client.RemoteClient(
            address, USER, pkey=private_key, server=server,
            ssh_timeout=SSH_SECONDS, ssh_key_type=KEY_TYPE,
            console_output_enabled=False, ssh_allow_agent=False)


def guest_builder(clients: api.Clients) -> builder.GuestBuilder:
    """Return the plugin's access to the guests of a fleet.

    It has the options of the lab's workspace, like the tests.

    :param clients: of the administrator
    """
    return builder.GuestBuilder(
        Logins(), None, clients, builder.GuestOptions.of(config.CONF))


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


def domain_state(host: str, server_id: str) -> str:
    """Return libvirt's state of a domain on a host.

    :param host: name of the host
    :param server_id: UUID of the server
    :returns: such as ``running``; ``post-copy`` or ``post-copy failed`` for a
        guest that needs memory of another host; empty if libvirt knows no
        such domain
    :raises errors.LabError: if libvirtd does not answer
    """
    try:
        result = inside(host, 'timeout', str(VIRSH_SECONDS), 'virsh',
                        'domstate', '--reason', server_id)
    except subprocess.CalledProcessError as error:
        if 'failed to get domain' in error.stderr:
            return ''
        raise errors.LabError(
            f'libvirtd of {host} does not tell the state of {server_id}: '
            f'{error.stderr.strip() or "it does not answer"}.') from error
    state, _, reason = result.stdout.strip().partition(' (')
    # libvirt 9.0.0 calls such a domain running, also if the other QEMU has
    # died and the guest waits for its memory for ever.
    waits = reason == 'post-copy failed)' or (
        (state, reason) == ('running', 'post-copy)'))
    return reason.rstrip(')') if waits else state


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


def sql(paths: Layout, statement: str,
        database: str = 'nova') -> list[list[str]]:
    """Run a statement in a database of the cloud.

    :param paths: paths of the lab
    :param statement: one statement
    :param database: name of the database
    :returns: its rows
    :raises errors.LabError: if the database refuses
    """
    password = configuration.passwords(paths)['database']
    result = subprocess.run(
        ['mariadb', f'--host={CONTROLLER.address}', '--user=lab',
         '--batch', '--skip-column-names', database],
        input=statement, text=True, capture_output=True,
        env={**os.environ, 'MYSQL_PWD': password})
    if result.returncode:
        raise errors.LabError(f'The database refuses {statement!r}: '
                              f'{result.stderr.strip()}.')
    return [line.split('\t') for line in result.stdout.splitlines()]


def nbctl(*arguments: str) -> str:
    """Run a command on OVN's northbound database.

    :param arguments: of ovn-nbctl
    :returns: its standard output
    :raises subprocess.CalledProcessError: if it fails
    """
    return subprocess.run(
        ['ovn-nbctl', f'--db=unix:{neutron.OVN_RUN}/ovnnb_db.sock',
         *arguments], check=True, capture_output=True, text=True).stdout


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


def traces(paths: Layout, host: str, server_id: str,
           ports: typing.Iterable[str]) -> list[str]:
    """Return the traces of a server on a host, one word for each kind.

    :param paths: paths of the lab
    :param host: name of the host
    :param server_id: UUID of the server
    :param ports: UUIDs of its ports
    :returns: ``domain``, ``directory``, ``interface``
    :raises errors.LabError: if libvirtd does not answer
    """
    found = ['domain'] if domain_state(host, server_id) else []
    found += ['directory'] if _directories(paths, host, server_id) else []
    found += ['interface'] if _interfaces(host, ports) else []
    return found


def remove_traces(paths: Layout, host: str, server_id: str,
                  ports: typing.Iterable[str]) -> None:
    """Remove all traces of a server from a host.

    :param paths: paths of the lab
    :param host: name of the host
    :param server_id: UUID of the server
    :param ports: UUIDs of its ports
    """
    if domain_state(host, server_id):
        # The first fails for a domain that does not run, and the second for
        # one that was only in memory.
        inside(host, 'virsh', 'destroy', server_id, check=False)
        inside(host, 'virsh', 'undefine', server_id, check=False)
    for path in _directories(paths, host, server_id):
        shutil.rmtree(path)
    for name in _interfaces(host, ports):
        inside(host, 'ovs-vsctl', '--if-exists', 'del-port', name)
        # Without QEMU or the switch it may be gone already.
        inside(host, 'ip', 'link', 'delete', name, check=False)


def _directories(paths: Layout, host: str,
                 server_id: str) -> list[pathlib.Path]:
    """Return nova's directories of a server on a host."""
    return list((paths.data(host) / 'instances').glob(f'{server_id}*'))


def _interfaces(host: str, ports: typing.Iterable[str]) -> list[str]:
    """Return the interfaces of ports on a host, in the switch or not."""
    devices = inside(host, 'ls', '/sys/class/net').stdout.split()
    switched = inside(host, 'ovs-vsctl', 'list-ports',
                      'br-int').stdout.split()
    wanted = {f'tap{port[:11]}' for port in ports}
    return sorted(wanted & {*devices, *switched})
