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

"""tempest live-migration-ha verify: a whole check of a cloud in one line."""

import argparse
import pathlib
import time

from lm_tempest_plugin.commands import arguments
from lm_tempest_plugin.commands import operating
from lm_tempest_plugin.operator import profiles
from lm_tempest_plugin.operator import verification

CLEANUPS_S = (1.0, 86400.0)


class Verify(operating.OperatorCommand):
    """Live-migrate servers in a cloud, judge it, and leave nothing behind.

    The exit code is 0 only if all tests passed and the report is good.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--profile', metavar='NAME_OR_FILE', default='quick',
            help='what to run: %s, or a file (default: %%(default)s)' %
            ', '.join(profiles.shipped()))
        parser.add_argument(
            '--keep', action='store_true',
            help='leave in the cloud what was made')
        parser.add_argument(
            '-o', '--output', metavar='FILE',
            help='the report, a page of HTML (default: report.html beside '
            'the records)')
        parser.add_argument(
            '--cleanup-timeout', metavar='SECONDS', default=600.0,
            type=arguments.seconds(*CLEANUPS_S),
            help='how long the tests may take to delete what they made when '
            'they are told to end (default: %(default)g)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Check a cloud.

        :returns: 0 if all was good, 1 if not, 130 if it was told to end
        :raises OperatorError: it cannot be done
        """
        return verification.verify(verification.Order(
            parsed_args.os_cloud, operating.wishes(parsed_args),
            profiles.load(parsed_args.profile),
            operating.directory(parsed_args), parsed_args.keep,
            pathlib.Path(parsed_args.output).absolute()
            if parsed_args.output else None,
            parsed_args.cleanup_timeout), self._tell)

    def _tell(self, text: str) -> None:
        """Print what happens, with the time of day."""
        if '\n' in text:
            self.say(text)
        else:
            self.say('%s %s' % (time.strftime('%H:%M:%S'), text))
