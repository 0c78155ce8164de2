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

"""Lets one command at a time change a lab."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing

from lab import errors
from lab import layout


@contextlib.contextmanager
def held(paths: layout.Layout) -> typing.Iterator[None]:
    """Hold the lab's lock; the kernel releases it if this process dies.

    :param paths: paths of the lab
    :raises errors.LabError: if another command holds it
    """
    # It will hold passwords.
    paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(paths.lock, 'a+', encoding='ascii') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise errors.LabError(
                f'Another run-lab.sh (process {stream.read().strip()}) is '
                f'changing the lab in {paths.root}: wait for it.'
            ) from error
        stream.truncate(0)
        stream.write(f'{os.getpid()}\n')
        stream.flush()
        yield
