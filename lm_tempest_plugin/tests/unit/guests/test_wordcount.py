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

import socket
import time
from unittest import mock

from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import outbound
from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.guests.workloads import wordcount
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.guests import programs

S = 1_000_000_000


def entries(*chunks):
    """Return entries of the register as a guest writes them."""
    return ' '.join(f'{each}:{wordcount.words_in(each)}' for each in chunks)


class TextTest(base.TestCase):

    def test_the_same_text_in_every_run(self):
        first = wordcount.text()
        wordcount.text.cache_clear()
        self.assertEqual(first, wordcount.text())

    def test_its_size(self):
        size = sum(map(len, wordcount.text()))
        self.assertTrue(6_000_000 <= size < 6_010_000, size)
        counts = {len(each.split()) for each in wordcount.text()}
        # Chunks can be told apart, and no line is too long for awk.
        self.assertGreater(len(counts), 150)
        self.assertLess(max(map(len, wordcount.text())), 4096)

    def test_it_begins_again(self):
        number = len(wordcount.text())
        for chunk in (0, 1, number - 1):
            self.assertEqual(len(wordcount.text()[chunk].split()),
                             wordcount.words_in(chunk + 3 * number))


class CheckTest(base.TestCase):

    def test_each_chunk_once_and_in_order(self):
        self.assertEqual((5, ''), wordcount.check(
            [f'1.00 {entries(2, 3)}', f'2.00 {entries(4)}'], 2))
        self.assertEqual((7, ''), wordcount.check([], 7))

    def test_problems(self):
        right = wordcount.words_in(3)
        for line, expected in (
                (entries(2, 5), 'chunks 3 to 4 were lost: 5 follows 2'),
                (entries(2, 3, 3), 'chunk 3 was counted again after chunk 3'),
                (entries(2, 3, 2), 'chunk 2 was counted again after chunk 3'),
                (f'{entries(2)} 3:{right - 1}',
                 f'chunk 3 has {right} words, and the guest counted '
                 f'{right - 1}'),
                (f'{entries(2)} 3', "the register has '3' where chunk 3 has "
                 'to be'),
                (f'{entries(2)} x:y', "the register has 'x:y' where chunk 3")):
            _, problem = wordcount.check([f'1.00 {line}'], 2)
            self.assertIn(expected, problem)


class WordcountTest(programs.ProgramTestCase):
    """This machine is the guest, too."""

    def setUp(self):
        super().setUp()
        self.patch(wordcount, 'COUNT_S', 20.0)

    def begin(self):
        workload = wordcount.WordcountWorkload(20000, '127.0.0.1')
        self.addCleanup(workload.close)
        return self.start(workload)

    def test_words_are_counted_in_windows(self):
        for shell in self.each_shell():
            workload = self.begin()
            self.wait_for(lambda stream=workload._stream: stream.counted > 80)
            begin_ns = time.monotonic_ns() - 2 * S
            self.assertEqual('', workload.verify(self.run_here), shell)
            register = (self.home / 'lm-wordcount').read_text()
            self.assertIn(f' {entries(1, 2)}', register)
            figures = workload.progress(
                self.run_here, begin_ns, time.monotonic_ns())
            self.assertEqual('words', figures.unit)
            self.assertTrue(0.5 < figures.application_stall_s < 10, figures)
            self.assertEqual('', workload.verify(self.run_here), shell)
            workload.stop(self.run_here)
            workload.close()

    def test_it_sends_without_being_asked(self):
        workload = wordcount.WordcountWorkload(20000, '127.0.0.1')
        self.addCleanup(workload.close)
        with mock.patch.object(wordcount, 'TextStream') as stream:
            self.start(workload)
            connection = stream.call_args.args[0]
            connection.settimeout(10)
            # Nothing was sent to it.
            self.assertEqual(b'alive\n', connection.recv(6))
            connection.close()

    def change(self, change):
        """Return the problem after the guest's register was changed."""
        workload = self.begin()
        self.wait_for(lambda: workload._stream.counted > 80)
        workload._stream.close()
        register = self.home / 'lm-wordcount'
        register.write_text(change(register.read_text()))
        return workload.verify(self.run_here)

    def test_a_chunk_that_was_lost(self):
        self.assertIn('chunks 40 to 40 were lost: 41 follows 39', self.change(
            lambda text: text.replace(f' {entries(40)}', '', 1)))

    def test_a_chunk_that_was_counted_twice(self):
        self.assertIn('chunk 40 was counted again', self.change(
            lambda text: text.replace(f' {entries(40)}',
                                      f' {entries(40, 40)}', 1)))

    def test_a_connection_that_breaks(self):
        workload = self.begin()
        self.wait_for(lambda: workload._stream.counted)
        workload._stream._connection.shutdown(socket.SHUT_RDWR)
        workload._stream.sent += 100
        self.assertRegex(
            workload.verify(self.run_here),
            '(the connection broke: .*|the guest has closed the connection): '
            '[0-9]+ chunks were sent, and chunk [0-9]+ was not counted')

    def test_a_guest_that_does_not_go_on(self):
        self.patch(wordcount, 'COUNT_S', 1.0)
        workload = self.begin()
        self.wait_for(lambda: workload._stream.counted)
        workload.stop(self.run_here)
        workload._stream.sent += 100
        self.assertRegex(
            workload.verify(lambda command: ''),
            '(the guest has closed the connection|the connection broke: .*|'
            'the guest does not go on): [0-9]+ chunks were sent')

    def test_a_guest_without_a_client(self):
        self.assertIn(outbound.NO_CLIENT, str(self.assertRaises(
            workloads.Skipped, wordcount.WordcountWorkload(
                1, '127.0.0.1').start,
            lambda command: f'skipped: {outbound.NO_CLIENT}')))


class StallTest(base.TestCase):

    def test_the_longest_time_between_two_windows(self):
        workload = wordcount.WordcountWorkload(1, '127.0.0.1')
        workload._stream = type('Stream', (), {'done': [
            program.Work(at_s * S, at_s) for at_s in (1, 2, 9, 10, 15, 16)]})
        for begin_s, end_s, expected in (
                (0, 2, 7.0), (10, 12, 5.0), (3, 4, 7.0), (16, 20, 1.0),
                (17, 20, None)):
            self.assertEqual(expected, workload.progress(
                None, begin_s * S, end_s * S).application_stall_s, begin_s)
