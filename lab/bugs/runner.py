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

"""Put bugs into a cloud that is up, run tests on it, and take them out."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import fcntl
import functools
import importlib
import json
import pathlib
import pkgutil
import subprocess
import time

from lab import bugs
from lab.bugs import loader
from lab import errors
from lab import fleet
from lab import layout
from lab.layout import Layout
from lab import reload
from lab.services import base
from lab.topology import Topology
from lm_tempest_plugin.commands import tempest_run
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

#: Limit for a test, which has time-outs of its own, and for its cleanups
#: after a signal.
TEST_SECONDS = 3600
CLEANUP_SECONDS = 300
SERVERS = 'SELECT uuid FROM instances WHERE deleted = 0;'
#: An audit of placement takes allocations of these records for used ones.
END_RECORDS = (
    "UPDATE migrations m JOIN instances i ON i.uuid = m.instance_uuid "
    "SET m.status = 'error' WHERE i.deleted != 0 AND m.status NOT IN "
    "('completed', 'failed', 'error', 'cancelled');")
#: Exit codes of "nova-manage placement audit --delete": nothing found, all
#: deleted.
AUDITED = (0, 4)


def discover() -> list[loader.Bug]:
    """Return all bugs, controls and corrections of this package, by name."""
    modules = (importlib.import_module(f'{bugs.__name__}.{each.name}')
               for each in pkgutil.iter_modules(bugs.__path__)
               # It would run as a program.
               if each.name != '__main__')
    return [module.BUG for module in modules
            if isinstance(getattr(module, 'BUG', None), loader.Bug)]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the log that processes of nova write.

    :ivar time: when it was written, UTC
    :ivar kind: ``applied``, ``fired`` or ``broken``
    :ivar name: name of the bug
    :ivar host: name of the host
    :ivar pid: id of the process
    :ivar program: name of the program
    :ivar text: the effect, or the function that was replaced
    """

    time: str
    kind: str
    name: str
    host: str
    pid: str
    program: str
    text: str


@dataclasses.dataclass(frozen=True)
class TestRun:
    """Tests that were run.

    :ivar outcomes: ``ok``, ``FAILED`` or ``SKIPPED: reason`` for each test or
        fixture of a class, by its id
    :ivar results: the results of their migrations
    :ivar folder: folder with their results and the output of Tempest
    :ivar duration_s: time that they took, in seconds
    """

    outcomes: collections.abc.Mapping[str, str]
    results: store.Results
    folder: pathlib.Path
    duration_s: float

    @property
    def failed(self) -> list[str]:
        """Ids of the tests that failed."""
        return [test for test, outcome in self.outcomes.items()
                if outcome.startswith('FAILED')]

    @property
    def passed(self) -> list[str]:
        """Ids of the tests that passed."""
        return [test for test, outcome in self.outcomes.items()
                if outcome == 'ok']

    @property
    def checks(self) -> list[str]:
        """Slugs of the checks that failed."""
        return sorted({problem.check for problems in (
            *(each.problems for each in self.results.migrations),
            *(each.problems for each in self.results.drains))
            for problem in problems})


