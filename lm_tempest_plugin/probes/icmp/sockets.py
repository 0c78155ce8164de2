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


"""Sockets for ICMP echo requests, with or without privileges."""

from collections.abc import Callable
import ctypes
import errno
import socket
import struct

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import echo
from lm_tempest_plugin.probes.icmp import mmsg

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

# Answers that wait while we do not run must not be lost: an outage ends with
# a burst of those that were held.
RECEIVE_BUFFER_BYTES = 8 << 20
# Packets to a neighbour whose link-layer address is not known wait for three
# seconds, up to 212992 bytes for each (net.ipv4.neigh.*.unres_qlen_bytes),
# and take the room of everybody on the socket.
SEND_BUFFER_BYTES = 16 << 20


def open_socket(family: echo.Family, identifier: int,
                opener: Callable[[int, int, int], socket.socket] =
                socket.socket) -> tuple[socket.socket, bool]:
    """Open a socket for ICMP echo requests.

    :param family: IPV4 or IPV6
    :param identifier: what our requests carry, where we choose it
    :param opener: what makes a socket; socket.socket but for tests
    :returns: the socket, not blocking and with kernel receive stamps; and
        whether it is a raw one
    :raises ProbesNotPermitted: neither kind may be opened
    :raises ProbeError: this machine does not know the family
    """
    reasons = []
    for kind, name in ((socket.SOCK_DGRAM, 'datagram'),
                       (socket.SOCK_RAW, 'raw')):
        try:
            sock = opener(family.family, kind, family.protocol)
        except OSError as exc:
            if exc.errno == errno.EAFNOSUPPORT:
                raise errors.ProbeError(
                    'this machine has no %s' % family.name) from exc
            reasons.append('%s socket: %s' % (name, exc))
            continue
        try:
            _configure(sock, family, kind == socket.SOCK_RAW, identifier)
        except BaseException:
            sock.close()
            raise
        return sock, kind == socket.SOCK_RAW
    raise errors.ProbesNotPermitted(
        'this machine does not allow ICMP echo requests (%s). Let the group '
        'of this process use them (sysctl net.ipv4.ping_group_range="0 '
        '2147483647", which covers IPv6 too), or run with the capability '
        'CAP_NET_RAW.' % '; '.join(reasons))


def _configure(sock: socket.socket, family: echo.Family, raw: bool,
               identifier: int) -> None:
    """Set a new socket up: stamps, no blocking, room, our replies alone."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, mmsg.SO_TIMESTAMPNS, 1)
    _enlarge(sock, SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    _enlarge(sock, SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if raw:
        _let_in_ours_alone(sock, family, identifier)


def _enlarge(sock: socket.socket, forced: int, asked: int,
             size: int) -> None:
    """Have a socket keep as much as the machine lets it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, asked, size)


def _let_in_ours_alone(sock: socket.socket, family: echo.Family,
                       identifier: int) -> None:
    """Keep away what is no reply, and replies to other sockets.

    A raw socket is given everything of its protocol otherwise.
    """
    if family is echo.IPV4:
        # A bit that is set keeps that type of message away from us.
        refused = 0xffffffff & ~(1 << family.reply)
        sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack('@I', refused))
    else:
        words = [0xffffffff] * 8
        words[family.reply // 32] &= ~(1 << family.reply % 32)
        sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER,
                        struct.pack('@8I', *words))
    _attach(sock, _identifier_filter(family, identifier))


def _identifier_filter(family: echo.Family,
                       identifier: int) -> list[tuple[int, int, int, int]]:
    """Return a classic BPF program that passes one identifier only.

    Instructions as in linux/bpf_common.h: code, jump if true, jump if
    false, constant. The identifier is in bytes 4 and 5 of the ICMP header,
    before which an IPv4 raw socket has the IP header.
    """
    if family is echo.IPV4:
        load = [(0xb1, 0, 0, 0),        # X = length of the IP header
                (0x48, 0, 0, 4)]        # A = half word at X + 4
    else:
        load = [(0x28, 0, 0, 4)]        # A = half word at 4
    return [*load,
            (0x15, 0, 1, identifier),   # next, unless A is another one
            (0x06, 0, 0, 0xffffffff),   # pass the whole packet
            (0x06, 0, 0, 0)]            # pass nothing


def _attach(sock: socket.socket,
            program: list[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b''.join(
        struct.pack('@HBBI', *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
        '@HP', len(program), ctypes.addressof(code)))


def dropped(sock: socket.socket) -> int:
    """Return how many packets came and found no room in a socket."""
    words = struct.unpack('@%dI' % MEMINFO_WORDS, sock.getsockopt(
        socket.SOL_SOCKET, SO_MEMINFO, 4 * MEMINFO_WORDS))
    return int(words[MEMINFO_DROPS])
