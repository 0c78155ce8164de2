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

"""A process in the guest that keeps writing memory, to slow the copy down."""

from lm_tempest_plugin.guests import workloads

# tmpfs if there is one, because disks are copied in another way. Random data,
# because QEMU does not send pages of zeros. The first pass ends before the
# command returns, so that a migration that starts then finds dirty pages. The
# trap lets the loop outlive the SSH connection.
_SCRIPT = """\
d=/dev/shm; [ -w "$d" ] || d=/tmp
dd if=/dev/urandom of="$d/lm-source" bs=1048576 count={mib} || exit
cat "$d/lm-source" > "$d/lm-target" || exit
(trap '' HUP; while :; do cat "$d/lm-source" > "$d/lm-target"; done) \
    > /dev/null 2>&1 < /dev/null &
"""


def command(mib: int) -> str:
    """Return shell commands that start the process.

    They return when it writes. It writes the same memory again and again
    until the guest ends.

    :param mib: amount of memory that is written, in MiB; the guest needs
        twice as much
    """
    if mib < 1:
        raise ValueError(f'{mib} MiB of memory cannot be written')
    return _SCRIPT.format(mib=mib)


class MemoryWorkload:
    """Keeps writing memory. There is nothing to verify afterwards."""

    name = 'memory'

    def __init__(self, mib: int) -> None:
        """Prepare the workload.

        :param mib: amount of memory that is written, in MiB
        """
        self._mib = mib

    def start(self, run: workloads.Run) -> None:
        """Start the process."""
        run(command(self._mib))

    def verify(self, run: workloads.Run) -> str:
        """Return no problem: only the copy of the memory is of interest."""
        return ''
