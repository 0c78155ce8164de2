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

"""Programs of the lab that faults kill, pause, or restart."""

import collections.abc
import functools
import os
import pathlib
import re
import signal
import threading

from lab import errors
from lab import layout
from lab.layout import SUPERVISOR_SOCKET
from lab.supervisor import Supervisor
from lm_tempest_plugin import utils

#: A process stops when the kernel next lets it run.
STOP_SECONDS = 10
#: Separates variables that faults add from the others: the supervisor's lists
#: may hold any number of blanks.
MARK = ',   '


@functools.cache
def supervisor() -> Supervisor:
    """Return the supervisor of the lab, over the one connection to it."""
    return Supervisor(SUPERVISOR_SOCKET)


def pid(program: str) -> int:
    """Return the process id of a program inside the lab.

    :param program: name of the supervisor program
    :raises errors.LabError: if it is not up
    """
    state = supervisor().state(program)
    if not state.up:
        raise errors.LabError(f'{program} is not up.')
    return state.pid


def kill(program: str) -> None:
    """Kill a program like a crash; the supervisor starts it again.

    :param program: name of the supervisor program
    :raises errors.LabError: if it is not up
    """
    os.kill(pid(program), signal.SIGKILL)


def pause(program: str) -> None:
    """Stop a program with all its processes, like one that hangs.

    Its sockets stay open, so clients wait instead of being refused.

    :param program: name of the supervisor program
    :raises errors.LabError: if it is not up, or does not stop
    """
    # The supervisor makes each program the leader of a process group, which
    # holds the workers of uWSGI as well.
    os.killpg(pid(program), signal.SIGSTOP)
    utils.wait_until(
        bool, lambda: paused(program), f'{program} to stop', STOP_SECONDS,
        interval_s=0.05, error=errors.LabError)


def resume(program: str) -> None:
    """Let a program go on; one that is not paused is left alone.

    :param program: name of the supervisor program
    :raises errors.LabError: if it is not up
    """
    os.killpg(pid(program), signal.SIGCONT)


def paused(program: str) -> bool:
    """Return whether all processes of a program are paused.

    :param program: name of the supervisor program
    :raises errors.LabError: if it is not up
    """
    group, states = str(pid(program)), set()
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            # These follow the name, which may hold blanks and parentheses.
            state, _, of, *_ = path.read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            # The process has ended meanwhile.
            continue
        if of == group:
            states.add(state)
    return states == {'T'}


def for_a_while(seconds: float, begin: collections.abc.Callable[[], object],
                end: collections.abc.Callable[[], object]) -> None:
    """Begin something now, and end it in the background.

    :param seconds: time between both
    :param begin: called at once
    :param end: called then; also call it in the fault's ``heal``, since
        nothing does when this process ends earlier
    """
    begin()
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def set_variables(conf: pathlib.Path, names: collections.abc.Iterable[str],
                  variables: collections.abc.Mapping[str, str]) -> None:
    """Restart programs with variables beside those that they have.

    Programs that have them already are left alone.

    :param conf: configuration file of the supervisor
    :param names: names of the supervisor programs
    :param variables: replace those of an earlier call; empty for none
    :raises errors.LabError: if a program does not end, or does not stay up
    """
    added = ''.join(f'{MARK}{name}="{value}"'
                    for name, value in variables.items())
    old = text = conf.read_text()
    for name in names:
        text = re.sub(
            rf'(?m)(^\[program:{re.escape(name)}\]\n(?:.+\n)*?'
            rf'environment = .*?)(?:{MARK}.*)?$',
            lambda match: match[1] + added, text, count=1)
    if text != old:
        layout.write(conf, text, mode=0o600)
        supervisor().reread(names)
