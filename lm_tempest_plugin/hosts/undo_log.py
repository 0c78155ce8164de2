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

"""Undo log: how to restore each host, stored before the host is changed.

It has one file for each changed host, on the machine that runs the tests. The
file goes away when the host is restored. A run that was killed leaves it
behind, so the next one knows what to restore. A run holds a lock on its files
as long as it lives.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import signal
import tempfile
import threading
import types

import msgspec
from oslo_log import log as logging

from lm_tempest_plugin.hosts import remote

LOG = logging.getLogger(__name__)

SUFFIX = '.json'
# fixtures.Timeout, which limits the time of a test, sends SIGALRM.
DEFERRED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


class UndoLogError(Exception):
    """The undo log cannot be read or written, or another run holds it."""


@dataclasses.dataclass(frozen=True)
class UndoEntry:
    """How to restore a changed host.

    :ivar site: the host
    :ivar backup: path on the host of the copy of its original nova.conf
    :ivar sha256: SHA-256 of the original nova.conf, in hexadecimal digits
    """

    site: remote.Site
    backup: str
    sha256: str


class UndoLog:
    """The entries in one directory.

    :param directory: its path; it is created when the first entry is added
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = pathlib.Path(directory).expanduser().absolute()
        self._locks: dict[str, int] = {}

    def add(self, entry: UndoEntry) -> None:
        """Store an entry on the disk, and lock it.

        :raises UndoLogError: the host has an entry already, or the entry
            cannot be written
        """
        host = entry.site.name
        path = self._path(host)
        text = json.dumps(dataclasses.asdict(entry), indent=2) + '\n'
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._locks[host] = self._write(path, text)
        except OSError as exc:
            if not path.exists():
                raise UndoLogError(
                    f'the undo log entry {path} cannot be written: {exc}; '
                    'nothing was changed') from exc
            raise UndoLogError(
                f'host {host} was changed by an earlier run, or is being '
                f'changed by another one: {path} exists; '
                '`tempest live-migration-ha recover --undo-log '
                f'{self.directory}` restores it') from None

    def _write(self, path: pathlib.Path, text: str) -> int:
        """Write a new file completely or not at all, and flush it.

        os.link() does not replace a file, unlike utils.write_atomically(): of
        two runs only one can add an entry. The lock is taken before the name
        exists, so no other run can claim the entry in between.

        :returns: a descriptor that holds the lock
        :raises FileExistsError: the file exists
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
        """Flush the directory, so that a new or removed name survives."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def claim(self, host: str) -> None:
        """Take over the entry that an earlier run left behind.

        :param host: name of the host
        :raises UndoLogError: there is no entry, or its run is still alive
        """
        path = self._path(host)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as exc:
            raise UndoLogError(f'the undo log entry {path} cannot be read: '
                               f'{exc}') from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise UndoLogError(
                f'host {host} is being changed by a run that is still alive '
                f'(it holds {path}): end that run, and it restores the host'
            ) from None
        self._locks[host] = descriptor

    def holds(self, host: str) -> bool:
        """Return whether a host has an entry and this run holds its lock.

        :param host: name of the host
        """
        return host in self._locks and self._path(host).exists()

    def remove(self, host: str) -> None:
        """Remove the entry of a host that is restored.

        :param host: name of the host
        :raises UndoLogError: it cannot be removed
        """
        path = self._path(host)
        try:
            path.unlink()
            self._sync()
        except OSError as exc:
            raise UndoLogError(
                f'host {host} is restored, but its undo log entry {path} '
                f'cannot be removed: {exc}') from exc
        descriptor = self._locks.pop(host, None)
        if descriptor is not None:
            os.close(descriptor)

    def hosts(self) -> list[str]:
        """Return the names of the hosts that have an entry, sorted."""
        return sorted(path.name.removesuffix(SUFFIX)
                      for path in self.directory.glob('*' + SUFFIX))

    def read(self, host: str) -> UndoEntry:
        """Return the entry of a host.

        :param host: name of the host
        :raises UndoLogError: it cannot be read
        """
        path = self._path(host)
        try:
            found = json.loads(path.read_text())
            entry = msgspec.convert(found, UndoEntry)
            # msgspec ignores them. A later version may need them to reach the
            # host.
            unknown = [*(found.keys() - dataclasses.asdict(entry).keys()),
                       *(found['site'].keys() -
                         dataclasses.asdict(entry.site).keys())]
            if unknown:
                raise ValueError(f'unknown field `{unknown[0]}`')
        except OSError as exc:
            raise UndoLogError(f'the undo log entry {path} cannot be read: '
                               f'{exc.strerror}') from exc
        except (ValueError, RecursionError) as exc:
            raise UndoLogError(
                f'{path} is not an undo log entry of this program: {exc}; '
                'recover with the version that wrote it, or '
                f'restore host {host} by hand and remove the file') from exc
        return entry

    def _path(self, host: str) -> pathlib.Path:
        # The name comes from nova. It must not lead out of the directory.
        if not host or '/' in host or host.startswith('.'):
            raise UndoLogError(f'{host!r} is not the name of a host')
        return self.directory / (host + SUFFIX)


@contextlib.contextmanager
def deferred_signals(action: str) -> Iterator[None]:
    """Defer signals that would end this process until the block is done.

    In a thread other than the main one it does nothing: Python runs signal
    handlers in the main thread only.

    :param action: the action that must not be interrupted, for the log
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    deferred: list[int] = []

    def defer(number: int, frame: types.FrameType | None) -> None:
        LOG.warning('%s is deferred until this is done: %s',
                    signal.Signals(number).name, action)
        deferred.append(number)

    before = {}
    for number in DEFERRED:
        handler = signal.getsignal(number)
        # An ignored signal stays ignored. None is a handler that C code
        # installed: signal.signal() could not put it back.
        if handler not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for once in dict.fromkeys(deferred):
            signal.raise_signal(once)
