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

"""Transport of a migration: the TCP connections between two hosts.

nova can let QEMU send the guest to the other QEMU, or let libvirtd send it to
the other libvirtd ([libvirt]live_migration_tunnelled). The sockets of a host
show which one happens, while the guest is copied:

* *direct*: QEMU on the destination listens at a port of its own for memory
  and, for a block migration, at a second one for the disks (NBD); TLS uses the
  same ports. They come from one range, 49152 to 49215 by default
  (migration_port_min and migration_port_max in libvirt's
  src/qemu/qemu.conf.in; virPortAllocatorAcquire(driver->migrationPorts)
  in src/qemu/qemu_migration.c, for both of them). QEMU on the source
  connects to them, several times if connections are parallel.
* *tunnelled*: only libvirtd's connection exists. The libvirtd of the source
  connects to 16509 (TCP), 16514 (TLS; both in docs/remote.rst) or to an
  SSH server. A direct migration has that connection as well.

Linux gives clients a port from 32768 to 60999 (ip_local_port_range in the
kernel's Documentation/networking/ip-sysctl.rst), and QEMU's range lies within.
So a port in QEMU's range alone proves nothing; any client may have it. A
connection counts as QEMU's if it

* goes from one host to the other: both addresses are theirs;
* has a port in QEMU's range on the *destination*, because that side listens.
  On the source any client may have such a port;
* has a client's port on the *source*, because QEMU connects from there. If
  that is a service's port (message queue, database, Ceph, OVN, libvirtd,
  SSH), then the port on the destination is the client's;
* did not exist before the migration.

It can still be confused with a connection that a client on the source opens
during the migration to a service on the destination with a port in QEMU's
range (bricks of GlusterFS may have one), and, if both hosts send servers to
each other at the same time, with QEMU's in the other direction.

A connection that is shorter than the time between two snapshots may be
missed, so a direct migration may look tunnelled, because libvirtd's connection
lives longer. Take snapshots often. Connections do not show whose server they
move: watch one migration at a time, or several that use the same transport.
RDMA has no TCP connections.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
import enum
import ipaddress
import json
import re
import time

from oslo_log import log as logging

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

# The copy of a small guest takes less than a second.
PERIOD_S = 0.2
# A snapshot takes as long as a command on the host. A gap longer than this may
# hide a whole connection, so "no connection seen" proves nothing.
MAX_GAP_S = 2.0

_RANGE = '/proc/sys/net/ipv4/ip_local_port_range'
# Address, with or without brackets and zone, and port.
_SOCKET = re.compile(r'\[?([^][%]+)(?:%[^]:]+)?\]?(?:%[^]:]+)?:([0-9]+)')


class Transport(enum.StrEnum):
    """How a migration gets from host to host."""

    # Through libvirtd's connection; none of QEMU's was seen.
    TUNNELLED = 'tunnelled'
    # From QEMU to QEMU.
    DIRECT = 'direct'
    # Neither was seen.
    UNSEEN = 'unseen'


@dataclasses.dataclass(frozen=True)
class HostConnection:
    """An established TCP connection.

    :ivar local_address: on the host that was asked; IPv4 or IPv6 without a
        zone; IPv4 for an IPv4-mapped IPv6 address
    :ivar local_port: port on that host
    :ivar peer_address: on the other side
    :ivar peer_port: port on the other side
    """

    local_address: str
    local_port: int
    peer_address: str
    peer_port: int

    @property
    def reverse(self) -> 'HostConnection':
        """The same connection, seen from the other side."""
        return HostConnection(self.peer_address, self.peer_port,
                              self.local_address, self.local_port)


@dataclasses.dataclass(frozen=True)
class Ports:
    """TCP ports that identify a transport.

    :ivar qemu_first: first port at which QEMU listens for migrations:
        migration_port_min in qemu.conf
    :ivar qemu_last: last one: migration_port_max
    :ivar libvirt: ports of libvirtd, or of an SSH server before it
    :ivar client_first: first port that the source's kernel gives to clients;
        see first_client_port()
    """

    qemu_first: int = 49152
    qemu_last: int = 49215
    libvirt: tuple[int, ...] = (22, 16509, 16514)
    client_first: int = 32768

    def is_qemu(self, connection: HostConnection) -> bool:
        """Return whether a connection is QEMU's.

        :param connection: seen from the source
        """
        return (self.qemu_first <= connection.peer_port <= self.qemu_last and
                connection.local_port >= self.client_first and
                connection.local_port not in self.libvirt)

    def is_libvirt(self, connection: HostConnection) -> bool:
        """Return whether a connection goes to libvirtd.

        :param connection: seen from the source
        """
        return connection.peer_port in self.libvirt


PORTS = Ports()


def established(host: remote.Remote) -> list[HostConnection]:
    """Return a host's established TCP connections.

    :param host: the host
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    return remote.ask(host, parse, 'ss', '--no-header', '--numeric', '--tcp',
                      'state', 'established')