class Runner(contextlib.AbstractContextManager['Runner']):
    """Puts bugs into the services of a cloud, and runs tests.

    It runs on the controller of a cloud that is up. Within its context a
    signal ends the tests, and raises :class:`utils.Interrupted` when they have
    deleted their resources. Nothing interrupts the restart of a service.

    :param paths: paths of the lab
    :param topology: the hosts
    """

    def __init__(self, paths: Layout, topology: Topology) -> None:
        self._paths = paths
        self._lab = base.Lab(paths, topology)
        self._folder = paths.cloud / loader.FOLDER
        self._end_of_log = 0
        self._signals = utils.SignalHandler()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Runner:
        self._folder.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(open(self._folder / 'lock', 'wb'))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise errors.LabError(
                    'Another command puts bugs into this cloud: wait for '
                    'it.') from error
            stack.enter_context(self._signals)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    @functools.cached_property
    def _hook(self) -> pathlib.Path:
        """The file that has each Python process of the cloud load bugs.

        Virtualenvs with another nova process it as well.
        """
        library = self._paths.venvs / 'cloud' / 'lib'
        return next(library.glob('python3*')) / 'site-packages' / (
            'lm-lab-bugs.pth')

    @contextlib.contextmanager
    def activated(self, names: collections.abc.Iterable[str],
                  services: collections.abc.Collection[str]
                  ) -> collections.abc.Iterator[None]:
        """Put bugs into services; take them out at the end.

        The arguments and errors are those of :meth:`activate`.
        """
        self.activate(names, services)
        try:
            yield
        finally:
            self.deactivate(services)

    def activate(self, names: collections.abc.Iterable[str],
                 services: collections.abc.Collection[str]) -> None:
        """Put bugs into services; if that fails, take them out again.

        :param names: names of modules of :mod:`lab.bugs`
        :param services: services that are restarted, such as nova-compute
        :raises errors.LabError: if a service does not come back, or a bug
            cannot be applied
        """
        log = self._folder / loader.LOG
        self._end_of_log = log.stat().st_size if log.exists() else 0
        repository = str(layout.REPOSITORY)
        try:
            layout.write(self._hook, (
                'import os, sys; '
                f'os.path.exists({str(self._folder / loader.ACTIVE)!r}) and '
                f'(sys.path.insert(0, {repository!r}), '
                '__import__("lab.bugs.loader", fromlist=["start"])'
                f'.start({str(self._folder)!r}), '
                f'sys.path.remove({repository!r}))\n'))
            layout.write(self._folder / loader.ACTIVE, f'{" ".join(names)}\n')
            reload.restart(self._lab, services)
            for each in self.log():
                if each.kind == loader.BROKEN:
                    raise errors.LabError(
                        f'{each.name} cannot be put into {each.program} on '
                        f'{each.host}: {each.text}.')
        except BaseException:
            self.deactivate(services)
            raise

    def deactivate(self, services: collections.abc.Collection[str]) -> None:
        """Take all bugs out, and remove their leftovers.

        :param services: services that are restarted
        :raises errors.LabError: if a service does not come back
        """
        (self._folder / loader.ACTIVE).unlink(missing_ok=True)
        self._hook.unlink(missing_ok=True)
        reload.restart(self._lab, services)
        self._sweep()

    def _sweep(self) -> None:
        """Remove traces and allocations of servers that are deleted.

        Without this, later tests would have less room, and find the traces.
        """
        existing = {row[0] for row in fleet.sql(self._paths, SERVERS)}
        for host in (each.name for each in self._lab.topology.compute_hosts):
            for server_id, ports in self._traced(host).items():
                if server_id not in existing:
                    fleet.remove_traces(self._paths, host, server_id, ports)
        fleet.sql(self._paths, END_RECORDS)
        # Of the same nova as the conductor, with its configuration.
        conductor = next(each.command for each in self._lab.programs
                         if each.name == 'nova-conductor')
        audit = subprocess.run(
            [pathlib.Path(conductor[0]).with_name('nova-manage'),
             *conductor[1:], 'placement', 'audit', '--delete'],
            capture_output=True, text=True)
        if audit.returncode not in AUDITED:
            raise errors.LabError(
                'nova-manage cannot delete leaked allocations: '
                f'{(audit.stderr or audit.stdout).strip()[-200:]}.')

    def _traced(self, host: str) -> dict[str, list[str]]:
        """Return the servers with traces on a host.

        :returns: UUIDs of ports with an interface there, by the server's UUID
        """
        found: dict[str, list[str]] = {}
        interfaces = json.loads(fleet.inside(
            host, 'ovs-vsctl', '--format=json', '--columns=external_ids',
            'list', 'Interface').stdout)
        for (_, pairs), in interfaces['data']:
            names = dict(pairs)
            if 'vm-uuid' in names:
                found.setdefault(names['vm-uuid'], []).append(
                    names['iface-id'])
        domains = fleet.inside(host, 'virsh', '--quiet', 'list', '--all',
                               '--uuid').stdout.split()
        directories = self._paths.data(host) / 'instances'
        for server_id in (*domains, *(
                path.name[:36] for path in directories.glob('*-*-*-*-*'))):
            found.setdefault(server_id, [])
        return found

    def log(self) -> list[Entry]:
        """Return the lines of the log since the last activation."""
        path = self._folder / loader.LOG
        if not path.exists():
            return []
        text = path.read_bytes()[self._end_of_log:].decode()
        return [Entry(*line.split('\t')) for line in text.splitlines()]

    def run_tests(self, regex: str, profile: str, results: pathlib.Path,
                  limit_s: float = TEST_SECONDS) -> TestRun:
        """Run Tempest's tests in the lab's workspace, and print progress.

        :param regex: regular expression of the tests
        :param profile: lines that override options of the lab's tempest.conf
        :param results: new folder for the results and the output
        :param limit_s: limit, in seconds; tests that take longer are killed
        :raises utils.Interrupted: a signal came, and the tests have ended
        :raises errors.LabError: if the tests have not ended in time
        """
        with self._signals.interruptible():
            results.mkdir(parents=True)
        conf = self._paths.tempest_conf.with_name('tempest-bugs.conf')
        # It holds passwords. The last value of an option counts.
        layout.write(conf, f'{self._paths.tempest_conf.read_text()}\n'
                     f'{profile}\n[live_migration_ha]\n'
                     f'results_directory = {results}\n', mode=0o600)
        output = results / 'tempest.log'
        began_s = time.monotonic()
        run = tempest_run.TempestRun(
            tempest_run.command(regex), self._paths.workspace,
            tempest_run.environment(conf), output)
        try:
            code = tempest_run.follow(
                run, tempest_run.RunFollower(results, output,
                                             tempest_run.RunProgress()),
                self._signals, lambda line: print(f'  {line}', flush=True),
                CLEANUP_SECONDS, limit_s)
        finally:
            conf.unlink()
        with self._signals.interruptible():
            if code is None:
                raise errors.LabError(f'{regex} has not ended within '
                                      f'{limit_s:.0f} s: see {output}.')
        found = map(tempest_run.TEST_ENDED.fullmatch, map(
            str.strip, output.read_text(errors='replace').splitlines()))
        return TestRun(
            {match['test']: match['outcome'] for match in found if match},
            store.read(sorted(results.glob(f'*{store.SUFFIX}'))), results,
            time.monotonic() - began_s)
