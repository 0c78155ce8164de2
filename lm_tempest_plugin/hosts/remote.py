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

"""Commands on a compute host, over one SSH connection that is kept."""

import abc
from collections.abc import Callable
import contextlib
import dataclasses
import pathlib
import shlex
import threading
from typing import Self
from typing import TypeVar

from oslo_log import log as logging
import paramiko
from paramiko import hostkeys
from paramiko import pkey

LOG = logging.getLogger(__name__)
T = TypeVar('T')
# At INFO, paramiko logs every channel. A failure comes as an exception.
logging.getLogger('paramiko').logger.setLevel('WARNING')

CONNECT_TIMEOUT_S = 20.0
# Firewalls drop connections that are idle.
KEEPALIVE_S = 15
SUDO = ('sudo', '--non-interactive')
# A file on a host may contain bytes that are not UTF-8, and these must come
# back unchanged when the file is written again.
ENCODING, ERRORS = 'utf-8', 'surrogateescape'
# A thread that is told to stop may take this much longer than its last
# command.
GRACE_S = 5.0


@dataclasses.dataclass(frozen=True)
class Site:
    """How to reach one compute host and how to handle its nova-compute.

    It contains no secret, so it may be stored.

    :ivar name: nova's name of the host
    :ivar address: address of its SSH server
    :ivar port: TCP port of its SSH server
    :ivar user: SSH user
    :ivar key_file: path of the user's private key; empty for the keys of an
        SSH agent and those in ~/.ssh
    :ivar known_hosts_file: path of the file with the hosts' public keys
    :ivar sudo: whether commands need sudo
    :ivar nova_conf: path on the host of nova-compute's configuration file
    :ivar restart_command: command on the host that restarts nova-compute
    :ivar pid_command: command on the host that prints the process id of
        nova-compute
    """

    name: str
    address: str
    port: int
    user: str
    key_file: str
    known_hosts_file: str
    sudo: bool
    nova_conf: str
    restart_command: str
    pid_command: str

    def __str__(self) -> str:
        return (f'host {self.name} ({self.user}@{self.address}, '
                f'port {self.port})')


class HostError(Exception):
    """A compute host cannot be reached, or refuses."""


class CommandFailed(HostError):
    """A command ran on a host and exited with a status other than 0."""


