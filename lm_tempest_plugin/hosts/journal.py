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
behind, and whoever comes next knows what to do.
"""

import dataclasses
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
        self.directory = pathlib.Path(directory).expanduser()

    def add(self, entry: Entry) -> None:
        """Write an entry so that it survives whatever happens next.

        :raises JournalError: the host has an entry, or it cannot be written
        """
        path = self._path(entry.site.name)
        if path.exists():
            raise JournalError(
                'host %s was changed by an earlier run, or is being changed '
                'by another one: %s; once no other run is at work, `tempest '
                'live-migration-ha recover` puts it back' % (
                    entry.site.name, path))
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(path, json.dumps(
                dataclasses.asdict(entry), indent=2) + '\n')
        except OSError as exc:
            raise JournalError('the journal entry %s cannot be written: %s; '
                               'nothing was changed' % (path, exc)) from exc

    def _write(self, path: pathlib.Path, text: str) -> None:
        """Write a file as a whole or not at all, down to the disk.

        Another run that did so at the same time is not overwritten.
        """
        with tempfile.NamedTemporaryFile(
                'w', dir=self.directory, prefix='.', delete=False) as file:
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.link(file.name, path)
            finally:
                os.unlink(file.name)
        self._sync()

    def _sync(self) -> None:
        """Let a name that came or went be on the disk."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, host: str) -> None:
        """Remove the entry of a host that is as it was.

        :param host: its name
        """
        self._path(host).unlink()
        self._sync()

    def entries(self) -> list[Entry]:
        """Return what has to be put back, in the order of the hosts' names.

        :raises JournalError: an entry cannot be read
        """
        return [self._read(path)
                for path in sorted(self.directory.glob('*' + SUFFIX))]

    def _read(self, path: pathlib.Path) -> Entry:
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
