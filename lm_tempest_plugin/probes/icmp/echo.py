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


"""ICMP echo requests and replies, many at a time.

Formats: RFC 792 (ICMP) and RFC 4443 (ICMPv6); struct sockaddr_in of ip(7)
and sockaddr_in6 of ipv6(7).
"""

import dataclasses
import os
import socket
import struct
from typing import Any
from typing import TypeAlias

import numpy
from numpy import typing as npt

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import mmsg

Packets: TypeAlias = npt.NDArray[numpy.void]

# What a request carries: a token by which we know our own, which guest it
# was sent to, and a sequence number that does not begin anew after 65536.
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


@dataclasses.dataclass(frozen=True)
class Family:
    """What differs between ICMP and ICMPv6.

    :ivar name: in words
    :ivar family: of the socket
    :ivar protocol: of the socket
    :ivar request: type of an echo request
    :ivar reply: type of an echo reply
    :ivar address_at: where the address lies in a struct sockaddr
    """

    name: str
    family: int
    protocol: int
    request: int
    reply: int
    address_at: slice


IPV4 = Family('IPv4', socket.AF_INET, socket.IPPROTO_ICMP, 8, 0, slice(4, 8))
IPV6 = Family('IPv6', socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129,
              slice(8, 24))


@dataclasses.dataclass(frozen=True)
class Destination:
    """Where requests to one guest go.

    :ivar address: as it was handed in
    :ivar numeric: what it resolves to, in digits
    :ivar family: IPV4 or IPV6
    :ivar sockaddr: the kernel's struct
    """

    address: str
    numeric: str
    family: Family
    sockaddr: bytes


def resolve(address: str) -> Destination:
    """Return where requests to an address go.

    :param address: an IPv4 or IPv6 address, or a name of one
    :raises ProbeError: it is neither
    """
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as exc:
        raise errors.ProbeError(
            '%s is no IP address and no name that resolves to one: %s' % (
                address, exc)) from exc
    family, _, _, _, where = found[0]
    numeric, _ = socket.getnameinfo(
        where, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    if family == socket.AF_INET6:
        return Destination(address, numeric, IPV6, _sockaddr_in6(*where))
    return Destination(address, numeric, IPV4, _sockaddr_in(*where))


def _sockaddr_in(host: str, *_: Any) -> bytes:
    return struct.pack('=H2x4s8x', socket.AF_INET,
                       socket.inet_pton(socket.AF_INET, host))


def _sockaddr_in6(host: str, _: int, flow: int, scope: int) -> bytes:
    # A link-local address names its interface, which the kernel wants apart.
    return struct.pack('=H2xI16sI', socket.AF_INET6, flow, socket.inet_pton(
        socket.AF_INET6, host.partition('%')[0]), scope)


class Requests:
    """The echo requests to a group of guests, which differ in little.

    :ivar identifier: by which the kernel tells sockets apart
    :ivar packets: a row of bytes for each guest
    :ivar checksummed: whether the checksum is put in; the kernel does so for
        all but raw IPv4 sockets
    """

    def __init__(self, family: Family, guests: int) -> None:
        """Make them, with sequence number 0.

        :param family: IPV4 or IPV6
        :param guests: how many
        """
        self.identifier = int.from_bytes(os.urandom(2), 'big')
        self.checksummed = True
        self._token = int.from_bytes(os.urandom(TOKEN_BYTES), 'big')
        self._family = family
        self._requests = numpy.zeros(guests, PACKET)
        self._requests['type'] = family.request
        self._requests['identifier'] = self.identifier
        self._requests['token'] = self._token
        self._requests['guest'] = numpy.arange(guests)
        self.packets = self._requests.view(numpy.uint8).reshape(guests, -1)
        self.number(0)

    def number(self, sequence: int) -> None:
        """Put in a sequence number."""
        self._requests['short_sequence'] = sequence & 0xffff
        self._requests['sequence'] = sequence & 0xffffffff
        if self.checksummed:
            self._requests['checksum'] = 0
            self._requests['checksum'] = internet_checksum(self.packets)

    def replies(self, packets: mmsg.Bytes, lengths: npt.NDArray[numpy.int64]
                ) -> tuple[npt.NDArray[numpy.bool_], Packets]:
        """Return which packets are replies to us, and all of them as such.

        :param packets: ICMP packets, a row of bytes each
        :param lengths: how many bytes of each row are its own
        :returns: what is not a reply has any content
        """
        replies = packets[:, :PACKET.itemsize].view(PACKET)[:, 0]
        return ((lengths >= PACKET.itemsize) &
                (replies['type'] == self._family.reply) &
                (replies['token'] == self._token) &
                (replies['guest'] < len(self._requests))), replies


def internet_checksum(packets: mmsg.Bytes) -> npt.NDArray[numpy.uint32]:
    """Return the checksum of RFC 1071 for each row of bytes."""
    total = packets.view('>u2').sum(axis=1, dtype=numpy.uint32)
    for _ in range(2):
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_header_bytes(packets: mmsg.Bytes) -> npt.NDArray[numpy.intp]:
    """Return how long the header of each IPv4 packet is (RFC 791)."""
    return (packets[:, 0] & 0x0f).astype(numpy.intp) * 4


def without_ip_header(packets: mmsg.Bytes) -> mmsg.Bytes:
    """Return IPv4 packets, a row of bytes each, from their payload on."""
    if (packets[:, 0] == PLAIN_IP_HEADER).all():
        return packets[:, PLAIN_IP_HEADER_BYTES:]
    columns = numpy.arange(packets.shape[1] - IP_HEADER_BYTES)
    return numpy.take_along_axis(
        packets, ip_header_bytes(packets)[:, None] + columns, axis=1)
