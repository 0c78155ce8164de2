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

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes.tcp import lines
from lm_tempest_plugin.tests.unit import base


class EchoCheckTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.log = observations.Log('192.0.2.1', 1)
        self.check = lines.EchoCheck(self.log)
        for number in range(5):
            self.check.ask(number, number)

    def counts(self):
        return self.check.lost, self.check.repeated, self.check.corrupt

    def test_all_come_back_in_pieces(self):
        data = b''.join(self.check.line(number) for number in range(5))
        for position in range(0, len(data), 7):
            self.check.feed(data[position:position + 7], 10 + position, 3)
        self.assertEqual(5, self.check.expected)
        self.assertEqual((0, 0, 0), self.counts())
        self.assertTrue(self.log.snapshot().answered.all())
        self.assertEqual([3] * 5, list(self.check.read_error_ns))
        self.assertFalse(self.check.outstanding)

    def test_one_is_left_out(self):
        self.check.feed(self.check.line(0) + self.check.line(3), 10)
        self.assertEqual((2, 0, 0), self.counts())
        self.assertEqual(4, self.check.expected)
        self.assertTrue(self.check.outstanding)

    def test_one_comes_twice(self):
        self.check.feed(self.check.line(0) * 2, 10)
        self.assertEqual((0, 1, 0), self.counts())

    def test_what_was_never_sent(self):
        for line in (b'hello\n', self.check.line(5), b'\n',
                     b'x' + self.check.line(0), b'0123456789abcdef 0\n',
                     self.check.token + b' 00\n', self.check.token + b' -1\n',
                     self.check.line(10 ** 20)):
            self.check.feed(line, 10)
        self.assertEqual((0, 0, 8), self.counts())
        self.assertIn('hello', self.check.example)
        self.assertEqual(0, self.check.expected)

    def test_a_line_without_an_end(self):
        self.check.feed(b'x' * 5000, 10)
        self.assertEqual((0, 0, 1), self.counts())
        self.check.feed(self.check.line(0), 10)
        self.assertEqual(1, self.check.expected)

    def test_the_first_line_proves_the_service(self):
        self.assertIsNone(self.check.proven)
        self.check.feed(self.check.line(0) + b'garbage\n', 10)
        self.assertTrue(self.check.proven)
        self.check.hang_up()
        self.assertIsNone(self.check.proven)
        self.check.feed(b'garbage\n' + self.check.line(0), 10)
        self.assertFalse(self.check.proven)

    def test_where_nothing_came_back_nothing_is_lost(self):
        self.check.hang_up()
        self.assertEqual((0, 0, 0), self.counts())
        self.assertFalse(self.check.outstanding)
        self.assertEqual(5, self.check.expected)
        # Nor does it count as such later.
        self.check.feed(self.check.ask(6, 6), 11)
        self.assertEqual((0, 0, 0), self.counts())
        self.assertTrue(self.check.proven)

    def test_nor_where_only_garbage_did(self):
        self.check.feed(b'garbage\n', 10)
        self.check.hang_up()
        self.assertEqual((0, 0, 1), self.counts())
        self.assertEqual(5, self.check.expected)

    def test_what_is_under_way_is_lost_with_the_connection(self):
        self.check.feed(self.check.line(0) + self.check.line(1)[:-1], 10)
        self.check.hang_up()
        self.assertEqual((4, 0, 0), self.counts())
        self.assertFalse(self.check.outstanding)
        # The rest of what was cut off is not looked for in what follows.
        line = self.check.ask(6, 6)
        self.assertEqual(self.check.line(5), line)
        self.check.feed(line, 11)
        self.assertEqual((4, 0, 0), self.counts())
        self.assertEqual(5, self.log.snapshot().last_answered)
