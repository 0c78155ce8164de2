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

"""The workload that a test chooses, as an object for each guest."""

from collections.abc import Callable

from lm_tempest_plugin.guests.workloads import keeper
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.guests.workloads import wordcount
from lm_tempest_plugin.guests.workloads import writes
from lm_tempest_plugin.results import schema

# The rows of config.WORKLOADS, but for idle. Each takes the workload that is
# asked for, and the address of the guest.
MAKERS: dict[str, Callable[[schema.WorkloadChoice, str], program.Program]] = {
    'memory': lambda asked, address: memory.MemoryWorkload(
        asked.memory_mib, asked.per_s),
    'keeper': lambda asked, address: keeper.KeeperWorkload(
        asked.per_s, asked.memory_mib),
    'disk': lambda asked, address: writes.WritesWorkload(asked.per_s),
    'wordcount': lambda asked, address: wordcount.WordcountWorkload(
        asked.per_s, address),
}


def create(asked: schema.WorkloadChoice,
           address: str) -> program.Program | None:
    """Return the workload of one guest; None for an idle one.

    :param asked: the workload that is asked for
    :param address: address of the guest
    """
    maker = MAKERS.get(asked.name)
    return maker(asked, address) if maker else None
