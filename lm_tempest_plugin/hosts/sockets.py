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

"""How a migration gets from host to host: TCP connections that are seen.

nova can have QEMU send the guest to the other QEMU, or have libvirtd send it
to the other libvirtd ([libvirt]live_migration_tunnelled). Whether it does
what it was told shows in the sockets of a host while the guest is copied:

* *direct*: QEMU on the destination listens at a port of its own, for
  memory and, of block migrations, one more for the disks (NBD); with TLS
  it is the same ports. They are taken from one range, 49152 to 49215 by
  default (migration_port_min and migration_port_max in libvirt's
  src/qemu/qemu.conf.in; virPortAllocatorAcquire(driver->migrationPorts)
  in src/qemu/qemu_migration.c, for both of them). QEMU on the source
  connects there, more than once if connections are parallel.
* *tunnelled*: there is libvirtd's connection alone. The one on the source
  connects to 16509 (TCP), 16514 (TLS; both in docs/remote.rst) or to an
  SSH server. That connection is there in direct migrations as well.

Linux gives who connects a port between 32768 and 60999 (ip_local_port_range
in the kernel's Documentation/networking/ip-sysctl.rst), and QEMU's range is
within: a port in it says nothing by itself, any client may have one. What is
taken for QEMU's

* goes from one host to the other: both addresses are theirs;
* has, on the *destination*, a port in QEMU's range, for that is the side
  that listens. A port of the source in that range is any client's;
* has, on the *source*, a port that Linux gives to who connects, for there
  QEMU connects. If it is a service's (message queue, database, Ceph, OVN,
  libvirtd, SSH), then the port of the destination is the client's;
* was not there before the migration.

What is left to be mistaken for QEMU is what is made during the migration,
by somebody on the source who connects to a service of the destination that
has a port in QEMU's range (bricks of GlusterFS may), and, if both hosts send
servers to each other at the same time, QEMU of the other direction.

A connection that lives for less than the time between two looks may be
missed, and so may a migration be taken for a tunnelled one of which
libvirtd's connection was seen, QEMU's was not. Look often. Connections do
not tell whose server they move: look at one migration at a time, or at many
that are to go the same way. RDMA has no TCP connections.
"""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
import enum
import ipaddress
import json
import re
from typing import Any

from lm_tempest_plugin.hosts import remote as remotes

_RANGE = '/proc/sys/net/ipv4/ip_local_port_range'
# Address, in brackets or not, with a zone or not, and port.
_SOCKET = re.compile(r'\[?([^][%]+)(?:%[^]:]+)?\]?(?:%[^]:]+)?:([0-9]+)')


@dataclasses.dataclass(frozen=True)
class Ports:
    """TCP ports that tell a transport.

    :ivar qemu_first: the first that QEMU listens at for migrations:
        migration_port_min in qemu.conf
    :ivar qemu_last: the last one: migration_port_max
    :ivar libvirt: where libvirtd, or an SSH server before it, is reached
    :ivar client_first: the first that the source's kernel gives to who
        connects; see first_client_port()
    """

    qemu_first: int = 49152
    qemu_last: int = 49215
    libvirt: tuple[int, ...] = (22, 16509, 16514)
    client_first: int = 32768

    def is_qemu(self, connection: 'Connection') -> bool:
        """Return whether it is QEMU's.

        :param connection: as the source has it
        """
        return (self.qemu_first <= connection.peer_port <= self.qemu_last and
                connection.local_port >= self.client_first and
                connection.local_port not in self.libvirt)

    def is_libvirt(self, connection: 'Connection') -> bool:
        """Return whether it goes to libvirtd.

        :param connection: as the source has it
        """
        return connection.peer_port in self.libvirt


PORTS = Ports()


class Transport(enum.Enum):
    """How a migration gets from host to host.

    TUNNELLED: through libvirtd's connection; none of QEMU's was seen.
    DIRECT: from QEMU to QEMU.
    UNSEEN: neither was seen.
    """

    TUNNELLED = 'tunnelled'
    DIRECT = 'direct'
    UNSEEN = 'unseen'


@dataclasses.dataclass(frozen=True)
class Connection:
    """An established TCP connection.

    :ivar local_address: of the host that was asked; IPv4 or IPv6, without
        a zone, and IPv4 where it is mapped into IPv6
    :ivar local_port: there
    :ivar peer_address: of the other side
    :ivar peer_port: there
    """

    local_address: str
    local_port: int
    peer_address: str
    peer_port: int

    @property
    def reverse(self) -> 'Connection':
        """The same connection as the other side has it."""
        return Connection(self.peer_address, self.peer_port,
                          self.local_address, self.local_port)


def established(remote: remotes.Remote) -> list[Connection]:
    """Return a host's established TCP connections.

    :param remote: the host
    :raises HostError: the host cannot be asked, or its answer cannot be
        understood
    """
    output = remote.run(
        'ss', '--no-header', '--numeric', '--tcp', 'state', 'established')
    try:
        return parse(output)
    except ValueError as exc:
        raise remotes.HostError('%s: what ss says cannot be understood: %s' % (
            remote.name, exc)) from exc


