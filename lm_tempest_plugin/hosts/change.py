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

"""Compute hosts whose options are changed together, and put back.

The original nova.conf stays on its host, under another name: it has
passwords. The journal knows where it is, and what it has to look like.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import contextlib
import hashlib
import threading

from oslo_log import log as logging

from lm_tempest_plugin.hosts import configuration
from lm_tempest_plugin.hosts import journal as journals
from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import site as sites
from lm_tempest_plugin.hosts import uninterrupted

LOG = logging.getLogger(__name__)

BACKUP = '.live-migration-ha'
PART = '.live-migration-ha-part'

Values = Mapping[configuration.Option, str]
Connect = Callable[[sites.Site], remotes.Remote]


class NotRestored(remotes.HostError):
    """A host could not be put back; the journal keeps it."""


class ChangedHost:
    """One host, with the entry of the journal if it is changed.

    :param remote: the host
    :param journal: where it is written down before it is changed
    :param restarter: restarts its nova-compute
    :param entry: what the journal says of it; None if it is as it was
    """

    def __init__(self, remote: remotes.Remote, journal: journals.Journal,
                 restarter: service.Restarter,
                 entry: journals.Entry | None = None) -> None:
        self.remote = remote
        self._journal = journal
        self._restarter = restarter
        self._entry = entry
        self._original = ''
        self._stopped = threading.Event()

    def check(self) -> None:
        """See that nova.conf and nova-compute are where they should be.

        :raises HostError: they are not
        """
        self._path()
        if not service.process_id(self.remote):
            raise remotes.HostError('%s: by %r nova-compute does not run' % (
                self.remote.site, self.remote.site.pid_command))

    def set(self, values: Values) -> None:
        """Set options, all others as they were, and restart nova-compute.

        :param values: by option
        :raises NotStarted: nova-compute does not start with them
        :raises HostError: the host refuses, or stop() was called; what was
            done up to there is put back by restore()
        :raises JournalError: the host is in somebody else's hands
        """
        self._stopped.clear()
        path = self._path()
        if self._entry is None:
            self._original = self._read(path)
        text = self._changed(values, path)
        self._keep(path)
        self._go_on()
        self._write(path, text)
        if self._read(path) != text:
            raise remotes.HostError('%s: %s was written, and is not what '
                                    'was written' % (self.remote.site, path))
        LOG.info('Host %s: %s says %s', self.remote.name, path, ', '.join(
            '%s = %s' % item for item in values.items()))
        self._go_on()
        self._restarter.restart(self.remote)

    def stop(self) -> None:
        """Let a set() that is under way end at its next step."""
        self._stopped.set()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise remotes.HostError('%s: told to stop' % self.remote.site)

    def restore(self) -> None:
        """Put nova.conf back as it was and restart nova-compute.

        :raises HostError: that is not possible; the journal keeps the host
        :raises JournalError: all was put back, but for the journal
        """
        if self._entry is None:
            return
        path = self._entry.backup.removesuffix(BACKUP)
        self._put_back(self._entry, path)
        self._restarter.restart(self.remote)
        self._forget()
        LOG.info('Host %s: %s is as it was', self.remote.name, path)

    def _put_back(self, entry: journals.Entry, path: str) -> None:
        """Put the copy in its place, if it is the one that was made.

        Any other copy stays: it may be the only one of somebody's original.
        """
        backup = entry.backup
        if self._exists(backup) and self._sha256(backup) == entry.sha256:
            self.remote.run('mv', '--force', '--', backup, path)
        found = self._sha256(path)
        if found != entry.sha256:
            raise remotes.HostError(
                '%s: %s is not what it was before these tests (sha256 %s '
                'instead of %s), and neither is the copy %s; put it right '
                'and remove the entry from %s' % (
                    self.remote.site, path, found, entry.sha256, backup,
                    self._journal.directory))
        if self._exists(backup):
            raise remotes.HostError(
                '%s: %s is what it was before these tests, and %s is a copy '
                'of something else, made by somebody else; see to it, and '
                'remove the entry from %s' % (
                    self.remote.site, path, backup, self._journal.directory))
        self.remote.run('rm', '--force', '--', path + PART)

    def _forget(self) -> None:
        self._entry = None
        self._journal.remove(self.remote.name)

    def _changed(self, values: Values, path: str) -> str:
        """Return the text of nova.conf with other values."""
        try:
            return configuration.change(self._original, values)
        except ValueError as exc:
            # The lines of nova.conf have passwords.
            raise remotes.HostError('%s: %s cannot be changed: %s' % (
                self.remote.site, path, exc)) from None

    def _keep(self, path: str) -> None:
        """See to it that there is a copy of nova.conf, and who knows it."""
        backup = path + BACKUP
        new = self._entry is None
        if self._entry is None:
            self._entry = self._enter(backup)
        elif not self._journal.holds(self.remote.name):
            raise remotes.HostError(
                '%s: its entry in %s is gone; somebody has put it back '
                'meanwhile' % (self.remote.site, self._journal.directory))
        if self._exists(backup):
            return
        self._go_on()
        self.remote.run('cp', '--preserve=all', '--', path, path + PART)
        self.remote.run('sync', '--', path + PART)
        if self._sha256(path + PART) != self._entry.sha256:
            self.remote.run('rm', '--force', '--', path + PART)
            if not new:
                raise remotes.HostError(
                    '%s: %s, the copy of %s as it was, is gone' % (
                        self.remote.site, backup, path))
            self._forget()
            raise remotes.HostError(
                '%s: %s was changed by somebody else just now; nothing was '
                'changed' % (self.remote.site, path))
        self.remote.run('mv', '--force', '--', path + PART, backup)

    def _enter(self, backup: str) -> journals.Entry:
        """Write the host down in the journal.

        The host is looked at before: if that fails, there is nothing to be
        put back. What the journal knows is told before what it does not.

        :raises JournalError: the journal knows the host
        :raises HostError: the host has a copy of which it knows nothing
        """
        strange = self._exists(backup)
        entry = journals.Entry(
            self.remote.site, backup, _digest(self._original))
        self._journal.add(entry)
        if strange:
            self._forget()
            raise remotes.HostError(
                '%s: %s exists, and %s knew nothing of it: the host was '
                'changed with another journal, by another user or from '
                'another machine, which knows how to put it back' % (
                    self.remote.site, backup, self._journal.directory))
        return entry

    def _path(self) -> str:
        """Return where nova.conf is: a link stays one."""
        site = self.remote.site
        try:
            return self.remote.run(
                'readlink', '--canonicalize-existing', '--no-newline',
                '--verbose', '--', site.nova_conf)
        except remotes.CommandFailed as exc:
            raise remotes.HostError('%s: there is no %s: %s' % (
                site, site.nova_conf, exc)) from exc

    def _read(self, path: str) -> str:
        return self.remote.run('cat', '--', path)

    def _write(self, path: str, text: str) -> None:
        """Replace a file at once, with owner, mode and label as they are."""
        self.remote.run('cp', '--preserve=all', '--', path, path + PART)
        self.remote.run('dd', 'of=' + path + PART, 'conv=fsync',
                        'status=none', stdin=text)
        self.remote.run('mv', '--force', '--', path + PART, path)

    def _exists(self, path: str) -> bool:
        """Return whether there is a file; an error is not taken for no."""
        directory, _, name = path.rpartition('/')
        return name in self.remote.run(
            'ls', '--almost-all', '-1', '--', directory or '/').splitlines()

    def _sha256(self, path: str) -> str:
        return self.remote.run('sha256sum', '--', path).split()[0].lstrip('\\')


def _digest(text: str) -> str:
    return hashlib.sha256(
        text.encode(remotes.ENCODING, remotes.ERRORS)).hexdigest()


class Hosts:
    """Hosts that are changed side by side. Who changes them restores them.

    :param sites: the hosts
    :param journal: where they are written down
    :param restarter: restarts their nova-compute
    :param connect: makes a connection to a host
    """

    def __init__(self, sites: Iterable[sites.Site],
                 journal: journals.Journal, restarter: service.Restarter,
                 connect: Connect = remotes.Remote) -> None:
        self.remotes = [connect(site) for site in sites]
        self._hosts = [ChangedHost(remote, journal, restarter)
                       for remote in self.remotes]

    def check(self) -> None:
        """See that all can be changed.

        :raises HostError: names each that cannot
        """
        _side_by_side(self._hosts, ChangedHost.check)

    def set(self, values: Values) -> None:
        """Set options on all hosts, all other options as they were.

        :param values: by option
        :raises NotStarted: nova-compute starts on none of them, and all were
            put back
        :raises NotRestored: one or more refuse, and not all were put back
        :raises HostError: one or more refuse, and all were put back; names
            each host that refused
        """
        try:
            _side_by_side(self._hosts, lambda host: host.set(values))
        except remotes.HostError as exc:
            try:
                self.restore()
            except remotes.HostError as worse:
                raise NotRestored('%s; then: %s' % (exc, worse)) from exc
            raise

    def restore(self) -> None:
        """Put all hosts back, whoever wants this process to end meanwhile.

        :raises NotRestored: one or more refuse; the journal keeps those
        """
        with uninterrupted.section('compute hosts are put back'):
            try:
                _side_by_side(self._hosts, ChangedHost.restore)
            except remotes.HostError as exc:
                raise NotRestored(str(exc)) from exc

    def close(self) -> None:
        """End the connections."""
        for remote in self.remotes:
            remote.close()


def recover(journal: journals.Journal, restarter: service.Restarter,
            connect: Connect = remotes.Remote) -> list[str]:
    """Put back all hosts that the journal knows.

    :param journal: what an earlier run has left behind
    :param restarter: restarts their nova-compute
    :param connect: makes a connection to a host
    :returns: their names
    :raises NotRestored: one or more refuse, or what the journal says of them
        cannot be read; the journal keeps those, all others are put back
    """
    hosts: list[ChangedHost] = []
    refused: list[Exception] = []
    with contextlib.ExitStack() as stack:
        for name in journal.hosts():
            try:
                journal.claim(name)
                entry = journal.read(name)
            except journals.JournalError as exc:
                refused.append(exc)
                continue
            remote = stack.enter_context(connect(entry.site))
            hosts.append(ChangedHost(remote, journal, restarter, entry))
        with uninterrupted.section('compute hosts are put back'):
            try:
                _side_by_side(hosts, ChangedHost.restore)
            except remotes.HostError as exc:
                refused.append(exc)
    if refused:
        raise NotRestored('; '.join(map(str, refused))) from refused[0]
    return [host.remote.name for host in hosts]


def _side_by_side(hosts: Sequence[ChangedHost],
                  action: Callable[[ChangedHost], None]) -> None:
    """Do something with all hosts at once, and let each come to its end.

    Who interrupts it waits until every host is at rest: what cleans up
    afterwards would meet threads that still change it.

    :raises NotStarted: nova-compute starts on none of them
    :raises HostError: what all that refuse say
    """
    if not hosts:
        return
    with futures.ThreadPoolExecutor(len(hosts)) as pool:
        running: list[futures.Future[None]] = []
        try:
            # A pool does not know a thread whose start was interrupted.
            with uninterrupted.section('compute hosts are set about'):
                running = [pool.submit(action, host) for host in hosts]
            futures.wait(running)
        except BaseException:
            for host in hosts:
                host.stop()
            with uninterrupted.section('compute hosts come to rest'):
                futures.wait(running)
            raise
    _raise([each.exception() for each in running])


def _raise(found: Sequence[BaseException | None]) -> None:
    """Raise what became of hosts as one exception, if any refused."""
    refused = [exc for exc in found if exc is not None]
    if not refused:
        return
    mistakes = [exc for exc in refused if not isinstance(
        exc, (remotes.HostError, journals.JournalError))]
    if mistakes:
        for exc in refused:
            LOG.error('A compute host: %r', exc)
        raise mistakes[0]
    kind = (service.NotStarted if len(refused) == len(found) and all(
        isinstance(exc, service.NotStarted) for exc in refused)
        else remotes.HostError)
    raise kind('; '.join(map(str, refused))) from refused[0]
