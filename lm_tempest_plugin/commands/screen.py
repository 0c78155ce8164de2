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

"""Lines that stay, and below them a table that is drawn again and again."""

from collections.abc import Callable
from collections.abc import Sequence
import shutil
import time
from typing import TextIO

import prettytable

from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.migration import follow

NS = follow.NS
COLUMNS = ('Server', 'From', 'To', 'Record', 'Seconds', 'Copied',
           'Times out in', 'Pace')
# Lines of a table with its heading, its borders, and the prompt below it.
BORDERS = 6
# Elsewhere than on a terminal, the state is one line now and then.
STATE_S = 30.0


class Screen:
    """Shows lines, and on a terminal a table below them."""

    def __init__(self, stream: TextIO, say: Callable[[str], object],
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; nothing is written yet.

        :param stream: standard output
        :param say: prints a line
        :param clock: returns a monotonic time in seconds
        """
        self._stream = stream
        self._say = say
        self._clock = clock
        self._terminal = stream.isatty()
        self._drawn = 0
        self._told_s = clock()

    def say(self, text: str) -> None:
        """Print a line that stays, with the time.

        :param text: may have several lines
        """
        self.clear()
        self._say(f'{time.strftime("%H:%M:%S")} {text}')

    def show(self, state: str,
             migrations: Sequence[follow.Migration]) -> None:
        """Show the state, and on a terminal the migrations.

        :param state: one line
        :param migrations: that have not ended
        """
        if not self._terminal:
            if migrations and self._clock() - self._told_s >= STATE_S:
                self._told_s = self._clock()
                self.say(state)
            return
        size = shutil.get_terminal_size()
        lines = [f'{time.strftime("%H:%M:%S")} {state}']
        room = max(1, size.lines - BORDERS)
        if migrations:
            lines += _table(migrations[:room]).splitlines()
        if len(migrations) > room:
            lines.append(f'{len(migrations) - room} more')
        self.clear()
        # A line that wraps would not be cleared.
        self._stream.write(''.join(
            f'{line[:size.columns - 1]}\n' for line in lines))
        self._stream.flush()
        self._drawn = len(lines)

    def clear(self) -> None:
        """Remove the table."""
        if self._drawn:
            self._stream.write(f'\x1b[{self._drawn}A\x1b[J')
            self._stream.flush()
        self._drawn = 0


def _table(migrations: Sequence[follow.Migration]) -> str:
    table = prettytable.PrettyTable(COLUMNS)
    table.align = 'l'
    for each in migrations:
        server, newest = each.request.server, each.newest
        last = each.progress[-1] if each.progress else None
        pace = copying.of_progress(each.progress)
        copied = ''
        if last is not None:
            total = last.memory_total_bytes + last.disk_total_bytes
            remaining = (last.memory_remaining_bytes +
                         last.disk_remaining_bytes)
            copied = f'{100 * (total - remaining) / total:.0f} %'
        left_s = (each.deadline_ns - time.monotonic_ns()) / NS
        table.add_row([
            server.name or server.server_id, each.request.source,
            newest.destination if newest else '', each.status or 'none',
            f'{each.duration_s:.0f}', copied, f'{left_s:.0f} s',
            pace.pace if pace else ''])
    return table.get_string()
