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

import errno
import os
import select
import socket
import struct
import time
from unittest import mock

import numpy

from lm_tempest_plugin.probes import datagrams
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

SOCKADDR_BYTES = 16
MS = 1_000_000
S = 1000 * MS


def sockaddr(sock):
    host, port = sock.getsockname()
    return struct.pack('=H', socket.AF_INET) + struct.pack(
        '!H4s8x', port, socket.inet_aton(host))


class MmsgTestCase(base.TestCase):

    def udp(self, stamps=True):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(('127.0.0.1', 0))
        sock.setblocking(False)
        if stamps:
            sock.setsockopt(socket.SOL_SOCKET, datagrams.SO_TIMESTAMPNS, 1)
        return sock

    def received(self, inbox, sock):
        """Wait for datagrams; return how many have arrived."""
        self.assertTrue(select.select([sock], [], [], 5)[0])
        return inbox.receive(sock)

    def failing(self, name, *codes):
        """Have a function of the C library fail before it works."""
        real = getattr(datagrams._LIBC, name)
        failures = list(codes)

        def fail_first(*args):
            if failures:
                datagrams.ctypes.set_errno(failures.pop(0))
                return -1
            return real(*args)

        libc = mock.Mock(spec=['sendmmsg', 'recvmmsg'])
        getattr(libc, name).side_effect = fail_first
        patcher = mock.patch.object(datagrams, '_LIBC', libc)
        patcher.start()
        self.addCleanup(patcher.stop)


class OutboxTest(MmsgTestCase):

    def outbox(self, socks, size=8):
        return datagrams.Outbox(
            numpy.arange(len(socks) * size, dtype=numpy.uint8).reshape(
                -1, size), [sockaddr(sock) for sock in socks])

    def test_each_gets_its_own(self):
        sender = self.udp()
        receivers = [self.udp() for _ in range(3)]
        outbox = self.outbox(receivers)
        self.assertEqual({}, outbox.send(sender))
        for number, sock in enumerate(receivers):
            content, sent_by = sock.recvfrom(100)
            self.assertEqual(
                bytes(range(8 * number, 8 * number + 8)), content)
            self.assertEqual(sender.getsockname(), sent_by)

    def test_what_is_sent_may_change(self):
        sock = self.udp()
        outbox = self.outbox([sock])
        outbox.packets[0, 7] = 255
        self.assertEqual({}, outbox.send(sock))
        self.assertEqual(b'\0\1\2\3\4\5\6\xff', sock.recv(100))

    def test_what_is_refused_does_not_keep_the_others_back(self):
        receivers = [self.udp() for _ in range(5)]
        outbox = self.outbox(receivers)
        # To send to a broadcast address takes a permission.
        for number in (1, 4):
            outbox._names[number, 4:8] = 255
        refused = outbox.send(self.udp())
        self.assertEqual({1, 4}, set(refused))
        for why in refused.values():
            self.assertEqual(os.strerror(errno.EACCES), why)
        for number in (0, 2, 3):
            self.assertEqual(8, len(receivers[number].recv(100)))
        for number in (1, 4):
            self.assertRaises(BlockingIOError, receivers[number].recv, 100)

    def test_all_are_refused(self):
        sock = self.udp()
        outbox = self.outbox([sock, sock])
        sock.close()
        self.assertEqual({0: os.strerror(errno.EBADF),
                          1: os.strerror(errno.EBADF)}, outbox.send(sock))

    def test_interrupted_it_sends_all_the_same(self):
        sock = self.udp()
        self.failing('sendmmsg', errno.EINTR, errno.EINTR)
        self.assertEqual({}, self.outbox([sock]).send(sock))
        self.assertEqual(8, len(sock.recv(100)))

    def test_packets_that_do_not_lie_one_after_the_other(self):
        sock = self.udp()
        wide = numpy.arange(32, dtype=numpy.uint8).reshape(2, 16)
        outbox = datagrams.Outbox(wide[:, ::4], [sockaddr(sock)] * 2)
        outbox.send(sock)
        self.assertEqual(bytes([0, 4, 8, 12]), sock.recv(100))
        self.assertEqual(bytes([16, 20, 24, 28]), sock.recv(100))


