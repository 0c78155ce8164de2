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

"""Write the lab's files and make its folders."""

from __future__ import annotations

import json
import pathlib
import shutil
import typing

from lm_tempest_plugin import utils


def write(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Write a text file atomically; make its folder if it is missing.

    :param path: the file
    :param text: its whole content
    :param mode: its permissions
    :raises OSError: if it cannot be written; an old file is then unchanged
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    utils.write_atomically(path, text, mode)


def write_json(path: pathlib.Path, value: typing.Any,
               mode: int = 0o644) -> None:
    """Write a value as JSON, atomically; see :func:`write`."""
    write(path, json.dumps(value, indent=2, sort_keys=True) + '\n', mode)


def empty_folder(path: pathlib.Path, mode: int = 0o755) -> pathlib.Path:
    """Make a folder, or empty the present one.

    :param path: the folder
    :param mode: its permissions
    :returns: the same path
    """
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True, mode=mode)
    return path
