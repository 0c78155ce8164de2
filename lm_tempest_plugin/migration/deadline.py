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

"""How long a live migration may take: our own measure, not nova's."""

import dataclasses

from lm_tempest_plugin.cloud import servers


@dataclasses.dataclass(frozen=True)
class Allowance:
    """What a migration may take, by the size of the server.

    :ivar base_s: whatever the size, in seconds
    :ivar per_gib_ram_s: for each GiB of memory, in seconds
    :ivar per_gib_disk_s: for each GiB of local disk that is copied, in
        seconds
    """

    base_s: float
    per_gib_ram_s: float
    per_gib_disk_s: float

    def timeout_s(self, server: servers.Server, disks_copied: bool) -> float:
        """Return how long a server's migration may take, in seconds.

        :param server: the server
        :param disks_copied: whether its local disks go over the network too
        """
        timeout_s = self.base_s + self.per_gib_ram_s * server.ram_gib
        if disks_copied:
            timeout_s += self.per_gib_disk_s * server.disk_gib
        return timeout_s
