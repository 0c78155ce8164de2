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

"""ICMP echo requests and replies, and the sockets that carry them.

Formats: RFC 792 (ICMP) and RFC 4443 (ICMPv6); struct sockaddr_in of ip(7)
and sockaddr_in6 of ipv6(7).
"""

from collections.abc import Callable
import ctypes
import dataclasses
import errno
import os
import socket
import struct
from typing import Any

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import datagrams
from lm_tempest_plugin.probes import errors

# Besides the ICMP header, a request carries a token that marks it as ours,
# the number of its guest, and a sequence number that does not wrap at 65536.
PACKET = numpy.dtype([
    ('type', 'u1'), ('code', 'u1'), ('checksum', '>u2'),
    ('identifier', '>u2'), ('short_sequence', '>u2'),
    ('token', '>u8'), ('guest', '>u4'), ('sequence', '>u4')])
TOKEN_BYTES = 8
# An IPv4 header with all its options.
IP_HEADER_BYTES = 60
# First byte of one without options, and its length.
PLAIN_IP_HEADER = 0x45
PLAIN_IP_HEADER_BYTES = 20

# Linux: linux/in.h, linux/in6.h
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
IPV6_DONTFRAG = 62
PMTUDISC_PROBE = 3
# Linux: asm-generic/socket.h, linux/icmp.h, linux/icmpv6.h
SO_ATTACH_FILTER = 26
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
SOL_RAW = 255
ICMP_FILTER = 1
ICMP6_FILTER = 1
# Linux: linux/sock_diag.h
MEMINFO_WORDS = 9
MEMINFO_DROPS = 8

# An outage ends with a burst of the answers that were held. None may be
# dropped because this process was not running just then.
RECEIVE_BUFFER_BYTES = 8 << 20
# Packets to a neighbour with an unknown link-layer address wait for three
# seconds, up to 212992 bytes for each (net.ipv4.neigh.*.unres_qlen_bytes),
# and take the space of all others on the socket.
SEND_BUFFER_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Family:
    """Differences between ICMP and ICMPv6.

    :ivar name: for messages
    :ivar family: of the socket
    :ivar protocol: of the socket
    :ivar request: type of an echo request
    :ivar reply: type of an echo reply
    :ivar address_at: place of the address in a struct sockaddr
    :ivar header_bytes: length of the IP header
    :ivar dont_fragment: options (level, name, value) of a socket that never
        fragments, and ignores the path MTU that the kernel has learned
    """

    name: str
    family: int
    protocol: int
    request: int
    reply: int
    address_at: slice
    header_bytes: int
    dont_fragment: tuple[tuple[int, int, int], ...]


IPV4 = Family(
    'IPv4', socket.AF_INET, socket.IPPROTO_ICMP, 8, 0, slice(4, 8), 20,
    ((socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE),))
IPV6 = Family(
    'IPv6', socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129, slice(8, 24), 40,
    # Without the second one, a packet longer than the interface's MTU is
    # fragmented by this machine.
    ((socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE),
     (socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)))


@dataclasses.dataclass(frozen=True)
class Destination:
    """Destination of the requests to one guest.

    :ivar address: as the caller gave it
    :ivar numeric: the address that it resolves to
    :ivar family: IPV4 or IPV6
    :ivar sockaddr: the kernel's struct
    """

    address: str
    numeric: str
    family: Family
    sockaddr: bytes