def parse(output: str) -> list[HostConnection]:
    """Return the connections in the output of ss.

    :param output: of ss for one state, so without a column for it: two
        queues, both sockets, and perhaps more (iproute2: misc/ss.c)
    :raises ValueError: it is something else; names the wrong part
    """
    def socket(text: str) -> tuple[str, int]:
        match = _SOCKET.fullmatch(text)
        if not match:
            raise ValueError(f'{text!r} is not an address with a port')
        return _address(match[1]), int(match[2])

    found = []
    for line in filter(str.strip, output.splitlines()):
        columns = line.split()
        if len(columns) < 4:
            raise ValueError(f'{line!r} does not have two sockets')
        found.append(HostConnection(*socket(columns[2]), *socket(columns[3])))
    return found


def _address(text: str) -> str:
    """Return an address in one spelling.

    :raises ValueError: it is not an address
    """
    address = ipaddress.ip_address(text.partition('%')[0])
    mapped = getattr(address, 'ipv4_mapped', None)
    return str(mapped or address)


def addresses(host: remote.Remote) -> frozenset[str]:
    """Return the addresses of a host that other hosts can reach.

    :param host: the host
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    # An interface without such an address is an empty object.
    return remote.ask(host, lambda output: frozenset(
        _address(address['local']) for interface in json.loads(output)
        for address in interface.get('addr_info', ()) if 'local' in address),
        'ip', '-json', 'address', 'show', 'scope', 'global')


def first_client_port(host: remote.Remote) -> int:
    """Return the first port that a host's kernel gives to clients.

    :param host: the source of the migration
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    def first(output: str) -> int:
        start, _ = output.split()
        return int(start)

    return remote.ask(host, first, 'cat', _RANGE)


def between(connections: Iterable[HostConnection], source: Collection[str],
            destination: Collection[str]) -> frozenset[HostConnection]:
    """Return the connections between two hosts, seen from the source.

    :param connections: seen from either host
    :param source: addresses of one host, spelled as in HostConnection
    :param destination: addresses of the other host
    """
    return frozenset(
        seen for connection in connections
        for seen in (connection, connection.reverse)
        if seen.local_address in source and seen.peer_address in destination)


class SeenConnections:
    """Connections that were seen between two hosts during migrations."""

    def __init__(self, source: Iterable[str], destination: Iterable[str],
                 before: Iterable[HostConnection] = (),
                 ports: Ports = PORTS) -> None:
        """Start with none.

        :param source: addresses of the host that servers leave
        :param destination: addresses of the host that they go to. Addresses
            that both hosts have, usually of bridges, do not count
        :param before: connections before the migration, seen from either
            host; they do not count
        :param ports: ports that identify the transport
        :raises ValueError: an address is wrong, or a host has none of its
            own
        """
        left = frozenset(map(_address, source))
        right = frozenset(map(_address, destination))
        self._source, self._destination = left - right, right - left
        if not self._source or not self._destination:
            raise ValueError('each needs an address that the other does not '
                             f'have: {sorted(left)} and {sorted(right)}')
        self._ports = ports
        self._before = between(before, self._source, self._destination)
        self._found: set[HostConnection] = set()
        self._samples = 0
        self._qemu_at_once = 0

    def add(self, connections: Iterable[HostConnection]) -> None:
        """Add a snapshot.

        :param connections: all connections of a host, seen from either host
        """
        found = between(connections, self._source,
                        self._destination) - self._before
        self._found |= found
        self._samples += 1
        self._qemu_at_once = max(
            self._qemu_at_once, sum(map(self._ports.is_qemu, found)))

    def results(self, error: str | None = None) -> schema.Sockets:
        """Return the transport and the connections so far.

        :param error: why a snapshot is missing; None if none is
        """
        qemu = {one.peer_port for one in self._found
                if self._ports.is_qemu(one)}
        libvirt = {one.peer_port for one in self._found
                   if self._ports.is_libvirt(one)}
        # Direct migrations have a connection of libvirtd, too.
        transport = (Transport.DIRECT if qemu else
                     Transport.TUNNELLED if libvirt else Transport.UNSEEN)
        return schema.Sockets(
            transport=transport.value, samples=self._samples,
            qemu_ports=tuple(sorted(qemu)),
            qemu_connections=self._qemu_at_once,
            libvirt_ports=tuple(sorted(libvirt)), error=error)


