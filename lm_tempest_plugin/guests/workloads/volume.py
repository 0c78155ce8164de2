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

"""Data on a volume, written before a migration and read after it.

The commands write to the block device itself, which has no file system. That
takes root: through sudo without a password for any other user.
"""

import shlex

from lm_tempest_plugin.guests import workloads

# virtio cuts a disk's serial number, the volume's UUID, to this length.
SERIAL_LENGTH = 20

# Only root may drop the page cache.
_AS_ROOT = """\
run=
[ -w /proc/sys/vm/drop_caches ] || run='sudo -n'
$run sh -c {script}
"""

# virtio, NVMe and SCSI show the serial number in different files. A disk that
# was just attached may not be there yet.
_FIND = """\
(set -o pipefail) 2> /dev/null && set -o pipefail
find_disk() {{
    for disk in /sys/block/*; do
        for name in serial device/serial device/vpd_pg80; do
            if grep -q -s {serial} "$disk/$name"; then
                device=/dev/${{disk##*/}}
                return
            fi
        done
    done
    return 1
}}
patience={patience}
until find_disk; do
    if [ $patience -le 0 ]; then
        echo 'No disk has a serial number with {serial}' >&2
        exit 1
    fi
    patience=$((patience - 1))
    sleep 1
done
"""

# The kernel keeps cached pages of a device that is open. So the checksum is
# that of the data that was written, whatever reached the volume.
_WRITE = """\
exec 3< "$device" || exit
dd if=/dev/urandom of="$device" bs=1048576 count={mib} conv=fsync,notrunc \
    || exit
sum=$(head -c $(({mib} * 1048576)) "$device" | sha256sum) || exit
echo "${{sum%% *}}"
"""

_READ = """\
echo 3 > /proc/sys/vm/drop_caches || exit
sum=$(head -c $(({mib} * 1048576)) "$device" | sha256sum) || exit
echo "${{sum%% *}}"
"""


def write(volume_id: str, mib: int, patience_s: int = 30) -> str:
    """Return shell commands that write to a volume and print a SHA-256 sum.

    They write random data from the volume's beginning. It is on the volume
    when they return.

    :param volume_id: UUID of an attached volume
    :param mib: amount of data, in MiB
    :param patience_s: how long to wait for the disk to appear, in seconds
    """
    if mib < 1:
        raise ValueError(f'{mib} MiB cannot be written to a volume')
    return _command(_WRITE, volume_id, mib, patience_s)


def read(volume_id: str, mib: int) -> str:
    """Return shell commands that print the SHA-256 sum of a volume's data.

    They drop the guest's page cache first, because it was migrated with the
    memory.

    :param volume_id: UUID of an attached volume
    :param mib: amount of data from the volume's beginning, in MiB
    """
    return _command(_READ, volume_id, mib, 0)


def _command(action: str, volume_id: str, mib: int, patience_s: int) -> str:
    script = (_FIND + action).format(
        serial=volume_id[:SERIAL_LENGTH], mib=mib, patience=patience_s)
    return _AS_ROOT.format(script=shlex.quote(script))


class VolumeWorkload:
    """Writes to an attached volume and reads it back."""

    name = 'volume'

    def __init__(self, volume_id: str, mib: int) -> None:
        """Prepare the workload.

        :param volume_id: UUID of an attached volume
        :param mib: amount of data, in MiB
        """
        self._volume_id = volume_id
        self._mib = mib
        self._written = ''

    def start(self, run: workloads.Run) -> None:
        """Write to the volume, once the guest sees it."""
        self._written = run(write(self._volume_id, self._mib))

    def verify(self, run: workloads.Run) -> str:
        """Return a problem if the volume does not hold the written data."""
        found = run(read(self._volume_id, self._mib))
        if found == self._written:
            return ''
        return (f'the guest reads other data from volume {self._volume_id} '
                f'than it wrote: SHA-256 {found} instead of {self._written}')
