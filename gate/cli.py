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

"""Parse the command line of ``tools/run-zuul.sh``."""

from __future__ import annotations

import argparse
import typing

from gate import patches

DESCRIPTION = """\
A real, unpatched Zuul on this one machine. Its job runs the lab
(tools/run-lab.sh), and Zuul merges a change of nova or of this project only if
the job passes.

Without a command: install missing packages, start Zuul, and show that it
merges a good change of nova, refuses one that brings back an old bug, and
tests and merges a change together with the change that it depends on. Then
end Zuul. The exit code is 0 if all of that was seen.
"""
EPILOG = """\
Zuul runs in namespaces of its own and opens no port of the machine. Changes
come in through Zuul's own gerrit driver; the review server behind it is a
small stand-in. State is kept in .zuul/ in the repository; LM_ZUUL_DIR names
another folder.
"""


def _start_options(**settings: typing.Any) -> argparse.ArgumentParser:
    """Return a parser of the options of a Zuul that is started."""
    parser = argparse.ArgumentParser(add_help=False, **settings)
    parser.add_argument(
        '--nova', metavar='PATH', help='checkout of nova whose last commit '
        'is the branch that changes go to (default: the source package of '
        'the pinned release, from PyPI)')
    parser.add_argument(
        '--job', metavar='NAME', help='run this job for each change; '
        f'show-changes tries Zuul without a lab (default: {patches.JOB})')
    parser.add_argument(
        '--tests', metavar='REGEX', help='tests that the job runs (default: '
        "the job's own choice; without a command: one short test)")
    return parser


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog='run-zuul.sh', description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_start_options()])
    top.set_defaults(nova='', job=patches.JOB, tests='')
    commands = top.add_subparsers(dest='command', metavar='COMMAND')
    # SUPPRESS: a missing option must not override one before the command.
    commands.add_parser(
        'up', parents=[_start_options(argument_default=argparse.SUPPRESS)],
        help='install missing packages and start Zuul')
    commands.add_parser('status', help='list services, changes and builds')
    change = commands.add_parser(
        'change', help='give Zuul a change, and follow it',
        description='Gives Zuul the last commit of a checkout of nova or of '
        'this project as a new change, and follows it until Zuul votes. Exit '
        'code: 0 if it passes, 1 if it does not.')
    change.add_argument('path', nargs='?', metavar='PATH',
                        help='checkout of nova or of this project')
    change.add_argument('--revision', metavar='REV', default='HEAD',
                        help='branch or commit (default: HEAD)')
    change.add_argument('--bug', metavar='NAME', help='instead of a path: '
                        'an old bug of nova; known: '
                        f'{", ".join(patches.bugs())}')
    change.add_argument('--depends-on', metavar='NUMBER', type=int,
                        help='a change that this one needs')
    change.add_argument('--approve', action='store_true',
                        help='if it passes, the same as the command approve')
    approve = commands.add_parser(
        'approve', help='approve a change that passed, and follow it through '
        'the gate until it is merged or refused')
    approve.add_argument('number', metavar='NUMBER', type=int)
    picture = commands.add_parser(
        'picture', help="take a picture of one of Zuul's pages with Chromium")
    picture.add_argument('page', nargs='?', default='status',
                         metavar='PAGE', help='such as status, builds, jobs '
                         '(default: %(default)s)')
    freeze = commands.add_parser(
        'freeze', help='compare the variables of our devstack jobs, with '
        'their real parents, with the documentation',
        description='Zuul, which is up, reads the definitions of other '
        'projects from checkouts, and says which variables each node of our '
        'jobs gets. Exit code: 0 if they agree with the documentation.')
    freeze.add_argument(
        'checkouts', nargs='+', metavar='[PROJECT=]PATH',
        help='checkout of a project with parents of our jobs: devstack, '
        'tempest, devstack-plugin-ceph, openstack-zuul-jobs, zuul-jobs, ...; '
        'PROJECT, such as zuul/zuul-jobs, if the checkout has no .gitreview')
    commands.add_parser(
        'down', help='end Zuul and its jobs; keep logs and all that is '
        'installed')
    commands.add_parser('destroy',
                        help='end Zuul and delete the state folder')
    return top


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line.

    :param arguments: without the program's name
    :returns: the options; ``command`` is None for the demonstration
    :raises SystemExit: for wrong usage (2), or after --help (0)
    """
    top = parser()
    options = top.parse_args(arguments)
    if options.command not in (None, 'up') and (
            options.nova or options.tests or options.job != patches.JOB):
        top.error('--nova, --job and --tests go with "up", or with no '
                  'command')
    if options.command == 'change' and (
            (options.path is None) == (options.bug is None)):
        top.error('change: give either the PATH of a checkout or --bug NAME')
    return options
