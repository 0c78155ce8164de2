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

"""Run the tools that make the image, and explain their failures."""

import errno
import os
import pathlib
import subprocess

DISK_FULL = 'No space left on device'
# The earliest time that FAT can store (1980).
EPOCH = '315532800'
# LC_ALL: some messages are parsed here, so they must not be translated.
# One fixed time, also under mke2fs's own name for it: the same input then
# gives the same image.
ENVIRONMENT = {'LC_ALL': 'C', 'SOURCE_DATE_EPOCH': EPOCH,
               'E2FSPROGS_FAKE_TIME': EPOCH}


class ImageError(Exception):
    """The guest image cannot be made; the message is one sentence."""


def run(*command: str | pathlib.Path, stdin: bytes = b'',
        folder: pathlib.Path | None = None) -> str:
    """Run a command and return its standard output.

    :param command: program and arguments
    :param stdin: the command's standard input
    :param folder: its working directory; None for the current one
    :raises ImageError: if it is missing or fails
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, cwd=folder, check=True,
                              capture_output=True,
                              env={**os.environ, **ENVIRONMENT})
    except FileNotFoundError as error:
        raise not_installed(words[0]) from error
    except subprocess.CalledProcessError as error:
        output = (error.stderr or b'').decode(errors='replace')
        # apt's warnings (W:) may follow the error that counts.
        lines = [line.strip() for line in output.splitlines()
                 if line.strip() and not line.startswith('W: ')]
        last = lines[-1] if lines else f'exit status {error.returncode}'
        raise ImageError(
            f'The disk is full: {words[0]} failed ({last}).'
            if DISK_FULL in output else
            f'The command "{" ".join(words)}" failed: {last}') from error
    return done.stdout.decode(errors='replace')


def not_installed(path: str | pathlib.Path) -> ImageError:
    """Return the error for a program or a file that the machine lacks."""
    return ImageError(f'{path} is missing on this machine: install the '
                      f'packages in lab.image.PACKAGES.')


def explain_os_error(error: OSError) -> str:
    """Return one sentence for a failure of the builder's own file access."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f' under {error.filename}' if error.filename else ''
        return f'The disk is full{where}: the image was not made.'
    return f'The image was not made: {error}.'
