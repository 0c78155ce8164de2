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

"""ICMP echo requests to any number of guests, from one thread.

Unprivileged datagram sockets are used where the machine allows them, raw
sockets where it does not. Each request carries a token of its guest and a
64-bit sequence number, so an answer can be told from everybody else's, and
from one that is 65536 requests old.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import os
import selectors
import socket
import struct
import time
from typing import Any

from oslo_log import log as logging

from lm_tempest_plugin.probes import clocks
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import worker

LOG = logging.getLogger(__name__)

# Linux: asm-generic/socket.h, linux/icmp.h, linux/icmpv6.h
SO_TIMESTAMPNS = getattr(socket, 'SO_TIMESTAMPNS', 35)
SOL_RAW = 255
ICMP_FILTER = 1
ICMP6_FILTER = 1

TOKEN_BYTES = 8
HEADER = struct.Struct('!BBHHH')
PAYLOAD = struct.Struct('!%dsQ' % TOKEN_BYTES)
STAMP = struct.Struct('@qq')
ANCILLARY_BYTES = 256
PACKET_BYTES = 2048
# How many packets are read before the schedule is looked at again.
BURST = 256


@dataclasses.dataclass(frozen=True)
class Family:
    """What differs between ICMP and ICMPv6."""

    family: int
    protocol: int
    request: int
    reply: int


IPV4 = Family(socket.AF_INET, socket.IPPROTO_ICMP, 8, 0)
IPV6 = Family(socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129)


@dataclasses.dataclass
class Target:
    """One guest: its socket, and what was seen of it."""

    address: str
    sockaddr: tuple[Any, ...]
    family: Family
    sock: socket.socket
    raw: bool
    seen: observations.Observations
    identifier: int = dataclasses.field(
        default_factory=lambda: int.from_bytes(os.urandom(2), 'big'))
    token: bytes = dataclasses.field(
        default_factory=lambda: os.urandom(TOKEN_BYTES))


class IcmpProber(worker.Prober):
    """Asks each guest once per period, from start() until stop().

    What it saw can be had at any time.
    """

    name = 'ICMP prober'

    def __init__(self, addresses: Sequence[str], period_s: float) -> None:
        """Open a socket for each address.

        :param addresses: IPv4 and IPv6 addresses, each at most once
        :param period_s: time between two requests to one guest, in seconds
        :raises ProbeError: an address is none, or this machine does not
            let us send ICMP echo requests
        """
        super().__init__(period_s)
        self._targets: dict[str, Target] = {}
        self._clock = clocks.StampConverter()
        try:
            for address in addresses:
                self._add(address)
        except BaseException:
            self.close()
            raise

    def _add(self, address: str) -> None:
        family, sockaddr = resolve(address)
        sock, raw = open_socket(family)
        target = Target(
            address, sockaddr, family, sock, raw,
            observations.Observations(
                address, round(self.period_s * schedule.NS)))
        self._targets[address] = target
        self.selector.register(sock, selectors.EVENT_READ, target)

    def seen(self, address: str) -> observations.Observations:
        """Return what was seen of one guest up to now.

        :param address: as it was handed in
        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        return self._targets[address].seen.copy()

    @property
    def stamps_refused(self) -> int:
        """Answers that got user-space time instead of the kernel's stamp."""
        return self._clock.refused

    @property
    def clock_steps(self) -> int:
        """How often the wall clock was seen to be set."""
        return self._clock.steps

    def close(self) -> None:
        """Close the sockets."""
        for target in self._targets.values():
            target.sock.close()

    def on_tick(self) -> None:
        """Send a request to every guest."""
        self._clock.refresh()
        for target in self._targets.values():
            self._send(target)

    def on_readable(self, data: Target) -> None:
        """Take in what has come for one guest."""
        for _ in range(BURST):
            try:
                packet, ancillary, _, _ = data.sock.recvmsg(
                    PACKET_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError as exc:
                # An ICMP error for one of our packets, not an answer.
                LOG.debug('%s: %s', data.address, exc)
                continue
            self._note(data, packet, kernel_stamp_ns(ancillary))

    def _send(self, target: Target) -> None:
        """Send one request; one that could not be sent counts as lost."""
        sequence = target.seen.ask(time.monotonic_ns())
        try:
            target.sock.sendto(
                echo_request(target.family, target.identifier, target.token,
                             sequence), target.sockaddr)
        except OSError as exc:
            target.seen.send_errors += 1
            target.seen.send_error = str(exc)

    def _note(self, target: Target, packet: bytes,
              stamp_ns: int | None) -> None:
        sequence = parse_reply(target.family, target.raw, target.token,
                               packet)
        if sequence is None:
            return
        if sequence >= len(target.seen.sent_ns):
            target.seen.strangers += 1
            return
        target.seen.answer(sequence, self._clock.to_monotonic_ns(
            stamp_ns, target.seen.sent_ns[sequence]))


def resolve(address: str) -> tuple[Family, tuple[Any, ...]]:
    """Return the family and the socket address that belong to an address.

    :raises ProbeError: it is no address and no name of one
    """
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_DGRAM)
    except socket.gaierror as exc:
        raise errors.ProbeError(
            '%s is no IP address and no name that resolves to one: %s' % (
                address, exc)) from exc
    family, _, _, _, sockaddr = found[0]
    if family == socket.AF_INET6:
        return IPV6, sockaddr
    return IPV4, sockaddr


