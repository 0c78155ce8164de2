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

"""Runs the command that was asked for; imports what only it needs."""

import argparse
import pathlib

from lab import cli
from lab import everything
from lab import layout as layouts
from lab import lifecycle
from lab import topology as topologies
from lab import use


def run(options: argparse.Namespace, layout: layouts.Layout) -> int:
    """Run a command.

    :param options: what :func:`lab.cli.parse` returned
    :param layout: paths of the lab
    :returns: exit code
    """
    match options.command:
        case None:
            return everything.run(layout, cli.topology(options),
                                  options.keep)
        case 'up':
            # What is not asked for does not end the cloud that is up.
            lifecycle.up(layout, cli.topology(options),
                         options.storage is not None)
            return 0
        case 'run':
            return use.run(layout, options.arguments, options.profile)
        case 'exec':
            return use.execute(layout, options.host, options.arguments,
                               pathlib.Path.cwd())
        case 'faults':
            return use.execute(
                layout, topologies.CONTROLLER.name,
                ['python', '-m', 'lab.faults', *options.arguments],
                layouts.REPOSITORY)
        case 'status':
            return use.status(layout)
        case 'logs':
            return use.logs(layout, options.service, options.lines,
                            options.follow)
    raise ValueError(f'command {options.command!r} is not known')
