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

"""Records as arguments of commands: files, or directories of them."""

import argparse
from collections.abc import Iterable
import pathlib

from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection


def add_argument(parser: argparse.ArgumentParser, name: str = 'records',
                 nargs: str | None = '+') -> None:
    """Add the argument that says where records are.

    :param parser: of a command
    :param name: of the argument; help shows it in capitals
    :param nargs: how many there may be, as argparse has it
    """
    parser.add_argument(
        name, metavar=name.upper(), nargs=nargs,
        help='file of records, or directory with such files (*%s)' %
        chain.SUFFIX)


def files(paths: Iterable[str]) -> list[pathlib.Path]:
    """Return files, with those of each directory in the order of their names.

    :param paths: of files and directories
    :raises RecordsError: a directory has no file of records, or it cannot be
        looked into
    """
    found: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        found += _inside(path) if path.is_dir() else [path]
    return found


def read(paths: Iterable[str]) -> collection.Collection:
    """Return what records say.

    :param paths: of files and directories
    :raises RecordsError: one of them cannot be used; says which, and why
    """
    return collection.read(files(paths))


def _inside(directory: pathlib.Path) -> list[pathlib.Path]:
    try:
        found = sorted(each for each in directory.iterdir()
                       if each.suffix == chain.SUFFIX)
    except OSError as exc:
        raise chain.RecordsError('records cannot be read: %s: %s' % (
            directory, exc.strerror)) from exc
    if not found:
        raise chain.RecordsError('directory %s has no file of records (*%s)'
                                 % (directory, chain.SUFFIX))
    return found
