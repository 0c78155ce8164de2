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

"""Results files that commands read, and files that they write."""

import argparse
from collections.abc import Iterable
import os
import pathlib

from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

BAD_INPUT = 2


class OutputError(Exception):
    """A file cannot be written, or must not be overwritten."""


def add_argument(parser: argparse.ArgumentParser, name: str = 'results',
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
    umask = os.umask(0)
    os.umask(umask)
    try:
        _check_place(target)
        utils.write_atomically(os.path.realpath(target), text,
                               0o666 & ~umask)
    except OSError as exc:
        raise OutputError(
            f'{target} cannot be written: {exc.strerror}') from exc


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
