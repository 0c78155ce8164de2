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
import re
import socket
import time
from unittest import mock

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes
from lm_tempest_plugin.tests.unit.probes import test_icmp

PERIOD_S = 0.005


class EchoCheckTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.seen = observations.Observations('192.0.2.1', 1)
        self.check = tcp.EchoCheck(self.seen)
        for number in range(5):
            self.seen.ask(number)

    def counts(self):
        return self.check.lost, self.check.repeated, self.check.corrupt

    def test_all_come_back_in_pieces(self):
        data = b''.join(self.check.line(number) for number in range(5))
        for position in range(0, len(data), 7):
            self.check.feed(data[position:position + 7], 10 + position)
        self.assertEqual(5, self.check.expected)
        self.assertEqual((0, 0, 0), self.counts())
        self.assertNotIn(observations.UNANSWERED, self.seen.answered_ns)

    def test_one_is_left_out(self):
        self.check.feed(self.check.line(0) + self.check.line(3), 10)
        self.assertEqual((2, 0, 0), self.counts())
        self.assertEqual(4, self.check.expected)

    def test_one_comes_twice(self):
        self.check.feed(self.check.line(0) * 2, 10)
        self.assertEqual((0, 1, 0), self.counts())

    def test_what_was_never_sent(self):
        for line in (b'hello\n', self.check.line(5), b'\n',
                     b'x' + self.check.line(0), b'0123456789abcdef 0\n',
                     self.check.token + b' 00\n', self.check.token + b' -1\n'):
            self.check.feed(line, 10)
        self.assertEqual((0, 0, 7), self.counts())
        self.assertIn('hello', self.check.example)
        self.assertEqual(0, self.check.expected)

    def test_a_line_without_an_end(self):
        self.check.feed(b'x' * 5000, 10)
        self.assertEqual((0, 0, 1), self.counts())
        self.check.feed(self.check.line(0), 10)
        self.assertEqual(1, self.check.expected)


