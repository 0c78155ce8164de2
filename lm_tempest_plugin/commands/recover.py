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

"""tempest live-migration-ha recover: put changed hosts back."""

import argparse

from cliff import command

from lm_tempest_plugin.commands import arguments
from lm_tempest_plugin import config
from lm_tempest_plugin.hosts import change
from lm_tempest_plugin.hosts import journal as journals
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service


class Recover(command.Command):
    """Put compute hosts back that a killed run has left changed.

    Each host that the journal knows gets its nova.conf back, byte for byte,
    and its nova-compute is restarted. No configuration of Tempest is read:
    the journal says how hosts are reached.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--journal', metavar='DIRECTORY',
            help='where the run wrote down what it changed: option '
            'journal_directory in group live_migration_ha_hosts (default: '
            '%s)' % config.JOURNAL)
        parser.add_argument(
            '--timeout', metavar='SECONDS',
            type=arguments.seconds(*config.RESTART_BOUNDS_S),
            default=config.RESTART_S,
            help='how long nova-compute may take to stop, and as long again '
            'to start (default: %(default)g); nova 34 takes up to 180 s to '
            'stop')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Put hosts back, and say which.

        :returns: 0 if every host is as it was
        """
        journal = journals.Journal(parsed_args.journal or config.JOURNAL)
        if parsed_args.journal and not journal.directory.is_dir():
            self.app.stderr.write('There is no directory %s\n' %
                                  journal.directory)
            return 1
        for name in journal.hosts():
            self.app.stdout.write('Host %s is put back ...\n' % name)
        self.app.stdout.flush()
        try:
            names = change.recover(
                journal, service.Restarter(None, parsed_args.timeout))
        except remote.HostError as exc:
            self.app.stderr.write('%s\n' % exc)
            return 1
        if names:
            self.app.stdout.write('As before, with a new nova-compute: %s\n' %
                                  ', '.join(names))
        else:
            self.app.stdout.write('Nothing to put back: %s has no entry\n' %
                                  journal.directory)
        return 0
