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

"""What the user sees while it runs, on standard error."""

from collections.abc import Sequence
from concurrent import futures
import time
from typing import Any

from rich import console
from rich import progress

CONSOLE = console.Console(stderr=True)
POLL_S = 0.2


def say(message: str) -> None:
    """Tell what is being done."""
    CONSOLE.print(message, highlight=False, markup=False)


def wait(title: str, end_s: float,
         pending: Sequence[futures.Future[Any]] = ()) -> None:
    """Show a bar until a time has come, or until one of several fails.

    :param title: what is going on
    :param end_s: CLOCK_MONOTONIC in seconds
    :param pending: what goes on
    :raises Exception: what one of them has failed with
    """
    begin_s = time.monotonic()
    say('%s: %.0f s' % (title, end_s - begin_s))
    with progress.Progress(console=CONSOLE, transient=True,
                           disable=not CONSOLE.is_terminal) as bar:
        task = bar.add_task(title, total=end_s - begin_s)
        while time.monotonic() < end_s:
            for future in pending:
                if future.done() and future.exception() is not None:
                    future.result()
            bar.update(task, completed=time.monotonic() - begin_s)
            time.sleep(min(POLL_S, max(0.0, end_s - time.monotonic())))
