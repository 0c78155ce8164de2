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

"""Arguments and output that several commands share."""

import argparse
from collections.abc import Callable
import contextlib
import math
import os
from typing import TextIO

from cliff import command

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import results_files
from lm_tempest_plugin import utils


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return a type for argparse: seconds within bounds."""
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a number of seconds from {low:g} to '
                f'{high:g}')
        return value
    return convert


class CloudCommand(command.Command):
    """A command on a cloud of clouds.yaml."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--os-cloud', metavar='NAME', required=True,
            help='name of the cloud in clouds.yaml; the account needs '
            'administrator\'s rights, a user name and a password')
        parser.add_argument(
            '--image', metavar='FILE_OR_NAME', default='',
            help='image of the guests: a file, which is uploaded, or the '
            'name or id of an image that all projects can use (default: the '
            'last one)')
        parser.add_argument(
            '--ssh-user', metavar='USER', default='',
            help='user for logins to guests (default: chosen by the image)')
        parser.add_argument(
            '--network', metavar='NAME', default='',
            help='network over which this machine reaches guests: an '
            'external one, for floating addresses, or a shared one (default: '
            'the only one that exists)')
        parser.add_argument(
            '--flavors', metavar='SMALL,MEDIUM,LARGE', default='',
            help='names or ids of flavors (default: lm.small, lm.medium and '
            'lm.large, created if they are missing)')
        parser.add_argument(
            '--storage', choices=configuration.STORAGES, default='',
            help='location of the servers\' disks, which no API tells for '
            'sure: block for disks of the hosts, shared for Ceph and the '
            'like')
        parser.add_argument(
            '--config', metavar='FILE', default='',
            help='more options of tempest.conf, such as access to hosts; '
            'they override')
        parser.add_argument(
            '--workspace', metavar='DIRECTORY', default='',
            help='directory for tempest.conf, logs and results (default: '
            'live-migration-ha-NAME)')
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Return the exit code; print an error as one sentence."""
        try:
            return int(super().run(parsed_args) or 0)
        except (setup.SetupError, utils.MissingLibrary,
                results_files.OutputError) as exc:
            _print(self.app.stderr, str(exc))
            return results_files.BAD_INPUT

    def say(self, text: str) -> None:
        """Print a line at once; use stderr if stdout is gone."""
        if not _print(self.app.stdout, text):
            self.app.stdout = self.app.stderr
            _print(self.app.stdout, text)


def _print(stream: TextIO, text: str) -> bool:
    """Print a line; return whether that succeeded.

    A closed pipe or terminal must not end the command: the resources that it
    created have to be deleted all the same.
    """
    try:
        print(text, file=stream, flush=True)
    except OSError:
        # Python flushes the rest at exit, and would fail again.
        with contextlib.suppress(OSError), open(os.devnull, 'wb') as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        return False
    return True


def cloud_arguments(parsed_args: argparse.Namespace
                    ) -> preparation.Arguments:
    """Return the arguments about the cloud."""
    return preparation.Arguments(
        parsed_args.image, parsed_args.ssh_user, parsed_args.network,
        parsed_args.flavors, parsed_args.storage, parsed_args.config)


def find_workspace(parsed_args: argparse.Namespace) -> workspace.Workspace:
    """Return the workspace."""
    return workspace.Workspace(
        parsed_args.workspace or f'live-migration-ha-{parsed_args.os_cloud}')
