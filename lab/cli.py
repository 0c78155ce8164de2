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

"""The command line of ``tools/run-lab.sh``."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import typing

from lab import topology as topologies

DESCRIPTION = """\
A real OpenStack cloud with several compute hosts on this one machine, and
Tempest running against it.

Without a command: install what is missing, start the cloud, run
"tempest run --regex live_migration_ha", stop the cloud, and exit with
Tempest's exit code.
"""
EPILOG = """\
State lies in .lab/ in the repository; LM_LAB_DIR names another folder.
What "up" makes lives until "down"; installed packages, the guest image,
prepared databases and test results stay until "destroy".
"""
#: Commands that may start a cloud.
STARTING = (None, 'up')
DEFAULT_RUN = ['--regex', 'live_migration_ha']


def _number(low: int, high: int) -> typing.Callable[[str], int]:
    """The type of an option that takes a whole number within bounds."""
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a number from {low} to {high}')
        return number
    return convert


def _lines(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of lines')
    return int(text)


def _cloud_options(**settings: typing.Any) -> argparse.ArgumentParser:
    """What one can choose when a cloud is started."""
    parser = argparse.ArgumentParser(add_help=False, **settings)
    parser.add_argument(
        '--computes', metavar='N',
        type=_number(topologies.MIN_COMPUTES, topologies.MAX_COMPUTES),
        help='how many compute hosts (default: 2)')
    parser.add_argument(
        '--storage', choices=topologies.STORAGES,
        help="where guests' disks live; block: local qcow2 files (the "
        'default); ceph: a Ceph cluster of the lab; "up" with another one '
        'starts a cloud that is up anew, if it has no servers')
    parser.add_argument(
        '--kvm', action='store_const', const=True,
        help='run guests under KVM instead of software emulation')
    parser.add_argument(
        '--max-concurrent-live-migrations', metavar='N',
        type=_number(topologies.MIN_CONCURRENT, topologies.MAX_CONCURRENT),
        help='how many live migrations a compute host runs at once '
        "(default: 1, as nova's)")
    parser.add_argument(
        '--volumes', action='store_const', const=True,
        help='with --storage ceph: cinder as well, with volumes in the Ceph '
        'cluster; "up" starts a cloud that is up without it anew, if it has '
        'no servers')
    return parser


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog='run-lab.sh', description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_cloud_options()])
    top.add_argument('--keep', action='store_true',
                     help='leave the cloud running after the tests')
    commands = top.add_subparsers(dest='command', metavar='COMMAND')

    # Left out, they do not overwrite what stands before the command.
    commands.add_parser(
        'up', parents=[_cloud_options(argument_default=argparse.SUPPRESS)],
        help='install what is missing and start the cloud')
    run = commands.add_parser(
        'run', help='run Tempest against the cloud',
        usage="run-lab.sh run [--profile FILE] [tempest run's arguments]",
        description='Runs "tempest run" in the workspace of the lab; without '
        f'arguments with "{" ".join(DEFAULT_RUN)}".')
    run.add_argument('--profile', metavar='FILE', help='options that come '
                     "after those of the lab's tempest.conf, such as "
                     'etc/lab-matrix.conf')
    run.add_argument('arguments', nargs='*',
                     help='arguments of "tempest run", as they are')
    execute = commands.add_parser(
        'exec', help='run a command inside of the controller or a host',
        usage='run-lab.sh exec [--host HOST] -- COMMAND [ARGUMENT ...]')
    execute.add_argument(
        '--host', default=topologies.CONTROLLER.name,
        help='controller, compute1, compute2, ... (default: %(default)s)')
    execute.add_argument('arguments', nargs=argparse.REMAINDER,
                         metavar='COMMAND')
    commands.add_parser(
        'status', help='list every service, whether it is up, and its log')
    _add_logs(commands)
    faults = commands.add_parser(
        'faults', help='inject faults during live migrations and print what '
        'was said of them', description='Injects each fault into the cloud '
        'that is up, moves servers meanwhile, and holds the verdict against '
        'what was done, against libvirt, and against what is left over.')
    faults.add_argument('arguments', nargs='*', metavar='NAME',
                        help='names of faults (default: all; a wrong one '
                        'gets the list)')
    commands.add_parser('down', help='end the cloud; keep what is installed')
    commands.add_parser('destroy',
                        help='end the cloud and delete the state folder')
    return top


def _add_logs(commands: typing.Any) -> None:
    """Add the command "logs"."""
    logs = commands.add_parser('logs', help='print the log of a service')
    logs.add_argument('service', metavar='SERVICE',
                      help='a name that "status" shows')
    logs.add_argument('--lines', type=_lines, default=100, metavar='N',
                      help='how many of the last lines '
                      '(default: %(default)s)')
    logs.add_argument('--follow', '-f', action='store_true',
                      help='go on printing what is added')


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line.

    :param arguments: without the program's name
    :returns: the options; ``command`` is None for the run of everything
    :raises SystemExit: for wrong usage (2), or after --help (0)
    """
    # Everything behind "run" belongs to Tempest, options too.
    if arguments[:1] == ['run'] and arguments[1:2] not in (['-h'], ['--help']):
        return _parse_run(arguments[1:])
    top = parser()
    options = top.parse_args(arguments)
    if options.keep and options.command:
        top.error(f'--keep does not go with {options.command}')
    if options.command not in STARTING:
        _refuse_cloud_options(top, options)
    elif options.volumes and options.storage != topologies.CEPH:
        top.error(
            f'--volumes does not go with --storage {topologies.BLOCK}'
            f'{"" if options.storage else ", the default"}: volumes live in '
            f'the Ceph cluster of --storage {topologies.CEPH}')
    if options.command == 'exec':
        if options.arguments[:1] == ['--']:
            del options.arguments[0]
        if not options.arguments:
            top.error('exec: which command? run-lab.sh exec [--host HOST] -- '
                      'COMMAND')
    return options


def _parse_run(arguments: list[str]) -> argparse.Namespace:
    """Parse what comes after "run": a profile, and what is Tempest's."""
    profile = None
    if arguments[:1] == ['--profile']:
        if len(arguments) < 2:
            parser().error('run --profile: which file?')
        profile, arguments = pathlib.Path(arguments[1]), arguments[2:]
    return argparse.Namespace(command='run', profile=profile,
                              arguments=arguments or DEFAULT_RUN)


def _refuse_cloud_options(top: argparse.ArgumentParser,
                          options: argparse.Namespace) -> None:
    """Refuse what has no meaning for a cloud that is up already."""
    for field in dataclasses.fields(topologies.Topology):
        if getattr(options, field.name) is not None:
            top.error(f'--{field.name.replace("_", "-")} does not go with '
                      f'{options.command}')


def topology(options: argparse.Namespace) -> topologies.Topology:
    """The hosts that the options ask for."""
    asked = {field.name: getattr(options, field.name)
             for field in dataclasses.fields(topologies.Topology)}
    return topologies.Topology(**{name: value for name, value
                                  in asked.items() if value is not None})
