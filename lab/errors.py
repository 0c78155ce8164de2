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

"""Errors of the lab, and their messages to users."""

from __future__ import annotations

import errno
import os
import sys


class LabError(Exception):
    """A failure with a message of one sentence that names the remedy.

    :param message: one complete sentence that names the failure and its place
    :param status: the exit code of the command that fails with it
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def explain(error: OSError) -> str:
    """Explain an error of the operating system in one sentence.

    :param error: the exception
    :returns: the failure, the file, and the remedy
    """
    # When shutil copies many files, it collects their errors as text.
    if (error.errno == errno.ENOSPC
            or os.strerror(errno.ENOSPC) in str(error)):
        return 'The disk is full: free some space and try again.'
    where = f' ({error.filename})' if error.filename else ''
    return f'{error.strerror or error}{where}: see that it can be used.'


def tell(error: LabError | OSError, program: str = 'run-lab.sh') -> int:
    """Print an error as one sentence on standard error.

    :param error: the exception
    :param program: name of the command that failed
    :returns: the exit code of the command
    """
    if isinstance(error, LabError):
        print(f'{program}: {error}', file=sys.stderr)
        return error.status
    print(f'{program}: {explain(error)}', file=sys.stderr)
    return 1
