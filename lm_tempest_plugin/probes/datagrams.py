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

"""Many datagrams in one system call, with the kernel's receive stamps.

Python can send or receive one datagram per call, and at 30,000 of them per
second its own work around each call takes more time than one core has. So
sendmmsg(2) and recvmmsg(2) are called directly, with the kernel's structures
as numpy arrays: filling them in and reading them is done for all datagrams
at once. Layouts: struct mmsghdr, msghdr and iovec (recvmmsg(2), recvmsg(2)),
struct cmsghdr (cmsg(3)).

The kernel stamps received packets with CLOCK_REALTIME, which somebody may
set meanwhile: an outage would appear, or disappear. So each stamp is
converted to CLOCK_MONOTONIC with the distance of both clocks when the stamp
is read. Where the wall clock was set just then, the time of reading is used
instead.
"""

from collections.abc import Callable
from collections.abc import Sequence
import ctypes
import errno
import os
import socket
import time

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import schedule

# Linux, asm-generic/socket.h; option and control message share the number.
SO_TIMESTAMPNS = getattr(socket, 'SO_TIMESTAMPNS', 35)
# Marks a packet without a kernel stamp. No real stamp is negative.
NO_STAMP = -1

# Two readings of the distance of the clocks differ by the time that passes
# within a reading. A clock that is slewed, not stepped, moves by at most a
# tenth of the elapsed time (chrony's limit is 8.3 %).
JITTER_NS = 1_000_000
SLEW = 0.1
# A reading that took longer was interrupted, and is repeated up to so often.
READING_NS = 100_000
READINGS = 5

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

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.sendmmsg.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
_LIBC.recvmmsg.argtypes = [*_LIBC.sendmmsg.argtypes, ctypes.c_void_p]


def _addresses(rows: answers.Structures) -> answers.Unsigned:
    """Return the memory address of each row of an array."""
    return (numpy.uintp(rows.ctypes.data) +
            numpy.arange(len(rows), dtype=numpy.uintp) *
            numpy.uintp(rows.strides[0]))


class Outbox:
    """Datagrams that are sent again and again, one to each destination.

    :ivar packets: their content, a row of bytes for each destination; the
        caller changes it between two calls of send()
    """

    def __init__(self, packets: answers.Bytes,
                 destinations: Sequence[bytes]) -> None:
        """Fill in the kernel's structures.

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
        """Send all datagrams, without waiting.

        :param sock: a datagram or raw socket
        :returns: the error of each datagram that the local machine refused
            to send, by number
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
                # The error is about the first datagram of this call.
                refused[done] = os.strerror(code)
                done += 1
        return refused


class Inbox:
    """Buffers for datagrams that are received together."""

    def __init__(self, count: int, size: int, name_size: int) -> None:
        """Allocate the buffers.

        :param count: number of datagrams
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
        """Receive the datagrams that are there, without waiting.

        :param sock: a datagram or raw socket
        :returns: number of datagrams; they stay available until the next
            call
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

    def packets(self, count: int) -> answers.Bytes:
        """Return the first datagrams, a row of bytes each.

        Beyond lengths() a row still holds an older datagram.
        """
        return self._packets[:count]

    def lengths(self, count: int) -> answers.Unsigned:
        """Return the number of bytes that were received of each."""
        return self._headers['length'][:count]

    def names(self, count: int) -> answers.Bytes:
        """Return the sender of each: a row with struct sockaddr."""
        return self._names[:count]

    def stamps_ns(self, count: int) -> answers.Times:
        """Return when the kernel received each, as CLOCK_REALTIME.

        :returns: NO_STAMP for datagrams without a stamp
        """
        stamps = self._stamps[:count]
        stamped = (
            (self._message['control_length'][:count] >= _STAMP.itemsize) &
            (stamps['level'] == socket.SOL_SOCKET) &
            (stamps['kind'] == SO_TIMESTAMPNS))
        return numpy.where(
            stamped, stamps['seconds'] * schedule.NS + stamps['nanoseconds'],
            NO_STAMP)


class StampConverter:
    """Converts CLOCK_REALTIME stamps to CLOCK_MONOTONIC.

    :ivar steps: how often the wall clock was set
    :ivar refused: stamps that could not be used
    """

    def __init__(self,
                 monotonic_ns: Callable[[], int] = time.monotonic_ns,
                 realtime_ns: Callable[[], int] = time.time_ns) -> None:
        """Read both clocks for the first time.

        :param monotonic_ns: reads CLOCK_MONOTONIC
        :param realtime_ns: reads CLOCK_REALTIME
        """
        self._monotonic_ns = monotonic_ns
        self._realtime_ns = realtime_ns
        self.steps = 0
        self.refused = 0
        self._unsettled = False
        self._read_ns, self._distance_ns = self._read()

    def _read(self) -> tuple[int, int]:
        """Return the time, and how far the wall clock is ahead of it."""
        readings = []
        for _ in range(READINGS):
            before_ns = self._monotonic_ns()
            wall_ns = self._realtime_ns()
            after_ns = self._monotonic_ns()
            readings.append((after_ns - before_ns, after_ns,
                             wall_ns - (before_ns + after_ns) // 2))
            if after_ns - before_ns <= READING_NS:
                break
        _, now_ns, distance_ns = min(readings)
        return now_ns, distance_ns

    def refresh(self) -> bool:
        """Read both clocks again; return whether the wall clock was set."""
        now_ns, distance_ns = self._read()
        allowed_ns = JITTER_NS + SLEW * (now_ns - self._read_ns)
        stepped = abs(distance_ns - self._distance_ns) > allowed_ns
        self._read_ns, self._distance_ns = now_ns, distance_ns
        self.steps += stepped
        self._unsettled |= stepped
        return stepped

    def settle(self) -> None:
        """Trust stamps again: all packets from before a step were read."""
        self._unsettled = False

    def to_monotonic_ns(self, stamps_ns: answers.Times,
                        earliest_ns: answers.Times) -> answers.Times:
        """Return when packets were received, as CLOCK_MONOTONIC.

        Call it at once after the packets were read. Between a step of the
        wall clock and settle(), no stamp is used; nor is one before its
        earliest time or in the future. The present is used instead.

        :param stamps_ns: the kernel's CLOCK_REALTIME stamps; NO_STAMP for
            packets without one
        :param earliest_ns: CLOCK_MONOTONIC before which each packet cannot
            have arrived: when its probe was sent
        """
        self.refresh()
        received_ns = stamps_ns - self._distance_ns
        usable = ((stamps_ns != NO_STAMP) & (earliest_ns <= received_ns) &
                  (received_ns <= self._read_ns) & (not self._unsettled))
        self.refused += usable.size - int(numpy.count_nonzero(usable))
        return numpy.where(usable, received_ns, self._read_ns)
