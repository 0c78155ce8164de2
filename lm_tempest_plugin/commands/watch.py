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

"""tempest live-migration-ha watch: judge live migrations of others."""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import logging
import pathlib
import time
from typing import Any

from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import clock
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import clients
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import bootstrap
from lm_tempest_plugin.commands import common
from lm_tempest_plugin.commands import screen
from lm_tempest_plugin import config
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import cloud_poller
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import judging
from lm_tempest_plugin.migration import late_probes
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import telemetry
from lm_tempest_plugin.migration import watching
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

GOOD, BAD, INTERRUPTED = 0, 1, 130
INTERVALS_S = (0.5, 60.0)
LONGEST_S = 30 * 86400.0
# How often the host that is emptied is asked for its servers.
SOURCE_S = 10.0
# Time between two looks for results, when nothing else is left to do.
COLLECT_S = 0.5


class WatchMigrations(bootstrap.CloudCommand):
    """Judge live migrations that others request, and change nothing.

    All live migrations of the cloud are followed, whoever requests them: an
    operator, Watcher, Masakari. The exit code is 0 if all that have ended were
    as expected, and no server is left on the host of --source. Ctrl-C ends the
    watch.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--source', metavar='HOST', default='',
            help='follow only live migrations that leave this host, and end '
            'when it is empty (default: follow all, until Ctrl-C)')
        parser.add_argument(
            '--since', metavar='SECONDS', default=0.0,
            type=common.seconds(0, LONGEST_S),
            help='also follow those that go on already, and were requested at '
            'most so long ago; their first phases are known by nova\'s events '
            'alone (default: only new ones)')
        parser.add_argument(
            '--timeout', metavar='SECONDS', default=LONGEST_S,
            type=common.seconds(1, LONGEST_S),
            help='end after so long in any case (default: 30 days)')
        parser.add_argument(
            '--interval', metavar='SECONDS', default=2.0,
            type=common.seconds(*INTERVALS_S),
            help='time between two snapshots, which take three requests to '
            'nova each, and the resolution of times (default: %(default)g)')
        parser.add_argument(
            '--probe', choices=(late_probes.FLOATING, late_probes.FIXED),
            default='',
            help='send ICMP echo requests to addresses of this kind of '
            'servers that are migrated, if they answer this machine, and '
            'judge outages as the tests do (default: send none)')
        parser.add_argument(
            '--results', metavar='DIRECTORY', default='',
            help='directory for the results file (default: one in the '
            'workspace)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Watch a cloud.

        :returns: 0 if all is good, 1 if not, 130 after a signal but Ctrl-C
        :raises SetupError: the cloud or an argument does not allow it
        """
        return WatchSession(
            cloud=parsed_args.os_cloud,
            files=bootstrap.find_workspace(parsed_args),
            shown=screen.Screen(self.app.stdout, self.say),
            config_file=parsed_args.config, source=parsed_args.source,
            since_s=parsed_args.since, timeout_s=parsed_args.timeout,
            interval_s=parsed_args.interval, probed=parsed_args.probe,
            results=parsed_args.results).run()


