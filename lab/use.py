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

"""Commands that use a cloud; they run in Tempest's virtualenv."""

import argparse
import pathlib
import shutil
import signal
import subprocess

import rich.console
import rich.table

from lab.bugs import loader
from lab import cli
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab import lifecycle
from lab.machine import overlays
from lab.machine import sources
from lab import reload
from lab.services import base
from lab import supervisor
from lab.topology import CONTROLLER
from lab.topology import Topology
from lab import workspace

#: Exit code of ``status`` when no lab is up, the same as systemctl's.
NOT_UP = 3


def dispatch(options: argparse.Namespace, paths: layout.Layout) -> int:
    """Run the command that the command line names.

    :param options: result of :func:`lab.cli.parse`
    :param paths: paths of the lab
    :returns: exit code
    """
    match options.command:
        case None:
            return run_everything(paths, cli.chosen_topology(options),
                                  options.keep)
        case 'up':
            # A cloud that is up keeps its storage unless the user names one.
            lifecycle.up(paths, cli.chosen_topology(options),
                         options.storage is not None, options.reload)
            _tell_bugs(paths)
            return 0
        case 'run':
            return run_tempest(paths, options.arguments, options.profile)
        case 'exec':
            return execute(paths, options.host, options.arguments,
                           pathlib.Path.cwd())
        case 'faults':
            return execute(
                paths, CONTROLLER.name,
                ['python', '-m', 'lab.faults',
                 *(['--list'] if options.list_faults else []),
                 *([f'--part={options.part}'] if options.part else []),
                 *options.arguments],
                layout.REPOSITORY)
        case 'bugs':
            return put_bugs(paths, options)
        case 'gate':
            return gate(paths, options)
        case 'status':
            return status(paths)
        case 'logs':
            return logs(paths, options.service, options.lines,
                        options.follow)
    raise ValueError(f'command {options.command!r} is not known')


def run_everything(paths: layout.Layout, topology: Topology,
                   keep: bool) -> int:
    """Start a cloud, run the tests, end the cloud.

    :param paths: paths of the lab
    :param topology: the hosts
    :param keep: leave the cloud running
    :returns: Tempest's exit code
    """
    was_up = lifecycle.running(paths) is not None
    lifecycle.up(paths, topology)
    try:
        return run_tempest(paths, cli.DEFAULT_RUN)
    finally:
        # A cloud that was up before is not ours to end.
        if keep or was_up:
            print('The cloud is left running: tools/run-lab.sh down ends it.')
        else:
            sandbox.down(paths)


def run_tempest(paths: layout.Layout, arguments: list[str],
                profile: pathlib.Path | None = None) -> int:
    """Run Tempest, and print and write a report of its results.

    :param paths: paths of the lab
    :param arguments: arguments of ``tempest run``
    :param profile: file with options that override those of the lab
    :returns: exit code of Tempest
    :raises errors.LabError: if the profile cannot be read
    """
    _tell_bugs(paths)
    command = ['tempest', 'run', *arguments]
    if profile is not None:
        try:
            added = profile.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise errors.LabError(
                f'The profile {profile} cannot be read: {error}.') from error
        # The profile comes last, where it counts.
        path = paths.tempest_conf.with_name('tempest-with-profile.conf')
        layout.write(path, f'{paths.tempest_conf.read_text()}\n{added}',
                     mode=0o600)
        command = ['env', f'TEMPEST_CONFIG={path.name}', *command]
    earlier = set(paths.results.glob('*.jsonl'))
    exit_code = execute(paths, CONTROLLER.name, command, paths.workspace)
    _report(paths, sorted(set(paths.results.glob('*.jsonl')) - earlier))
    print(f'Results: {paths.workspace} (tools/run-lab.sh exec -- stestr -d '
          f'{paths.workspace} last; logs/tempest.log)')
    return exit_code


def _report(paths: layout.Layout, results: list[pathlib.Path]) -> None:
    """Print a report of results files, and write it as a page beside them."""
    # A run that migrated nothing has no results.
    if not results:
        return
    page = results[0].with_suffix('.html')
    command = ['tempest', 'live-migration-ha', 'report', *map(str, results)]
    for target in ([], ['-o', str(page)]):
        if execute(paths, CONTROLLER.name, [*command, *target],
                   paths.workspace):
            print('There is no report: see above.')
            return
    print(f'Report: {page}')


def execute(paths: layout.Layout, host: str, command: list[str],
            folder: pathlib.Path) -> int:
    """Run a command inside a host, with the cloud's credentials.

    :param paths: paths of the lab
    :param host: name of the host
    :param command: program and arguments
    :param folder: its working directory
    :returns: its exit code
    :raises errors.LabError: if no cloud is up or it has no such host
    """
    process, topology = _require_cloud(paths)
    names = [each.name for each in topology.hosts]
    if host not in names:
        raise errors.LabError(f'The cloud has no host {host!r}, only '
                              f'{", ".join(names)}.')
    values = workspace.environment(paths)
    return _wait(subprocess.Popen(
        [*sandbox.enter(process, host, folder), *command],
        env=sandbox.environment(**values)))


