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

"""Commands on a compute host, over one connection that is kept."""

import contextlib
import pathlib
import shlex
import threading
import types

from oslo_log import log as logging
import paramiko
from paramiko import hostkeys
from paramiko import pkey

from lm_tempest_plugin.hosts import site as sites

LOG = logging.getLogger(__name__)
# It tells of every channel; what fails comes as an exception.
logging.getLogger('paramiko').logger.setLevel('WARNING')

CONNECT_SECONDS = 20.0
# A firewall forgets connections on which nothing comes.
KEEPALIVE_SECONDS = 15
SUDO = ('sudo', '--non-interactive')
# What is not UTF-8 in a file on a host has to come back as it was.
ENCODING, ERRORS = 'utf-8', 'surrogateescape'


class HostError(Exception):
    """A compute host cannot be reached, or refuses."""


class CommandFailed(HostError):
    """A command was run on a host, and ended badly."""


class Remote(contextlib.AbstractContextManager['Remote']):
    """Runs commands on a host; may be used by several threads.

    The host's key has to be known: one that is not, or is another one,
    refuses. The connection is made when it is needed first.

    :param site: the host
    """

    def __init__(self, site: sites.Site) -> None:
        self.site = site
        self._client: paramiko.SSHClient | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The host's name."""
        return self.site.name

    def run(self, *command: str, stdin: str = '',
            timeout_s: float = 30.0) -> str:
        """Run a command and return what it prints.

        :param command: program and arguments; they are quoted here
        :param stdin: what the command reads
        :param timeout_s: how long it may print nothing, in seconds
        :raises CommandFailed: names the host, the command, and what it
            printed to stderr, if it ends badly
        :raises HostError: it cannot be run or takes too long
        """
        words = [*SUDO, *command] if self.site.sudo else command
        line = shlex.join(words)
        try:
            status, output, error = self._execute(line, stdin, timeout_s)
        except TimeoutError as exc:
            # What it prints later must not be taken for the next answer.
            self.close()
            raise HostError('%s: %r printed nothing for %g s' % (
                self.site, line, timeout_s)) from exc
        except (paramiko.SSHException, OSError, EOFError) as exc:
            self.close()
            raise HostError('%s: %r cannot be run: %s' % (
                self.site, line, _reason(exc))) from exc
        if status:
            raise CommandFailed('%s: %r ended with status %d: %s' % (
                self.site, line, status,
                ' '.join(error.split()) or 'it printed no error'))
        return output

    def _execute(self, line: str, stdin: str,
                 timeout_s: float) -> tuple[int, str, str]:
        """Return exit status, stdout and stderr of a command line."""
        channel = self._connected().exec_command(line, timeout=timeout_s)
        with channel[0] as writer, channel[1] as output, channel[2] as error:
            if stdin:
                writer.write(stdin.encode(ENCODING, ERRORS))
            writer.channel.shutdown_write()
            # Output first: an error is short and waits in the window.
            printed = output.read().decode(ENCODING, ERRORS)
            complained = error.read().decode(ENCODING, ERRORS)
            return output.channel.recv_exit_status(), printed, complained

    def _connected(self) -> paramiko.SSHClient:
        """Return the connection; make it if there is none.

        :raises HostError: the host cannot be reached, or is not the one
            that is known, or does not let us in
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
            # With key_filename an error of one kind of key hides that the
            # host did not take the key of another kind.
            key = paramiko.PKey.from_path(
                pathlib.Path(site.key_file).expanduser()
            ) if site.key_file else None
            client.connect(
                site.address, site.port, site.user, pkey=key,
                allow_agent=not key, look_for_keys=not key,
                timeout=CONNECT_SECONDS, banner_timeout=CONNECT_SECONDS,
                auth_timeout=CONNECT_SECONDS)
            transport = client.get_transport()
            assert transport is not None, 'connect() has made it'
            transport.set_keepalive(KEEPALIVE_SECONDS)
        except (paramiko.SSHException, pkey.UnknownKeyType,
                hostkeys.InvalidHostKey, OSError, EOFError, ValueError,
                # A key with a passphrase.
                TypeError) as exc:
            client.close()
            raise HostError('%s cannot be reached with SSH: %s' % (
                site, _reason(exc))) from exc
        LOG.info('Connected to %s', site)
        return client

    def close(self) -> None:
        """End the connection. The next command makes another one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.close()


def _reason(exc: BaseException) -> str:
    """Return why, in words that say it: some exceptions have none."""
    if isinstance(exc, paramiko.BadHostKeyException):
        return ('its host key is another one than known_hosts says (%s '
                'instead of %s)' % (_short(exc.key), _short(
                    exc.expected_key)))
    if isinstance(exc, paramiko.AuthenticationException):
        return 'it does not let this user in with this key (%s)' % exc
    if isinstance(exc, hostkeys.InvalidHostKey):
        return 'a line of known_hosts cannot be read: %s' % exc.line
    return str(exc) or type(exc).__name__


def _short(key: paramiko.PKey) -> str:
    return '%s %s' % (key.get_name(), key.fingerprint)
