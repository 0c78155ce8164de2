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

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import datagrams
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import icmp_echo
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes
from lm_tempest_plugin.tests.unit.probes import test_icmp_echo

MS = 1_000_000
US = 1000
PERIOD_NS = 10 * MS
SEND_NS = 30 * US
UNANSWERED = answers.UNANSWERED
S = 1000 * MS
# An IPv4 header without options, and one with 8 bytes of them.
PLAIN_HEADER = b'\x45' + bytes(19)
LONG_HEADER = b'\x47' + bytes(27)


def due_ns(sequence):
    return (sequence + 1) * PERIOD_NS


def before_ns(sequence):
    return due_ns(sequence) + 100 * US


class RoundsTestCase(base.TestCase):

    GUESTS = 3

    def setUp(self):
        super().setUp()
        # A few rounds are enough to get from one block to the next.
        patcher = mock.patch.object(icmp, 'BLOCK_ROUNDS', 4)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.rounds = icmp.Rounds(
            ['192.0.2.%d' % number for number in range(self.GUESTS)],
            PERIOD_NS)

    def ask(self, count=1, refused=()):
        for _ in range(count):
            sequence = len(self.rounds)
            self.rounds.ask(due_ns(sequence), before_ns(sequence),
                            before_ns(sequence) + SEND_NS, dict(refused))

    def answer(self, *answers):
        """Take in (guest, sequence, delay) at once."""
        guests, sequences, delays_ns = numpy.array(
            answers, numpy.int64).reshape(-1, 3).T
        self.rounds.answer(
            guests, sequences,
            self.rounds.sent_before_ns(sequences) + delays_ns)

    def delays_ns(self, guest):
        """Return the delays from the begin of a round; None without."""
        seen = self.rounds.snapshot(guest)
        return [
            None if answered_ns == UNANSWERED else int(answered_ns - sent_ns)
            for answered_ns, sent_ns in zip(
                seen.answered_ns, seen.due_ns + 100 * US, strict=True)]


class RoundsTest(RoundsTestCase):

    def test_nothing_was_asked(self):
        seen = self.rounds.snapshot(1)
        for times_ns in (seen.due_ns, seen.sent_ns, seen.sent_error_ns,
                         seen.answered_ns):
            self.assertEqual((0, numpy.int64),
                             (times_ns.size, times_ns.dtype))
        self.assertEqual(('192.0.2.1', PERIOD_NS),
                         (seen.target, seen.period_ns))
        self.assertEqual(0, len(self.rounds))

    def test_times(self):
        self.ask(2)
        self.answer((0, 1, 250 * US), (2, 0, 300 * US))
        for guest, sent_us in ((0, 105), (1, 115), (2, 125)):
            seen = self.rounds.snapshot(guest)
            self.assertEqual([due_ns(0), due_ns(1)], list(seen.due_ns))
            self.assertEqual(
                [due_ns(0) + sent_us * US, due_ns(1) + sent_us * US],
                list(seen.sent_ns))
            self.assertEqual([SEND_NS] * 2, list(seen.sent_error_ns))
        self.assertEqual([None, 250 * US], self.delays_ns(0))
        self.assertEqual([None, None], self.delays_ns(1))
        self.assertEqual([300 * US, None], self.delays_ns(2))

    def test_an_answer_is_never_before_its_question(self):
        self.ask(2)
        # Answered before the others were asked.
        self.answer((2, 0, 10 * US), (2, 1, 0))
        seen = self.rounds.snapshot(2)
        self.assertEqual([10 * US, 0], self.delays_ns(2))
        self.assertTrue((seen.sent_ns <= seen.answered_ns).all())
        self.assertTrue((seen.sent_ns >= [before_ns(0), before_ns(1)]).all())

    def test_delays_are_kept_in_microseconds(self):
        self.ask()
        self.answer((0, 0, 1999))
        self.assertEqual([US], self.delays_ns(0))

    def test_what_takes_longer_than_can_be_kept_is_no_answer(self):
        self.ask(6)
        longest_ns = icmp.LONGEST_US * US
        self.assertGreater(longest_ns, 35 * 60 * 1000 * MS)
        # In two blocks.
        self.answer((0, 0, 10_000 * 1000 * MS), (1, 0, longest_ns),
                    (2, 0, longest_ns + US), (0, 5, US))
        self.assertEqual([None] * 5 + [US], self.delays_ns(0))
        self.assertEqual([longest_ns] + [None] * 5, self.delays_ns(1))
        self.assertEqual([None] * 6, self.delays_ns(2))
        self.assertEqual(
            [0] * 3, [self.rounds.snapshot(guest).duplicates
                      for guest in range(self.GUESTS)])

    def test_more_rounds_than_a_block_has(self):
        self.ask(11)
        # From all blocks, in no order.
        answers = [(guest, sequence, (100 * guest + sequence) * US)
                   for guest in range(self.GUESTS)
                   for sequence in (0, 3, 4, 7, 8, 10)]
        numpy.random.default_rng(1).shuffle(answers)
        self.answer(*answers)
        for guest in range(self.GUESTS):
            self.assertEqual(
                [(100 * guest + sequence) * US
                 if sequence in (0, 3, 4, 7, 8, 10) else None
                 for sequence in range(11)], self.delays_ns(guest))
        self.assertEqual(11, len(self.rounds))

    def test_a_block_that_is_full(self):
        self.ask(4)
        self.assertEqual(4, self.rounds.snapshot(0).sent_ns.size)
        self.ask()
        self.assertEqual(5, self.rounds.snapshot(0).sent_ns.size)

    def test_when_rounds_were_begun(self):
        self.ask(9)
        sequences = numpy.array([8, 0, 5, 5, 3])
        self.assertEqual([before_ns(number) for number in sequences],
                         list(self.rounds.sent_before_ns(sequences)))

    def test_a_snapshot_stays_as_it_is(self):
        self.ask(5)
        seen = self.rounds.snapshot(0)
        self.answer((0, 4, US))
        self.ask()
        self.assertEqual(5, seen.sent_ns.size)
        self.assertFalse(seen.answered.any())

    def test_a_snapshot_in_the_middle_of_a_round(self):
        self.ask(4)

        class Refused(dict):
            """Looks at the rounds while one is being noted."""

            def items(refused):
                refused.seen = self.rounds.snapshot(0)
                return super().items()

        refused = Refused({1: 'no route'})
        self.rounds.ask(due_ns(4), before_ns(4), before_ns(4), refused)
        self.assertEqual(4, refused.seen.sent_ns.size)
        self.assertEqual(5, self.rounds.snapshot(0).sent_ns.size)


