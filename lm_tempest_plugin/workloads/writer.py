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

"""A process in the guest that writes memory, so that a copy takes longer."""

# tmpfs where there is one: what is written to a disk is copied otherwise.
# Random, since pages of zeros are not sent; written once before the command
# returns, so that a copy that begins then is of a guest that writes. The end
# of the connection does not end it.
_SCRIPT = """\
d=/dev/shm; [ -w "$d" ] || d=/tmp
dd if=/dev/urandom of="$d/lm-source" bs=1048576 count={mib} || exit
cat "$d/lm-source" > "$d/lm-target" || exit
(trap '' HUP; while :; do cat "$d/lm-source" > "$d/lm-target"; done) \
    > /dev/null 2>&1 < /dev/null &
"""


def command(mib: int) -> str:
    """Return shell commands that start it and return when it writes.

    It writes the same amount of memory again and again, until the guest
    ends.

    :param mib: how much, in MiB; it takes twice as much of the guest
    """
    if mib < 1:
        raise ValueError('%s MiB of memory cannot be written' % mib)
    return _SCRIPT.format(mib=mib)