class Remote(contextlib.AbstractContextManager['Remote']):
    """Run commands on one host. Several threads may share it.

    The first command makes the connection. A host key that is unknown or
    differs from the known one is an error.

    :param site: the host
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._client: paramiko.SSHClient | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the host."""
        return self.site.name

    def run(self, *command: str, stdin: str = '',
            timeout_s: float = 30.0) -> str:
        """Run a command and return its standard output.

        :param command: program and arguments, without quoting
        :param stdin: standard input of the command
        :param timeout_s: how long the command may print nothing, in seconds
        :raises CommandFailed: the exit status is not 0; names the host, the
            command, and its standard error
        :raises HostError: it cannot be run, or takes too long
        """
        words = [*SUDO, *command] if self.site.sudo else command
        line = shlex.join(words)
        try:
            status, output, error = self._execute(line, stdin, timeout_s)
        except TimeoutError as exc:
            # Output that comes later must not be read as the answer to the
            # next command.
            self.close()
            raise HostError(f'{self.site}: {line!r} printed nothing for '
                            f'{timeout_s:g} s') from exc
        except (paramiko.SSHException, OSError, EOFError) as exc:
            self.close()
            raise HostError(f'{self.site}: {line!r} cannot be run: '
                            f'{_reason(exc)}') from exc
        if status:
            error = ' '.join(error.split()) or 'no error message'
            raise CommandFailed(f'{self.site}: {line!r} ended with status '
                                f'{status}: {error}')
        return output

    def _execute(self, line: str, stdin: str,
                 timeout_s: float) -> tuple[int, str, str]:
        """Return exit status, standard output and standard error."""
        channel = self._connected().exec_command(line, timeout=timeout_s)
        with channel[0] as writer, channel[1] as output, channel[2] as error:
            if stdin:
                writer.write(stdin.encode(ENCODING, ERRORS))
            writer.channel.shutdown_write()
            # Output first: error messages are short, so they fit into SSH's
            # window and cannot block the command meanwhile.
            printed = output.read().decode(ENCODING, ERRORS)
            errors = error.read().decode(ENCODING, ERRORS)
            return output.channel.recv_exit_status(), printed, errors

    def _connected(self) -> paramiko.SSHClient:
        """Return the connection; make it if there is none.

        :raises HostError: the host cannot be reached, has another key, or
            refuses the user
        """
        with self._lock:
            if self._client is not None:
                transport = self._client.get_transport()
                if transport is not None and transport.is_active():
                    return self._client
                self._client.close()
            self._client = self._connect()
            return self._client

    def _connect(self) -> paramiko.SSHClient:
        site = self.site
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        known = pathlib.Path(site.known_hosts_file).expanduser()
        try:
            client.load_host_keys(str(known))
            # connect(key_filename=...) tries the file as each type of key,
            # and the error of the last type hides that the host refused the
            # key. So load it here.
            key = paramiko.PKey.from_path(
                pathlib.Path(site.key_file).expanduser()
            ) if site.key_file else None
            client.connect(
                site.address, site.port, site.user, pkey=key,
                allow_agent=not key, look_for_keys=not key,
                timeout=CONNECT_TIMEOUT_S, banner_timeout=CONNECT_TIMEOUT_S,
                auth_timeout=CONNECT_TIMEOUT_S)
            transport = client.get_transport()
            assert transport is not None, 'connect() has made it'
            transport.set_keepalive(KEEPALIVE_S)
        except (paramiko.SSHException, pkey.UnknownKeyType,
                hostkeys.InvalidHostKey, OSError, EOFError, ValueError,
                # Raised for a key with a passphrase.
                TypeError) as exc:
            client.close()
            raise HostError(f'{site} cannot be reached with SSH: '
                            f'{_reason(exc)}') from exc
        LOG.info('Connected to %s', site)
        return client

    def close(self) -> None:
        """Close the connection. The next command makes a new one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def __exit__(self, *args: object) -> None:
        self.close()


def ask(host: Remote, parse: Callable[[str], T], *command: str,
        timeout_s: float = 30.0) -> T:
    """Run a command and return its output, parsed.

    :param host: the host
    :param parse: takes the output
    :param command: program and arguments, without quoting
    :param timeout_s: how long the command may print nothing, in seconds
    :raises HostError: it cannot be run or fails, or the output cannot be
        parsed
    """
    output = host.run(*command, timeout_s=timeout_s)
    try:
        return parse(output)
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise HostError(f'{host.name}: the output of {shlex.join(command)!r} '
                        f'cannot be parsed: {exc!r}') from exc


def _reason(exc: BaseException) -> str:
    """Return a text for an exception; paramiko's own may be empty or vague."""
    if isinstance(exc, paramiko.BadHostKeyException):
        found, known = (f'{key.get_name()} {key.fingerprint}'
                        for key in (exc.key, exc.expected_key))
        return f'its host key {found} is not the one in known_hosts, {known}'
    if isinstance(exc, paramiko.AuthenticationException):
        return f'it refuses this user with this key ({exc})'
    if isinstance(exc, hostkeys.InvalidHostKey):
        return f'a line of known_hosts cannot be read: {exc.line}'
    return str(exc) or type(exc).__name__


class RepeatingThread(abc.ABC):
    """Do something again and again in a thread, from start() to stop().

    Also a context manager. Subclasses implement step().

    :param name: name of the thread, for errors and the log
    :param period_s: time to wait before each step, in seconds
    :param stop_timeout_s: how long stop() waits for the thread, in seconds;
        None for as long as it takes
    """

    def __init__(self, name: str, period_s: float,
                 stop_timeout_s: float | None = None) -> None:
        self._name = name
        self._period_s = period_s
        self._stop_timeout_s = stop_timeout_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._died: BaseException | None = None

    @abc.abstractmethod
    def step(self) -> None:
        """Do it once. An exception ends the thread."""

    def pause_s(self) -> float:
        """Return the time to wait before the next step, in seconds."""
        return self._period_s

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for its last step. Idempotent.

        :raises HostError: it does not end in time, or an error that is not
            a host's ended it before
        """
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(self._stop_timeout_s)
            if thread.is_alive():
                raise HostError(f'{self._name}: does not end within '
                                f'{self._stop_timeout_s:g} s')
        self.raise_error()

    def raise_error(self) -> None:
        """Raise the error that ended the thread, if there was one.

        :raises HostError: names it
        """
        if self._died is not None:
            raise HostError(
                f'{self._name}: ended by {self._died!r}') from self._died

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self.pause_s()):
                self.step()
        except BaseException as exc:
            LOG.exception('%s: ended by an error', self._name)
            self._died = exc