class CountersTest(RoundsTestCase):

    def counters(self, name):
        return [getattr(self.rounds.snapshot(guest), name)
                for guest in range(self.GUESTS)]

    def test_an_answer_that_comes_twice_at_once(self):
        self.ask()
        self.answer((0, 0, 20 * US), (1, 0, 40 * US), (1, 0, 50 * US),
                    (2, 0, 60 * US))
        self.assertEqual([0, 1, 0], self.counters('duplicates'))
        self.assertEqual([40 * US], self.delays_ns(1))

    def test_an_answer_that_comes_twice_at_once_in_two_blocks(self):
        self.ask(6)
        self.answer((0, 5, 20 * US), (0, 1, 30 * US), (0, 5, 40 * US),
                    (0, 1, 50 * US), (0, 1, 60 * US))
        self.assertEqual([3, 0, 0], self.counters('duplicates'))
        self.assertEqual([None, 30 * US, None, None, None, 20 * US],
                         self.delays_ns(0))

    def test_an_answer_that_comes_again_later(self):
        self.ask()
        self.answer((1, 0, 40 * US), (2, 0, 40 * US))
        self.answer((1, 0, 90 * US))
        self.answer((0, 0, 50 * US), (1, 0, 95 * US))
        self.assertEqual([0, 2, 0], self.counters('duplicates'))
        self.assertEqual([40 * US], self.delays_ns(1))
        self.assertEqual([50 * US], self.delays_ns(0))

    def test_strangers(self):
        self.rounds.stranger(numpy.array([1, 2, 1]))
        self.rounds.stranger(numpy.array([], numpy.int64))
        self.assertEqual([0, 2, 1], self.counters('strangers'))

    def test_what_was_refused_was_not_asked(self):
        self.ask()
        self.ask(refused={1: 'no route', 2: 'no room'})
        self.ask(refused={1: 'no buffer'})
        self.ask()
        self.assertEqual([0, 2, 1], self.counters('send_errors'))
        self.assertEqual(['', 'no buffer', 'no room'],
                         self.counters('send_error'))
        seen = self.rounds.snapshot(1)
        self.assertEqual([due_ns(0), due_ns(3)], list(seen.due_ns))
        self.assertEqual(2, seen.answered_ns.size)
        self.assertEqual(2, seen.sent_error_ns.size)
        self.assertEqual(4, self.rounds.snapshot(0).sent_ns.size)

    def test_how_many_answered_lately(self):
        self.assertEqual(0, self.rounds.answering(5))
        self.ask(10)
        self.answer((0, 1, US), (1, 5, US), (2, 9, 0))
        self.assertEqual(
            [0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3],
            [self.rounds.answering(last) for last in range(11)])
        self.assertEqual(3, self.rounds.answering(1000))

    def test_those_who_were_refused_have_not_answered(self):
        self.ask(refused={0: 'no route'})
        self.answer((1, 0, US))
        self.assertEqual(1, self.rounds.answering(1))


