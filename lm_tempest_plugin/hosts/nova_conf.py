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

"""Options of nova-compute, set on all hosts together and restored.

The original nova.conf stays on its host under another name, because it
contains passwords. The undo log knows its path and its SHA-256.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import contextlib
import hashlib
import string
import threading

import configupdater
from oslo_config import iniparser
from oslo_log import log as logging

from lm_tempest_plugin import config
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import undo_log

LOG = logging.getLogger(__name__)

BACKUP = '.live-migration-ha'
PART = '.live-migration-ha-part'


Values = Mapping[config.ConfOption, str]
Connect = Callable[[remote.Site], remote.Remote]


class _Reader(iniparser.BaseParser):
    """Collects the values of options as oslo.config reads them."""

    def __init__(self, text: str) -> None:
        self.values: dict[config.ConfOption, str] = {}
        self._section = 'DEFAULT'
        self.parse(text.splitlines(keepends=True))

    def new_section(self, section: str) -> None:
        self._section = section

    def assignment(self, key: str, value: list[str]) -> None:
        # The last of several with the same name counts.
        self.values[config.ConfOption(self._section, key)] = '\n'.join(value)

    def comment(self, comment: str) -> None:
        pass


def _read(text: str) -> dict[config.ConfOption, str]:
    """Return all options.

    :raises ValueError: oslo.config cannot read the text
    """
    try:
        return _Reader(text).values
    except iniparser.ParseError as exc:
        # Leave out the line itself: it may contain a password.
        raise ValueError(f'line {exc.lineno}: {exc.msg}') from None


def set_options(text: str, values: Values) -> str:
    """Return the text of a nova.conf with new values for some options.

    ConfigUpdater keeps comments, order and all other lines. The result is
    read again with oslo.config's own parser, because nova reads it that way.

    :param text: text of nova.conf
    :param values: new values by option
    :raises ValueError: the text is not a configuration, or oslo.config would
        not read these values after the change
    """
    _read(text)
    updater = configupdater.ConfigUpdater(strict=False)
    try:
        updater.read_string(text)
    except configupdater.ParsingError:
        # Its message quotes lines, which may contain passwords.
        raise ValueError('oslo.config can read it, but ConfigUpdater, which '
                         'changes it, cannot') from None
    for option, value in values.items():
        if not updater.has_section(option.section):
            updater.add_section(option.section)
        updater[option.section][option.name] = value
    changed = str(updater)
    found = _read(changed)
    for option, value in values.items():
        if found.get(option) != value:
            raise ValueError(f'{option} is {found.get(option)!r} after it '
                             f'was set to {value!r}; is it in the file '
                             'twice?')
    return changed


def instances_path(text: str) -> str:
    """Return the directory of the instance directories.

    :param text: text of nova.conf
    :raises ValueError: oslo.config cannot read the text
    """
    values = _read(text)

    def value(name: str, default: str) -> str:
        return values.get(config.ConfOption('DEFAULT', name), default)

    # Packages of distributions set this state_path in a file of their own.
    # nova's own default is the directory of its code.
    return string.Template(
        value('instances_path', '$state_path/instances')).safe_substitute(
            state_path=value('state_path', '/var/lib/nova'))


class NotRestored(remote.HostError):
    """A host could not be restored; it stays in the undo log."""


class ChangedHost:
    """One host, with its entry in the undo log while it is changed.

    :param host: the host
    :param log: undo log
    :param restarter: restarts its nova-compute
    :param entry: entry in the undo log; None if the host is not changed
    """

    def __init__(self, host: remote.Remote, log: undo_log.UndoLog,
                 restarter: service.Restarter,
                 entry: undo_log.UndoEntry | None = None) -> None:
        self.host = host
        self._log = log
        self._restarter = restarter
        self._entry = entry
        self._original = ''
        self._stopped = threading.Event()

    def check(self) -> None:
        """Check that nova.conf exists and nova-compute runs.

        :raises HostError: that is not so
        """
        self._path()
        if not service.process_id(self.host):
            raise remote.HostError(
                f'{self.host.site}: nova-compute does not run, according to '
                f'{self.host.site.pid_command!r}')

    def set(self, values: Values) -> None:
        """Set options, all others as originally, and restart nova-compute.

        :param values: by option
        :raises NotStarted: nova-compute does not start with them
        :raises HostError: the host refuses, or stop() was called; restore()
            undoes the steps until then
        :raises UndoLogError: another run has changed the host
        """
        self._stopped.clear()
        path = self._path()
        if self._entry is None:
            self._original = self._read(path)
        try:
            text = set_options(self._original, values)
        except ValueError as exc:
            # The traceback of the cause would show lines of nova.conf.
            raise remote.HostError(f'{self.host.site}: {path} cannot be '
                                   f'changed: {exc}') from None
        self._make_backup(path)
        self._go_on()
        self._write(path, text)
        if self._read(path) != text:
            raise remote.HostError(f'{self.host.site}: {path} was written, '
                                   'and reading it returns another text')
        LOG.info('Host %s: set in %s: %s', self.host.name, path, ', '.join(
            f'{option} = {value}' for option, value in values.items()))
        self._go_on()
        self._restarter.restart(self.host)

    def stop(self) -> None:
        """Make a set() that is in progress fail before its next step."""
        self._stopped.set()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise remote.HostError(f'{self.host.site}: told to stop')

    def restore(self) -> None:
        """Restore nova.conf and restart nova-compute.

        :raises HostError: that is not possible; the host stays in the undo
            log
        :raises UndoLogError: all is restored, but the entry remains
        """
        if self._entry is None:
            return
        path = self._entry.backup.removesuffix(BACKUP)
        self._move_back(self._entry, path)
        self._restarter.restart(self.host)
        self._forget()
        LOG.info('Host %s: %s is restored', self.host.name, path)

    def _move_back(self, entry: undo_log.UndoEntry, path: str) -> None:
        """Move the backup to its place, if it is the one that was made.

        Any other backup stays: it may be the only copy of an original that
        is not ours.
        """
        backup = entry.backup
        if self._exists(backup) and self._sha256(backup) == entry.sha256:
            self.host.run('mv', '--force', '--', backup, path)
        found = self._sha256(path)
        if found != entry.sha256:
            raise remote.HostError(
                f'{self.host.site}: neither {path} nor its backup {backup} '
                f'is the original nova.conf (SHA-256 of {path} is {found} '
                f'instead of {entry.sha256}); correct it and remove the '
                f'entry from {self._log.directory}')
        if self._exists(backup):
            raise remote.HostError(
                f'{self.host.site}: {path} is the original, and {backup} is '
                'a copy of another file, made by somebody else; find its '
                f'owner and remove the entry from {self._log.directory}')
        self.host.run('rm', '--force', '--', path + PART)

    def _forget(self) -> None:
        self._entry = None
        self._log.remove(self.host.name)

    def _make_backup(self, path: str) -> None:
        """Make sure that the undo log has an entry and the host a backup."""
        backup = path + BACKUP
        new = self._entry is None
        if self._entry is None:
            self._entry = self._add_entry(backup)
        elif not self._log.holds(self.host.name):
            raise remote.HostError(
                f'{self.host.site}: its entry in {self._log.directory} is '
                'gone; somebody restored the host meanwhile')
        if self._exists(backup):
            return
        self._go_on()
        # Under another name first, so that a backup is always complete.
        self.host.run('cp', '--preserve=all', '--', path, path + PART)
        self.host.run('sync', '--', path + PART)
        if self._sha256(path + PART) != self._entry.sha256:
            self.host.run('rm', '--force', '--', path + PART)
            if not new:
                raise remote.HostError(
                    f'{self.host.site}: {backup}, the backup of the '
                    f'original {path}, is gone')
            self._forget()
            raise remote.HostError(
                f'{self.host.site}: somebody else has just changed {path}; '
                'nothing was changed by us')
        self.host.run('mv', '--force', '--', path + PART, backup)

    def _add_entry(self, backup: str) -> undo_log.UndoEntry:
        """Add the host to the undo log.

        First look for a backup: if that fails, there is nothing to undo. But
        an entry that exists is reported before a backup that exists.

        :raises UndoLogError: the undo log has an entry of the host
        :raises HostError: the host has a backup that is not in the undo log
        """
        unknown = self._exists(backup)
        entry = undo_log.UndoEntry(
            self.host.site, backup, hashlib.sha256(self._original.encode(
                remote.ENCODING, remote.ERRORS)).hexdigest())
        self._log.add(entry)
        if unknown:
            self._forget()
            raise remote.HostError(
                f'{self.host.site}: {backup} exists, but has no entry in '
                f'{self._log.directory}: the host was changed with another '
                'undo log, by another user or from another machine; restore '
                'it there')
        return entry

    def _path(self) -> str:
        """Return the path of nova.conf behind any symbolic links.

        Replacing the link would leave its target changed for others.
        """
        site = self.host.site
        try:
            return self.host.run(
                'readlink', '--canonicalize-existing', '--no-newline',
                '--verbose', '--', site.nova_conf)
        except remote.CommandFailed as exc:
            raise remote.HostError(
                f'{site}: {site.nova_conf} does not exist: {exc}') from exc

    def _read(self, path: str) -> str:
        return self.host.run('cat', '--', path)

    def _write(self, path: str, text: str) -> None:
        """Replace a file atomically; owner, mode and label stay."""
        self.host.run('cp', '--preserve=all', '--', path, path + PART)
        self.host.run('dd', 'of=' + path + PART, 'conv=fsync',
                      'status=none', stdin=text)
        self.host.run('mv', '--force', '--', path + PART, path)

    def _exists(self, path: str) -> bool:
        # "test -e" would also say no if the directory cannot be read.
        directory, _, name = path.rpartition('/')
        return name in self.host.run(
            'ls', '--almost-all', '-1', '--', directory or '/').splitlines()

    def _sha256(self, path: str) -> str:
        # sha256sum puts a backslash before the digest of a file with an
        # unusual name.
        return self.host.run('sha256sum', '--', path).split()[0].lstrip('\\')


class NovaConfChanges:
    """Set options on several hosts side by side. The caller restores them.

    :param sites: the hosts
    :param log: undo log
    :param restarter: restarts their nova-compute
    :param connect: makes a connection to a host
    :ivar remotes: the hosts' connections
    """

    def __init__(self, sites: Iterable[remote.Site], log: undo_log.UndoLog,
                 restarter: service.Restarter,
                 connect: Connect = remote.Remote) -> None:
        self.remotes = [connect(site) for site in sites]
        self._hosts = [ChangedHost(host, log, restarter)
                       for host in self.remotes]

    def check(self) -> None:
        """Check that all hosts can be changed.

        :raises HostError: names each host that cannot
        """
        _side_by_side(self._hosts, ChangedHost.check)

    def set(self, values: Values) -> None:
        """Set options on all hosts; all other options are as originally.

        :param values: by option
        :raises NotStarted: nova-compute starts on no host, and all hosts are
            restored
        :raises NotRestored: some hosts refuse, and not all are restored
        :raises HostError: some hosts refuse, and all are restored; names each
            host that refuses
        """
        try:
            _side_by_side(self._hosts, lambda host: host.set(values))
        except remote.HostError as exc:
            try:
                self.restore()
            except remote.HostError as worse:
                raise NotRestored(f'{exc}; then: {worse}') from exc
            raise

    def restore(self) -> None:
        """Restore all hosts; a signal takes effect only afterwards.

        :raises NotRestored: some hosts refuse; they stay in the undo log
        """
        with undo_log.deferred_signals('restoring compute hosts'):
            try:
                _side_by_side(self._hosts, ChangedHost.restore)
            except remote.HostError as exc:
                raise NotRestored(str(exc)) from exc

    def close(self) -> None:
        """Close the connections."""
        for host in self.remotes:
            host.close()


def recover(log: undo_log.UndoLog, restarter: service.Restarter,
            connect: Connect = remote.Remote) -> list[str]:
    """Restore all hosts of an undo log that an earlier run left behind.

    :param log: undo log
    :param restarter: restarts their nova-compute
    :param connect: makes a connection to a host
    :returns: names of the hosts
    :raises NotRestored: some hosts refuse, or their entries cannot be read;
        these stay in the undo log, all others are restored
    """
    hosts: list[ChangedHost] = []
    refused: list[Exception] = []
    with contextlib.ExitStack() as stack:
        for name in log.hosts():
            try:
                log.claim(name)
                entry = log.read(name)
            except undo_log.UndoLogError as exc:
                refused.append(exc)
                continue
            host = stack.enter_context(connect(entry.site))
            hosts.append(ChangedHost(host, log, restarter, entry))
        with undo_log.deferred_signals('restoring compute hosts'):
            try:
                _side_by_side(hosts, ChangedHost.restore)
            except remote.HostError as exc:
                refused.append(exc)
    if refused:
        raise NotRestored('; '.join(map(str, refused))) from refused[0]
    return [changed.host.name for changed in hosts]


def _side_by_side(hosts: Sequence[ChangedHost],
                  action: Callable[[ChangedHost], None]) -> None:
    """Do something with all hosts at once, and wait for every host.

    An exception in the main thread, such as KeyboardInterrupt, is raised
    after every host has come to rest. Otherwise the cleanup would meet
    threads that still change the hosts.

    :raises NotStarted: nova-compute starts on no host
    :raises HostError: the messages of all hosts that refuse
    """
    if not hosts:
        return
    with futures.ThreadPoolExecutor(len(hosts)) as pool:
        running: list[futures.Future[None]] = []
        try:
            # If a signal interrupted submit(), the pool would not know the
            # thread that it has just started.
            with undo_log.deferred_signals('starting one thread per host'):
                running = [pool.submit(action, host) for host in hosts]
            futures.wait(running)
        except BaseException:
            for host in hosts:
                host.stop()
            with undo_log.deferred_signals('waiting for compute hosts'):
                futures.wait(running)
            raise
    errors = [each.exception() for each in running]
    refused = [exc for exc in errors if exc is not None]
    if not refused:
        return
    for exc in refused:
        # A bug of ours: nobody may take it for a refusal.
        if not isinstance(exc, (remote.HostError, undo_log.UndoLogError)):
            for each in refused:
                LOG.error('A compute host: %r', each)
            raise exc
    # A host where nova-compute does start tells that the settings are good.
    on_none = len(refused) == len(hosts) and all(
        isinstance(exc, service.NotStarted) for exc in refused)
    raise (service.NotStarted if on_none else remote.HostError)(
        '; '.join(map(str, refused))) from refused[0]
