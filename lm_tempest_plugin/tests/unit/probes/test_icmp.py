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
import socket
import struct
import threading
import time
from unittest import mock

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.tests.unit import base

ADDRESSES = {icmp.IPV4: '127.0.0.1', icmp.IPV6: '::1'}


def reachable(family):
    """Return whether this machine can ping itself with this family."""
    try:
        sock, _ = icmp.open_socket(family)
    except errors.ProbesNotPermitted:
        return False
    with sock:
        try:
            sock.sendto(b'\x08' + bytes(7), (ADDRESSES[family], 0))
        except OSError:
            return False
    return True


def wait_for(condition, timeout_s=5.0):
    """Wait until something holds; return whether it does."""
    end_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.005)
    return condition()


class PacketTest(base.TestCase):

    token = b'8 bytes!'

    def reply(self, family, sequence):
        packet = bytearray(icmp.echo_request(
            family, 4711, self.token, sequence))
        packet[0] = family.reply
        return bytes(packet)

    def test_request_and_reply(self):
        for family in (icmp.IPV4, icmp.IPV6):
            request = icmp.echo_request(family, 4711, self.token, 70000)
            kind, code, _, identifier, short = struct.unpack(
                '!BBHHH', request[:8])
            self.assertEqual((family.request, 0, 4711, 70000 & 0xffff),
                             (kind, code, identifier, short))
            self.assertEqual(0, icmp.internet_checksum(request))
            self.assertEqual(70000, icmp.parse_reply(
                family, False, self.token, self.reply(family, 70000)))

    def test_a_raw_ipv4_packet_has_its_header_before_it(self):
        packet = b'\x46' + bytes(23) + self.reply(icmp.IPV4, 5)
        self.assertEqual(
            5, icmp.parse_reply(icmp.IPV4, True, self.token, packet))
        self.assertEqual(5, icmp.parse_reply(
            icmp.IPV6, True, self.token, self.reply(icmp.IPV6, 5)))

    def test_what_is_no_answer_to_us(self):
        reply = self.reply(icmp.IPV4, 5)
        for packet in (b'', reply[:-1], b'\x08' + reply[1:],
                       self.reply(icmp.IPV6, 5)):
            self.assertIsNone(icmp.parse_reply(
                icmp.IPV4, False, self.token, packet))
        self.assertIsNone(icmp.parse_reply(
            icmp.IPV4, False, b'another!', reply))

    def test_kernel_stamp(self):
        data = struct.pack('@qq', 1_700_000_000, 123_456_789)
        self.assertEqual(1_700_000_000_123_456_789, icmp.kernel_stamp_ns(
            [(socket.SOL_SOCKET, 29, b''),
             (socket.SOL_SOCKET, icmp.SO_TIMESTAMPNS, data)]))
        self.assertIsNone(icmp.kernel_stamp_ns([]))


