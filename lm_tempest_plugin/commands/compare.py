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

from lm_tempest_plugin.commands import common
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

WORSE = 1
# Both are repeated here because their module needs libraries of an extra.
QUANTITIES = ('wall_s', 'duration_s', 'service_s', 'queue_s', 'outage_s',
              'stall_s', 'downtime_s')
TOLERANCE_PERCENT = 10.0


class Compare(common.ResultsCommand):
    """Compare two sets of results, such as before and after an upgrade.

    Results under equal conditions are compared: the same settings, flavor
    and strategy, and the same servers drained together. The exit code is 0
    if nothing got worse beyond the tolerance, 1 if anything did or failed
    more often, and 2 if the results cannot be used or compared.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        common.add_results(parser, 'before', None)
        common.add_results(parser, 'after', None)
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
        common.add_output(parser)
        return parser

    def process(self, parsed_args: argparse.Namespace) -> int:
        """Compare, and write the comparison.

        :returns: 0, or 1 if anything got worse
        """
        before, after = [parsed_args.before], [parsed_args.after]
        path = parsed_args.output
        form = common.format_of(parsed_args)
        if path:
            common.check_output(path, common.files(before + after))
        compare, judgement = (
            utils.import_optional(
                f'lm_tempest_plugin.results.{name}', common.EXTRA)
            for name in ('compare', 'judgement'))
        try:
            found = compare.build(
                common.read(before), common.read(after),
                parsed_args.tolerance, parsed_args.ignore,
                parsed_args.quantity)
        except judgement.NotComparable as exc:
            raise store.ResultsError(str(exc)) from exc
        self.write(path, common.render(found, form))
        if path:
            self.app.stdout.write(f'{found.verdict}\n')
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
