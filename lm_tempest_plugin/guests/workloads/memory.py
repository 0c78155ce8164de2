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

"""A guest that writes memory, to slow the copy down."""

from lm_tempest_plugin.guests.workloads import program


class MemoryWorkload(program.Program):
    """Writes the same memory again and again, each time with other data."""

    name = 'memory'
    script = 'memory.sh'
    # Blocks of 64 KiB.
    step = 1 / 16

    def __init__(self, memory_mib: int, asked_per_s: float = 0.0) -> None:
        """Prepare the workload.

        :param memory_mib: size of the memory that is written, in MiB
        :param asked_per_s: MiB to write each second; 0 for as many as possible
        """
        if memory_mib < 1:
            raise ValueError(f'{memory_mib} MiB of memory cannot be written')
        super().__init__(asked_per_s, memory_mib)