class SocketTest(base.TestCase):

    def test_datagram_sockets_come_first(self):
        sock = mock.Mock(spec=socket.socket)
        opener = mock.Mock(return_value=sock)
        self.assertEqual((sock, False), icmp.open_socket(icmp.IPV4, opener))
        opener.assert_called_once_with(
            socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        sock.setblocking.assert_called_once_with(False)

    def test_raw_sockets_come_next_and_take_echo_replies_alone(self):
        for family, level in ((icmp.IPV4, icmp.SOL_RAW),
                              (icmp.IPV6, socket.IPPROTO_ICMPV6)):
            sock = mock.Mock(spec=socket.socket)
            opener = mock.Mock(side_effect=[
                PermissionError(errno.EACCES, 'Permission denied'), sock])
            self.assertEqual((sock, True), icmp.open_socket(family, opener))
            self.assertEqual(socket.SOCK_RAW, opener.call_args.args[1])
            self.assertEqual(level, sock.setsockopt.call_args.args[0])

    def test_neither_allowed_both_reasons_are_given(self):
        opener = mock.Mock(side_effect=[
            PermissionError(errno.EACCES, 'Permission denied'),
            PermissionError(errno.EPERM, 'Operation not permitted')])
        exc = self.assertRaises(errors.ProbesNotPermitted, icmp.open_socket,
                                icmp.IPV4, opener)
        for part in ('datagram socket', 'Permission denied', 'raw socket',
                     'Operation not permitted', 'ping_group_range',
                     'CAP_NET_RAW'):
            self.assertIn(part, str(exc))

    def test_addresses(self):
        self.assertEqual(icmp.IPV4, icmp.resolve('192.0.2.1')[0])
        self.assertEqual(icmp.IPV6, icmp.resolve('2001:db8::1')[0])
        exc = self.assertRaises(
            errors.ProbeError, icmp.resolve, 'no.such.name.invalid')
        self.assertIn('no.such.name.invalid', str(exc))


class ProberTest(base.TestCase):

    def prober(self, address):
        family, _ = icmp.resolve(address)
        if not reachable(family):
            self.skipTest('this machine does not let us ping %s' % address)
        return icmp.IcmpProber([address], 0.005)

    def _test_answers(self, address):
        with self.prober(address) as prober:
            self.assertTrue(wait_for(lambda: len([
                time_ns for time_ns in prober.seen(address).answered_ns
                if time_ns != observations.UNANSWERED]) > 10))
            seen = prober.seen(address)
            for sent_ns, answered_ns in zip(
                    seen.sent_ns[:10], seen.answered_ns[:10], strict=True):
                self.assertGreaterEqual(answered_ns, sent_ns)
                self.assertLess(answered_ns, sent_ns + 1_000_000_000)
            self.assertGreaterEqual(prober.lateness().count, 10)
            self.assertEqual(0, seen.send_errors)

    def test_answers_over_ipv4(self):
        self._test_answers('127.0.0.1')

    def test_answers_over_ipv6(self):
        self._test_answers('::1')

    def test_kernel_stamps_are_used(self):
        with self.prober('127.0.0.1') as prober:
            self.assertTrue(wait_for(
                lambda: prober.lateness().count > 20))
            self.assertLess(prober.stamps_refused, 5)
            self.assertEqual(0, prober.clock_steps)

    def test_stopped_it_sends_nothing_more(self):
        prober = self.prober('127.0.0.1')
        prober.start()
        prober.stop()
        threads = [thread.name for thread in threading.enumerate()]
        self.assertNotIn('ICMP prober', threads)
        prober.stop()

    def test_not_started_there_is_no_lateness(self):
        prober = self.prober('127.0.0.1')
        self.addCleanup(prober.stop)
        self.assertRaises(errors.ProbeError, prober.lateness)

    def test_a_prober_that_has_died_says_so(self):
        prober = self.prober('127.0.0.1')
        with mock.patch.object(prober, 'on_tick', autospec=True,
                               side_effect=RuntimeError('broken')):
            prober.start()
            self.assertTrue(wait_for(
                lambda: prober._failure is not None))
        exc = self.assertRaises(
            errors.ProbeError, prober.seen, '127.0.0.1')
        self.assertIn('broken', str(exc))
        self.assertRaises(errors.ProbeError, prober.stop)

    def test_one_bad_address_leaves_no_socket_open(self):
        if not reachable(icmp.IPV4):
            self.skipTest('this machine does not let us ping')
        opened = []
        real = icmp.open_socket

        def note(family):
            sock, raw = real(family)
            opened.append(sock)
            return sock, raw

        with mock.patch.object(icmp, 'open_socket', autospec=True,
                               side_effect=note):
            self.assertRaises(
                errors.ProbeError, icmp.IcmpProber,
                ['127.0.0.1', 'no.such.name.invalid'], 0.01)
        self.assertEqual([-1], [sock.fileno() for sock in opened])


class FakeSocketTest(base.TestCase):
    """What loopback does not do by itself."""

    def setUp(self):
        super().setUp()
        self.sock = mock.Mock(spec=socket.socket)
        self.seen = observations.Observations('192.0.2.1', 1)
        self.target = icmp.Target(
            '192.0.2.1', ('192.0.2.1', 0), icmp.IPV4, self.sock, False,
            self.seen)
        self.prober = icmp.IcmpProber([], 0.01)
        self.addCleanup(self.prober.stop)
        self.prober._targets['192.0.2.1'] = self.target

    def receive(self, *packets):
        self.sock.recvmsg.side_effect = [
            packet if isinstance(packet, Exception) else
            (packet, [], 0, ('192.0.2.1', 0)) for packet in packets
        ] + [BlockingIOError()]
        self.prober.on_readable(self.target)

    def reply(self, sequence):
        packet = bytearray(icmp.echo_request(
            icmp.IPV4, 1, self.target.token, sequence))
        packet[0] = icmp.IPV4.reply
        return bytes(packet)

    def test_a_question_that_could_not_be_sent_counts_as_lost(self):
        self.sock.sendto.side_effect = OSError(
            errno.ENETUNREACH, 'Network is unreachable')
        self.prober.on_tick()
        self.assertEqual(1, self.seen.send_errors)
        self.assertIn('unreachable', self.seen.send_error)
        self.assertEqual([observations.UNANSWERED],
                         list(self.seen.answered_ns))

    def test_answers_twice_and_to_nothing(self):
        self.prober.on_tick()
        self.receive(self.reply(0), self.reply(0), self.reply(9),
                     b'garbage')
        self.assertEqual((1, 1), (self.seen.duplicates, self.seen.strangers))
        self.assertNotEqual(observations.UNANSWERED, self.seen.answered_ns[0])

    def test_an_icmp_error_is_no_answer(self):
        self.prober.on_tick()
        self.receive(ConnectionRefusedError(), self.reply(0))
        self.assertNotEqual(observations.UNANSWERED, self.seen.answered_ns[0])
