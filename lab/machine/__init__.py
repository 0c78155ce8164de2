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

"""Requirements of the lab on this machine; standard library only.

These modules run with the system's Python, before any virtualenv exists.
"""

from __future__ import annotations

import errno
import os
import pathlib
import subprocess
import typing

from lab import errors


def run_installer(command: typing.Sequence[str], log: pathlib.Path,
                  doing: str, **environment: str) -> None:
    """Run a command and append its output to a file.

    :param command: program and arguments
    :param log: the file
    :param doing: purpose of the command, the beginning of an error message
    :param environment: variables added to the environment
    :raises errors.LabError: if it fails: the purpose, the reason, the log
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Reasons are found by English words.
    values = {'LC_ALL': 'C.UTF-8'} | environment
    with open(log, 'a', encoding='utf-8') as stream:
        before = stream.tell()
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, env=os.environ | values)
    if result.returncode:
        raise errors.LabError(
            f'{doing} failed: {find_reason(log, before)} '
            f'(whole output: {log}).')


def find_reason(log: pathlib.Path, offset: int = 0) -> str:
    """Return the line of a log that best explains a failure.

    :param log: the file
    :param offset: start of the program's output, in bytes
    :returns: the last line that mentions an error, or else the last line
    """
    if not log.exists():
        return 'it printed nothing'
    text = log.read_bytes()[offset:].decode('utf-8', errors='replace')
    if os.strerror(errno.ENOSPC) in text:
        return 'the disk is full; free some space and try again'
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines
               if 'error' in line.lower() or line.startswith('E: ')]
    return (telling or lines or ['it printed nothing'])[-1].rstrip('.')
