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

"""`tempest run` as a child process, and its progress from its files."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import msgspec

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

# How `tempest run` prints the end of a test.
TEST_ENDED = re.compile(
    r'\{\d+\} (?P<test>.+?)(?: \[[\d.]+s\])? \.\.\. (?P<outcome>.+)')
# A test in the output of `tempest run --list-tests`; tags follow its id.
TEST_LISTED = re.compile(r'(?P<test>\w+(?:\.\w+)+)(?:\[.*\])?')
CLASS_FIXTURE = re.compile(r'setUpClass \((?P<cls>[\w.]+)\)')
# Listing imports all tests of all plugins.
LIST_TIMEOUT_S = 300
# Interval of checks for new results and signals.
POLL_S = 0.5


def command(regex: str, exclude: str = '') -> list[str]:
    """Return the command that runs tests one after the other.

    :param regex: regular expression of the tests
    :param exclude: regular expression of exceptions; empty for none
    """
    return [sys.executable, '-m', 'tempest.cmd.main', 'run', '--serial',
            '--regex', regex,
            *(['--exclude-regex', exclude] if exclude else [])]


def environment(conf: pathlib.Path) -> dict[str, str]:
    """Return the environment with which Tempest finds its configuration.

    :param conf: the file
    """
    return {**os.environ, 'TEMPEST_CONFIG_DIR': str(conf.parent),
            'TEMPEST_CONFIG': conf.name, 'PYTHON': sys.executable}


def list_tests(arguments: Sequence[str], directory: pathlib.Path,
               variables: Mapping[str, str]) -> list[str]:
    """Return the ids of the tests that a command would run.

    :param arguments: result of command()
    :param directory: its working directory
    :param variables: its environment
    :returns: none if they cannot be listed; the run will say why
    """
    output = ''
    try:
        # Unlike `tempest run`, its --list-tests needs a repository. Nothing
        # happens if there is one.
        for each in ([sys.executable, '-m', 'stestr', 'init'],
                     [*arguments, '--list-tests']):
            output = subprocess.run(
                each, cwd=directory, env=dict(variables),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, timeout=LIST_TIMEOUT_S,
                start_new_session=True).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    matches = map(TEST_LISTED.fullmatch, output.splitlines())
    return [match['test'] for match in matches if match]


class TempestRun:
    """A child process in a process group of its own.

    Ctrl-C in the terminal does not reach it; interrupt() passes it on once.
    It does not signal `tempest run` but the processes below, in which tests
    run: the current test fails and deletes its resources, and `tempest run`
    still collects the results. A process that is interrupted while it prepares
    a class of tests leaves projects and users behind, see
    cleanup.delete_leftovers().

    :param arguments: program and arguments
    :param directory: working directory
    :param variables: environment
    :param log: file for the output
    :raises SetupError: it cannot be started
    """

    def __init__(self, arguments: Sequence[str], directory: pathlib.Path,
                 variables: Mapping[str, str], log: pathlib.Path) -> None:
        # A job in the background of a script ignores SIGINT, and so would the
        # tests: interrupt() could not end them.
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            with open(log, 'xb') as stream:
                self._child = subprocess.Popen(
                    list(arguments), cwd=directory, env=dict(variables),
                    stdin=subprocess.DEVNULL, stdout=stream,
                    stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as exc:
            raise setup.SetupError(
                f'{arguments[0]} cannot be started: {exc}') from exc
        finally:
            if ignored:
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code; None if it is still running.

        :param timeout_s: time to wait, in seconds
        """
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self) -> None:
        """Ask the tests to end."""
        below = [each for each in group_members(self._child.pid)
                 if each != self._child.pid]
        for each in below or [self._child.pid]:
            try:
                os.kill(each, signal.SIGINT)
            except ProcessLookupError:
                # It has ended since.
                continue

    def kill(self, grace_s: float = 5) -> None:
        """End all its processes; resources of the tests may remain.

        :param grace_s: time from SIGTERM to SIGKILL, in seconds
        """
        self._signal_group(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while group_members(self._child.pid) and time.monotonic() < deadline:
            self._child.poll()
            time.sleep(0.05)
        self._signal_group(signal.SIGKILL)
        self._child.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            # All have ended.
            return


def group_members(group: int) -> list[int]:
    """Return the live processes of a process group.

    :param group: its id
    """
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            text = path.read_text(errors='replace')
        except (FileNotFoundError, ProcessLookupError):
            continue
        # proc(5): after the name, which may contain any character, follow
        # state, parent and process group.
        state, _, pgrp = text.rpartition(')')[2].split()[:3]
        if int(pgrp) == group and state != 'Z':
            found.append(int(path.parent.name))
    return sorted(found)


class RunProgress:
    """Turns lines of the results file and of the log into lines of progress.

    :param tests: ids of the tests that will run; empty if they are not known
    :param planned: number of live migrations that are planned, for a
        forecast; 0 if it is not known
    :ivar migrations: number of live migrations that have ended
    """

    def __init__(self, tests: Sequence[str] = (), planned: int = 0) -> None:
        self.migrations = 0
        self._planned = planned
        self._started_s = time.monotonic()
        self._total = len(tests)
        self._pending = set(tests)
        self._ended = 0
        # By run and drain: servers, and migrations that have ended.
        self._servers: dict[tuple[str, str], int] = {}
        self._arrived: dict[tuple[str, str], int] = {}

    def result(self, line: bytes) -> str:
        """Return the text of a line of results; empty for none.

        :param line: without its line end
        """
        try:
            found = msgspec.json.decode(line, type=schema.AnyLine)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            # The report checks the file later, and explains the error.
            return f'a line of results cannot be read: {exc}'
        if isinstance(found, schema.RunStarted):
            hosts = ', '.join(
                f'{each.host} ({each.hypervisor_type} '
                f'{each.hypervisor_version}' +
                (f', nova {each.nova_version})' if each.nova_version else ')')
                for each in found.hosts)
            return (f'run {found.run}: compute API {found.compute_api}, hosts '
                    f'{hosts}')
        if isinstance(found, schema.DrainStarted):
            self._servers[found.run, found.drain] = found.servers
            return f'{_drain(found)} ({found.settings})'
        if isinstance(found, schema.MigrationEnded):
            self.migrations += 1
            drain = found.run, found.drain
            arrived = self._arrived.get(drain, 0) + 1
            self._arrived[drain] = arrived
            servers = max(self._servers.get(drain, 0), arrived)
            return (f'server {found.server_id}, {found.source} to '
                    f'{found.destination or "?"}: '
                    f'{found.record_status or "no migration record"} after '
                    f'{found.duration_s:.1f} s ({arrived} of {servers} in '
                    f'{found.drain}, {self.migrations} in all'
                    f'{self._forecast()})')
        if isinstance(found, schema.MigrationResult) and found.problems:
            problems = '; '.join(map(str, found.problems))
            return (f'PROBLEM: server {found.server_name}, flavor '
                    f'{found.flavor}: {problems}')
        if isinstance(found, schema.DrainResult):
            text = f'{_drain(found)}: {found.wall_s:.1f} s'
            problems = '; '.join(map(str, found.problems))
            return f'{text}; PROBLEM: {problems}' if problems else text
        return ''

    def _forecast(self) -> str:
        """Return the number that is planned and the time that is left."""
        left = self._planned - self.migrations
        # Negative with migrations that nobody could plan.
        if not self._planned or left < 0:
            return ''
        each_s = (time.monotonic() - self._started_s) / self.migrations
        return (f' of {self._planned} planned, about '
                f'{math.ceil(left * each_s / 60)} min left')

    def output(self, line: bytes) -> str:
        """Return the text of a line of `tempest run`; empty for none.

        :param line: without its line end
        """
        match = TEST_ENDED.fullmatch(line.decode(errors='replace').strip())
        if match is None:
            return ''
        test = match['test']
        fixture = CLASS_FIXTURE.fullmatch(test)
        # A class that is skipped or fails as a whole has one line for all.
        self._pending = {
            each for each in self._pending if not (
                each.startswith(fixture['cls'] + '.') if fixture
                else each == test)}
        if self._total:
            done = f'{self._total - len(self._pending)} of {self._total}'
        else:
            self._ended += 1
            done = str(self._ended)
        name = test if '(' in test else test.rpartition('.')[2]
        return f'test {name}: {match["outcome"]} ({done})'


def _drain(line: schema.DrainStarted | schema.DrainResult) -> str:
    return (f'{line.drain}: {line.servers} '
            f'{"server" if line.servers == 1 else "servers"} from '
            f'{line.source or "several hosts"} to '
            f'{line.destination or "other hosts"}, {line.strategy}, round '
            f'trip {line.round_trip}')


class _Tail:
    """Complete lines that are appended to a file, which need not exist yet."""

    def __init__(self, path: pathlib.Path, offset: int = 0) -> None:
        self._path = path
        self._offset = offset

    def __iter__(self) -> Iterator[bytes]:
        try:
            stream = open(self._path, 'rb')
        except FileNotFoundError:
            return
        with stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b'\n'):
                    return
                self._offset += len(line)
                yield line[:-1]