def put_bugs(paths: layout.Layout, options: argparse.Namespace) -> int:
    """Put old bugs of nova into the cloud, or list them.

    :param paths: paths of the lab
    :param options: of the command line
    :returns: exit code
    :raises errors.LabError: if no cloud is up
    """
    if options.bugs_mode == '--list':
        # Imported here: it needs Tempest, which takes seconds.
        from lab.bugs import __main__ as bugs
        bugs.print_list()
        return 0
    return execute(
        paths, CONTROLLER.name,
        ['python', '-m', 'lab.bugs', *filter(None, [options.bugs_mode]),
         *options.arguments], layout.REPOSITORY)


def gate(paths: layout.Layout, options: argparse.Namespace) -> int:
    """Tell whether a change of nova makes live migrations fail or worse.

    A cloud that was not up is started before, and ended at the end.

    :param paths: paths of the lab
    :param options: of the command line
    :returns: exit code
    :raises errors.LabError: if an argument is wrong, or nova cannot be built
    """
    # Imported here: it needs scipy, which takes a second.
    from lab.gate import preparation
    plan = preparation.plan(paths, options.checkout, options.base,
                            options.profile, 60 * options.limit)
    print(plan.describe(), flush=True)
    was_up = lifecycle.running(paths) is not None
    if not was_up:
        lifecycle.up(paths, Topology())
    try:
        _tell_bugs(paths)
        # Nobody else may switch nova meanwhile.
        with layout.locked(paths):
            plan = preparation.install(paths, plan)
            return execute(paths, CONTROLLER.name,
                           ['python', '-m', 'lab.gate', plan.as_json()],
                           layout.REPOSITORY)
    finally:
        if not was_up:
            sandbox.down(paths)


def _tell_bugs(paths: layout.Layout) -> None:
    """Print the bugs that nova has in the cloud that is up, if any."""
    names = loader.active(paths.cloud / loader.FOLDER)
    # The file of a cloud that has ended remains until the next one starts.
    if names and lifecycle.running(paths) is not None:
        print(f'In this cloud, tools/run-lab.sh bugs has put '
              f'{", ".join(names)} into nova: tools/run-lab.sh bugs --clear '
              f'takes that out.', flush=True)


def _require_cloud(paths: layout.Layout
                   ) -> tuple[sandbox.Process, Topology]:
    process = sandbox.find(paths.root)
    topology = lifecycle.running(paths)
    if process is None or topology is None:
        raise errors.LabError(
            f'No cloud is up in {paths.root}: start it with '
            f'tools/run-lab.sh up.', status=NOT_UP)
    return process, topology


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child that receives Ctrl-C as well as this process."""
    while True:
        try:
            exit_code = child.wait()
            # A signal's number and 128, as in a shell.
            return exit_code if exit_code >= 0 else 128 - exit_code
        except KeyboardInterrupt:
            # The child may clean up; a second Ctrl-C kills it.
            signal.signal(signal.SIGINT, lambda *_: child.kill())


def status(paths: layout.Layout) -> int:
    """Print every service, whether it is up, and the path of its log.

    :param paths: paths of the lab
    :returns: 0 if all are up, 1 if one is not
    """
    process, topology = _require_cloud(paths)
    states = supervisor.Supervisor(
        sandbox.inside(process, layout.SUPERVISOR_SOCKET)).states()
    hosts = {program.identifier: program.host
             for program in base.Lab(paths, topology).programs}
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
    told = [f'nova on {host}: {overlays.describe(virtualenv)}' for
            host, virtualenv in reload.current(paths, topology).items()]
    # Of the others, all hosts have the same.
    told += [f'{name}: {overlays.describe(virtualenv, name)}'
             for project in base.Lab(paths, topology).projects
             for virtualenv in reload.current(
                 paths, topology, project).values()
             for name in overlays.projects(virtualenv) if name != sources.NOVA]
    for line in dict.fromkeys(told):
        console.print(line)
    _tell_bugs(paths)
    return 0 if all(state.up for state in states) else 1


def logs(paths: layout.Layout, service: str, lines: int,
         follow: bool) -> int:
    """Print the log of a service, also after the cloud has ended.

    :param paths: paths of the lab
    :param service: a name that :func:`status` prints
    :param lines: number of lines from the end of the log
    :param follow: whether to wait for more lines and print them
    :returns: exit code
    :raises errors.LabError: if there is no such log
    """
    log = paths.log / f'{service}.log'
    if log.parent != paths.log or not log.exists():
        known = ', '.join(sorted(path.stem
                                 for path in paths.log.glob('*.log')))
        raise errors.LabError(
            f'There is no log of {service!r} in {paths.log}; '
            f'there is {known or "none at all"}.')
    tail = shutil.which('tail') or '/usr/bin/tail'
    return _wait(subprocess.Popen(
        [tail, f'--lines={lines}', *(['--follow'] if follow else []), log]))