@dataclasses.dataclass
class WatchSession:
    """One watch of one cloud.

    :ivar cloud: name of the cloud in clouds.yaml
    :ivar files: the workspace
    :ivar shown: lines and table for the user
    :ivar config_file: path of a file with options; empty for that of the last
        ``bootstrap``
    :ivar source: name of the host that others drain; empty to watch all hosts
    :ivar since_s: greatest age of migrations that go on already; 0 for none
    :ivar timeout_s: time to watch
    :ivar interval_s: time between two snapshots
    :ivar probed: kind of the addresses that are probed: floating or fixed;
        empty to probe none
    :ivar results: directory for the results; empty for one in the workspace
    """

    cloud: str
    files: workspace.Workspace
    shown: screen.Screen
    config_file: str = ''
    source: str = ''
    since_s: float = 0.0
    timeout_s: float = LONGEST_S
    interval_s: float = 2.0
    probed: str = ''
    results: str = ''

    def __post_init__(self) -> None:
        name = datetime.datetime.now(datetime.UTC).strftime(
            'watch-%Y%m%dT%H%M%SZ')
        self._directory = (pathlib.Path(self.results).absolute()
                           if self.results else self.files.results(name))
        self._log = self.files.logs / f'{name}.log'
        self._name = name
        self._left: Sequence[servers.Server] = ()
        self._asked_s = -SOURCE_S

    def run(self) -> int:
        """Watch until the host is empty, the time is over, or a signal comes.

        :returns: exit code
        :raises SetupError: the cloud or an argument does not allow it
        """
        conf = self._configuration()
        with contextlib.ExitStack() as stack:
            signals = stack.enter_context(utils.SignalHandler())
            try:
                with signals.interruptible():
                    stack.enter_context(log_to(self._log))
                    watcher = self._prepare(conf, stack)
            except utils.Interrupted:
                return INTERRUPTED
            except (remote.HostError, errors.ProbeError) as exc:
                raise setup.SetupError(str(exc)) from exc
            begin_s, self._provider.requests = time.monotonic(), 0
            failed = self._follow(watcher, signals)
            self._finish(watcher, signals)
            self._seconds = time.monotonic() - begin_s
            good = self._summarize(watcher) and not failed
        # Ctrl-C is the usual end of a watch. Others kill it.
        if signals.count > 1 or signals.name not in ('', 'SIGINT'):
            return INTERRUPTED
        return GOOD if good else BAD

    def _configuration(self) -> Any:
        """Return the plugin's options; create the workspace."""
        path = self.config_file or self.files.load_arguments(
            self.cloud).get('config', '')
        paths = [pathlib.Path(path)] if path else []
        for each in paths:
            # It fails if there is no such file.
            configuration.load(each)
        conf = configuration.read_checked(*paths)
        self.files.check()
        self.files.create()
        if self.results:
            # Not only when the first migration has ended.
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
            except OSError as exc:
                raise setup.SetupError(
                    f'directory {self._directory} cannot be created: '
                    f'{exc.strerror}') from exc
        return conf

    def _prepare(self, conf: Any,
                 stack: contextlib.ExitStack) -> watching.Watcher:
        """Connect to the cloud and its hosts.

        :param conf: the plugin's options
        :param stack: closes everything
        :raises HostError: a host cannot be reached
        :raises ProbeError: this machine may not send ICMP echo requests
        """
        cloud = discovery.connect(self.cloud)
        admin, self._provider = clients.create(cloud)
        with clients.explaining(cloud, 'list compute hosts'):
            stack.enter_context(clients.microversions(admin))
            known = compute_hosts.list_hosts(admin.services)
            ahead_s = clock.ahead_s(admin.services)
        if self.source and self.source not in {each.name for each in known}:
            raise cloud.error(
                f'host {self.source} has no nova-compute service; hosts with '
                f'one: {compute_hosts.describe(known)}')
        options = conf.live_migration_ha
        if self.probed:
            # It fails if this machine may not send them at all.
            icmp.IcmpProber(['127.0.0.1'], options.probe_interval).stop()
        hosts = self._hosts(conf, admin, known, stack)
        with clients.explaining(cloud, 'describe the compute hosts'):
            started = results_file.run_started(
                discovery.find_region(cloud), admin, hosts)
        poller = cloud_poller.CloudPoller(
            admin, self.interval_s, options.poll_error_timeout, self.since_s,
            ahead_s or 0.0)
        self._clients = admin = dataclasses.replace(
            admin, hypervisors=watching.RecentHypervisors(admin.hypervisors))
        watcher = watching.Watcher(
            watching.WatchContext(
                admin, options, config.declared_settings(conf),
                results_file.ResultsFile(
                    str(self._directory), self._name, lambda: started),
                hosts, _metrics(options, admin), self.probed),
            poller, source=self.source, adopt=bool(self.since_s),
            clock_ahead_s=ahead_s or 0.0, on_begin=self._begun,
            on_judged=self._judged)
        self.shown.say(
            f'Watching {self.source or "all hosts"} of cloud {self.cloud}, '
            f'{"with" if hosts else "without"} access to hosts; log: '
            f'{self._log}')
        return watcher

    def _hosts(self, conf: Any, admin: api.Clients,
               known: Sequence[compute_hosts.ComputeService],
               stack: contextlib.ExitStack) -> access.HostAccess | None:
        """Return the access to the hosts; None if none is configured."""
        if not conf.live_migration_ha_hosts.ssh_user:
            return None
        hosts = access.HostAccess(
            conf.live_migration_ha_hosts, admin.services,
            [host.name for host in known if host.usable])
        stack.callback(hosts.close)
        hosts.check()
        return hosts

    def _follow(self, watcher: watching.Watcher,
                signals: utils.SignalHandler) -> bool:
        """Watch until the end; return whether an error ended it."""
        deadline_s = time.monotonic() + self.timeout_s
        told = False
        try:
            with signals.interruptible():
                while True:
                    watcher.step()
                    if not told:
                        told = True
                        self._tell_of_those_before(watcher)
                    self.shown.show(_state(watcher), watcher.migrations)
                    if self._empty(watcher):
                        self.shown.say(f'Host {self.source} is empty.')
                        return False
                    if time.monotonic() >= deadline_s:
                        self.shown.say('The time (--timeout) is over.')
                        return False
                    watcher.pause()
        except utils.Interrupted as exc:
            self.shown.say(f'The command was {exc}.')
        except (exceptions.TempestException, store.ResultsError) as exc:
            self.shown.say(f'The watch cannot go on: {exc}')
            return True
        return False

    def _tell_of_those_before(self, watcher: watching.Watcher) -> None:
        """Say which migrations went on before the watch."""
        if watcher.adopted:
            self.shown.say(
                'Live migrations that went on already and are followed: '
                f'{watcher.adopted}. nova\'s events alone tell their first '
                'phases, to 1 s, and their time-outs begin now.')
        if watcher.not_followed:
            self.shown.say(
                'Live migrations that went on already and are not followed: '
                f'{watcher.not_followed}. Use --since SECONDS to follow them.')

    def _empty(self, watcher: watching.Watcher) -> bool:
        """Return whether the host is empty, and nothing leaves it."""
        if not self.source:
            return False
        now_s = time.monotonic()
        if now_s - self._asked_s >= SOURCE_S:
            self._asked_s = now_s
            try:
                self._left = servers.list_on_host(
                    self._clients.servers, self.source)
            except (exceptions.RestClientException, *api.NO_ANSWER) as exc:
                if not api.is_transient(exc):
                    raise
                # The next snapshot tells of an API that is away for long.
                return False
            return not self._left and not watcher.migrations
        return False

    def _finish(self, watcher: watching.Watcher,
                signals: utils.SignalHandler) -> None:
        """Have all migrations judged that have ended."""
        self.shown.clear()
        if watcher.judging:
            self.shown.say('Live migrations that have ended and are judged '
                           f'now: {watcher.judging}. It takes some seconds.')
        try:
            while watcher.judging and signals.count < 2:
                watcher.collect(COLLECT_S)
        except store.ResultsError as exc:
            self.shown.say(str(exc))
        watcher.close(wait=signals.count < 2)

    def _summarize(self, watcher: watching.Watcher) -> bool:
        """Say how it went; return whether all is good."""
        good = not watcher.bad
        for each in watcher.migrations:
            self.shown.say(f'Not judged, since it goes on: {_title(each)}, '
                           f'record {each.status or "missing"}')
        if self.source:
            good &= self._say_who_is_left(watcher)
        verdicts = ', '.join(f'{count} {verdict}' for verdict, count
                             in watcher.verdicts.most_common())
        self.shown.say(
            f'Live migrations judged: {watcher.verdicts.total()}'
            f'{f" ({verdicts})" if verdicts else ""}; with problems: '
            f'{watcher.bad or "none"}')
        requests = self._provider.requests
        self.shown.say(
            f'Requests to the APIs: {requests} in {self._seconds:.0f} s, '
            f'{requests / max(1.0, self._seconds):.1f} a second')
        if watcher.verdicts:
            self.shown.say(
                f'Results: {self._directory}; report: `tempest '
                f'live-migration-ha report {self._directory}`')
        return good

    def _say_who_is_left(self, watcher: watching.Watcher) -> bool:
        """Say which servers are left on the host; return whether none is."""
        try:
            texts = watching.left(
                self._clients, self.source, watcher.failures)
        except (exceptions.RestClientException, *api.NO_ANSWER) as exc:
            self.shown.say(f'Servers left on host {self.source} cannot be '
                           f'listed: {exc}')
            return False
        for text in texts:
            self.shown.say(f'Left on host {self.source}: {text}')
        return not texts

    def _begun(self, migration: follow.Migration) -> None:
        self.shown.say(f'Seen: {_title(migration)}')

    def _judged(self, run: judging.MigrationRun) -> None:
        result, = run.results
        silent = self.probed and result.continuity is None
        self.shown.say('\n'.join([
            messages.summary_line(result),
            *(f'  {problem}' for problem in run.problems),
            *([f'  not probed: no {self.probed} address answered this '
               'machine'] if silent else [])]))


