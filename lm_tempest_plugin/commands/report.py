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

"""tempest live-migration-ha report: what records come to, to be read."""

import argparse
import importlib
import pathlib
from typing import Any

from cliff import command

from lm_tempest_plugin.commands import records
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results import output

# Formats, and the extension of a file by which one is chosen.
HTML, MARKDOWN, JSON, JUNIT, TEXT = 'html', 'markdown', 'json', 'junit', 'text'
FORMATS = (HTML, MARKDOWN, JSON, JUNIT, TEXT)
EXTENSIONS = {'.html': HTML, '.htm': HTML, '.md': MARKDOWN, '.json': JSON,
              '.xml': JUNIT, '.txt': TEXT}
BAD_INPUT = 2
_MODULES = {
    HTML: 'lm_tempest_plugin.results.html.page',
    MARKDOWN: 'lm_tempest_plugin.results.rendering.markdown',
    JSON: 'lm_tempest_plugin.results.rendering.document',
    JUNIT: 'lm_tempest_plugin.results.rendering.junit',
    TEXT: 'lm_tempest_plugin.results.rendering.text'}


class ReportError(Exception):
    """No report can be made as it is asked for."""


class Report(command.Command):
    """Sum up records, and show what they come to.

    The verdict comes first, then the figures of each cell and flavor, and
    what was not as expected. A page (HTML) has plots as well, and needs no
    network. The exit code is 0 if the report was written, whatever its
    verdict; 2 if records cannot be used or nothing can be written.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        records.add_argument(parser)
        parser.add_argument(
            '-o', '--output', metavar='FILE',
            help='file to write, as a whole or not at all (default: print '
            'the report)')
        parser.add_argument(
            '--format', choices=FORMATS,
            help='form of the report (default: by the extension of FILE: '
            '%s; text without FILE)' % ' '.join(EXTENSIONS))
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
        except (chain.RecordsError, output.OutputError, ReportError) as exc:
            self.app.stderr.write('%s\n' % exc)
            return BAD_INPUT
        return 0

    def _report(self, parsed_args: argparse.Namespace) -> None:
        """Write the report.

        :raises RecordsError: records cannot be used
        :raises OutputError: the file cannot be written
        :raises ReportError: nobody can tell in which format, or a library
            is missing
        """
        path = parsed_args.output
        form = parsed_args.format or _by_extension(path)
        if parsed_args.title and form != HTML:
            raise ReportError('--title is for the format html, and this is '
                              '%s' % form)
        if path:
            output.check(path, records.files(parsed_args.records))
        found = records.read(parsed_args.records)
        text = _rendered(form, found, parsed_args.title)
        if path:
            output.write(path, text)
        else:
            self.app.stdout.write(text)


def _by_extension(path: str | None) -> str:
    """Return the format that a file is to have.

    :raises ReportError: its name does not say so
    """
    if not path:
        return TEXT
    try:
        return EXTENSIONS[pathlib.Path(path).suffix.lower()]
    except KeyError:
        raise ReportError(
            'the name of %s does not say which format it is to have: end it '
            'in one of %s, or give --format' % (
                path, ' '.join(EXTENSIONS))) from None


def _rendered(form: str, found: collection.Collection, title: str) -> str:
    """Return the report.

    :raises ReportError: a library is missing
    """
    # Whoever only runs the tests has no need of what makes reports.
    try:
        summary: Any = importlib.import_module(
            'lm_tempest_plugin.results.summary')
        module: Any = importlib.import_module(_MODULES[form])
    except ModuleNotFoundError as exc:
        if (exc.name or '').startswith('lm_tempest_plugin'):
            raise
        raise ReportError(
            'a report needs %s, which is not installed: pip install '
            'lm-tempest-plugin[report]' % exc.name) from exc
    more = (title,) if form == HTML else ()
    text: str = module.render(summary.summarize(found), found, *more)
    return text