class SocketWatch(remote.RepeatingThread):
    """Watch the sockets of a source host from start() to stop().

    Also a context manager. All servers that go from one host to the other
    meanwhile have to use the same transport.
    """

    def __init__(self, source: remote.Remote, destination: remote.Remote,
                 period_s: float = PERIOD_S,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; start() asks the hosts for the first time.

        :param source: the host that servers leave
        :param destination: the host that they go to
        :param period_s: time from the end of a snapshot to the next one, in
            seconds
        :param clock: returns a monotonic time in seconds
        """
        super().__init__(f'sockets of {source.name}', period_s)
        self._source = source
        self._destination = destination
        self._clock = clock
        self._seen: SeenConnections | None = None
        self._error: Exception | None = None
        self._newest_s = 0.0
        self._max_gap_s = 0.0

    def start(self) -> None:
        """Start to take snapshots.

        :raises HostError: a host cannot be asked, or both hosts have the same
            addresses
        """
        try:
            self._seen = SeenConnections(
                addresses(self._source), addresses(self._destination),
                established(self._source),
                Ports(client_first=first_client_port(self._source)))
        except ValueError as exc:
            raise remote.HostError(
                f'hosts {self._source.name} and {self._destination.name}: '
                f'{exc}') from exc
        self._newest_s = self._clock()
        super().start()

    def step(self) -> None:
        """Take a snapshot, or note that it failed."""
        assert self._seen is not None, 'start() sets it'
        try:
            self._seen.add(established(self._source))
        except Exception as exc:
            # The migration goes on, and so do the snapshots. transport
            # raises the error if it matters.
            if self._error is None:
                LOG.exception('The sockets of host %s cannot be listed',
                              self._source.name)
            self._error = exc
            return
        now_s = self._clock()
        self._max_gap_s = max(self._max_gap_s, now_s - self._newest_s)
        self._newest_s = now_s

    @property
    def transport(self) -> Transport:
        """The transport that was seen.

        :raises HostError: a snapshot failed or came late, and QEMU's
            connections, which it may have missed, were not seen
        """
        found = Transport(self.results().transport)
        if found == Transport.DIRECT:
            return found
        reason: object = self._error
        if reason is None and self._max_gap_s > MAX_GAP_S:
            reason = (f'{self._max_gap_s:.1f} s passed between two snapshots '
                      f'(limit {MAX_GAP_S:g} s)')
        if reason is not None:
            raise remote.HostError(
                f'the sockets of host {self._source.name} were not seen all '
                f'the time: {reason}') from self._error
        return found

    def results(self) -> schema.Sockets:
        """Return the transport and the connections so far."""
        assert self._seen is not None, 'start() comes first'
        return self._seen.results(str(self._error) if self._error else None)

    def __str__(self) -> str:
        found = self.results()
        return (f'sockets between {self._source.name} and '
                f'{self._destination.name}: transport {found.transport}, '
                f'{found.samples} snapshots, ports of QEMU '
                f'{list(found.qemu_ports)} with up to '
                f'{found.qemu_connections} connections at once, ports of '
                f'libvirt {list(found.libvirt_ports)}' +
                (f', last error: {found.error}' if found.error else ''))
