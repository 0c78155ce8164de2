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

"""`tempest run` as a child that ends in good order when it is told to.

Told to end is not the child itself but the processes in which tests run: the
test in hand fails, deletes what it made, and the results are still collected
by who started them. One that is told while it prepares a class of tests
leaves projects and users behind: leftovers deletes them.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import signal
import subprocess
import sys
import time

from lm_tempest_plugin.operator import errors


def command(regex: str, exclude: str = '') -> list[str]:
    """Return the command that runs tests, one after the other.

    :param regex: the tests
    :param exclude: those of them that are left out; empty for none
    """
    return [sys.executable, '-m', 'tempest.cmd.main', 'run', '--serial',
            '--regex', regex,
            *(['--exclude-regex', exclude] if exclude else [])]


def environment(conf: pathlib.Path) -> dict[str, str]:
    """Return the variables with which Tempest finds its configuration.

    :param conf: the file
    """
    return {**os.environ, 'TEMPEST_CONFIG_DIR': str(conf.parent),
            'TEMPEST_CONFIG': conf.name, 'PYTHON': sys.executable}


class Run:
    """A child in a process group of its own.

    A Ctrl-C in the terminal does not reach it: it is passed on, once.

    :param arguments: program and arguments
    :param directory: where it runs
    :param variables: of its environment
    :param log: file for what it prints
    :raises OperatorError: it cannot be started
    """

    def __init__(self, arguments: Sequence[str], directory: pathlib.Path,
                 variables: Mapping[str, str], log: pathlib.Path) -> None:
        try:
            with open(log, 'xb') as stream:
                self._child = subprocess.Popen(
                    list(arguments), cwd=directory, env=dict(variables),
                    stdin=subprocess.DEVNULL, stdout=stream,
                    stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as exc:
            raise errors.OperatorError('%s cannot be started: %s' % (
                arguments[0], exc)) from exc

    def wait(self, seconds: float) -> int | None:
        """Return the exit code; None if it has not ended by then.

        :param seconds: how long to wait
        """
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self) -> None:
        """Tell the tests to end."""
        below = [each for each in members(self._child.pid)
                 if each != self._child.pid]
        for each in below or [self._child.pid]:
            _send(each, signal.SIGINT)

    def kill(self, grace_s: float = 5) -> None:
        """End all of it, whatever it is at; what it made may stay.

        :param grace_s: between SIGTERM and SIGKILL, in seconds
        """
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while members(self._child.pid) and time.monotonic() < deadline:
            self._child.poll()
            time.sleep(0.05)
        self._signal_all(signal.SIGKILL)
        self._child.wait()

    def _signal_all(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            # They have all ended.
            return


def members(group: int) -> list[int]:
    """Return the processes of a process group that live.

    :param group: its id
    """
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            text = path.read_text(errors='replace')
        except (FileNotFoundError, ProcessLookupError):
            continue
        # proc(5): after the name, which may have anything: state, parent,
        # process group.
        state, _, pgrp = text.rpartition(')')[2].split()[:3]
        if int(pgrp) == group and state != 'Z':
            found.append(int(path.parent.name))
    return sorted(found)


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        # It has ended since.
        return