def open_socket(family: Family, opener: Callable[
        [int, int, int], socket.socket] = socket.socket
        ) -> tuple[socket.socket, bool]:
    """Open a socket for ICMP echo requests.

    :param family: IPV4 or IPV6
    :param opener: what makes a socket; socket.socket but for tests
    :returns: the socket, not blocking and with kernel receive stamps; and
        whether it is a raw one
    :raises ProbesNotPermitted: neither kind may be opened
    """
    reasons = []
    for kind, name in ((socket.SOCK_DGRAM, 'datagram'),
                       (socket.SOCK_RAW, 'raw')):
        try:
            sock = opener(family.family, kind, family.protocol)
        except OSError as exc:
            reasons.append('%s socket: %s' % (name, exc))
            continue
        _configure(sock, family, kind == socket.SOCK_RAW)
        return sock, kind == socket.SOCK_RAW
    raise errors.ProbesNotPermitted(
        'this machine does not allow ICMP echo requests (%s). Let the group '
        'of this process use them (sysctl net.ipv4.ping_group_range="0 '
        '2147483647", which covers IPv6 too), or run with the capability '
        'CAP_NET_RAW.' % '; '.join(reasons))


def _configure(sock: socket.socket, family: Family, raw: bool) -> None:
    """Set a new socket up: stamps, no blocking, nothing but echo replies."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    if raw and family is IPV4:
        # A bit that is set keeps that type of message away from us.
        refused = 0xffffffff & ~(1 << family.reply)
        sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack('@I', refused))
    elif raw:
        words = [0xffffffff] * 8
        words[family.reply // 32] &= ~(1 << family.reply % 32)
        sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER,
                        struct.pack('@8I', *words))


def echo_request(family: Family, identifier: int, token: bytes,
                 sequence: int) -> bytes:
    """Return an ICMP echo request.

    The kernel puts in the identifier of a datagram socket, and the checksum
    of all but raw IPv4 sockets.
    """
    payload = PAYLOAD.pack(token, sequence)
    header = HEADER.pack(family.request, 0, 0, identifier, sequence & 0xffff)
    checksum = internet_checksum(header + payload)
    return HEADER.pack(family.request, 0, checksum, identifier,
                       sequence & 0xffff) + payload


def internet_checksum(data: bytes) -> int:
    """Return the checksum of RFC 1071 over an even number of bytes."""
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def parse_reply(family: Family, raw: bool, token: bytes,
                packet: bytes) -> int | None:
    """Return the sequence number of an answer to one of our requests.

    :param family: IPV4 or IPV6
    :param raw: whether it came from a raw socket
    :param token: what our requests to this guest carry
    :param packet: what was received
    :returns: None if the packet answers none of our requests
    """
    if raw and family is IPV4 and packet:
        packet = packet[(packet[0] & 0x0f) * 4:]
    if len(packet) < HEADER.size + PAYLOAD.size or packet[0] != family.reply:
        return None
    found, sequence = PAYLOAD.unpack_from(packet, HEADER.size)
    return sequence if found == token else None


def kernel_stamp_ns(ancillary: Sequence[tuple[int, int, bytes]]
                    ) -> int | None:
    """Return the kernel's receive stamp: CLOCK_REALTIME in nanoseconds.

    :param ancillary: as returned by recvmsg()
    :returns: None if there is no stamp among it
    """
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = STAMP.unpack_from(data)
            return int(seconds * schedule.NS + nanoseconds)
    return None
