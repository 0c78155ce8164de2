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


"""Many datagrams in one system call: sendmmsg(2) and recvmmsg(2).

Python has a call for one datagram only, and at 30,000 of them per second
what it does around each call takes more time than a core has. The kernel's
structures are arrays of numpy here, so that filling them in and reading them
is done for all datagrams at once as well. Layouts: struct mmsghdr, msghdr
and iovec (recvmmsg(2), recvmsg(2)), struct cmsghdr (cmsg(3)).
"""

from collections.abc import Sequence
import ctypes
import errno
import os
import socket
from typing import Any
from typing import TypeAlias

import numpy
from numpy import typing as npt

from lm_tempest_plugin.probes.icmp import clocks
from lm_tempest_plugin.probes import observations

Bytes: TypeAlias = npt.NDArray[numpy.uint8]

# Linux, asm-generic/socket.h; the option and the message have one number.
SO_TIMESTAMPNS = getattr(socket, 'SO_TIMESTAMPNS', 35)

_IOVEC = numpy.dtype([('base', numpy.uintp), ('length', numpy.uintp)])
_MSGHDR = numpy.dtype([
    ('name', numpy.uintp), ('name_length', numpy.uint32),
    ('iovec', numpy.uintp), ('iovec_length', numpy.uintp),
    ('control', numpy.uintp), ('control_length', numpy.uintp),
    ('flags', numpy.intc)], align=True)
_MMSGHDR = numpy.dtype([
    ('message', _MSGHDR), ('length', numpy.uintc)], align=True)
_STAMP = numpy.dtype([
    ('length', numpy.uintp), ('level', numpy.intc), ('kind', numpy.intc),
    ('seconds', numpy.int64), ('nanoseconds', numpy.int64)])
_NS = 1_000_000_000

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.sendmmsg.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
_LIBC.recvmmsg.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int,
    ctypes.c_void_p]


def _addresses(rows: npt.NDArray[Any]) -> npt.NDArray[numpy.uintp]:
    """Return where each row of an array lies in memory."""
    return (numpy.uintp(rows.ctypes.data) +
            numpy.arange(len(rows), dtype=numpy.uintp) *
            numpy.uintp(rows.strides[0]))


class Outbox:
    """Datagrams that are sent again and again, one to each destination.

    :ivar packets: what is sent, a row of bytes for each destination; to be
        changed between two calls of send()
    """

    def __init__(self, packets: Bytes, destinations: Sequence[bytes]) -> None:
        """Make ready.

        :param packets: a row of bytes for each destination
        :param destinations: struct sockaddr of each, all of one length
        """
        self.packets = numpy.ascontiguousarray(packets)
        self._names = numpy.array(
            [list(name) for name in destinations], numpy.uint8)
        self._iovecs = numpy.zeros(len(destinations), _IOVEC)
        self._iovecs['base'] = _addresses(self.packets)
        self._iovecs['length'] = self.packets.shape[1]
        self._headers = numpy.zeros(len(destinations), _MMSGHDR)
        message = self._headers['message']
        message['name'] = _addresses(self._names)
        message['name_length'] = self._names.shape[1]
        message['iovec'] = _addresses(self._iovecs)
        message['iovec_length'] = 1

    def send(self, sock: socket.socket) -> dict[int, str]:
        """Send all of them, without waiting.

        :param sock: a datagram or raw socket
        :returns: for those that this machine refused to send, their number
            and what it said
        """
        refused = {}
        count = len(self._headers)
        done = 0
        while done < count:
            sent = _LIBC.sendmmsg(
                sock.fileno(),
                self._headers.ctypes.data + done * _MMSGHDR.itemsize,
                count - done, socket.MSG_DONTWAIT)
            if sent > 0:
                done += sent
            elif (code := ctypes.get_errno()) != errno.EINTR:
                # It is about the first of those that were to be sent.
                refused[done] = os.strerror(code)
                done += 1
        return refused


class Inbox:
    """Room for datagrams that are received together."""

    def __init__(self, count: int, size: int, name_size: int) -> None:
        """Make room.

        :param count: for so many datagrams
        :param size: bytes that are kept of each
        :param name_size: bytes that are kept of each sender's address
        """
        self._packets = numpy.zeros((count, size), numpy.uint8)
        self._names = numpy.zeros((count, name_size), numpy.uint8)
        self._stamps = numpy.zeros(count, _STAMP)
        self._iovecs = numpy.zeros(count, _IOVEC)
        self._iovecs['base'] = _addresses(self._packets)
        self._iovecs['length'] = size
        self._headers = numpy.zeros(count, _MMSGHDR)
        self._message = self._headers['message']
        self._message['name'] = _addresses(self._names)
        self._message['iovec'] = _addresses(self._iovecs)
        self._message['iovec_length'] = 1
        self._message['control'] = _addresses(self._stamps)

    def receive(self, sock: socket.socket) -> int:
        """Receive what has come, without waiting.

        :param sock: a datagram or raw socket
        :returns: how many datagrams; what is known of them can be had until
            the next call
        :raises OSError: the kernel reports an error
        """
        self._message['control_length'] = _STAMP.itemsize
        self._message['name_length'] = self._names.shape[1]
        count = int(_LIBC.recvmmsg(
            sock.fileno(), self._headers.ctypes.data, len(self._headers),
            socket.MSG_DONTWAIT, None))
        if count >= 0:
            return count
        code = ctypes.get_errno()
        if code in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(code, os.strerror(code))

    def packets(self, count: int) -> Bytes:
        """Return the first so many datagrams, a row of bytes each.

        Beyond lengths() a row holds what was there before.
        """
        return self._packets[:count]

    def lengths(self, count: int) -> npt.NDArray[numpy.uintc]:
        """Return how many bytes were received of each."""
        return self._headers['length'][:count]

    def names(self, count: int) -> Bytes:
        """Return who sent each: a row with struct sockaddr."""
        return self._names[:count]

    def stamps_ns(self, count: int) -> observations.Times:
        """Return when the kernel received each: CLOCK_REALTIME.

        :returns: clocks.NO_STAMP for those that have no stamp
        """
        stamps = self._stamps[:count]
        stamped = (
            (self._message['control_length'][:count] >= _STAMP.itemsize) &
            (stamps['level'] == socket.SOL_SOCKET) &
            (stamps['kind'] == SO_TIMESTAMPNS))
        return numpy.where(
            stamped, stamps['seconds'] * _NS + stamps['nanoseconds'],
            clocks.NO_STAMP)