class RunFollower:
    """Reads the files that a run writes.

    :param results: directory of the results files
    :param log: file with the output of `tempest run`
    :param progress: turns their lines into lines of progress
    """

    def __init__(self, results: pathlib.Path, log: pathlib.Path,
                 progress: RunProgress) -> None:
        self._results = results
        self._log = _Tail(log)
        self._progress = progress
        # Lines of an earlier run are no news.
        self._tails = {path: _Tail(path, path.stat().st_size)
                       for path in results.glob('*' + store.SUFFIX)}

    def news(self) -> Iterator[str]:
        """Yield the lines of progress since the last call."""
        for path in sorted(self._results.glob('*' + store.SUFFIX)):
            tail = self._tails.setdefault(path, _Tail(path))
            yield from filter(None, map(self._progress.result, tail))
        yield from filter(None, map(self._progress.output, self._log))


def follow(run: TempestRun, follower: RunFollower,
           signals: utils.SignalHandler, say: Callable[[str], object],
           cleanup_s: float, limit_s: float = float('inf')) -> int | None:
    """Report progress until the tests have ended; return their exit code.

    The first signal lets the current test delete its resources; a second one
    kills it. An error kills it as well: tests must not go on without anybody
    to clean up after them.

    :param run: the tests
    :param follower: reads their progress
    :param signals: counts the signals
    :param say: called with each line of progress
    :param cleanup_s: limit for the cleanup after a signal, in seconds
    :param limit_s: limit for the tests, in seconds
    :returns: None if they took too long, or a second signal came, and they
        were killed
    """
    seen, deadline_s = 0, time.monotonic() + limit_s
    try:
        while True:
            code = run.wait(POLL_S)
            for line in follower.news():
                say(line)
            if code is not None:
                return code
            if signals.count > seen:
                seen = signals.count
                deadline_s = 0.0
                if seen == 1:
                    # First of all: printing may block.
                    run.interrupt()
                    say(f'{signals.name}: the current test ends and deletes '
                        f'its resources, which may take up to {cleanup_s:g} '
                        's. A second signal kills it.')
                    deadline_s = time.monotonic() + cleanup_s
            if time.monotonic() > deadline_s:
                run.kill()
                return None
    except BaseException:
        run.kill()
        raise
