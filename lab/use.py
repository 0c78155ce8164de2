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

"""Works with a cloud that is up: Tempest, commands, services, logs."""

import pathlib
import shutil
import signal
import subprocess

import rich.console
import rich.table

from lab.cloud import programs
from lab.cloud import supervisor as supervisors
from lab import errors
from lab import files
from lab.hosts import sandbox
from lab import layout as layouts
from lab import lifecycle
from lab import topology as topologies
from lab import workspace

#: Exit code of ``status`` when no lab is up, as systemctl has it.
NOT_UP = 3


def _entrance(layout: layouts.Layout
              ) -> tuple[sandbox.Process, topologies.Topology]:
    process = sandbox.find(layout.root)
    topology = lifecycle.running(layout)
    if process is None or topology is None:
        raise errors.LabError(
            f'No cloud is up in {layout.root}: start it with '
            f'tools/run-lab.sh up.', status=NOT_UP)
    return process, topology


def execute(layout: layouts.Layout, host: str, command: list[str],
            folder: pathlib.Path) -> int:
    """Run a command inside of a host, with credentials of the cloud.

    :param layout: paths of the lab
    :param host: name of the host
    :param command: program and arguments
    :param folder: where it is to run
    :returns: its exit code
    :raises errors.LabError: if no cloud is up or it has no such host
    """
    process, topology = _entrance(layout)
    names = [each.name for each in topology.hosts]
    if host not in names:
        raise errors.LabError(f'The cloud has no host {host!r}, only '
                              f'{", ".join(names)}.')
    values = workspace.environment(layout)
    return _wait(subprocess.Popen(
        [*sandbox.enter(process, host, folder), *command],
        env=sandbox.environment(**values)))


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child that Ctrl-C reaches as well as us."""
    while True:
        try:
            status = child.wait()
            # As a shell has it: a signal's number and 128.
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            # The child decides what to clean up; a second one ends it.
            signal.signal(signal.SIGINT, lambda *_: child.kill())


def run(layout: layouts.Layout, arguments: list[str],
        profile: pathlib.Path | None = None) -> int:
    """Run Tempest, and sum up the records that it writes.

    :param layout: paths of the lab
    :param arguments: of ``tempest run``
    :param profile: file with options that come after those of the lab
    :returns: its exit code
    :raises errors.LabError: if the profile cannot be read
    """
    command = ['tempest', 'run', *arguments]
    if profile is not None:
        command = ['env', f'TEMPEST_CONFIG={_combine(layout, profile)}',
                   *command]
    earlier = set(layout.records.glob('*.jsonl'))
    status = execute(layout, topologies.CONTROLLER.name, command,
                     layout.workspace)
    _sum_up(layout, sorted(set(layout.records.glob('*.jsonl')) - earlier))
    print(f'Results: {layout.workspace} (tools/run-lab.sh exec -- stestr -d '
          f'{layout.workspace} last; logs/tempest.log)')
    return status


def _sum_up(layout: layouts.Layout, records: list[pathlib.Path]) -> None:
    """Print what files of records say, and write a report of it.

    A run that moved no server has none.
    """
    if not records:
        return
    page = records[0].with_suffix('.html')
    command = ['tempest', 'live-migration-ha', 'report', *map(str, records)]
    for target in ([], ['-o', str(page)]):
        if execute(layout, topologies.CONTROLLER.name, [*command, *target],
                   layout.workspace):
            print('There is no report: see above.')
            return
    print(f'Report: {page}')


def _combine(layout: layouts.Layout, profile: pathlib.Path) -> str:
    """Write a tempest.conf with a profile at its end, where it counts.

    :returns: its name, in the folder of tempest.conf
    """
    try:
        added = profile.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.LabError(
            f'The profile {profile} cannot be read: {error}.') from error
    path = layout.tempest_conf.with_name('tempest-with-profile.conf')
    files.write(path, f'{layout.tempest_conf.read_text()}\n{added}',
                mode=0o600)
    return path.name


def status(layout: layouts.Layout) -> int:
    """Print every service, whether it is up, and where its log is.

    :param layout: paths of the lab
    :returns: 0 if all are up, 1 if one is not
    """
    process, topology = _entrance(layout)
    supervisor = supervisors.Supervisor(
        sandbox.inside(process, layouts.SUPERVISOR_SOCKET))
    states = supervisor.states()
    hosts = {program.identifier: program.host
             for program in programs.plan(layout, topology)}
    table = rich.table.Table(box=None, pad_edge=False)
    for column in ('HOST', 'SERVICE', 'STATE', 'SINCE', 'LOG'):
        table.add_column(column, no_wrap=True)
    for state in states:
        # A cloud may be older than this checkout's list of programs.
        table.add_row(hosts.get(state.name, '?'), state.name,
                      'up' if state.up else state.state.lower(),
                      state.description, state.log,
                      style=None if state.up else 'bold red')
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = 250
    console.print(table)
    return 0 if all(state.up for state in states) else 1


def logs(layout: layouts.Layout, service: str, lines: int,
         follow: bool) -> int:
    """Print the log of a service, also after the cloud has ended.

    :param layout: paths of the lab
    :param service: a name that :func:`status` shows
    :param lines: how many of the last lines
    :param follow: whether to go on with what is added
    :returns: exit code
    :raises errors.LabError: if there is no such log
    """
    log = layout.log / f'{service}.log'
    if log.parent != layout.log or not log.exists():
        known = ', '.join(sorted(path.stem
                                 for path in layout.log.glob('*.log')))
        raise errors.LabError(
            f'There is no log of {service!r} in {layout.log}; '
            f'there is {known or "none at all"}.')
    tail = shutil.which('tail') or '/usr/bin/tail'
    return _wait(subprocess.Popen(
        [tail, f'--lines={lines}', *(['--follow'] if follow else []), log]))
