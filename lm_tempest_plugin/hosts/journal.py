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

"""What has to be put back on hosts, written down before it is changed.

One file for each host that is changed, on the machine that runs the tests;
it goes away when the host is as it was. A run that was killed leaves it
behind, and whoever comes next knows what to do. As long as the run lives it
holds a lock on the file.
"""

import dataclasses
import fcntl
import json
import os
import pathlib
import tempfile

from lm_tempest_plugin.hosts import site as sites

SUFFIX = '.json'


class JournalError(Exception):
    """The journal cannot be read or written, or is in the way."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A host that is changed.

    :ivar site: the host
    :ivar backup: path on the host of the copy of its nova.conf
    :ivar sha256: of that file before it was changed, in hexadecimal digits
    """

    site: sites.Site
    backup: str
    sha256: str


class Journal:
    """The entries below one directory.

    :param directory: where; it is made when it is needed
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = pathlib.Path(directory).expanduser().absolute()
        self._locks: dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        """Write an entry so that it survives whatever happens next.

        :raises JournalError: the host has an entry, or it cannot be written
        """
        path = self._path(entry.site.name)
        text = json.dumps(dataclasses.asdict(entry), indent=2) + '\n'
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._locks[entry.site.name] = self._write(path, text)
        except OSError as exc:
            if not path.exists():
                raise JournalError(
                    'the journal entry %s cannot be written: %s; nothing was '
                    'changed' % (path, exc)) from exc
            raise JournalError(
                'host %s was changed by an earlier run, or is being changed '
                'by another one: %s; `tempest live-migration-ha recover '
                '--journal %s` puts it back' % (
                    entry.site.name, path, self.directory)) from None

    def _write(self, path: pathlib.Path, text: str) -> int:
        """Write a file as a whole or not at all, down to the disk.

        :returns: a descriptor that holds its lock
        :raises FileExistsError: there is one, which is not overwritten
        """
        descriptor, name = tempfile.mkstemp(dir=self.directory, prefix='.')
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
            os.link(name, path)
            self._sync()
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            os.unlink(name)
        return descriptor

    def _sync(self) -> None:
        """Let a name that came or went be on the disk."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def claim(self, host: str) -> None:
        """Take over an entry that a run has left behind.

        :param host: its name
        :raises JournalError: there is none, or the run is still at work
        """
        path = self._path(host)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as exc:
            raise JournalError('the journal entry %s cannot be read: %s' % (
                path, exc)) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise JournalError(
                'host %s is being changed by a run that is still at work '
                '(it holds %s): end it, and it puts the host back' % (
                    host, path)) from None
        self._locks[host] = descriptor

    def holds(self, host: str) -> bool:
        """Return whether a host has an entry, and it is ours.

        :param host: its name
        """
        return host in self._locks and self._path(host).exists()

    def remove(self, host: str) -> None:
        """Remove the entry of a host that is as it was.

        :param host: its name
        :raises JournalError: it cannot be removed
        """
        path = self._path(host)
        try:
            path.unlink()
            self._sync()
        except OSError as exc:
            raise JournalError(
                'host %s is as it was, and its journal entry %s cannot be '
                'removed: %s' % (host, path, exc)) from exc
        descriptor = self._locks.pop(host, None)
        if descriptor is not None:
            os.close(descriptor)

    def hosts(self) -> list[str]:
        """Return the names of the hosts that have an entry, in order."""
        return sorted(path.name.removesuffix(SUFFIX)
                      for path in self.directory.glob('*' + SUFFIX))

    def read(self, host: str) -> Entry:
        """Return the entry of a host.

        :param host: its name
        :raises JournalError: it cannot be read
        """
        path = self._path(host)
        try:
            found = json.loads(path.read_text())
            return Entry(sites.Site(**found['site']), found['backup'],
                         found['sha256'])
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise JournalError('the journal entry %s cannot be read: %s' % (
                path, exc)) from exc

    def _path(self, host: str) -> pathlib.Path:
        # Names of hosts are those of the network, and so of no directory.
        if not host or '/' in host or host.startswith('.'):
            raise JournalError('%r is no name of a host' % host)
        return self.directory / (host + SUFFIX)
