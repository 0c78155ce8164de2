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

"""A file on the guest's disk, written before a migration and read after it.

Shell commands for busybox's ash, dash and bash; each fails with a word on
standard error if it cannot do what it is for.
"""

# The mount with the longest path counts, and of several at one place the
# last, which covers the others. An overlay keeps what is written elsewhere; a
# place that is not in sight from here is seen as the overlay itself.
_LOCATE = """\
look() {
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
look "$home"
over=
case $kind:$options in
    (overlay:*,upperdir=*)
        upper=${options#*,upperdir=}
        look "${upper%%,*}"
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

# What was written is summed up from memory, where it still is.
_WRITE = """\
dd if=/dev/urandom of="$HOME/lm-disk" bs=1048576 count={mib} conv=fsync \
    || exit
sum=$(sha256sum < "$HOME/lm-disk") || exit
echo "${{sum%% *}}"
"""

# Only what is on the disk already can be dropped, and this is, since it was
# written. Without that there is nothing to go on with: the memory has
# migrated, and a sum of what is cached says nothing of the disk.
_READ = """\
caches=/proc/sys/vm/drop_caches
if [ -w $caches ]; then
    echo 3 > $caches
else
    sudo -n sh -c "echo 3 > $caches"
fi || { echo 'What is cached cannot be dropped' >&2; exit 1; }
sum=$(sha256sum < "$HOME/lm-disk") || exit
echo "${sum%% *}"
"""


def locate() -> str:
    """Return shell commands that print the file system's type of HOME.

    They fail if HOME is not on a disk, or on one of which that cannot be
    seen: only what has a block device behind it counts.
    """
    return _LOCATE + 'echo "$over$kind"\n'


def write(mib: int) -> str:
    """Return shell commands that write a file and print its SHA-256 sum.

    It is a file of random data in HOME, which is on the disk when they
    return. They fail if HOME is not on a disk.

    :param mib: how much, in MiB
    """
    if mib < 1:
        raise ValueError('%s MiB cannot be written to a disk' % mib)
    return _LOCATE + _WRITE.format(mib=mib)


def read() -> str:
    """Return shell commands that print the sum of what is on the disk.

    All that the guest has cached is dropped before, since it has migrated
    with the memory. They fail where that is allowed neither to the user nor
    through sudo without a password.
    """
    return _READ
