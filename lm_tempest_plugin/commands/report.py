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

"""tempest live-migration-ha report: figures and problems of results."""

import argparse

from lm_tempest_plugin.commands import common
from lm_tempest_plugin import utils


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
        # Machines that only run the tests need none of the libraries.
        report = utils.import_optional(
            'lm_tempest_plugin.results.report', common.EXTRA)
        self.write(parsed_args.output, common.render(
            report.build(common.read(parsed_args.results),
                         parsed_args.title), form))
        return 0
