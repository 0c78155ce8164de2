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

import functools
import select
import selectors
import socket
import threading
import time
from unittest import mock

import numpy

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import clocks
from lm_tempest_plugin.probes.icmp import echo
from lm_tempest_plugin.probes.icmp import mmsg
from lm_tempest_plugin.probes.icmp import prober as icmp
from lm_tempest_plugin.probes.icmp import sockets
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes
from lm_tempest_plugin.tests.unit.probes.icmp import test_sockets

US = 1000
MS = 1_000_000
S = 1000 * MS
PERIOD_NS = 10 * MS
# An IPv4 header without options, and one with 8 bytes of them.
PLAIN_HEADER = b'\x45' + bytes(19)
LONG_HEADER = b'\x47' + bytes(27)


def answered(seen):
    return int(numpy.count_nonzero(seen.answered))


class ReceiveTest(base.TestCase):
    """What comes is sent to a group over UDP, and looks like ICMP."""

    ADDRESSES = ('127.0.0.2', '127.0.0.3')

    def setUp(self):
        super().setUp()
        self.step_ns = 0
        self.clock = clocks.StampConverter(
            realtime_ns=lambda: time.time_ns() + self.step_ns)
        self.inbox = mmsg.Inbox(
            icmp.BURST, icmp.PACKET_BYTES, icmp.SOCKADDR_BYTES)

    def group(self, addresses=ADDRESSES, raw=False):
        destinations = [echo.resolve(one) for one in addresses]
        sock = self.socket(addresses[0], destinations[0].family)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, mmsg.SO_TIMESTAMPNS, 1)
        with mock.patch.object(sockets, 'open_socket', autospec=True,
                               return_value=(sock, raw)):
            return icmp.Group(destinations, PERIOD_NS)

    def socket(self, address, family=echo.IPV4):
        sock = socket.socket(family.family, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        try:
            sock.bind((address, 0))
        except OSError as exc:
            self.skipTest('no %s here: %s' % (address, exc))
        return sock

    def ask(self, group, count=1):
        """Note that something was asked, a millisecond ago."""
        for _ in range(count):
            now_ns = time.monotonic_ns()
            group.rounds.ask(now_ns - MS, now_ns - MS, now_ns - MS, {})

    def reply(self, group, guest, sequence):
        group._requests.number(sequence)
        packet = bytearray(group._requests.packets[guest].tobytes())
        packet[0] = group._family.reply
        return bytes(packet)

    def receive(self, group, *packets):
        """Have packets come to a group: (address, content)."""
        for address, content in packets:
            self.socket(address, group._family).sendto(
                content, group.sock.getsockname())
        return group.receive(self.inbox, self.clock)

    def answered(self, group):
        return [answered(group.rounds.snapshot(guest))
                for guest in range(len(group.rounds.targets))]

    def strangers(self, group):
        return [group.rounds.snapshot(guest).strangers
                for guest in range(len(group.rounds.targets))]

    def test_answers(self):
        group = self.group()
        self.ask(group, 3)
        self.assertTrue(self.receive(
            group, ('127.0.0.3', self.reply(group, 1, 2)),
            ('127.0.0.2', self.reply(group, 0, 0)),
            ('127.0.0.3', self.reply(group, 1, 0))))
        self.assertEqual([1, 2], self.answered(group))
        self.assertEqual([True, False, True],
                         group.rounds.snapshot(1).answered.tolist())
        self.assertEqual([0, 0], self.strangers(group))
        self.assertEqual(0, self.clock.refused)

    def test_nothing_has_come(self):
        self.assertTrue(self.receive(self.group()))

    def test_answers_to_raw_sockets_have_an_ip_header(self):
        group = self.group(raw=True)
        self.ask(group, 2)
        self.receive(
            group, ('127.0.0.2', PLAIN_HEADER + self.reply(group, 0, 0)))
        self.receive(
            group, ('127.0.0.2', PLAIN_HEADER + self.reply(group, 0, 1)),
            ('127.0.0.3', LONG_HEADER + self.reply(group, 1, 1)))
        self.assertEqual([2, 1], self.answered(group))
        self.assertTrue(group._requests.checksummed)

    def test_ipv6(self):
        for raw in (False, True):
            group = self.group(('::1',), raw)
            self.ask(group)
            self.receive(group, ('::1', self.reply(group, 0, 0)))
            self.assertEqual([1], self.answered(group))
            self.assertFalse(group._requests.checksummed)

    def test_from_another_address(self):
        group = self.group()
        self.ask(group)
        self.receive(group, ('127.0.0.3', self.reply(group, 0, 0)),
                     ('127.0.0.4', self.reply(group, 1, 0)))
        self.assertEqual([0, 0], self.answered(group))
        self.assertEqual([1, 1], self.strangers(group))

    def test_to_what_was_not_asked_yet(self):
        group = self.group()
        self.receive(group, ('127.0.0.2', self.reply(group, 0, 0)))
        self.ask(group, 2)
        self.receive(group, ('127.0.0.3', self.reply(group, 1, 2)),
                     ('127.0.0.3', self.reply(group, 1, 2 ** 32 - 1)))
        self.assertEqual([0, 0], self.answered(group))
        self.assertEqual([1, 2], self.strangers(group))

    def test_what_is_not_ours(self):
        group, another = self.group(), self.group()
        self.ask(group)
        reply = self.reply(group, 0, 0)
        no_guest = bytearray(reply)
        no_guest[16:20] = b'\xff' * 4
        self.receive(*[group] + [('127.0.0.2', content) for content in (
            self.reply(another, 0, 0), bytes(no_guest), reply[:-1], b'',
            b'garbage', b'\x08' + reply[1:])])
        self.assertEqual([0, 0], self.answered(group))
        self.assertEqual([0, 0], self.strangers(group))

    def test_a_short_packet_after_a_reply_is_not_that_reply_again(self):
        for raw in (False, True):
            group = self.group(raw=raw)
            header = PLAIN_HEADER if raw else b''
            self.ask(group)
            reply = header + self.reply(group, 0, 0)
            self.receive(group, ('127.0.0.2', reply))
            # What was there before still lies in the inbox.
            self.receive(group, ('127.0.0.2', reply[:len(header) + 8]))
            self.assertEqual([1, 0], self.answered(group))
            self.assertEqual(0, group.rounds.snapshot(0).duplicates,
                             'raw' if raw else 'datagram')

    def test_duplicates(self):
        group = self.group()
        self.ask(group)
        reply = ('127.0.0.2', self.reply(group, 0, 0))
        self.receive(group, reply, reply)
        self.receive(group, reply)
        self.assertEqual(2, group.rounds.snapshot(0).duplicates)
        self.assertEqual([1, 0], self.answered(group))

    def _test_step(self, step_ns):
        group = self.group()
        self.ask(group, 2)
        self.receive(group, ('127.0.0.2', self.reply(group, 0, 0)))
        self.step_ns = step_ns
        self.receive(group, ('127.0.0.2', self.reply(group, 0, 1)))
        seen = group.rounds.snapshot(0)
        self.assertEqual(2, answered(seen))
        for delay_ns in seen.answered_ns - seen.sent_ns:
            self.assertTrue(0 <= delay_ns < 5 * S)
        self.assertEqual((1, 1), (self.clock.steps, self.clock.refused))

    def test_a_step_of_the_wall_clock_forwards_makes_no_outage(self):
        self._test_step(3600 * S)

    def test_a_step_of_the_wall_clock_backwards_makes_no_outage(self):
        self._test_step(-3600 * S)

    def test_a_step_that_is_seen_before_an_answer_makes_no_outage(self):
        group = self.group()
        self.ask(group, 2)
        self.step_ns = -5 * MS
        self.assertTrue(self.clock.refresh())
        self.receive(group, ('127.0.0.2', self.reply(group, 0, 0)))
        self.assertEqual((1, 1), (self.clock.steps, self.clock.refused))
        self.step_ns = 0
        self.clock.refresh()
        self.clock.settle()
        self.receive(group, ('127.0.0.2', self.reply(group, 0, 1)))
        self.assertEqual((2, 1), (self.clock.steps, self.clock.refused))
        self.assertEqual([2, 0], self.answered(group))

    def test_as_much_as_there_is_room_for_may_not_be_all(self):
        with mock.patch.object(icmp, 'BURST', 2):
            self.inbox = mmsg.Inbox(2, icmp.PACKET_BYTES, 28)
            group = self.group()
            self.ask(group, 3)
            self.assertFalse(self.receive(*[group] + [
                ('127.0.0.2', self.reply(group, 0, sequence))
                for sequence in range(3)]))
            self.assertEqual([2, 0], self.answered(group))
            self.assertTrue(self.receive(group))
            self.assertEqual([3, 0], self.answered(group))

    def test_an_error_is_no_answer_and_may_not_be_all(self):
        group = self.group()
        self.ask(group)
        gone = self.socket('127.0.0.2')
        group.sock.connect(gone.getsockname())
        gone.close()
        group.sock.send(b'x')
        self.assertTrue(select.select([group.sock], [], [], 5)[0])
        self.assertFalse(group.receive(self.inbox, self.clock))
        self.assertTrue(group.receive(self.inbox, self.clock))
        self.assertEqual([0, 0], self.answered(group))

    def test_what_cannot_be_sent_was_not_asked(self):
        group = self.group()
        # There is no UDP port 0.
        group.ask(time.monotonic_ns())
        seen = group.rounds.snapshot(1)
        self.assertEqual((1, 'Invalid argument'),
                         (seen.send_errors, seen.send_error))
        self.assertEqual(0, seen.sent_ns.size)


class ProberTestCase(base.TestCase):

    # Of sockets, which is not to be had; as this machine lets it be.
    refused: socket.SocketKind | None = None

    def prober(self, addresses, period_s=0.005):
        with mock.patch.object(
                sockets, 'open_socket', autospec=True,
                side_effect=functools.partial(
                    sockets.open_socket,
                    opener=test_sockets.refuse(self.refused))):
            try:
                prober = icmp.IcmpProber(addresses, period_s)
            except errors.ProbesNotPermitted as exc:
                self.skipTest(str(exc))
        self.addCleanup(prober.stop)
        return prober

    def wait(self, prober, addresses, count):
        """Wait until each has answered so often."""
        self.assertTrue(fakes.wait_for(lambda: all(
            answered(prober.seen(one)) >= count for one in addresses)))

    def assert_answered(self, prober, address):
        """Check that all but what was under way was answered."""
        seen = prober.seen(address)
        self.assertEqual((0, '', 0, 0), (
            seen.send_errors, seen.send_error, seen.duplicates,
            seen.strangers))
        self.assertTrue((numpy.diff(seen.due_ns) >= 5 * MS).all())
        self.assertTrue((seen.due_ns <= seen.sent_ns).all())
        self.assertTrue(seen.answered[:seen.last_answered].all())
        delays_ns = (seen.answered_ns - seen.sent_ns)[seen.answered]
        self.assertTrue((delays_ns >= 0).all())
        self.assertLess(numpy.median(delays_ns), 20 * MS)


class LoopbackTest(ProberTestCase):

    def test_ipv4(self):
        with self.prober(['127.0.0.1']) as prober:
            self.wait(prober, ['127.0.0.1'], 10)
        self.assert_answered(prober, '127.0.0.1')
        self.assertEqual(1, prober.slots)
        self.assertEqual(0, prober.answers_dropped)

    def test_ipv6(self):
        prober = self.prober(['::1'])
        prober.start()
        if not fakes.wait_for(lambda: answered(prober.seen('::1')) > 10, 1):
            self.skipTest('::1 does not answer here: %s' %
                          prober.seen('::1').send_error)
        prober.stop()
        self.assert_answered(prober, '::1')

    def test_many_in_several_groups(self):
        addresses = ['127.0.1.%d' % number for number in range(1, 11)]
        with mock.patch.object(icmp, 'GROUP', 4):
            prober = self.prober(addresses)
        self.assertEqual(3, prober.slots)
        self.assertEqual([4, 3, 3], [
            len(group.rounds.targets) for group in prober._groups])
        with prober:
            self.wait(prober, addresses, 10)
            self.assertEqual(10, prober.answering(S))
        for address in addresses:
            self.assertEqual(address, prober.seen(address).target)
            self.assert_answered(prober, address)
        # Each group has its turn: a third of a period later.
        due_ns = [group.rounds.snapshot(0).due_ns[0]
                  for group in prober._groups]
        self.assertEqual([5 * MS // 3, 5 * MS * 2 // 3], [
            int(other_ns - due_ns[0]) % (5 * MS) for other_ns in due_ns[1:]])

    def test_kernel_stamps_are_used(self):
        with self.prober(['127.0.0.1']) as prober:
            self.wait(prober, ['127.0.0.1'], 20)
        self.assertLess(prober.stamps_refused, 5)
        self.assertEqual(0, prober.clock_steps)
        # Nobody was waiting for the answers: they have the kernel's time.
        seen = prober.seen('127.0.0.1')
        delays_ns = (seen.answered_ns - seen.sent_ns)[seen.answered]
        self.assertLess(numpy.median(delays_ns), 2 * MS)

    def test_who_does_not_answer(self):
        with self.prober(['127.0.0.1', '240.0.0.1']) as prober:
            self.wait(prober, ['127.0.0.1'], 5)
            self.assertEqual(1, prober.answering(S))
        self.assertEqual(0, answered(prober.seen('240.0.0.1')))

    def test_what_was_seen_can_be_had_afterwards(self):
        with self.prober(['127.0.0.1']) as prober:
            self.wait(prober, ['127.0.0.1'], 3)
        count = prober.seen('127.0.0.1').sent_ns.size
        time.sleep(0.02)
        self.assertEqual(count, prober.seen('127.0.0.1').sent_ns.size)
        self.assertGreaterEqual(count, 3)
        self.assertEqual(0, prober.answers_dropped)
        self.assertEqual([-1], [
            group.sock.fileno() for group in prober._groups])

    def test_two_probers_at_once(self):
        probers = [self.prober(['127.0.0.1']) for _ in range(2)]
        for prober in probers:
            prober.start()
        for prober in probers:
            self.wait(prober, ['127.0.0.1'], 10)
        for prober in probers:
            prober.stop()
            self.assert_answered(prober, '127.0.0.1')


class RawLoopbackTest(LoopbackTest):

    refused = socket.SOCK_DGRAM

    def test_it_is_raw(self):
        self.assertTrue(self.prober(['127.0.0.1']).raw)

    def test_what_others_are_answered_does_not_even_come(self):
        mine, other = (self.prober(['127.0.0.1']) for _ in range(2))
        taken_in = []
        with mock.patch.object(
                icmp.Group, '_note', autospec=True,
                side_effect=lambda group, *_: taken_in.append(group)):
            mine.period_s = 3600
            mine.start()
            other.start()
            self.assertTrue(fakes.wait_for(lambda: len(taken_in) > 5))
            mine.stop()
        self.assertNotIn(mine._groups[0], taken_in)


class DatagramLoopbackTest(LoopbackTest):

    refused = socket.SOCK_RAW

    def test_it_is_not_raw(self):
        self.assertFalse(self.prober(['127.0.0.1']).raw)


class LifeTest(ProberTestCase):

    def test_stopped_it_sends_nothing_more(self):
        prober = self.prober(['127.0.0.1'])
        prober.start()
        prober.stop()
        threads = [thread.name for thread in threading.enumerate()]
        self.assertNotIn('ICMP prober', threads)
        prober.stop()

    def test_nobody_to_ask(self):
        with self.prober([]) as prober:
            self.assertEqual(1, prober.slots)
            time.sleep(0.02)
        self.assertEqual(0, prober.answering(S))
        self.assertFalse(prober.raw)

    def test_after_a_complete_look_the_clock_has_settled(self):
        prober = self.prober([])
        prober._clock = mock.Mock(spec=clocks.StampConverter)
        with mock.patch.object(prober, '_listen', autospec=True,
                               side_effect=[False, True]):
            prober._look()
            prober._clock.settle.assert_not_called()
            prober._look()
        prober._clock.settle.assert_called_once_with()

    def test_a_prober_that_has_died_says_so(self):
        prober = self.prober(['127.0.0.1'])
        with mock.patch.object(prober, 'on_tick', autospec=True,
                               side_effect=RuntimeError('broken')):
            prober.start()
            self.assertTrue(fakes.wait_for(
                lambda: prober._failure is not None))
        for ask in (lambda: prober.seen('127.0.0.1'),
                    lambda: prober.answering(S), prober.stop):
            exc = self.assertRaises(errors.ProbeError, ask)
            self.assertIn('broken', str(exc))
        # It was told; let the clean-up not raise it again.
        prober._failure = None

    def test_what_is_wrong_with_one_leaves_no_socket_open(self):
        opened = []
        real = sockets.open_socket

        def open_once(*args):
            if opened:
                raise errors.ProbesNotPermitted('no more')
            sock, raw = real(*args)
            opened.append(sock)
            return sock, raw

        selector = mock.Mock(spec=selectors.DefaultSelector)
        with mock.patch.object(icmp, 'GROUP', 1), mock.patch.object(
                sockets, 'open_socket', autospec=True,
                side_effect=open_once), mock.patch.object(
                    selectors, 'DefaultSelector', autospec=True,
                    return_value=selector):
            exc = self.assertRaises(
                errors.ProbesNotPermitted, icmp.IcmpProber,
                ['127.0.0.1', '127.0.0.2'], 0.01)
        selector.close.assert_called_once_with()
        if not opened:
            self.skipTest('this machine does not let us ping: %s' % exc)
        self.assertEqual('no more', str(exc))
        self.assertEqual([-1], [sock.fileno() for sock in opened])

    def test_an_address_that_is_none(self):
        exc = self.assertRaises(
            errors.ProbeError, icmp.IcmpProber,
            ['127.0.0.1', 'no.such.name.invalid'], 0.01)
        self.assertIn('no.such.name.invalid', str(exc))


class CheckTest(base.TestCase):

    def test_what_can_be_probed(self):
        sock = mock.Mock(spec=socket.socket)
        with mock.patch.object(sockets, 'open_socket', autospec=True,
                               return_value=(sock, False)) as opener:
            self.assertEqual('2001:db8::1', icmp.check('2001:DB8::0:1'))
        self.assertIs(echo.IPV6, opener.call_args.args[0])
        sock.close.assert_called_once_with()

    def test_what_cannot(self):
        with mock.patch.object(
                sockets, 'open_socket', autospec=True,
                side_effect=errors.ProbesNotPermitted('no sockets')):
            exc = self.assertRaises(
                errors.ProbesNotPermitted, icmp.check, '192.0.2.1')
        self.assertEqual('192.0.2.1 cannot be probed: no sockets', str(exc))

    def test_a_family_that_this_machine_does_not_have(self):
        with mock.patch.object(
                sockets, 'open_socket', autospec=True,
                side_effect=errors.ProbeError('this machine has no IPv6')):
            exc = self.assertRaises(
                errors.ProbeError, icmp.check, '2001:db8::1')
        self.assertNotIsInstance(exc, errors.ProbesNotPermitted)
        self.assertEqual(
            '2001:db8::1 cannot be probed: this machine has no IPv6',
            str(exc))
