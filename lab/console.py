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

"""Show the lab's progress on the terminal."""

import threading
import time

import rich.console
import rich.live
import rich.text


class Console:
    """A live line of progress on a terminal; plain lines elsewhere.

    Use as a context manager; it is a :class:`lab.steps.Progress`.
    """

    def __init__(self, console: rich.console.Console | None = None) -> None:
        self._console = console or rich.console.Console(
            highlight=False, soft_wrap=True)
        self._running: dict[str, float] = {}
        self._lock = threading.Lock()
        self._live = rich.live.Live(
            get_renderable=self._underway, console=self._console,
            refresh_per_second=4, transient=True)

    def __enter__(self) -> 'Console':
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def _underway(self) -> rich.text.Text:
        with self._lock:
            running = dict(self._running)
        now = time.monotonic()
        line = ', '.join(f'{name} ({now - began:.0f} s)'
                         for name, began in running.items())
        return rich.text.Text(f'  ... {line}' if line else '', style='dim',
                              overflow='ellipsis', no_wrap=True)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(rich.text.Text(text))

    def began(self, name: str) -> None:
        """Show that a step began."""
        with self._lock:
            self._running[name] = time.monotonic()

    def ended(self, name: str, seconds: float) -> None:
        """Print that a step succeeded after some seconds."""
        self._forget(name)
        self.say(f'{seconds:7.1f} s  {name}')

    def failed(self, name: str, seconds: float) -> None:
        """Print that a step raised an exception after some seconds."""
        self._forget(name)
        self._console.print(rich.text.Text(
            f'{seconds:7.1f} s  {name}: FAILED', style='bold red'))

    def _forget(self, name: str) -> None:
        with self._lock:
            self._running.pop(name, None)
