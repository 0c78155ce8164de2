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

"""Running the tools that make the image, and saying what went wrong."""

import errno
import os
import pathlib
import subprocess

DISK_FULL = 'No space left on device'
# The first time that FAT knows (1980).
EPOCH = '315532800'
# Untranslated messages, because some are read here; and one fixed time, by
# mke2fs's name for it too, so that the same input gives the same image.
ENVIRONMENT = {'LC_ALL': 'C', 'SOURCE_DATE_EPOCH': EPOCH,
               'E2FSPROGS_FAKE_TIME': EPOCH}


class ImageError(Exception):
    """The guest's image cannot be made; the message is one sentence."""


def run(*command: str | pathlib.Path, stdin: bytes = b'',
        folder: pathlib.Path | None = None) -> str:
    """Run a command and return its standard output.

    :param command: program and arguments.
    :param stdin: what the command reads from its standard input.
    :param folder: the directory to run it in; None for the current one.
    :raises ImageError: if it is missing or fails.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, cwd=folder, check=True,
                              capture_output=True,
                              env={**os.environ, **ENVIRONMENT})
    except FileNotFoundError as error:
        raise ImageError(
            f'{words[0]} is not on this machine: install the packages in '
            'lab.image.PACKAGES.') from error
    except subprocess.CalledProcessError as error:
        raise ImageError(_explain(words, error)) from error
    return done.stdout.decode(errors='replace')


def explain_os_error(error: OSError) -> str:
    """Return one sentence for a failure of the builder's own file access."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f' under {error.filename}' if error.filename else ''
        return f'The disk is full{where}: the image was not made.'
    return f'The image was not made: {error}.'


def _explain(words: list[str], error: subprocess.CalledProcessError) -> str:
    output = (error.stderr or b'').decode(errors='replace')
    # apt's warnings (W:) may follow the error that counts.
    lines = [line.strip() for line in output.splitlines()
             if line.strip() and not line.startswith('W: ')]
    last = lines[-1] if lines else f'exit status {error.returncode}'
    if DISK_FULL in output:
        return f'The disk is full: {words[0]} failed ({last}).'
    return f'The command "{" ".join(words)}" failed: {last}'
