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

"""Files that are written as a whole or not at all."""

from collections.abc import Iterable
import os
import pathlib
import secrets

from lm_tempest_plugin.results import chain


class OutputError(Exception):
    """A file cannot be written, or must not be."""


def check(path: str | os.PathLike[str],
          inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Look whether a file can be written, before the work is done.

    :param path: of the file
    :param inputs: files of records that are read for it; neither they nor
        their heads may be overwritten
    :raises OutputError: it cannot or must not be written; says why
    """
    target = pathlib.Path(path)
    for each in map(pathlib.Path, inputs):
        for kept in (each, chain.head_path(each)):
            if _same(target, kept):
                raise OutputError('%s is one of the files that are read, and '
                                  'is not overwritten' % target)
    try:
        _check_place(target)
    except OSError as exc:
        raise _cannot(target, exc.strerror) from exc


def write(path: str | os.PathLike[str], text: str) -> None:
    """Write a file, which is then there as a whole or as it was before.

    :param path: of the file; if it is a link, of what it points to
    :param text: what is to stand there
    :raises OutputError: it cannot be written; says why
    """
    target = pathlib.Path(path)
    try:
        _check_place(target)
        _replace(pathlib.Path(os.path.realpath(target)), text)
    except OSError as exc:
        raise _cannot(target, exc.strerror) from exc


def _cannot(target: pathlib.Path, reason: object) -> OutputError:
    return OutputError('%s cannot be written: %s' % (target, reason))


def _same(one: pathlib.Path, other: pathlib.Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        # One of them is not there.
        return False


def _check_place(target: pathlib.Path) -> None:
    """Look at what is there, and at the directory.

    :raises OutputError: no file can be put there
    """
    if target.is_dir():
        raise _cannot(target, 'it is a directory')
    if target.exists() and not target.is_file():
        # It would take the place of a device or a pipe.
        raise _cannot(target, 'it is no regular file')
    parent = pathlib.Path(os.path.realpath(target)).parent
    if not parent.is_dir():
        raise _cannot(target, 'there is no directory %s' % parent)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _cannot(target, 'nothing can be made in directory %s' % parent)


def _replace(target: pathlib.Path, text: str) -> None:
    beside = target.with_name('.%s.%s' % (
        target.name, secrets.token_hex(4)))
    try:
        with open(beside, 'x', encoding='utf-8') as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
