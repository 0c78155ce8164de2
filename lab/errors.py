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

"""What the lab says to a person when something goes wrong."""

from __future__ import annotations

import errno
import os
import sys


class LabError(Exception):
    """Something went wrong; the message is one sentence that says what to do.

    :param message: one sentence, complete, naming what and where
    :param status: the exit code of the command that fails with it
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def explain(error: OSError) -> str:
    """An error of the operating system in one sentence.

    :param error: what was raised
    :returns: what and where, and what to do about it
    """
    # Copying many files, shutil collects their errors as text.
    if (error.errno == errno.ENOSPC
            or os.strerror(errno.ENOSPC) in str(error)):
        return 'The disk is full: free some space and try again.'
    where = f' ({error.filename})' if error.filename else ''
    return f'{error.strerror or error}{where}: see that it can be used.'


def tell(error: LabError | OSError) -> int:
    """Print an error as one sentence on standard error.

    :param error: what was raised
    :returns: the exit code that goes with it
    """
    if isinstance(error, LabError):
        print(f'run-lab.sh: {error}', file=sys.stderr)
        return error.status
    print(f'run-lab.sh: {explain(error)}', file=sys.stderr)
    return 1
