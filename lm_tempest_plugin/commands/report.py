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

from cliff import command

from lm_tempest_plugin.commands import documents
from lm_tempest_plugin.commands import results_files
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils


class Report(command.Command):
    """Summarize results for readers or programs.

    The verdict comes first, then the problems, and the figures of each
    combination of settings and flavor. The HTML page also has plots, and
    needs no network. The exit code is 0 if the report was written, whatever
    its verdict; 2 if results cannot be used or the file cannot be written.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        results_files.add_argument(parser)
        documents.add_arguments(parser)
        parser.add_argument(
            '--title', metavar='TITLE', default='',
            help='heading of the page; only with the format html')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Write the report.

        :returns: 0 if it was written, 2 if it could not be
        """
        try:
            self._report(parsed_args)
        except (store.ResultsError, results_files.OutputError,
                utils.MissingLibrary) as exc:
            self.app.stderr.write(f'{exc}\n')
            return results_files.BAD_INPUT
        return 0

    def _report(self, parsed_args: argparse.Namespace) -> None:
        path = parsed_args.output
        form = documents.format_of(parsed_args)
        if parsed_args.title and form != documents.HTML:
            raise results_files.OutputError(
                f'--title works only with the format html, and the format '
                f'is {form}')
        if path:
            results_files.check_output(
                path, results_files.files(parsed_args.results))
        # Machines that only run the tests need none of the libraries.
        report = utils.import_optional(
            'lm_tempest_plugin.results.report', documents.EXTRA)
        text = documents.render(report.build(
            results_files.read(parsed_args.results), parsed_args.title),
            form)
        if path:
            results_files.write_output(path, text)
        else:
            self.app.stdout.write(text)
