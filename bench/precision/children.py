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

"""Child processes that talk JSON lines, and how to end any of them.

The PID namespace ensures that none outlives this program.
"""

from collections.abc import Sequence
import gc
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
from typing import Any

# The checkout. Not resolved, so that a linked one stays as it is.
ROOT = pathlib.Path(__file__).absolute().parents[2]
START_S = 20.0
END_S = 20.0
POLL_S = 0.02
FIFO_PRIORITY = 50
NICENESS = -20


class BenchError(Exception):
    """The benchmark cannot go on; the message is one sentence."""


class JsonChild:
    """A module of this package as a process of its own.

    :ivar ready: the first message that it sent
    """

    def __init__(self, module: str, prefix: Sequence[str] = (),
                 arguments: Sequence[str] = ()) -> None:
        """Start it, and wait until it is ready.

        :param module: its name within this package
        :param prefix: a command that runs it elsewhere
        :param arguments: its own
        :raises BenchError: it did not start in time
        """
        self._name = module
        self._process = subprocess.Popen(
            [*prefix, sys.executable, '-m', f'{__package__}.{module}',
             *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            # Ctrl-C must only reach the parent, which ends the others.
            process_group=0)
        self.pid = self._process.pid
        try:
            self.ready = self._first_line()
        except BaseException:
            self.kill()
            raise

    def _first_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        readable, _, _ = select.select(
            [self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if readable else b''
        if not line:
            raise BenchError(
                f'the {self._name} did not start within {START_S:g} s.')
        return dict(json.loads(line))

    def send(self, message: Any) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b'\n')
        self._process.stdin.flush()

    def finish(self, timeout_s: float = END_S) -> Any:
        """End its input, and return its last message.

        :param timeout_s: how long that may take
        :raises BenchError: it failed
        """
        try:
            output, _ = self._process.communicate(timeout=timeout_s)
        except BaseException:
            self.kill()
            raise
        if self._process.returncode:
            raise BenchError(f'the {self._name} ended with exit code '
                             f'{self._process.returncode}.')
        return json.loads(output)

    def kill(self) -> None:
        """End it at once. Idempotent."""
        self._process.kill()
        self._process.wait()


def interrupt(process: subprocess.Popen[bytes],
              timeout_s: float = END_S) -> float:
    """End a process as Ctrl-C does.

    :param process: it may have ended by itself
    :param timeout_s: how long that may take
    :returns: the CPU time that it used, in seconds
    :raises BenchError: it had to be killed
    """
    # Not send_signal(): it reaps a child that has ended, and with it the
    # CPU time.
    os.kill(process.pid, signal.SIGINT)
    deadline = time.monotonic() + timeout_s
    killed = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline and not killed:
            process.kill()
            killed = True
        time.sleep(POLL_S)
    # Popen must know that the process is gone.
    process.returncode = os.waitstatus_to_exitcode(status)
    if killed:
        raise BenchError(f'{process.args!r} did not end within '
                         f'{timeout_s:g} s of SIGINT.')
    return usage.ru_utime + usage.ru_stime


def take_priority() -> str:
    """Give this process the highest priority that it may have.

    The processes that make outages call it: the truth must not be late. The
    garbage collector is switched off as well. They create no cycles, and do
    not live long.

    :returns: the name of the priority
    """
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
        return f'SCHED_FIFO {FIFO_PRIORITY}'
    except PermissionError:
        return f'niceness {os.nice(NICENESS)}'
