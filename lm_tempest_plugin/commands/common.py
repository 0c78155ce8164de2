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

"""Arguments, input and output that several commands have in common."""

import abc
import argparse
from collections.abc import Callable
from collections.abc import Iterable
import contextlib
import logging
import math
import os
import pathlib
from typing import Any
from typing import TextIO
import warnings

from cliff import command

from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

BAD_INPUT = 2
HTML, MARKDOWN, JSON, TEXT = 'html', 'markdown', 'json', 'text'
EXTENSIONS = {'.html': HTML, '.htm': HTML, '.md': MARKDOWN, '.json': JSON,
              '.txt': TEXT}
#: Extra of the package with the libraries of reports and comparisons.
EXTRA = 'report'


class OutputError(Exception):
    """A file cannot be written, or must not be overwritten."""


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return a type for argparse: seconds within bounds."""
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a number of seconds from {low:g} to '
                f'{high:g}')
        return value
    return convert


def add_results(parser: argparse.ArgumentParser, name: str = 'results',
                nargs: str | None = '+') -> None:
    """Add an argument for results files and directories of them.

    :param parser: of a command
    :param name: of the argument; help shows it in capitals
    :param nargs: as argparse has it
    """
    parser.add_argument(
        name, metavar=name.upper(), nargs=nargs,
        help=f'results file, or directory of results files '
        f'(*{store.SUFFIX})')


def files(paths: Iterable[str]) -> list[pathlib.Path]:
    """Return files, and those of each directory sorted by their names.

    :param paths: of files and directories
    :raises ResultsError: a directory has no results file, or cannot be read
    """
    found: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        try:
            inside = sorted(each for each in path.iterdir()
                            if each.suffix == store.SUFFIX)
        except OSError as exc:
            raise store.ResultsError(f'results cannot be read: {path}: '
                                     f'{exc.strerror}') from exc
        if not inside:
            raise store.ResultsError(
                f'directory {path} has no results file (*{store.SUFFIX})')
        found += inside
    return found


def read(paths: Iterable[str]) -> store.Results:
    """Return the results in files and directories.

    :raises ResultsError: one of them cannot be used; names it
    """
    return store.read(files(paths))


def check_output(path: str | os.PathLike[str],
                 inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check that a file can be written, before the work is done.

    :param path: of the file
    :param inputs: results files that are read and must not be overwritten
    :raises OutputError: it cannot or must not be written; says why
    """
    target = pathlib.Path(path)
    for each in inputs:
        try:
            same = os.path.samefile(target, each)
        except OSError:
            # One of them does not exist.
            continue
        if same:
            raise OutputError(f'{target} is one of the files that are read, '
                              f'and is not overwritten')
    try:
        _check_place(target)
    except OSError as exc:
        raise OutputError(
            f'{target} cannot be written: {exc.strerror}') from exc


def write_output(path: str | os.PathLike[str], text: str) -> None:
    """Write a file: afterwards it has the whole text, or is unchanged.

    :param path: of the file; a symbolic link is followed
    :param text: whole content
    :raises OutputError: it cannot be written; says why
    """
    target = pathlib.Path(path)
    # There is no other way to read it than to set it.
    os.umask(umask := os.umask(0))
    try:
        _check_place(target)
        utils.write_atomically(os.path.realpath(target), text,
                               0o666 & ~umask)
    except OSError as exc:
        raise OutputError(
            f'{target} cannot be written: {exc.strerror}') from exc


def write_stream(stream: TextIO, text: str) -> None:
    """Write a text to an output stream, and flush it.

    :param stream: such as standard output
    :param text: the text
    :raises OSError: it cannot be written; the stream takes and drops all
        further text
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # Python flushes the rest at exit, and would fail again.
        with contextlib.suppress(OSError), open(os.devnull, 'wb') as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        raise


def _check_place(target: pathlib.Path) -> None:
    if target.is_dir():
        raise OutputError(f'{target} cannot be written: it is a directory')
    if target.exists() and not target.is_file():
        # A regular file would replace a device or a pipe.
        raise OutputError(f'{target} cannot be written: it is no regular '
                          f'file')
    parent = pathlib.Path(os.path.realpath(target)).parent
    if not parent.is_dir():
        raise OutputError(f'{target} cannot be written: there is no '
                          f'directory {parent}')
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f'{target} cannot be written: directory {parent} '
                          f'is not writable')


def add_output(parser: argparse.ArgumentParser) -> None:
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
        raise OutputError(
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


class ResultsCommand(command.Command, abc.ABC):
    """A command that reads results and writes a text about them."""

    @abc.abstractmethod
    def process(self, parsed_args: argparse.Namespace) -> int:
        """Do the work, and return the exit code.

        :raises ResultsError: results cannot be used
        :raises OutputError: the file cannot be written
        :raises MissingLibrary: a library of the extra is not installed
        """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Return the exit code; print an error as one sentence."""
        try:
            with warnings.catch_warnings():
                # numpy prints this one; the estimates refuse its result.
                warnings.filterwarnings('ignore', 'overflow', RuntimeWarning)
                return self.process(parsed_args)
        except (store.ResultsError, OutputError,
                utils.MissingLibrary) as exc:
            reason = str(exc)
        except (OSError, ValueError, ArithmeticError, RecursionError) as exc:
            # cliff's exit code would be 1, which for compare means "worse".
            LOG.debug('The results cannot be processed', exc_info=True)
            reason = f'the results cannot be processed: {_reason(exc)}'
        self.app.stderr.write(f'{reason}\n')
        return BAD_INPUT

    def write(self, path: str | None, text: str) -> None:
        """Write a text to a file, or to standard output without one.

        :raises OutputError: it cannot be written; says why
        """
        if path:
            write_output(path, text)
            return
        if self.app.stdout is None:
            raise OutputError('standard output cannot be written: it is '
                              'closed')
        try:
            write_stream(self.app.stdout, text)
        except (OSError, ValueError) as exc:
            raise OutputError('standard output cannot be written: '
                              f'{_reason(exc)}') from exc


def _reason(exc: Exception) -> str:
    return getattr(exc, 'strerror', None) or str(exc)
