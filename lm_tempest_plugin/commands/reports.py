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

"""tempest live-migration-ha report, compare and export.

The modules that do the work are imported late: machines that only run the
tests need none of their libraries.
"""

import argparse
import math

from lm_tempest_plugin.commands import common
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

WORSE = 1
# These two are repeated here: their module needs libraries of an extra.
QUANTITIES = ('wall_s', 'duration_s', 'service_s', 'queue_s', 'outage_s',
              'stall_s', 'downtime_s')
TOLERANCE_PERCENT = 10.0


class Report(common.ResultsCommand):
    """Summarize results for readers or programs.

    The verdict comes first, then the problems, and the figures of each
    combination of settings and flavor. The HTML page also has plots, and
    needs no network. The exit code is 0 if the report was written, whatever
    its verdict; 2 if results cannot be used or the file cannot be written.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        common.add_results(parser)
        common.add_output(parser)
        parser.add_argument(
            '--title', metavar='TITLE', default='',
            help='heading of the page; only with the format html')
        return parser

    def process(self, parsed_args: argparse.Namespace) -> int:
        """Write the report; return 0."""
        form = common.format_of(parsed_args)
        if parsed_args.title and form != common.HTML:
            raise common.OutputError(
                f'--title works only with the format html, and the format '
                f'is {form}')
        if parsed_args.output:
            common.check_output(
                parsed_args.output, common.files(parsed_args.results))
        report = utils.import_optional(
            'lm_tempest_plugin.results.report', common.EXTRA)
        self.write(parsed_args.output, common.render(
            report.build(common.read(parsed_args.results),
                         parsed_args.title), form))
        return 0


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
            self.write(None, f'{found.verdict}\n')
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


class Export(common.ResultsCommand):
    """Write results in a format for monitoring systems.

    openmetrics: a summary as gauges, for the textfile collector of
    Prometheus' node_exporter. influx: InfluxDB's line protocol with
    nanoseconds, one point for each live migration and each drain.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        common.add_results(parser)
        parser.add_argument(
            '--format', required=True, choices=('openmetrics', 'influx'),
            help='format to write')
        parser.add_argument(
            '-o', '--output', metavar='FILE',
            help='file to write (default: standard output)')
        return parser

    def process(self, parsed_args: argparse.Namespace) -> int:
        """Write the results; return 0."""
        if parsed_args.output:
            common.check_output(
                parsed_args.output, common.files(parsed_args.results))
        results = common.read(parsed_args.results)
        module = utils.import_optional(
            'lm_tempest_plugin.results.export', common.EXTRA)
        self.write(parsed_args.output,
                   getattr(module, parsed_args.format)(results))
        for remark in results.remarks:
            self.app.stderr.write(f'{remark}\n')
        return 0