def answered(seen):
    return int(numpy.count_nonzero(seen.answered))


class ReceiveTest(base.TestCase):
    """Packets arrive over UDP, and look like ICMP."""

    ADDRESSES = ('127.0.0.2', '127.0.0.3')

    def setUp(self):
        super().setUp()
        self.step_ns = 0
        self.clock = datagrams.StampConverter(
            realtime_ns=lambda: time.time_ns() + self.step_ns)
        self.inbox = datagrams.Inbox(
            icmp.BURST, icmp.PACKET_BYTES, icmp.SOCKADDR_BYTES)

    def group(self, addresses=ADDRESSES, raw=False):
        destinations = [icmp_echo.resolve(one) for one in addresses]
        sock = self.socket(addresses[0], destinations[0].family)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, datagrams.SO_TIMESTAMPNS, 1)
        with mock.patch.object(icmp_echo, 'open_socket', autospec=True,
                               return_value=(sock, raw)):
            return icmp.IcmpGroup(destinations, PERIOD_NS)

    def socket(self, address, family=icmp_echo.IPV4):
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
            # Older packets are still in the inbox.
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
            self.inbox = datagrams.Inbox(2, icmp.PACKET_BYTES, 28)
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
                icmp_echo, 'open_socket', autospec=True,
                side_effect=functools.partial(
                    icmp_echo.open_socket,
                    opener=test_icmp_echo.refuse(self.refused))):
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
        """Check that all probes but those under way were answered."""
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
                icmp.IcmpGroup, '_note', autospec=True,
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
        prober._clock = mock.Mock(spec=datagrams.StampConverter)
        with mock.patch.object(prober, '_read', autospec=True,
                               side_effect=[False, True]):
            prober._read_all()
            prober._clock.settle.assert_not_called()
            prober._read_all()
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
        real = icmp_echo.open_socket

        def open_once(*args):
            if opened:
                raise errors.ProbesNotPermitted('no more')
            sock, raw = real(*args)
            opened.append(sock)
            return sock, raw

        selector = mock.Mock(spec=selectors.DefaultSelector)
        with mock.patch.object(icmp, 'GROUP', 1), mock.patch.object(
                icmp_echo, 'open_socket', autospec=True,
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
        with mock.patch.object(icmp_echo, 'open_socket', autospec=True,
                               return_value=(sock, False)) as opener:
            self.assertEqual('2001:db8::1', icmp.check('2001:DB8::0:1'))
        self.assertIs(icmp_echo.IPV6, opener.call_args.args[0])
        sock.close.assert_called_once_with()

    def test_what_cannot(self):
        with mock.patch.object(
                icmp_echo, 'open_socket', autospec=True,
                side_effect=errors.ProbesNotPermitted('no sockets')):
            exc = self.assertRaises(
                errors.ProbesNotPermitted, icmp.check, '192.0.2.1')
        self.assertEqual('192.0.2.1 cannot be probed: no sockets', str(exc))

    def test_a_family_that_this_machine_does_not_have(self):
        with mock.patch.object(
                icmp_echo, 'open_socket', autospec=True,
                side_effect=errors.ProbeError('this machine has no IPv6')):
            exc = self.assertRaises(
                errors.ProbeError, icmp.check, '2001:db8::1')
        self.assertNotIsInstance(exc, errors.ProbesNotPermitted)
        self.assertEqual(
            '2001:db8::1 cannot be probed: this machine has no IPv6',
            str(exc))
