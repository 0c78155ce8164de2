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

Shell commands for busybox's ash, dash and bash; each fails with a word on
standard error if it cannot do what it is for. They write to the volume
itself, where there is no file system, and so need root's rights: through sudo
without a password for any other user.
"""

import shlex

# As much of a volume's UUID as a virtio disk shows of its serial number.
SERIAL_LENGTH = 20

# Only root may let the kernel drop what it has cached.
_AS_ROOT = """\
run=
[ -w /proc/sys/vm/drop_caches ] || run='sudo -n'
$run sh -c {script}
"""

# virtio, NVMe and SCSI show it at places of their own; a disk that was just
# attached may not be there yet.
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

# As long as somebody has it open the kernel keeps what it has cached: the sum
# is that of what was written, whatever came of it.
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

    What they write is random data from the volume's beginning on, which is
    on the volume when they return.

    :param volume_id: UUID of a volume that is attached
    :param mib: how much, in MiB
    :param patience_s: how long to wait for the disk to appear, in seconds
    """
    if mib < 1:
        raise ValueError('%s MiB cannot be written to a volume' % mib)
    return _command(_WRITE, volume_id, mib, patience_s)


def read(volume_id: str, mib: int) -> str:
    """Return shell commands that print the sum of what is on a volume.

    All that the guest has cached is dropped before, since it has migrated
    with the memory.

    :param volume_id: UUID of a volume that is attached
    :param mib: how much of it, from its beginning on, in MiB
    """
    return _command(_READ, volume_id, mib, 0)


def _command(what: str, volume_id: str, mib: int, patience_s: int) -> str:
    script = (_FIND + what).format(
        serial=volume_id[:SERIAL_LENGTH], mib=mib, patience=patience_s)
    return _AS_ROOT.format(script=shlex.quote(script))
