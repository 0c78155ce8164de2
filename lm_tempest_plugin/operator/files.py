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

"""Files that are there as a whole or not at all, for their owner alone."""

import os
import pathlib
import tempfile

from lm_tempest_plugin.operator import errors

# They have passwords, or tell where one is.
PRIVATE = 0o600


def write(path: pathlib.Path, text: str, mode: int = PRIVATE) -> None:
    """Write a file, which is then there as a whole or as it was before.

    :param path: the file; its directory is made if it is not there
    :param text: all that is to stand there
    :param mode: its permissions
    :raises OperatorError: it cannot be written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp() lets nobody else read it, from the first byte on.
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix='.%s.' % path.name)
        try:
            with os.fdopen(descriptor, 'w', encoding='utf-8') as stream:
                stream.write(text)
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as exc:
        raise errors.OperatorError('%s cannot be written: %s' % (
            path, exc.strerror)) from exc


def read(path: pathlib.Path) -> str | None:
    """Return what stands in a file; None if there is none.

    :param path: the file
    :raises OperatorError: it cannot be read
    """
    try:
        return path.read_text(encoding='utf-8')
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise errors.OperatorError('%s cannot be read: %s' % (
            path, getattr(exc, 'strerror', None) or exc)) from exc


def remove(path: pathlib.Path) -> bool:
    """Delete a file; return whether there was one.

    :param path: the file
    :raises OperatorError: it cannot be deleted
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise errors.OperatorError('%s cannot be deleted: %s' % (
            path, exc.strerror)) from exc
    return True