def parse(output: str) -> list[Connection]:
    """Return the connections in what ss prints.

    :param output: of ss for one state, so without a column for it: two
        queues, both sockets, and maybe more (iproute2: misc/ss.c)
    :raises ValueError: it is something else; says what
    """
    found = []
    for line in filter(str.strip, output.splitlines()):
        columns = line.split()
        if len(columns) < 4:
            raise ValueError('%r has no two sockets' % line)
        found.append(Connection(*_socket(columns[2]), *_socket(columns[3])))
    return found


def _socket(text: str) -> tuple[str, int]:
    """Return address and port."""
    found = _SOCKET.fullmatch(text)
    if not found:
        raise ValueError('%r is no address with a port' % text)
    return _address(found[1]), int(found[2])


def _address(text: str) -> str:
    """Return an address as all others are written.

    :raises ValueError: it is none
    """
    address = ipaddress.ip_address(text.partition('%')[0])
    mapped = getattr(address, 'ipv4_mapped', None)
    return str(mapped or address)


def addresses(remote: remotes.Remote) -> frozenset[str]:
    """Return the addresses at which a host is reached from elsewhere.

    :param remote: the host
    :raises HostError: the host cannot be asked, or its answer cannot be
        understood
    """
    output = remote.run('ip', '-json', 'address', 'show', 'scope', 'global')
    try:
        # Interfaces without such an address come empty.
        return frozenset(
            _address(address['local']) for interface in json.loads(output)
            for address in interface.get('addr_info', ())
            if 'local' in address)
    except (ValueError, TypeError, AttributeError) as exc:
        raise remotes.HostError(
            '%s: what ip says of addresses cannot be understood: %s' % (
                remote.name, exc)) from exc


def first_client_port(remote: remotes.Remote) -> int:
    """Return the first port that a host's kernel gives to who connects.

    :param remote: the host: the source of the migration
    :raises HostError: the host cannot be asked, or its answer cannot be
        understood
    """
    output = remote.run('cat', _RANGE)
    found = re.fullmatch(r'\s*([0-9]+)\s+[0-9]+\s*', output)
    if not found:
        raise remotes.HostError('%s: %r in %s is no range of ports' % (
            remote.name, output, _RANGE))
    return int(found[1])


def between(connections: Iterable[Connection], source: Collection[str],
            destination: Collection[str]) -> frozenset[Connection]:
    """Return those from one host to the other, as the source has them.

    :param connections: as either host has them
    :param source: addresses of one host, as Connection has them
    :param destination: addresses of the other one
    """
    return frozenset(
        seen for connection in connections
        for seen in (connection, connection.reverse)
        if seen.local_address in source and seen.peer_address in destination)


def transport(connections: Iterable[Connection],
              ports: Ports = PORTS) -> Transport:
    """Return how a migration got from host to host.

    :param connections: between both hosts while the guest was copied, as
        the source has them, without those that were there before
    :param ports: that tell it
    """
    found = Transport.UNSEEN
    for connection in connections:
        if ports.is_qemu(connection):
            return Transport.DIRECT
        if ports.is_libvirt(connection):
            found = Transport.TUNNELLED
    return found


class Seen:
    """What was seen between two hosts while a server was migrated."""

    def __init__(self, source: Iterable[str], destination: Iterable[str],
                 before: Iterable[Connection] = (),
                 ports: Ports = PORTS) -> None:
        """Begin with nothing seen.

        :param source: addresses of the host that the server leaves
        :param destination: addresses of the host that it goes to. Those
            that both hosts have, of bridges as a rule, do not count
        :param before: connections before the migration, as either host has
            them; they are not the migration's
        :param ports: that tell the transport
        :raises ValueError: an address is none, or a host has none that is
            its own
        """
        left = frozenset(map(_address, source))
        right = frozenset(map(_address, destination))
        self._source, self._destination = left - right, right - left
        if not self._source or not self._destination:
            raise ValueError('the hosts have no addresses that tell them '
                             'apart: %s and %s' % (
                                 sorted(left), sorted(right)))
        self._ports = ports
        self._before = between(before, self._source, self._destination)
        self._found: set[Connection] = set()
        self._samples = 0
        self._qemu_at_once = 0

    def add(self, connections: Iterable[Connection]) -> None:
        """Take what was seen at one time.

        :param connections: all of a host, as either host has them
        """
        found = between(connections, self._source,
                        self._destination) - self._before
        self._found |= found
        self._samples += 1
        self._qemu_at_once = max(
            self._qemu_at_once, sum(map(self._ports.is_qemu, found)))

    def transport(self) -> Transport:
        """Return how the migration got to the other host."""
        return transport(self._found, self._ports)

    def as_dict(self) -> dict[str, Any]:
        """Return what was seen.

        transport: its name; samples: how many times we looked; qemu_ports
        and libvirt_ports: ports of the destination; qemu_connections: how
        many there were at once, at most.
        """
        return {
            'transport': self.transport().value,
            'samples': self._samples,
            'qemu_ports': sorted({
                one.peer_port for one in self._found
                if self._ports.is_qemu(one)}),
            'qemu_connections': self._qemu_at_once,
            'libvirt_ports': sorted({
                one.peer_port for one in self._found
                if self._ports.is_libvirt(one)}),
        }