class ProberTest(base.TestCase):

    def serve(self, *args, **kwargs):
        server = fakes.EchoServer(*args, **kwargs)
        self.addCleanup(server.close)
        return server

    def connect(self, server):
        prober = tcp.TcpProber(PERIOD_S)
        self.addCleanup(prober.stop)
        prober.connect(server.host, server.port, 5)
        prober.start()
        return prober

    def await_echoes(self, prober, server, count):
        self.assertTrue(test_icmp.wait_for(
            lambda: prober.seen(server.host).last_echoed >= count))

    def test_everything_comes_back(self):
        server = self.serve()
        prober = self.connect(server)
        self.await_echoes(prober, server, 10)
        self.assertTrue(prober.drain(5))
        seen = prober.seen(server.host)
        self.assertEqual(seen.last_sent, seen.last_echoed)
        self.assertEqual((0, 0, 0, None), (
            seen.lost, seen.repeated, seen.corrupt, seen.broken_ns))
        self.assertEqual(1, len(server.connections))

    def test_ipv6(self):
        try:
            server = self.serve(host='::1')
        except OSError as exc:
            self.skipTest('no IPv6 here: %s' % exc)
        self.await_echoes(self.connect(server), server, 3)

    def test_a_stall_is_survived_on_the_same_connection(self):
        server = self.serve()
        prober = self.connect(server)
        self.await_echoes(prober, server, 3)
        server.gate.clear()
        before = prober.seen(server.host).last_echoed
        self.assertTrue(test_icmp.wait_for(
            lambda: prober.seen(server.host).last_sent > before + 20))
        self.assertFalse(prober.drain(0.02))
        server.gate.set()
        self.assertTrue(prober.drain(5))
        seen = prober.seen(server.host)
        self.assertEqual(seen.last_sent, seen.last_echoed)
        self.assertIsNone(seen.broken_ns)
        answers = list(seen.echoes.answered_ns)
        self.assertGreater(
            max(b - a for a, b in zip(answers, answers[1:], strict=False)),
            0.05e9)

    def test_lost_repeated_and_corrupt_lines_are_counted(self):
        def answer(line):
            number = int(line.split()[1])
            return {5: b'', 7: line * 2, 9: b'garbage\n' + line}.get(
                number, line)

        server = self.serve(answer)
        prober = self.connect(server)
        self.await_echoes(prober, server, 12)
        seen = prober.seen(server.host)
        self.assertEqual((1, 1, 1),
                         (seen.lost, seen.repeated, seen.corrupt))
        self.assertIn('garbage', seen.example)

    def test_a_connection_that_is_closed_stays_closed(self):
        server = self.serve()
        prober = self.connect(server)
        self.await_echoes(prober, server, 3)
        server.connections[0].shutdown(socket.SHUT_RDWR)
        self.assertTrue(test_icmp.wait_for(
            lambda: prober.seen(server.host).broken_ns))
        seen = prober.seen(server.host)
        self.assertIn('closed by the guest', seen.broken)
        self.assertTrue(prober.drain(5))
        self.assertEqual(seen.last_sent, prober.seen(server.host).last_sent)
        self.assertEqual(1, len(server.connections))

    def test_a_connection_that_is_reset(self):
        def answer(line):
            if int(line.split()[1]) == 5:
                raise OSError
            return line

        server = self.serve(answer)
        prober = self.connect(server)
        self.assertTrue(test_icmp.wait_for(
            lambda: prober.seen(server.host).broken_ns))
        self.assertIn('reset', prober.seen(server.host).broken)

    def test_something_that_does_not_echo(self):
        server = self.serve(lambda line: b'SSH-2.0-other\r\n')
        exc = self.assertRaises(
            errors.BadEcho, tcp.open_stream, server.host, server.port,
            PERIOD_S, 5)
        self.assertIn('port %d of 127.0.0.1' % server.port, str(exc))
        self.assertIn('SSH-2.0-other', str(exc))

    def test_nothing_listens(self):
        server = self.serve()
        server.close()
        exc = self.assertRaises(
            errors.NotAnswering, tcp.open_stream, server.host, server.port,
            PERIOD_S, 0.05)
        self.assertIn('port %d of 127.0.0.1' % server.port, str(exc))
        self.assertIn('refused', str(exc))

    def test_it_listens_and_is_silent(self):
        server = self.serve(lambda line: b'')
        exc = self.assertRaises(
            errors.NotAnswering, tcp.open_stream, server.host, server.port,
            PERIOD_S, 0.1)
        self.assertIn('timed out', str(exc))

    def test_it_hangs_up(self):
        def answer(line):
            server.connections[-1].shutdown(socket.SHUT_RDWR)
            return b''

        server = self.serve(answer)
        exc = self.assertRaises(
            errors.NotAnswering, tcp.open_stream, server.host, server.port,
            PERIOD_S, 0.05)
        self.assertTrue(re.search('closed by the guest|Broken', str(exc)))

    def test_no_time_no_attempt(self):
        exc = self.assertRaises(errors.NotAnswering, tcp.open_stream,
                                '127.0.0.1', 7, PERIOD_S, 0)
        self.assertIn('no attempt', str(exc))


class StreamTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.sock = mock.Mock(spec=socket.socket)
        self.stream = tcp.Stream('192.0.2.1', 0.05, self.sock)

    def test_what_the_kernel_does_not_take_is_sent_later(self):
        self.sock.send.side_effect = [3, BlockingIOError()]
        self.stream.ask()
        line = self.stream.check.line(0)
        self.sock.send.side_effect = [len(line) - 3]
        self.stream.flush()
        self.assertEqual(line[3:], self.sock.send.call_args.args[0])
        self.assertIsNone(self.stream.broken_ns)

    def test_an_error_when_sending_breaks_it(self):
        self.sock.send.side_effect = OSError(errno.ETIMEDOUT, 'timed out')
        self.stream.ask()
        self.assertIn('timed out', self.stream.broken)
        self.assertTrue(self.stream.drained())

    def test_an_error_when_receiving_breaks_it(self):
        self.sock.recv.side_effect = [
            BlockingIOError(), OSError(errno.EHOSTUNREACH, 'No route')]
        self.stream.receive()
        self.assertIsNone(self.stream.broken_ns)
        before_ns = time.monotonic_ns()
        self.stream.receive()
        self.assertIn('No route', self.stream.broken)
        self.assertGreaterEqual(self.stream.broken_ns, before_ns)

    def test_nothing_sent_nothing_echoed(self):
        seen = self.stream.snapshot()
        self.assertEqual((-1, -1), (seen.last_sent, seen.last_echoed))
