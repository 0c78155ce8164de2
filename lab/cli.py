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

"""Parse the command line of ``tools/run-lab.sh``."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import typing

from lab import errors
from lab.machine import sources
from lab import topology

DESCRIPTION = """\
A real OpenStack cloud with several compute hosts on this one machine, and
Tempest running against it.

Without a command: install missing packages, start the cloud, run
"tempest run --regex live_migration_ha", stop the cloud, and exit with
Tempest's exit code.
"""
EPILOG = """\
State is kept in .lab/ in the repository; LM_LAB_DIR names another folder.
A cloud exists from "up" to "down"; installed packages, the guest image,
prepared databases and test results stay until "destroy".
"""
#: Commands that may start a cloud.
STARTING = (None, 'up')
#: Exit code of the gate without a verdict: git bisect run skips the commit.
NO_VERDICT = 125
DEFAULT_RUN = ['--regex', 'live_migration_ha']

Commands: typing.TypeAlias = (
    'argparse._SubParsersAction[argparse.ArgumentParser]')


def _number(low: int, high: int) -> typing.Callable[[str], int]:
    """Return an argparse type for whole numbers within bounds."""
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


def _assignment(owner: str) -> typing.Callable[[str], str]:
    """Return an argparse type for OWNER=VERSION and OWNER=PATH."""
    def convert(text: str) -> str:
        name, _, source = text.partition('=')
        if not name or not source:
            raise argparse.ArgumentTypeError(
                f'{text!r} is neither {owner}=VERSION nor {owner}=PATH')
        return text
    return convert


def _lines(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of lines')
    return int(text)


def _suites(text: str) -> str:
    pairs = [each.strip().partition('=') for each in text.split(',')]
    hosts = [host for host, _, _ in pairs]
    if not all(host and suite for host, _, suite in pairs) or (
            len(set(hosts)) < len(hosts)):
        raise argparse.ArgumentTypeError(
            f'{text!r} has not the form HOST=SUITE, separated by commas, with '
            f'each host once')
    return ','.join(f'{host}={suite}' for host, _, suite in pairs)


def _cloud_options(**settings: typing.Any) -> argparse.ArgumentParser:
    """Return a parser of the options of a cloud that is started."""
    parser = argparse.ArgumentParser(add_help=False, **settings)
    parser.add_argument(
        '--computes', metavar='N',
        type=_number(topology.MIN_COMPUTES, topology.MAX_COMPUTES),
        help='number of compute hosts (default: 2)')
    parser.add_argument(
        '--qemu-on', metavar='HOST=SUITE[,...]', type=_suites,
        help='give single hosts libvirt and QEMU of a newer suite of Debian, '
        'such as compute2=trixie-backports')
    parser.add_argument(
        '--storage', choices=topology.STORAGES,
        help="where guests' disks are kept; block: local qcow2 files (the "
        'default); ceph: a Ceph cluster of the lab; "up" with another storage '
        'replaces a running cloud, if it has no servers')
    parser.add_argument(
        '--kvm', action='store_const', const=True,
        help='run guests under KVM instead of software emulation')
    parser.add_argument(
        '--max-concurrent-live-migrations', metavar='N',
        type=_number(topology.MIN_CONCURRENT, topology.MAX_CONCURRENT),
        help='number of live migrations that a compute host runs at once '
        "(default: 1, the same as nova's)")
    parser.add_argument(
        '--volumes', action='store_const', const=True,
        help='with --storage ceph: add cinder, with volumes in the Ceph '
        'cluster; "up" replaces a running cloud that lacks it, if it has no '
        'servers')
    parser.add_argument(
        '--heat', action='store_const', const=True,
        help='add Heat, which deploys stacks of servers; "up" replaces a '
        'running cloud that lacks it, if it has no servers')
    parser.add_argument(
        '--from', metavar='PROJECT=VERSION|PATH', dest='sources',
        action='append', type=_assignment('PROJECT'),
        help='run this release of a project from PyPI, or the code of this '
        'checkout, with changes that are not committed (default: the pinned '
        'release); any service or library of the cloud, such as neutron or '
        'os-vif; "up" with another one restarts the services that use it, if '
        'there are no servers; may be repeated')
    parser.add_argument(
        '--nova', metavar='VERSION|PATH', dest='sources', action='append',
        type=f'{sources.NOVA}={{}}'.format,
        help='the same as --from nova=VERSION|PATH')
    parser.add_argument(
        '--nova-on', metavar='HOST=VERSION|PATH', action='append',
        type=_assignment('HOST'),
        help='run another nova on one host, such as compute1=33.0.2; may be '
        'repeated')
    return parser


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog='run-lab.sh', description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_cloud_options()])
    top.add_argument('--keep', action='store_true',
                     help='leave the cloud running after the tests')
    commands = top.add_subparsers(dest='command', metavar='COMMAND')
    _add_use(commands)
    _add_experiments(commands)
    _add_gate(commands)
    commands.add_parser(
        'down', help='end the cloud; keep everything that is installed')
    commands.add_parser('destroy',
                        help='end the cloud and delete the state folder')
    return top


def _add_use(commands: Commands) -> None:
    """Add the commands that start, use and show a cloud."""
    # SUPPRESS: a missing option must not override one before the command.
    up = commands.add_parser(
        'up', parents=[_cloud_options(argument_default=argparse.SUPPRESS)],
        help='install missing packages and start the cloud')
    up.add_argument(
        '--reload', action='store_true', default=False,
        help='take the named code, or read the running checkouts again, and '
        'restart the services that use it, also with servers in the cloud')
    run = commands.add_parser(
        'run', help='run Tempest against the cloud',
        usage="run-lab.sh run [--profile FILE] [tempest run's arguments]",
        description='Runs "tempest run" in the workspace of the lab; without '
        f'arguments with "{" ".join(DEFAULT_RUN)}".')
    run.add_argument('--profile', metavar='FILE', help='file with options '
                     "that override those of the lab's tempest.conf, such as "
                     'etc/lab-matrix.conf')
    run.add_argument('arguments', nargs='*',
                     help='arguments of "tempest run", passed on unchanged')
    execute = commands.add_parser(
        'exec', help='run a command inside the controller or a compute host',
        usage='run-lab.sh exec [--host HOST] -- COMMAND [ARGUMENT ...]')
    execute.add_argument(
        '--host', default=topology.CONTROLLER.name,
        help='controller, compute1, compute2, ... (default: %(default)s)')
    execute.add_argument('arguments', nargs=argparse.REMAINDER,
                         metavar='COMMAND')
    commands.add_parser(
        'status', help='list every service with its state and log')
    logs = commands.add_parser('logs', help='print the log of a service')
    logs.add_argument('service', metavar='SERVICE',
                      help='a name that "status" prints')
    logs.add_argument('--lines', type=_lines, default=100, metavar='N',
                      help='number of lines from the end '
                      '(default: %(default)s)')
    logs.add_argument('--follow', '-f', action='store_true',
                      help='wait for more lines and print them')


def _add_experiments(commands: Commands) -> None:
    """Add the commands that break the cloud on purpose."""
    faults = commands.add_parser(
        'faults', help='inject faults during live migrations and print the '
        'verdicts', usage='run-lab.sh faults [--list] [--part N/M] '
        '[NAME ...]', description='Injects each fault into the running cloud '
        'during live migrations, and compares verdict and failed checks with '
        "the fault, with nova's database, with libvirt, and with leftovers "
        'of the servers.')
    faults.add_argument('arguments', nargs='*', metavar='NAME',
                        help='names of faults (default: all)')
    faults.add_argument('--list', dest='list_faults', action='store_true',
                        help='print each fault, and inject none')
    faults.add_argument('--part', metavar='N/M',
                        help='inject only the Nth of M parts')
    bugs = commands.add_parser(
        'bugs', help='put old bugs of nova into the cloud and see whether '
        'tests see them', usage='run-lab.sh bugs [--list | --keep | --clear] '
        '[NAME ...]', description="Puts one bug after the other into nova's "
        'services, runs the smallest test that has to see it, compares the '
        'check that failed with the one that had to, and takes the bug out.')
    bugs.add_argument('arguments', nargs='*', metavar='NAME',
                      help='names of bugs, corrections and controls '
                      '(default: all)')
    modes = bugs.add_mutually_exclusive_group()
    for option, text in (
            ('--list', 'print each bug, and test none'),
            ('--keep', 'put the named bugs in together, test none, and leave '
             'them in'),
            ('--clear', 'take out all bugs, and test none')):
        modes.add_argument(option, dest='bugs_mode', action='store_const',
                           const=option, help=text)


def _add_gate(commands: Commands) -> None:
    gate = commands.add_parser(
        'gate', help='tell whether a change of nova makes live migrations '
        'fail or worse', usage='run-lab.sh gate --nova PATH [--base REV] '
        '[--profile quick|gate] [--limit MINUTES]',
        description='Runs the nova of a checkout and of the revision that it '
        'is compared with in turn on the same cloud, until the '
        'outages, stalls and durations of their live migrations show whether '
        'it is worse. Exit code: 0 no worse, 1 worse or fails, '
        f'{NO_VERDICT} nothing decided.')
    gate.add_argument('--nova', dest='checkout', metavar='PATH',
                      required=True, help='Git checkout of nova with the '
                      'change; uncommitted changes count')
    gate.add_argument('--base', metavar='REV', help='revision of the checkout '
                      'to compare with (default: HEAD if there are '
                      'uncommitted changes, otherwise HEAD^)')
    gate.add_argument('--profile', choices=('quick', 'gate'), default='quick',
                      help='quick: only the comparison, whose live '
                      'migrations go through all checks (the default); gate: '
                      'first all tests, once, with the change')
    gate.add_argument('--limit', metavar='MINUTES', type=_number(1, 1440),
                      default=50, help='limit of the comparison (default: '
                      '%(default)s)')


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line.

    :param arguments: without the program's name
    :returns: the options; ``command`` is None for the run of everything
    :raises SystemExit: for wrong usage (2), or after --help (0)
    """
    # Everything after "run" and its profile belongs to Tempest, options too.
    if arguments[:1] == ['run'] and arguments[1:2] not in (['-h'], ['--help']):
        profile, rest = None, arguments[1:]
        if rest[:1] == ['--profile']:
            if len(rest) < 2:
                parser().error('run --profile: which file?')
            profile, rest = pathlib.Path(rest[1]), rest[2:]
        return argparse.Namespace(command='run', profile=profile,
                                  arguments=rest or DEFAULT_RUN)
    top = parser()
    options = top.parse_args(arguments)
    if options.keep and options.command:
        top.error(f'--keep does not go with {options.command}')
    if options.command not in STARTING:
        # They mean nothing for a cloud that is up already.
        for field in dataclasses.fields(topology.Topology):
            if getattr(options, field.name) is not None:
                name = {'sources': 'from'}.get(field.name, field.name)
                top.error(f'--{name.replace("_", "-")} does not go with '
                          f'{options.command}')
    elif options.volumes and options.storage != topology.CEPH:
        top.error(
            f'--volumes does not go with --storage {topology.BLOCK}'
            f'{"" if options.storage else ", the default"}: volumes live in '
            f'the Ceph cluster of --storage {topology.CEPH}')
    hosts = [each.partition('=')[0] for each in options.nova_on or ()]
    for host in hosts:
        if hosts.count(host) > 1:
            top.error(f'--nova-on names {host} twice')
    if options.command == 'exec':
        if options.arguments[:1] == ['--']:
            del options.arguments[0]
        if not options.arguments:
            top.error('exec: which command? run-lab.sh exec [--host HOST] -- '
                      'COMMAND')
    return options


def chosen_topology(options: argparse.Namespace) -> topology.Topology:
    """Return the hosts that the options ask for.

    :raises errors.LabError: if a source is neither a release nor a checkout,
        a project is not in the cloud, or one is named twice
    """
    asked = {field.name: getattr(options, field.name)
             for field in dataclasses.fields(topology.Topology)}
    if asked['sources']:
        pairs = (each.partition('=') for each in asked['sources'])
        parsed = [sources.Source.parse(source, project)
                  for project, _, source in pairs]
        names = [each.project for each in parsed]
        for name in names:
            if names.count(name) > 1:
                raise errors.LabError(f'--from names {name} twice.')
        asked['sources'] = tuple(f'{each.project}={each.text}'
                                 for each in parsed)
    if asked['nova_on']:
        pairs = (each.partition('=') for each in asked['nova_on'])
        asked['nova_on'] = tuple(
            f'{host}={sources.Source.parse(source).text}'
            for host, _, source in pairs)
    return topology.Topology(**{name: value for name, value
                                in asked.items() if value is not None})
