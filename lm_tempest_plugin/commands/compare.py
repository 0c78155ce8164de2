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

"""tempest live-migration-ha compare: did anything get worse?"""

import argparse
import math

from cliff import command

from lm_tempest_plugin.commands import documents
from lm_tempest_plugin.commands import results_files
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

WORSE = 1
# Both are repeated here because their module needs libraries of an extra.
QUANTITIES = ('wall_s', 'duration_s', 'service_s', 'queue_s', 'outage_s',
              'stall_s', 'downtime_s')
TOLERANCE_PERCENT = 10.0


class Compare(command.Command):
    """Compare two sets of results, such as before and after an upgrade.

    Results under equal conditions are compared: the same settings, flavor
    and strategy, and the same servers drained together. The exit code is 0
    if nothing got worse beyond the tolerance, 1 if anything did or failed
    more often, and 2 if the results cannot be used or compared.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        results_files.add_argument(parser, 'before', None)
        results_files.add_argument(parser, 'after', None)
        parser.add_argument(
            '--tolerance', metavar='PERCENT', type=_percent,
            default=TOLERANCE_PERCENT,
            help='accepted change for the worse (default: %(default)g)')
        parser.add_argument(
            '--ignore', metavar='SETTING', action='append', default=[],
            help='compare results that differ in this setting, such as '
            'max_concurrent_live_migrations; strategy and storage are '
            'settings, too (may be given more than once)')
        parser.add_argument(
            '--quantity', choices=QUANTITIES, action='append', default=[],
            help='compare only this quantity, and failures (default: all; '
            'may be given more than once)')
        documents.add_arguments(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Compare, and write the comparison.

        :returns: 0, 1 if anything got worse, 2 if nothing can be compared
        """
        try:
            return self._compare(parsed_args)
        except (store.ResultsError, results_files.OutputError,
                utils.MissingLibrary) as exc:
            self.app.stderr.write(f'{exc}\n')
            return results_files.BAD_INPUT

    def _compare(self, parsed_args: argparse.Namespace) -> int:
        path = parsed_args.output
        form = documents.format_of(parsed_args)
        if path:
            results_files.check_output(path, results_files.files(
                [parsed_args.before, parsed_args.after]))
        compare, judgement = (
            utils.import_optional(
                f'lm_tempest_plugin.results.{name}', documents.EXTRA)
            for name in ('compare', 'judgement'))
        try:
            found = compare.build(
                results_files.read([parsed_args.before]),
                results_files.read([parsed_args.after]),
                parsed_args.tolerance, parsed_args.ignore,
                parsed_args.quantity)
        except judgement.NotComparable as exc:
            raise store.ResultsError(str(exc)) from exc
        text = documents.render(found, form)
        if path:
            results_files.write_output(path, text)
            self.app.stdout.write(f'{found.verdict}\n')
        else:
            self.app.stdout.write(text)
        return 0 if found.good else WORSE


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a percentage of 0 or more')
    return value
