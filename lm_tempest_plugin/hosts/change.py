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
import types

from oslo_log import log as logging

from lm_tempest_plugin.hosts import configuration
from lm_tempest_plugin.hosts import journal as journals
from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import site as sites

LOG = logging.getLogger(__name__)

BACKUP = '.live-migration-ha'
PART = '.live-migration-ha-part'

Values = Mapping[configuration.Option, str]


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

    def set(self, values: Values) -> None:
        """Set options, all others as they were, and restart nova-compute.

        :param values: by option
        :raises HostError: the host refuses; what was done up to there is
            put back by restore()
        :raises JournalError: the host is in somebody else's hands
        """
        path = self._path()
        if self._entry is None:
            self._original = self._read(path)
        text = self._changed(values, path)
        if self._entry is None:
            self._keep(path)
        self._write(path, text)
        if self._read(path) != text:
            raise remotes.HostError('%s: %s was written, and is not what '
                                    'was written' % (self.remote.site, path))
        LOG.info('Host %s: %s says %s', self.remote.name, path, ', '.join(
            '%s = %s' % item for item in values.items()))
        self._restarter.restart(self.remote)

    def restore(self) -> None:
        """Put nova.conf back as it was and restart nova-compute.

        :raises HostError: that is not possible; the journal keeps the host
        """
        if self._entry is None:
            return
        path = self._entry.backup.removesuffix(BACKUP)
        if self._exists(self._entry.backup):
            self.remote.run('mv', '--force', '--', self._entry.backup, path)
        self.remote.run('rm', '--force', '--', path + PART)
        found = self._sha256(path)
        if found != self._entry.sha256:
            raise remotes.HostError(
                '%s: %s is not what it was before these tests (sha256 %s '
                'instead of %s), and the copy %s is gone; put it right and '
                'remove the entry from %s' % (
                    self.remote.site, path, found, self._entry.sha256,
                    self._entry.backup, self._journal.directory))
        self._restarter.restart(self.remote)
        self._journal.remove(self.remote.name)
        self._entry = None
        LOG.info('Host %s: %s is as it was', self.remote.name, path)

    def _changed(self, values: Values, path: str) -> str:
        """Return the text of nova.conf with other values."""
        try:
            return configuration.change(self._original, values)
        except ValueError as exc:
            raise remotes.HostError('%s: %s cannot be changed: %s' % (
                self.remote.site, path, exc)) from exc

    def _keep(self, path: str) -> None:
        """Keep nova.conf as it is, and write down where."""
        backup = path + BACKUP
        if self._exists(backup):
            raise remotes.HostError(
                '%s: %s exists: the host was changed from another machine, '
                'whose journal knows how to put it back' % (
                    self.remote.site, backup))
        entry = journals.Entry(
            self.remote.site, backup, _digest(self._original))
        self._journal.add(entry)
        self._entry = entry
        self.remote.run('cp', '--preserve=all', '--', path, path + PART)
        self.remote.run('mv', '--force', '--', path + PART, backup)
        if self._sha256(backup) != entry.sha256:
            raise remotes.HostError('%s: %s changes while it is copied' % (
                self.remote.site, path))

    def _path(self) -> str:
        """Return where nova.conf is: a link stays one."""
        return self.remote.run(
            'readlink', '--canonicalize-existing', '--no-newline', '--',
            self.remote.site.nova_conf)

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


class Hosts(contextlib.AbstractContextManager['Hosts']):
    """Hosts that are changed side by side; put back when it is left.

    :param sites: the hosts
    :param journal: where they are written down
    :param restarter: restarts their nova-compute
    :param connect: makes a connection to a host
    """

    def __init__(self, sites: Iterable[sites.Site],
                 journal: journals.Journal, restarter: service.Restarter,
                 connect: Callable[[sites.Site], remotes.Remote] = (
                     remotes.Remote)) -> None:
        self.remotes = [connect(site) for site in sites]
        self._hosts = [ChangedHost(remote, journal, restarter)
                       for remote in self.remotes]

    def set(self, values: Values) -> None:
        """Set options on all hosts, all other options as they were.

        :param values: by option
        :raises NotStarted: nova-compute did not start on one or more, and
            all were put back
        :raises HostError: one or more refuse, and all were put back; names
            each host that refused, or that could not be put back
        """
        try:
            _side_by_side(self._hosts, lambda host: host.set(values))
        except remotes.HostError as exc:
            try:
                self.restore()
            except remotes.HostError as worse:
                raise remotes.HostError('%s; then: %s' % (exc, worse)) from exc
            raise

    def restore(self) -> None:
        """Put all hosts back.

        :raises HostError: one or more refuse; the journal keeps those
        """
        _side_by_side(self._hosts, lambda host: host.restore())

    def close(self) -> None:
        """End the connections."""
        for remote in self.remotes:
            remote.close()

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        try:
            self.restore()
        finally:
            self.close()


def recover(journal: journals.Journal, restarter: service.Restarter,
            connect: Callable[[sites.Site], remotes.Remote] = remotes.Remote
            ) -> list[str]:
    """Put back all hosts that the journal knows.

    :param journal: what an earlier run has left behind
    :param restarter: restarts their nova-compute
    :param connect: makes a connection to a host
    :returns: their names
    :raises HostError: one or more refuse; the journal keeps those
    :raises JournalError: it cannot be read
    """
    with contextlib.ExitStack() as stack:
        hosts = [ChangedHost(stack.enter_context(connect(entry.site)),
                             journal, restarter, entry)
                 for entry in journal.entries()]
        _side_by_side(hosts, lambda host: host.restore())
    return [host.remote.name for host in hosts]


def _side_by_side(hosts: Sequence[ChangedHost],
                  action: Callable[[ChangedHost], None]) -> None:
    """Do something with all hosts at once, and let each come to its end.

    :raises NotStarted: all that refuse could not start nova-compute
    :raises HostError: what all that refuse say
    """
    if not hosts:
        return
    with futures.ThreadPoolExecutor(len(hosts)) as pool:
        running = [pool.submit(action, host) for host in hosts]
    refused = []
    for each in running:
        exc = each.exception()
        if isinstance(exc, (remotes.HostError, journals.JournalError)):
            refused.append(exc)
        elif exc is not None:
            raise exc
    if refused:
        started = any(not isinstance(exc, service.NotStarted)
                      for exc in refused)
        kind = remotes.HostError if started else service.NotStarted
        raise kind('; '.join(map(str, refused))) from refused[0]