def resolve(address: str) -> Destination:
    """Return the destination of requests to an address.

    :param address: an IPv4 or IPv6 address, or a name of one
    :raises ProbeError: it is neither
    """
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as exc:
        raise errors.ProbeError(
            f'{address or "an empty text"} is no IP address and no name that '
            f'resolves to one: {exc}') from exc
    where: tuple[Any, ...] = found[0][4]
    numeric, _ = socket.getnameinfo(
        where, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    if found[0][0] == socket.AF_INET6:
        host, _, flow, scope = where
        # The kernel takes the interface of a link-local address as a
        # number of its own, not as a part of the address.
        return Destination(address, numeric, IPV6, struct.pack(
            '=H2xI16sI', socket.AF_INET6, flow, socket.inet_pton(
                socket.AF_INET6, host.partition('%')[0]), scope))
    return Destination(address, numeric, IPV4, struct.pack(
        '=H2x4s8x', socket.AF_INET,
        socket.inet_pton(socket.AF_INET, where[0])))


class Requests:
    """The echo requests to a group of guests, which differ in little.

    :ivar identifier: by which the kernel tells sockets apart
    :ivar packets: a row of bytes for each guest
    :ivar checksummed: whether we compute the checksum; the kernel does so
        for all but raw IPv4 sockets
    """

    def __init__(self, family: Family, guests: int,
                 size: int = PACKET.itemsize) -> None:
        """Build the requests with sequence number 0.

        :param family: IPV4 or IPV6
        :param guests: number of guests
        :param size: length of a request in bytes; even, for the checksum
        """
        self.identifier = int.from_bytes(os.urandom(2), 'big')
        self.checksummed = True
        self._token = int.from_bytes(os.urandom(TOKEN_BYTES), 'big')
        self._family = family
        self.packets = numpy.zeros((guests, size), numpy.uint8)
        self._requests = self.packets[:, :PACKET.itemsize].view(PACKET)[:, 0]
        self._requests['type'] = family.request
        self._requests['identifier'] = self.identifier
        self._requests['token'] = self._token
        self._requests['guest'] = numpy.arange(guests)
        self.number(0)

    def number(self, sequence: int) -> None:
        """Set the sequence number of all requests."""
        self._requests['short_sequence'] = sequence & 0xffff
        self._requests['sequence'] = sequence & 0xffffffff
        if self.checksummed:
            self._requests['checksum'] = 0
            self._requests['checksum'] = internet_checksum(self.packets)

    def replies(self, packets: answers.Bytes, lengths: answers.Numbers
                ) -> tuple[answers.Marks, answers.Structures]:
        """Return which packets are replies to us, and all packets parsed.

        :param packets: ICMP packets, a row of bytes each
        :param lengths: number of valid bytes of each row
        :returns: a packet that is no reply has arbitrary content
        """
        replies = packets[:, :PACKET.itemsize].view(PACKET)[:, 0]
        return ((lengths >= PACKET.itemsize) &
                (replies['type'] == self._family.reply) &
                (replies['token'] == self._token) &
                (replies['guest'] < len(self._requests))), replies


def internet_checksum(packets: answers.Bytes) -> answers.Unsigned:
    """Return the checksum of RFC 1071 for each row of bytes."""
    total = packets.view('>u2').sum(axis=1, dtype=numpy.uint32)
    for _ in range(2):
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_header_bytes(packets: answers.Bytes) -> answers.Places:
    """Return the header length of each IPv4 packet (RFC 791)."""
    return (packets[:, 0] & 0x0f).astype(numpy.intp) * 4


def without_ip_header(packets: answers.Bytes) -> answers.Bytes:
    """Return the payloads of IPv4 packets, a row of bytes each."""
    if (packets[:, 0] == PLAIN_IP_HEADER).all():
        return packets[:, PLAIN_IP_HEADER_BYTES:]
    columns = numpy.arange(packets.shape[1] - IP_HEADER_BYTES)
    return numpy.take_along_axis(
        packets, ip_header_bytes(packets)[:, None] + columns, axis=1)


def open_socket(family: Family, identifier: int,
                opener: Callable[[int, int, int], socket.socket] =
                socket.socket) -> tuple[socket.socket, bool]:
    """Open a socket for ICMP echo requests, unprivileged if possible.

    :param family: IPV4 or IPV6
    :param identifier: the identifier of our requests on a raw socket
    :param opener: creates a socket; socket.socket but for tests
    :returns: the socket, not blocking and with kernel receive stamps; and
        whether it is a raw one
    :raises ProbesNotPermitted: neither kind may be opened
    :raises ProbeError: the local machine does not support the family
    """
    reasons = []
    for kind, name in ((socket.SOCK_DGRAM, 'datagram'),
                       (socket.SOCK_RAW, 'raw')):
        try:
            sock = opener(family.family, kind, family.protocol)
        except OSError as exc:
            if exc.errno == errno.EAFNOSUPPORT:
                raise errors.ProbeError(
                    f'this machine has no {family.name}') from exc
            reasons.append(f'{name} socket: {exc}')
            continue
        raw = kind == socket.SOCK_RAW
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, datagrams.SO_TIMESTAMPNS, 1)
            _enlarge(sock, SO_RCVBUFFORCE, socket.SO_RCVBUF,
                     RECEIVE_BUFFER_BYTES)
            _enlarge(sock, SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            if raw:
                _filter(sock, family, identifier)
        except BaseException:
            sock.close()
            raise
        return sock, raw
    raise errors.ProbesNotPermitted(
        f'this machine does not allow ICMP echo requests '
        f'({"; ".join(reasons)}). Permit them to the group of this process '
        f'(sysctl net.ipv4.ping_group_range="0 2147483647", which covers '
        f'IPv6 too), or run with the capability CAP_NET_RAW.')


def _enlarge(sock: socket.socket, forced: int, asked: int, size: int) -> None:
    """Enlarge a buffer of a socket as far as the machine permits."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, asked, size)


def _filter(sock: socket.socket, family: Family, identifier: int) -> None:
    """Let only replies to this socket in.

    A raw socket receives every packet of its protocol otherwise.
    """
    if family is IPV4:
        # A bit that is set blocks that type of message.
        refused = 0xffffffff & ~(1 << family.reply)
        sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack('@I', refused))
    else:
        words = [0xffffffff] * 8
        words[family.reply // 32] &= ~(1 << family.reply % 32)
        sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER,
                        struct.pack('@8I', *words))
    # A classic BPF program that passes one identifier. Instructions as in
    # linux/bpf_common.h: code, jump if true, jump if false, constant. The
    # identifier is in bytes 4 and 5 of the ICMP header; an IPv4 raw socket
    # has the IP header before it.
    load = [(0x28, 0, 0, 4)]            # A = half word at 4
    if family is IPV4:
        load = [(0xb1, 0, 0, 0),        # X = length of the IP header
                (0x48, 0, 0, 4)]        # A = half word at X + 4
    program = [*load,
               (0x15, 0, 1, identifier),   # next, unless A is another one
               (0x06, 0, 0, 0xffffffff),   # pass the whole packet
               (0x06, 0, 0, 0)]            # pass nothing
    code = ctypes.create_string_buffer(b''.join(
        struct.pack('@HBBI', *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
        '@HP', len(program), ctypes.addressof(code)))


def dropped(sock: socket.socket) -> int:
    """Return how many packets a socket dropped because it was full."""
    words = struct.unpack(f'@{MEMINFO_WORDS}I', sock.getsockopt(
        socket.SOL_SOCKET, SO_MEMINFO, 4 * MEMINFO_WORDS))
    return int(words[MEMINFO_DROPS])
