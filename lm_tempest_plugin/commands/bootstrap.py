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

"""tempest live-migration-ha bootstrap: prepare a cloud for `tempest run`."""

import argparse
import dataclasses
from typing import TextIO

from cliff import command

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import canaries
from lm_tempest_plugin.cloud.setup import cleanup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import common
from lm_tempest_plugin import utils


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
                common.OutputError) as exc:
            _print(self.app.stderr, str(exc))
            return common.BAD_INPUT

    def say(self, text: str) -> None:
        """Print a line at once; use stderr if stdout is gone."""
        if not _print(self.app.stdout, text):
            self.app.stdout = self.app.stderr
            _print(self.app.stdout, text)


class BuildCommand(CloudCommand):
    """A command that builds resources in a cloud."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--image', metavar='FILE_OR_NAME', default='',
            help='image of the guests: a file, which is uploaded, or the '
            'name or id of an image that all projects can use (default: the '
            'image of the last call in this workspace)')
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
            '--deploy-by', choices=('nova', 'heat'), default='',
            help='service that deploys the servers of the tests: nova itself '
            '(the default), or Heat, by a stack')
        return parser


def _print(stream: TextIO, text: str) -> bool:
    """Print a line; return whether that succeeded.

    A closed pipe or terminal must not end the command: the resources that it
    created have to be deleted all the same.
    """
    try:
        common.write_stream(stream, f'{text}\n')
    except OSError:
        return False
    return True


def cloud_arguments(parsed_args: argparse.Namespace
                    ) -> preparation.Arguments:
    """Return the arguments about the cloud."""
    return preparation.Arguments(**{
        each.name: getattr(parsed_args, each.name)
        for each in dataclasses.fields(preparation.Arguments)})


def find_workspace(parsed_args: argparse.Namespace) -> workspace.Workspace:
    """Return the workspace."""
    return workspace.Workspace(
        parsed_args.workspace or f'live-migration-ha-{parsed_args.os_cloud}')


class Bootstrap(BuildCommand):
    """Create the resources that the tests need, and write tempest.conf.

    Existing resources are used; a second call creates nothing. Resources that
    it creates are marked, and --delete deletes exactly these.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--canaries', metavar='NUMBER', type=_canaries, default=0,
            help='build so many servers on each compute host and keep them: '
            'before an upgrade, so that profile upgrade or verify --canaries '
            'moves them after it (default: build none)')
        parser.add_argument(
            '--delete', action='store_true',
            help='delete the created resources, and report those in use')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Create or delete the resources.

        :returns: 0, or 1 if a resource could not be deleted
        :raises SetupError: the cloud or an argument does not allow it
        """
        files = find_workspace(parsed_args)
        if parsed_args.delete:
            return int(not delete(parsed_args.os_cloud, files, self.say))
        try:
            create(parsed_args.os_cloud, cloud_arguments(parsed_args), files,
                   self.say, parsed_args.canaries)
        except KeyboardInterrupt:
            self.say('Resources that were created remain: the same command '
                     'continues with them, and --delete deletes them.')
            raise
        self.say(f'To run the tests: cd {files.directory} && tempest run '
                 '--regex live_migration_ha')
        return 0


def _canaries(text: str) -> int:
    """Return a number of canaries.

    :raises ArgumentTypeError: it is no number, or out of bounds
    """
    if text.isdecimal() and 1 <= int(text) <= canaries.MOST:
        return int(text)
    raise argparse.ArgumentTypeError(
        f'{text!r} is no number from 1 to {canaries.MOST}')


def create(cloud: str, wanted: preparation.Arguments,
           files: workspace.Workspace, say: preparation.Say,
           number: int = 0) -> None:
    """Create all missing resources, and write tempest.conf.

    :param cloud: name of the cloud in clouds.yaml
    :param wanted: arguments of the command
    :param files: the workspace
    :param say: called with each line of progress
    :param number: number of canaries for each compute host
    :raises SetupError: the cloud or an argument does not allow it; resources
        that were created remain, and the next call uses them
    """
    files.check(files.tempest_conf)
    plan = preparation.prepare(cloud, wanted, files)
    files.create()
    target, used = preparation.provide(plan, resources.SIZES, say)
    # They are the user's now, also if a killed verify has created them.
    files.forget_before()
    if number:
        for each in canaries.provide(
                plan.access, target, files, number, plan.echo_port):
            used.append(each)
            say(str(each))
    changed = files.write(files.tempest_conf, configuration.render(
        configuration.build(target, files, plan.others)))
    files.save_arguments(cloud, dataclasses.asdict(plan.arguments))
    state = 'written' if changed else 'unchanged'
    say(f'{files.tempest_conf}: {state} (contains the password of user '
        f'{target.user.username})')
    if not any(each.created for each in used):
        say('Nothing was created: all resources exist.')


def delete(cloud: str, files: workspace.Workspace,
           say: preparation.Say) -> bool:
    """Delete the created resources, and nothing else.

    :param cloud: name of the cloud in clouds.yaml
    :param files: the workspace; its tempest.conf is deleted as well
    :param say: called with each line of progress
    :returns: whether everything was deleted
    :raises SetupError: the cloud does not answer, or the workspace belongs to
        another cloud
    """
    remembered = files.load_arguments(cloud)
    # The files with the password go first, even if the cloud does not answer.
    gone, stuck = files.delete(files.tempest_conf, files.verify_conf)
    preparation.report_deletion(say, gone, stuck)
    outcome = cleanup.delete_marked(discovery.connect(cloud))
    preparation.report_deletion(say, outcome.deleted, outcome.kept)
    if not outcome.kept:
        # Last of all: without it, nobody gets into canaries that remain.
        key_gone, key_stuck = files.delete(files.canary_key)
        preparation.report_deletion(say, key_gone, key_stuck)
        gone, stuck = [*gone, *key_gone], [*stuck, *key_stuck]
    if not any((gone, stuck, outcome.deleted, outcome.kept)):
        say('Nothing to delete: there are no resources of this plugin.')
    if remembered:
        files.save_arguments(cloud, {})
    return not (stuck or outcome.kept)
