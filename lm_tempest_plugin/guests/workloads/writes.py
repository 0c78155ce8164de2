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

"""A guest that writes numbered blocks to its disk, each with fsync."""

from collections.abc import Sequence

import msgspec

from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import disk
from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.results import schema

# Blocks in the file; the oldest one is overwritten.
PLACES = 256

# The number of the last write that is on the disk for sure, and then the
# number in each block.
_READ = """\
tail -n 1 "$folder/log" | cut -d ' ' -f 2
""" + disk.DROP_CACHES + """\
awk '{ print $1 ~ /^[0-9]+$/ ? $1 : "unreadable" }' "$HOME/lm-disk-writes"
"""


class WritesWorkload(program.Program):
    """Writes to the disk at a rate, and keeps the time of each write."""

    name = 'disk'
    script = 'writes.sh'
    on_disk = True
    unit = 'writes'

    def figures(self, done: Sequence[program.Work], begin_ns: int,
                end_ns: int) -> schema.WorkloadFigures:
        """Return the throughput, and the longest write of the migration.

        The guest measures it, so it does not contain a pause of the guest.
        """
        return msgspec.structs.replace(
            super().figures(done, begin_ns, end_ns), disk_stall_s=max(
                (each.took_s for each in done if each.took_s is not None and
                 each.at_ns >= begin_ns and
                 each.at_ns - each.took_s * 1e9 <= end_ns), default=None))

    def verify(self, run: workloads.Run) -> str:
        """Return a problem if a block does not hold its last write."""
        problem = super().verify(run)
        if problem:
            return problem
        last, *found = self.ask(run, _READ).split()
        for place, number in enumerate(found):
            # Of this block; it may be written again meanwhile.
            newest = int(last) - (int(last) - place) % PLACES
            if number == 'unreadable' or int(number) < newest:
                return (f'block {place} on the disk holds write {number} '
                        f'instead of {newest}, which was on the disk before '
                        f'(fsync); the last write was {last}')
        return ''