def _title(migration: follow.Migration) -> str:
    server = migration.request.server
    return (f'live migration of server {server.server_id} ({server.name}) '
            f'from {server.host}')


def _state(watcher: watching.Watcher) -> str:
    return (f'live migrations in flight: {len(watcher.migrations)}, being '
            f'judged: {watcher.judging}, judged: {watcher.verdicts.total()}, '
            f'with problems: {watcher.bad}')


def _metrics(options: Any,
             admin: api.Clients) -> telemetry.Telemetry | None:
    """Return the metrics that are configured; None for none.

    :raises SetupError: a port is taken, or a file cannot be written
    :raises MissingLibrary: prometheus_client is not installed
    """
    if not (options.metrics_port or options.metrics_textfile):
        return None
    module = utils.import_optional(
        'lm_tempest_plugin.results.metrics', common.EXTRA)
    try:
        return telemetry.start(options, admin)
    except module.MetricsError as exc:
        raise setup.SetupError(str(exc)) from exc


@contextlib.contextmanager
def log_to(path: pathlib.Path) -> Iterator[None]:
    """Write log messages to a file, and none to the terminal.

    :param path: the file
    :raises SetupError: it cannot be written
    """
    try:
        handler = logging.FileHandler(path, encoding='utf-8')
    except OSError as exc:
        raise setup.SetupError(
            f'{path} cannot be written: {exc.strerror}') from exc
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter(
        '%(asctime)s %(levelname)s [%(name)s] %(message)s'))
    root = logging.getLogger()
    requests = logging.getLogger('tempest')
    handlers, level = root.handlers[:], requests.level
    root.handlers[:] = [
        handler, *(each for each in handlers
                   if type(each) is not logging.StreamHandler)]
    # There is a request for each snapshot.
    requests.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        requests.setLevel(level)
        handler.close()
