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

"""Workloads that run in a guest while it is migrated, one module each.

Some check a guest once, such as a file on its disk; others work all the time,
at a rate that a test chooses (module program). All of them are shell commands
for busybox's ash, dash and bash. Each command fails with a message on standard
error if it cannot do its work.
"""

from collections.abc import Callable
import re
from typing import Protocol

#: Runs a shell command in a guest and returns its output, stripped.
Run = Callable[[str], str]


class Skipped(Exception):
    """A workload cannot run in a guest; the text says why."""


def bare(script: str) -> str:
    """Return a shell script without comments, indentation and empty lines.

    dropbear refuses commands of more than 9000 bytes.

    :param script: its text
    """
    return re.sub(r'^(#.*| +#.*|)\n|^ +', '', script, flags=re.MULTILINE)


class Workload(Protocol):
    """A workload of one guest. An object serves one guest only.

    :cvar name: slug; problems are reported under this name
    """

    name: str

    def start(self, run: Run) -> None:
        """Start the workload, before the guest is migrated.

        :param run: runs a command in the guest
        :raises Skipped: it cannot run there
        """

    def verify(self, run: Run) -> str:
        """Return the problem that the migration caused; empty if none.

        :param run: runs a command in the same guest
        """
