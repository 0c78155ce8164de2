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

"""tempest live-migration-ha bootstrap: what a run needs in a cloud."""

import argparse

from lm_tempest_plugin.commands import operating
from lm_tempest_plugin.operator import bootstrap


class Bootstrap(operating.OperatorCommand):
    """Make what a run needs in a cloud, and write tempest.conf for it.

    What is there already is used: a second time nothing is made. What is
    made is marked, and --delete deletes that and nothing else.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--delete', action='store_true',
            help='delete what was made, and say what is in use still')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Make it or delete it.

        :returns: 0, or 1 if something could not be deleted
        :raises OperatorError: it cannot be done
        """
        workspace = operating.directory(parsed_args)
        if parsed_args.delete:
            return int(not bootstrap.delete(
                parsed_args.os_cloud, workspace, self.say))
        try:
            bootstrap.make(
                parsed_args.os_cloud, operating.wishes(parsed_args),
                workspace, self.say)
        except KeyboardInterrupt:
            self.say('What was made so far stays: the same command goes on '
                     'with it, and --delete deletes it.')
            raise
        self.say('To run the tests: cd %s && tempest run --regex '
                 'live_migration_ha' % workspace.directory)
        return 0
