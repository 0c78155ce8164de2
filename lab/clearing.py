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

"""End a cloud, and delete a lab.

Both work whatever an earlier command left unfinished, even a virtualenv.
"""

from __future__ import annotations

import contextlib
import os
import shutil

from lab.hosts import sandbox
from lab import layout
from lab import lock


def down(paths: layout.Layout) -> bool:
    """End the cloud.

    :param paths: paths of the lab
    :returns: whether there was one
    """
    with _held(paths):
        paths.ready.unlink(missing_ok=True)
        return sandbox.end(paths.root)


def destroy(paths: layout.Layout) -> bool:
    """End the cloud and delete the lab's files.

    :param paths: paths of the lab
    :returns: whether there was a cloud or a state folder
    """
    with _held(paths):
        ended = sandbox.end(paths.root)
        if not paths.root.exists():
            return ended
        for entry in paths.root.iterdir():
            # The lock goes last: until then no other command may begin.
            if not layout.is_own(entry.name) or entry == paths.lock:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        paths.lock.unlink()
        with contextlib.suppress(OSError):
            os.rmdir(paths.root)
    return True


def _held(paths: layout.Layout) -> contextlib.AbstractContextManager[None]:
    # lock.held() would create the state folder.
    return (lock.held(paths) if paths.root.exists()
            else contextlib.nullcontext())
