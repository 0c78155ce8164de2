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

"""A file on the guest's disk, written before a migration and read after."""

from lm_tempest_plugin.guests import workloads

# The mount with the longest path counts; of several at one path the last,
# because it covers the others. An overlay stores written files in its
# upperdir. If that directory is not visible from here, the lookup returns the
# overlay itself, which is no disk.
_LOCATE = """\
find_mount() {
    kind=nothing source= options= best=0
    while read -r from point type flags rest; do
        case ${1%/}/ in
            ("${point%/}/"*) ;;
            (*) continue ;;
        esac
        if [ ${#point} -ge $best ]; then
            kind=$type source=$from options=$flags best=${#point}
        fi
    done < /proc/mounts
}
home=$(cd "$HOME" && pwd -P) || exit
find_mount "$home"
over=
case $kind:$options in
    (overlay:*,upperdir=*)
        upper=${options#*,upperdir=}
        find_mount "${upper%%,*}"
        over='overlay on ' ;;
esac
case $kind:$source in
    (tmpfs:*|ramfs:*|rootfs:*|overlay:*|*:/dev/ram*|*:/dev/zram*) disk=no ;;
    (*:/dev/*) disk=yes ;;
    (*) disk=no ;;
esac
if [ $disk = no ]; then
    echo "HOME is not on a disk: $over$kind" >&2
    exit 1
fi
"""

# The checksum is computed from the page cache: it is that of the data that
# was written, whatever reached the disk.
_WRITE = """\
dd if=/dev/urandom of="$HOME/lm-disk" bs=1048576 count={mib} conv=fsync \
    || exit
sum=$(sha256sum < "$HOME/lm-disk") || exit
echo "${{sum%% *}}"
"""

# The guest's memory was migrated with its page cache, so a checksum of cached
# data says nothing about the disk: drop the cache, or fail. Only clean pages
# can be dropped; conv=fsync above has written these.
DROP_CACHES = """\
caches=/proc/sys/vm/drop_caches
if [ -w $caches ]; then
    echo 3 > $caches
else
    sudo -n sh -c "echo 3 > $caches"
fi || { echo 'The page cache cannot be dropped' >&2; exit 1; }
"""
_READ = DROP_CACHES + """\
sum=$(sha256sum < "$HOME/lm-disk") || exit
echo "${sum%% *}"
"""


def locate() -> str:
    """Return shell commands that print the type of HOME's file system.

    They fail if HOME is not on a disk. Only a file system on a block device
    counts as one.
    """
    return _LOCATE + 'echo "$over$kind"\n'


def write(mib: int) -> str:
    """Return shell commands that write a file and print its SHA-256 sum.

    The file is in HOME and holds random data. It is on the disk when they
    return. They fail if HOME is not on a disk.

    :param mib: size of the file, in MiB
    """
    if mib < 1:
        raise ValueError(f'{mib} MiB cannot be written to a disk')
    return _LOCATE + _WRITE.format(mib=mib)


def read() -> str:
    """Return shell commands that print the SHA-256 sum of the file on disk.

    They drop the guest's page cache first, and fail where neither the user
    nor sudo without a password may do that.
    """
    return _READ


class DiskWorkload:
    """Writes a file to the guest's disk and reads it back."""

    name = 'disk'

    def __init__(self, mib: int) -> None:
        """Prepare the workload.

        :param mib: size of the file, in MiB
        """
        self._mib = mib
        self._written = ''

    def start(self, run: workloads.Run) -> None:
        """Write the file."""
        self._written = run(write(self._mib))

    def verify(self, run: workloads.Run) -> str:
        """Return a problem if the disk does not hold the written file."""
        found = run(read())
        if found == self._written:
            return ''
        return ('the guest reads other data from its disk than it wrote: '
                f'SHA-256 {found} instead of {self._written}')
