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

import io
import os
import shutil
import time

from lm_tempest_plugin.commands import screen
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders


class Terminal(io.StringIO):

    def isatty(self):
        return True


def migrations(number):
    return [builders.migration(
        builders.snapshot(2.5, [builders.record('running')],
                          builders.migrating()))
            for _ in range(number)]


class ScreenTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()
        self.size = os.terminal_size((120, 24))
        self.patch(shutil, 'get_terminal_size', lambda: self.size)
        self.patch(time, 'strftime', lambda form: '14:03:01')
        self.said = []

    def screen(self, stream):
        self.stream = stream
        return screen.Screen(stream, lambda text: stream.write(f'{text}\n'),
                             self.clock.monotonic)


class TerminalTest(ScreenTestCase):

    def test_the_table(self):
        migration, = migrations(1)
        migration.progress.append(
            builders.progress(memory_remaining=builders.GIB // 2))
        self.screen(Terminal()).show('1 in flight', [migration])
        first, top, heading, _, row, bottom = (
            self.stream.getvalue().splitlines())
        self.assertEqual('14:03:01 1 in flight', first)
        self.assertEqual(top, bottom)
        for column in screen.COLUMNS:
            self.assertIn(column, heading)
        for cell in ('guest', 'alpha', 'beta', 'running', '98 %'):
            self.assertIn(f'| {cell} ', row)

    def test_it_is_drawn_in_the_same_place(self):
        shown = self.screen(Terminal())
        shown.show('first', migrations(2))
        shown.show('second', [])
        shown.say('news')
        shown.say('more news')
        shown.show('third', [])
        text = self.stream.getvalue()
        # State, three borders, heading and two rows.
        self.assertIn('\x1b[7A\x1b[J14:03:01 second\n'
                      '\x1b[1A\x1b[J14:03:01 news\n'
                      '14:03:01 more news\n14:03:01 third\n', text)
        self.assertEqual(2, text.count('\x1b[J'))

    def test_it_fits(self):
        self.size = os.terminal_size((40, 10))
        self.screen(Terminal()).show('x' * 90, migrations(30))
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(39, max(map(len, lines)))
        self.assertLessEqual(len(lines), 10)
        self.assertEqual('26 more', lines[-1])

    def test_one_without_a_record(self):
        self.screen(Terminal()).show('', [builders.migration(
            builders.snapshot(2.5, [], builders.migrating()))])
        self.assertIn('| none ', self.stream.getvalue())


class PlainTest(ScreenTestCase):

    def test_there_is_no_table(self):
        shown = self.screen(io.StringIO())
        shown.show('the state', migrations(1))
        self.assertEqual('', self.stream.getvalue())

    def test_the_state_is_told_now_and_then(self):
        """But not while nothing happens."""
        shown = self.screen(io.StringIO())
        for number in range(100):
            shown.show(f'state {number}', migrations(number % 2))
            self.clock.sleep(1)
        self.assertEqual(
            [f'14:03:01 state {number}' for number in (31, 61, 91)],
            self.stream.getvalue().splitlines())
