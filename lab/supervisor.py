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

"""Client of the supervisor that keeps all programs of the cloud.

Run as ``python -m lab.supervisor restart PROGRAM``, from inside of any host,
it starts a program anew; with ``pid`` it prints its process id.
"""

import dataclasses
import http.client
import pathlib
import shlex
import socket
import sys
import threading
import time
import typing
import xmlrpc.client

from supervisor import xmlrpc as supervisor_xmlrpc

from lab import errors
from lab import layout
from lm_tempest_plugin import utils

RUNNING = 'RUNNING'
#: States in which the supervisor has not decided yet.
PENDING = ('STARTING', 'BACKOFF')
STOPPING = 'STOPPING'
START_SECONDS = 60
#: A program that has not ended after its stopwaitsecs is killed.
STOP_SECONDS = 60
#: A program may have to read its modules from a busy disk.
PORT_SECONDS = 90
POLL_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class State:
    """The state of a program, as the supervisor knows it.

    :ivar name: the program's identifier
    :ivar state: the supervisor's word, ``RUNNING`` when it is up
    :ivar description: process id and age, or why it is not up
    :ivar log: path of its log
    :ivar pid: its process id inside of the lab, 0 if it is not up
    """

    name: str
    state: str
    description: str
    log: str
    pid: int

    @property
    def up(self) -> bool:
        """Return whether the program runs."""
        return self.state == RUNNING


def _state(info: dict[str, typing.Any]) -> State:
    return State(info['name'], info['statename'], info['description'],
                 info['stdout_logfile'], info['pid'])


class Supervisor:
    """A running supervisor; any thread may call it.

    All calls go over one connection. The supervisor (4.3.0) goes on polling
    the file descriptor of a connection that was closed; if a program that is
    started just then gets the same number for its standard input, and closes
    that, poll() returns at once for evermore, and the supervisor takes a
    whole core.

    :param socket: its Unix socket
    """

    def __init__(self, socket: pathlib.Path) -> None:
        self._lock = threading.Lock()
        self._api = xmlrpc.client.ServerProxy(
            'http://localhost',
            transport=supervisor_xmlrpc.SupervisorTransport(
                None, None, f'unix://{socket}'))

    def _call(self, method: str, *arguments: typing.Any) -> typing.Any:
        """Call the supervisor.

        :raises errors.LabError: if it does not answer or refuses
        """
        try:
            with self._lock:
                return self._request(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == supervisor_xmlrpc.Faults.ALREADY_STARTED:
                return True
            raise errors.LabError(
                f'The supervisor refuses {method} of {arguments}: '
                f'{fault.faultString}.') from fault
        except (OSError, http.client.HTTPException,
                xmlrpc.client.Error) as error:
            raise errors.LabError(
                f'The supervisor of the lab does not answer ({error}): '
                f'tools/run-lab.sh down ends the rest.') from error

    def _request(self, method: str, *arguments: typing.Any) -> typing.Any:
        """Call over the one connection; an error ends it.

        It has to be closed under the lock, before another thread calls.
        """
        try:
            return getattr(self._api.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException):
            self._api('close')()
            raise

    def states(self) -> list[State]:
        """Return the state of every program.

        :raises errors.LabError: if the supervisor does not answer
        """
        found = self._call('getAllProcessInfo')
        return [_state(info) for info in found]

    def start(self, name: str) -> None:
        """Start a program and wait until it has stayed up for a second.

        :param name: the program's identifier
        :raises errors.LabError: if it does not stay up
        """
        self._call('startProcess', name, False)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            state = self.state(name)
            if state.up:
                return
            if state.state not in PENDING:
                break
            time.sleep(POLL_SECONDS)
        raise errors.LabError(
            f'{name} does not stay up ({state.state}): see {state.log}.')

    def state(self, name: str) -> State:
        """Return the state of one program.

        :param name: the program's identifier
        """
        return _state(self._call('getProcessInfo', name))

    def stop(self, name: str) -> None:
        """Stop a program and wait until it is gone.

        :param name: the program's identifier
        :raises errors.LabError: if it does not run, or does not end
        """
        # The supervisor (4.3.0) takes a whole core while it is asked to
        # wait.
        self._call('stopProcess', name, False)
        self._await_end(name)

    def restart(self, name: str) -> None:
        """Start a program anew, once the old process is gone.

        An old nova-compute that is shutting down still takes RPC messages:
        beside a new one it would lose requests.

        :param name: the program's identifier
        :raises errors.LabError: if the old one does not end, or the new one
            does not stay up
        """
        if self.state(name).state in (RUNNING, *PENDING):
            self.stop(name)
        else:
            self._await_end(name)
        self.start(name)

    def reread(self, names: typing.Iterable[str]) -> None:
        """Start programs anew, as the configuration file now has them.

        :param names: the programs' identifiers
        :raises errors.LabError: if one does not end or stay up
        """
        self._call('reloadConfig')
        for name in names:
            self.stop(name)
            # Each program is a group of its own.
            self._call('removeProcessGroup', name)
            self._call('addProcessGroup', name)
            self.start(name)

    def _await_end(self, name: str) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while self.state(name).state == STOPPING:
            if time.monotonic() > deadline:
                raise errors.LabError(f'{name} did not end within '
                                      f'{STOP_SECONDS} s.')
            time.sleep(POLL_SECONDS)


def wait_for_port(program: str, address: str, port: int,
                  seconds: float = PORT_SECONDS) -> None:
    """Wait until a TCP port takes connections.

    :param program: identifier of the program, for the message
    :param address: IPv4 address
    :param port: TCP port
    :param seconds: time-out
    :raises errors.LabError: if it does not within that time
    """
    def connect() -> str:
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError as error:
            return str(error)
        return ''

    utils.wait_until(lambda failure: not failure, connect,
                     f'{program} to open {address}:{port}', seconds,
                     POLL_SECONDS, error=errors.LabError)


def command(paths: layout.Layout) -> str:
    """Return the beginning of a shell command that runs this module.

    :param paths: paths of the lab
    """
    return shlex.join(('env', f'PYTHONPATH={layout.REPOSITORY}',
                       paths.venv_bin('tempest', 'python'), '-m',
                       'lab.supervisor'))


def main(action: str, program: str) -> int:
    """Start a program anew, or print its process id.

    :param action: ``restart``: return when the old process is gone and the
        new one has stayed up for a second; ``pid``: print the process id, 0
        if it is not up
    :param program: a name that ``status`` shows
    :returns: exit code
    """
    supervisor = Supervisor(layout.SUPERVISOR_SOCKET)
    try:
        if action == 'restart':
            supervisor.restart(program)
        else:
            print(supervisor.state(program).pid)
    except errors.LabError as error:
        return errors.tell(error)
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
