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

"""What placement knows: who has allocated what, and how much is left."""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

from lm_tempest_plugin.cloud import servers


@dataclasses.dataclass(frozen=True)
class Resources:
    """An amount of the three things that every flavor takes.

    :ivar vcpus: virtual CPUs
    :ivar ram_mib: memory
    :ivar disk_gib: local disk
    """

    vcpus: int
    ram_mib: int
    disk_gib: int

    @classmethod
    def of(cls, server: servers.Server) -> 'Resources':
        """Return what a server takes by its flavor."""
        return cls(server.vcpus, round(server.ram_gib * 1024),
                   math.ceil(server.disk_gib))

    @classmethod
    def of_flavor(cls, flavor: Mapping[str, Any]) -> 'Resources':
        """Return what a server with a flavor takes.

        Its root disk is counted, though one that is a volume takes none.

        :param flavor: as nova's JSON has it in the flavors API
        """
        return cls(
            flavor['vcpus'], flavor['ram'],
            flavor['disk'] + flavor['OS-FLV-EXT-DATA:ephemeral'] +
            math.ceil(int(flavor['swap'] or 0) / 1024))

    def __add__(self, other: 'Resources') -> 'Resources':
        return Resources(
            self.vcpus + other.vcpus, self.ram_mib + other.ram_mib,
            self.disk_gib + other.disk_gib)

    def beyond(self, free: 'Resources') -> list[str]:
        """Return what this amount is more than what is free, in words."""
        return [
            '%s: %d needed, %d free' % (
                name, getattr(self, field), getattr(free, field))
            for name, field in _CLASSES.items()
            if getattr(self, field) > max(0, getattr(free, field))]

    def times(self, free: 'Resources') -> int:
        """Return how often this amount fits into what is free."""
        return max(0, min(
            getattr(free, field) // getattr(self, field)
            for field in _CLASSES.values() if getattr(self, field)))


# placement's names for them
_CLASSES = {'VCPU': 'vcpus', 'MEMORY_MB': 'ram_mib', 'DISK_GB': 'disk_gib'}
NOTHING = Resources(0, 0, 0)


def free(providers_client: Any, provider_uuid: str) -> Resources:
    """Return what a host has left, overcommitment included.

    That is (total - reserved) * allocation_ratio - used, as placement
    reckons. A class that the host does not have, such as local disk in a
    cloud with shared storage, is not limited there.

    :param providers_client: tempest.lib's ResourceProvidersClient
    :param provider_uuid: of the host: that of its hypervisor in nova
    """
    inventories = providers_client.list_resource_provider_inventories(
        provider_uuid)['inventories']
    usages = providers_client.list_resource_provider_usages(
        provider_uuid)['usages']
    return Resources(**{
        field: _left(inventories.get(name), usages.get(name, 0))
        for name, field in _CLASSES.items()})


def _left(inventory: Mapping[str, Any] | None, used: int) -> int:
    if inventory is None:
        return 2 ** 31
    return int((inventory['total'] - inventory['reserved']) *
               inventory['allocation_ratio']) - used


def allocations(placement_client: Any, consumer: str) -> frozenset[str]:
    """Return the UUIDs of the providers on which a consumer has something.

    :param placement_client: tempest.lib's PlacementClient
    :param consumer: UUID of a server, or of a migration record
    """
    found = placement_client.list_allocations(consumer)
    return frozenset(found['allocations'])
