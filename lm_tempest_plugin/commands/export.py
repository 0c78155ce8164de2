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

"""tempest live-migration-ha export: results for monitoring systems."""

import argparse

from lm_tempest_plugin.commands import common
from lm_tempest_plugin import utils


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
        # Machines that only run the tests need none of the libraries.
        module = utils.import_optional(
            'lm_tempest_plugin.results.export', common.EXTRA)
        self.write(parsed_args.output,
                   getattr(module, parsed_args.format)(results))
        for remark in results.remarks:
            self.app.stderr.write(f'{remark}\n')
        return 0
