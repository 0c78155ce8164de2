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

"""tempest live-migration-ha recover: restore hosts after a killed run."""

import argparse

from cliff import command

from lm_tempest_plugin.commands import common
from lm_tempest_plugin import config
from lm_tempest_plugin.hosts import nova_conf
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import undo_log


class Recover(command.Command):
    """Restore compute hosts whose nova.conf a killed run has not restored.

    Each host in the undo log gets its original nova.conf back, byte for byte,
    and its nova-compute is restarted. Tempest's configuration is not needed:
    the undo log contains how to reach the hosts.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--undo-log', metavar='DIRECTORY',
            help='directory of the undo log: option undo_log_directory in '
            f'group live_migration_ha_hosts (default: {config.UNDO_LOG})')
        parser.add_argument(
            '--timeout', metavar='SECONDS',
            type=common.seconds(*config.RESTART_BOUNDS_S),
            default=config.RESTART_S,
            help='time for nova-compute to stop, and again to start '
            '(default: %(default)g); nova 34 takes up to 180 s to stop')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Restore the hosts, and print their names.

        :returns: 0 if every host is restored
        """
        log = undo_log.UndoLog(parsed_args.undo_log or config.UNDO_LOG)
        if log.directory.exists():
            fault = '' if log.directory.is_dir() else 'is not a directory'
        else:
            # Without a run that changed hosts, the default does not exist.
            fault = 'does not exist' if parsed_args.undo_log else ''
        if fault:
            self.app.stderr.write(f'{log.directory} {fault}\n')
            return 1
        for name in log.hosts():
            self.app.stdout.write(f'Restoring host {name} ...\n')
        self.app.stdout.flush()
        try:
            names = nova_conf.recover(
                log, service.Restarter(None, parsed_args.timeout))
        except remote.HostError as exc:
            self.app.stderr.write(f'{exc}\n')
            return 1
        if names:
            self.app.stdout.write('Restored, with nova-compute restarted: '
                                  f'{", ".join(names)}\n')
        else:
            self.app.stdout.write(
                f'Nothing to restore: {log.directory} has no entry\n')
        return 0
