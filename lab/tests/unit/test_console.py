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

import rich.console

from lab import console
from lab.tests.unit import base


class TestConsole(base.TestCase):

    def setUp(self):
        super().setUp()
        self.out = io.StringIO()
        self.now = 100.0
        self.patch(console.time, 'monotonic', side_effect=lambda: self.now)

    def _console(self, terminal):
        return console.Console(rich.console.Console(
            file=self.out, force_terminal=terminal, width=60,
            highlight=False, _environ={}))

    def test_lines_without_a_terminal(self):
        with self._console(False) as shown:
            shown.began('first [b]step[/b]')
            shown.ended('first [b]step[/b]', 1.25)
            shown.began('second')
            shown.failed('second', 12)
        self.assertEqual('    1.2 s  first [b]step[/b]\n'
                         '   12.0 s  second: FAILED\n', self.out.getvalue())

    def test_terminal_shows_what_is_under_way(self):
        shown = self._console(True)
        self.assertEqual('', shown._underway().plain)
        shown.began('one')
        self.now = 103.4
        shown.began('two')
        self.now = 105.0
        self.assertEqual('  ... one (5 s), two (2 s)',
                         shown._underway().plain)
        shown.ended('one', 5)
        self.assertEqual('  ... two (2 s)', shown._underway().plain)
        shown.failed('two', 2)
        self.assertEqual('', shown._underway().plain)

    def test_terminal_is_left_clean(self):
        with self._console(True) as shown:
            self.assertTrue(shown._live.is_started)
            shown.say('a line')
        self.assertFalse(shown._live.is_started)
        self.assertIn('a line', self.out.getvalue())
        # The cursor that a live display hides is back.
        self.assertGreater(self.out.getvalue().rfind('\x1b[?25h'),
                           self.out.getvalue().rfind('\x1b[?25l'))

    def test_end_of_what_never_began(self):
        with self._console(False) as shown:
            shown.ended('late', 3)
        self.assertIn('late', self.out.getvalue())
