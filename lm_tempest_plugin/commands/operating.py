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

"""What bootstrap and verify have in common."""

import argparse
import contextlib
import os
from typing import TextIO

from cliff import command

from lm_tempest_plugin.operator import bootstrap
from lm_tempest_plugin.operator import configuration
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import workspace

CANNOT = 2


class OperatorCommand(command.Command):
    """A command on a cloud of clouds.yaml."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--os-cloud', metavar='NAME', required=True,
            help='the cloud\'s name in clouds.yaml; its account has to be an '
            'administrator\'s, with user and password')
        parser.add_argument(
            '--image', metavar='FILE_OR_NAME', default='',
            help='image of the guests: a file, which is uploaded, or the '
            'name or id of one that all projects can use (default: the one '
            'of before)')
        parser.add_argument(
            '--ssh-user', metavar='USER', default='',
            help='who logs in to guests (default: what the image says)')
        parser.add_argument(
            '--network', metavar='NAME', default='',
            help='network over which guests are reached from here: an '
            'external one, of which they get floating addresses, or one '
            'that is shared (default: the only one there is)')
        parser.add_argument(
            '--flavors', metavar='SMALL,MEDIUM,LARGE', default='',
            help='names or ids of flavors to use (default: lm.small, '
            'lm.medium and lm.large, made where they are missing)')
        parser.add_argument(
            '--storage', choices=configuration.STORAGES, default='',
            help='where disks of servers are, which no API tells for sure: '
            'block for disks of the hosts, shared for Ceph and the like')
        parser.add_argument(
            '--config', metavar='FILE', default='',
            help='options of tempest.conf that come after those that are '
            'written, such as access to hosts')
        parser.add_argument(
            '--workspace', metavar='DIRECTORY', default='',
            help='for tempest.conf, logs and results (default: '
            'live-migration-ha-NAME)')
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Return the exit code; what cannot be done is told on stderr."""
        try:
            return int(super().run(parsed_args) or 0)
        except errors.OperatorError as exc:
            _put(self.app.stderr, str(exc))
            return CANNOT

    def say(self, text: str) -> None:
        """Print a line, now; on stderr once nobody reads stdout."""
        if not _put(self.app.stdout, text):
            self.app.stdout = self.app.stderr
            _put(self.app.stdout, text)


def _put(stream: TextIO, text: str) -> bool:
    """Print a line; return whether that could be done.

    A pipe whose reader has ended or a terminal that is gone ends nothing
    here: what was made has to be deleted all the same.
    """
    try:
        print(text, file=stream, flush=True)
    except OSError:
        _discard(stream)
        return False
    return True


def _discard(stream: TextIO) -> None:
    """Let a stream go nowhere: Python writes what it holds as it ends."""
    with contextlib.suppress(OSError), open(os.devnull, 'wb') as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def wishes(parsed_args: argparse.Namespace) -> bootstrap.Wishes:
    """Return what was asked for."""
    return bootstrap.Wishes(
        parsed_args.image, parsed_args.ssh_user, parsed_args.network,
        parsed_args.flavors, parsed_args.storage, parsed_args.config)


def directory(parsed_args: argparse.Namespace) -> workspace.Workspace:
    """Return where files go."""
    return workspace.Workspace(
        parsed_args.workspace or
        'live-migration-ha-%s' % parsed_args.os_cloud)