class InboxTest(MmsgTestCase):

    def test_nothing_has_come(self):
        self.assertEqual(0, datagrams.Inbox(4, 8, SOCKADDR_BYTES).receive(
            self.udp()))

    def test_what_has_come(self):
        inbox = datagrams.Inbox(4, 8, SOCKADDR_BYTES)
        sock, senders = self.udp(), [self.udp(), self.udp()]
        before_ns = time.time_ns()
        senders[0].sendto(b'first', sock.getsockname())
        senders[1].sendto(b'the second', sock.getsockname())
        self.assertEqual(2, self.received(inbox, sock))
        after_ns = time.time_ns()
        # The part without space in the buffer is cut off.
        self.assertEqual([5, 8], list(inbox.lengths(2)))
        packets = inbox.packets(2)
        self.assertEqual(b'first', packets[0, :5].tobytes())
        self.assertEqual(b'the seco', packets[1].tobytes())
        for number, sender in enumerate(senders):
            self.assertEqual(
                sockaddr(sender), inbox.names(2)[number].tobytes())
        first_ns, second_ns = inbox.stamps_ns(2)
        self.assertTrue(before_ns <= first_ns <= second_ns <= after_ns)

    def test_more_than_there_is_room_for_comes_next_time(self):
        inbox = datagrams.Inbox(2, 8, SOCKADDR_BYTES)
        sock = self.udp()
        for number in range(5):
            sock.sendto(b'%d' % number, sock.getsockname())
        seen = []
        for count in (2, 2, 1, 0):
            self.assertEqual(count, inbox.receive(sock))
            seen += inbox.packets(count)[:, 0].tolist()
        self.assertEqual(list(b'01234'), seen)

    def test_lengths_are_those_of_the_last_call(self):
        inbox = datagrams.Inbox(2, 8, SOCKADDR_BYTES)
        sock = self.udp()
        for content in (b'long one', b'', b'ab'):
            sock.sendto(content, sock.getsockname())
            self.assertEqual(1, self.received(inbox, sock))
            self.assertEqual([len(content)], list(inbox.lengths(1)))
            self.assertEqual(sockaddr(sock), inbox.names(1)[0].tobytes())
            self.assertGreater(inbox.stamps_ns(1)[0], 0)

    def test_without_stamps(self):
        inbox = datagrams.Inbox(2, 8, SOCKADDR_BYTES)
        sock, stamped = self.udp(stamps=False), self.udp()
        # Older content does not count.
        for receiver in (stamped, sock):
            receiver.sendto(b'x', receiver.getsockname())
            self.assertEqual(1, self.received(inbox, receiver))
        self.assertEqual([datagrams.NO_STAMP], list(inbox.stamps_ns(1)))

    def test_control_messages_of_another_kind_are_no_stamps(self):
        inbox = datagrams.Inbox(2, 8, SOCKADDR_BYTES)
        sock = self.udp(stamps=False)
        # IP_PKTINFO, Linux: it has as many bytes as a stamp or more.
        sock.setsockopt(socket.IPPROTO_IP, 8, 1)
        sock.sendto(b'x', sock.getsockname())
        self.assertEqual(1, self.received(inbox, sock))
        self.assertEqual([datagrams.NO_STAMP], list(inbox.stamps_ns(1)))

    def test_interrupted_nothing_has_come(self):
        self.failing('recvmmsg', errno.EINTR)
        self.assertEqual(0, datagrams.Inbox(4, 8, SOCKADDR_BYTES).receive(
            self.udp()))

    def test_an_error_that_the_kernel_reports(self):
        inbox = datagrams.Inbox(4, 8, SOCKADDR_BYTES)
        gone, sock = self.udp(), self.udp()
        sock.connect(gone.getsockname())
        gone.close()
        sock.send(b'x')
        failures = []

        def fails():
            try:
                inbox.receive(sock)
            except OSError as exc:
                failures.append(exc)
            return failures

        self.assertTrue(fakes.wait_for(fails))
        self.assertEqual(errno.ECONNREFUSED, failures[0].errno)

    def test_a_socket_that_is_closed(self):
        sock = self.udp()
        sock.close()
        exc = self.assertRaises(
            OSError, datagrams.Inbox(4, 8, SOCKADDR_BYTES).receive, sock)
        self.assertEqual(errno.EBADF, exc.errno)


class RoundTripTest(MmsgTestCase):

    def test_many_at_once(self):
        count = 100
        sock = self.udp()
        outbox = datagrams.Outbox(
            numpy.zeros((count, 4), numpy.uint8), [sockaddr(sock)] * count)
        outbox.packets[:, 0] = numpy.arange(count)
        inbox = datagrams.Inbox(count, 4, SOCKADDR_BYTES)
        self.assertEqual({}, outbox.send(sock))
        self.assertEqual(count, inbox.receive(sock))
        self.assertEqual(list(range(count)),
                         inbox.packets(count)[:, 0].tolist())
        self.assertTrue((numpy.diff(inbox.stamps_ns(count)) >= 0).all())


class StampConverterTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now_ns = 5 * S
        self.wall_ns = 1_700_000_000 * S
        self.naps_ns = []
        self.readings = 0
        self.converter = datagrams.StampConverter(
            lambda: self.now_ns, self.realtime)

    def realtime(self):
        self.readings += 1
        wall_ns = self.wall_ns + self.now_ns
        # We may not run for a while in the middle of a reading.
        if self.naps_ns:
            self.now_ns += self.naps_ns.pop(0)
        return wall_ns

    def convert(self, stamps_ns, earliest_ns=0):
        """Convert stamps; most are given as monotonic times."""
        stamps_ns = numpy.array([
            self.wall_ns + stamp_ns if stamp_ns != datagrams.NO_STAMP
            else stamp_ns for stamp_ns in stamps_ns])
        return self.converter.to_monotonic_ns(
            stamps_ns, numpy.full(stamps_ns.size, earliest_ns)).tolist()

    def test_stamps_are_moved_to_the_other_clock(self):
        self.now_ns += 10 * MS
        self.assertEqual(
            [5 * S + 3 * MS, 5 * S, 5 * S + 10 * MS],
            self.convert([5 * S + 3 * MS, 5 * S, 5 * S + 10 * MS], 5 * S))
        self.assertEqual((0, 0),
                         (self.converter.refused, self.converter.steps))

    def test_no_stamp(self):
        self.now_ns += 10 * MS
        self.assertEqual(
            [5 * S + MS, self.now_ns],
            self.convert([5 * S + MS, datagrams.NO_STAMP], 4 * S))
        self.assertEqual(1, self.converter.refused)

    def test_each_step_of_the_wall_clock_makes_no_outage(self):
        for number, step_ns in enumerate((-3600 * S, 3600 * S, 5 * MS)):
            stamps_ns = self.wall_ns + numpy.array(
                [self.now_ns, self.now_ns - MS])
            sent_ns = numpy.full(2, self.now_ns - 2 * MS)
            self.wall_ns += step_ns
            self.now_ns += 10 * MS
            self.assertEqual(
                [self.now_ns] * 2, self.converter.to_monotonic_ns(
                    stamps_ns, sent_ns).tolist())
            self.assertEqual(
                (2 * number + 2, number + 1),
                (self.converter.refused, self.converter.steps))
            self.converter.settle()

    def test_after_a_step_stamps_are_refused_until_all_were_read(self):
        self.wall_ns += 5 * MS
        # It is seen before a question is sent.
        self.assertTrue(self.converter.refresh())
        for refused in (1, 2):
            self.now_ns += 10 * MS
            self.assertFalse(self.converter.refresh())
            self.assertEqual([self.now_ns],
                             self.convert([self.now_ns - MS], 5 * S))
            self.assertEqual((refused, 1),
                             (self.converter.refused, self.converter.steps))

    def test_one_from_before_a_small_step_is_not_moved_wrongly(self):
        stamps_ns = self.wall_ns + numpy.array([self.now_ns + MS])
        self.now_ns += 10 * MS
        self.wall_ns += -5 * MS
        self.assertTrue(self.converter.refresh())
        # It would be taken for 6 ms otherwise, which is no nonsense.
        self.assertEqual([self.now_ns], self.converter.to_monotonic_ns(
            stamps_ns, numpy.array([5 * S])).tolist())

    def test_once_settled_the_stamps_are_good_again(self):
        self.wall_ns += 60 * S
        self.assertTrue(self.converter.refresh())
        self.converter.settle()
        self.now_ns += 10 * MS
        self.assertEqual([self.now_ns - MS],
                         self.convert([self.now_ns - MS], 5 * S))
        self.assertEqual((0, 1),
                         (self.converter.refused, self.converter.steps))

    def test_a_stamp_from_before_the_question_or_after_now_is_refused(self):
        self.assertEqual(
            [5 * S, 5 * S - MS, 5 * S, 5 * S],
            self.convert([4 * S, 5 * S - MS, 5 * S + 1, 6 * S], 5 * S - MS))
        self.assertEqual(3, self.converter.refused)

    def test_each_stamp_has_its_own_earliest_time(self):
        stamps_ns = self.wall_ns + numpy.array([4 * S, 4 * S])
        self.assertEqual(
            [4 * S, 5 * S], self.converter.to_monotonic_ns(
                stamps_ns, numpy.array([4 * S, 4 * S + 1])).tolist())

    def test_a_slewed_clock_is_no_step(self):
        for _ in range(100):
            self.now_ns += 100 * MS
            self.wall_ns += 5 * MS
            self.assertFalse(self.converter.refresh())
        self.assertEqual(0, self.converter.steps)

    def test_a_reading_in_which_we_slept_is_made_again(self):
        self.naps_ns = [50 * MS]
        self.readings = 0
        self.assertFalse(self.converter.refresh())
        self.assertEqual(0, self.converter.steps)
        self.assertEqual(2, self.readings)

    def test_of_bad_readings_the_best_is_taken(self):
        self.naps_ns = [50 * MS, 40 * MS, MS // 5, 30 * MS, 20 * MS]
        self.readings = 0
        stamp_ns = self.now_ns
        self.assertAlmostEqual(
            stamp_ns, self.convert([stamp_ns])[0], delta=MS // 10)
        self.assertEqual(datagrams.READINGS, self.readings)
        self.assertEqual((0, 0),
                         (self.converter.refused, self.converter.steps))
