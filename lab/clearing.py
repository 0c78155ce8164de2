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

"""Takes a cloud away; uses nothing but Python itself.

It has to work whatever an earlier command has left half done, a virtualenv
among it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil

from lab.hosts import sandbox
from lab import layout as layouts
from lab import lock


def down(layout: layouts.Layout) -> bool:
    """End the cloud.

    :param layout: paths of the lab
    :returns: whether there was one
    """
    with _held(layout):
        layout.ready.unlink(missing_ok=True)
        return sandbox.end(layout.root)


def destroy(layout: layouts.Layout) -> bool:
    """End the cloud and delete all that the lab keeps.

    :param layout: paths of the lab
    :returns: whether there was anything
    """
    with _held(layout):
        ended = sandbox.end(layout.root)
        if not layout.root.exists():
            return ended
        for entry in layout.root.iterdir():
            # The lock goes last: until then nobody else may begin.
            if layouts.is_own(entry.name) and entry != layout.lock:
                _delete(entry)
        layout.lock.unlink()
        with contextlib.suppress(OSError):
            os.rmdir(layout.root)
    return True


def _held(layout: layouts.Layout) -> contextlib.AbstractContextManager[None]:
    """The lab's lock; where there is no folder, none is made for it."""
    return (lock.held(layout) if layout.root.exists()
            else contextlib.nullcontext())


def _delete(entry: pathlib.Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
