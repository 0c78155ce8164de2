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

"""Documents as output of commands: formats, files, and missing libraries."""

import argparse
from collections.abc import Callable
import pathlib
from typing import Any

from lm_tempest_plugin.commands import results_files
from lm_tempest_plugin import utils

HTML, MARKDOWN, JSON, TEXT = 'html', 'markdown', 'json', 'text'
EXTENSIONS = {'.html': HTML, '.htm': HTML, '.md': MARKDOWN, '.json': JSON,
              '.txt': TEXT}
#: Extra of the package with the libraries of reports and comparisons.
EXTRA = 'report'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for file and format."""
    parser.add_argument(
        '-o', '--output', metavar='FILE',
        help='file to write (default: standard output)')
    parser.add_argument(
        '--format', choices=(HTML, MARKDOWN, JSON, TEXT),
        help=f'format (default: by the extension of FILE: '
        f'{" ".join(EXTENSIONS)}; text without FILE)')


def format_of(parsed_args: argparse.Namespace) -> str:
    """Return the format of the output.

    :raises OutputError: the name of the file does not show it
    """
    if parsed_args.format:
        return str(parsed_args.format)
    if not parsed_args.output:
        return TEXT
    extension = pathlib.Path(parsed_args.output).suffix.lower()
    if extension not in EXTENSIONS:
        raise results_files.OutputError(
            f'the name {parsed_args.output} does not show the format: use '
            f'one of the extensions {" ".join(EXTENSIONS)}, or --format')
    return EXTENSIONS[extension]


def render(found: Any, form: str) -> str:
    """Return a document in a format.

    :param found: a document; its module needs libraries of the extra
    :param form: name of the format
    :raises MissingLibrary: a library of this format is not installed
    """
    renderer: Callable[[Any], str] = getattr(utils.import_optional(
        'lm_tempest_plugin.results.renderers', EXTRA), form)
    return renderer(found)
