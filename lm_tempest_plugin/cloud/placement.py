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
"""Room for servers: placement's inventories and allocations, and quotas."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import json
import math
from typing import Any

from tempest.lib import exceptions
from tempest.lib.services.placement import base_placement_client

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import servers

UNLIMITED = -1
# Aggregates came with 1.1, traits with 1.6, the root of a provider with 1.14.
# Since 1.28, new allocations need the generation of their consumer.
MICROVERSION = '1.14'
SHARING = 'MISC_SHARES_VIA_AGGREGATE'


class NoHypervisor(exceptions.TempestException):
    """nova lists no hypervisor on a host."""

    message = 'No hypervisor'


class NoRoom(exceptions.TempestException):
    """Hosts or quotas have no room for the servers."""

    message = 'No room for servers'


@dataclasses.dataclass(frozen=True)
class Resources:
    """An amount of the three resources that every flavor has.

    :ivar vcpus: virtual CPUs
    :ivar ram_mib: memory
    :ivar disk_gib: local disk
    """

    vcpus: int
    ram_mib: int
    disk_gib: int

    @classmethod
    def of(cls, server: servers.Server) -> 'Resources':
        """Return the resources of a server, by its flavor."""
        return cls(server.vcpus, round(server.ram_gib * 1024),
                   math.ceil(server.disk_gib))

    @classmethod
    def of_flavor(cls, flavor: Mapping[str, Any]) -> 'Resources':
        """Return the resources of a server with a flavor.

        The root disk counts, although a server that boots from a volume needs
        none.

        :param flavor: JSON of the flavors API
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
        """Return one text for each resource that exceeds the free amount."""
        return [
            f'{name}: {getattr(self, field)} needed, '
            f'{getattr(free, field)} free'
            for name, field in _CLASSES.items()
            if getattr(self, field) > max(0, getattr(free, field))]

    def times(self, free: 'Resources') -> int:
        """Return how often this amount fits into the free amount."""
        return max(0, min(
            getattr(free, field) // getattr(self, field)
            for field in _CLASSES.values() if getattr(self, field)))


# Resources by the names of placement's resource classes.
_CLASSES = {'VCPU': 'vcpus', 'MEMORY_MB': 'ram_mib', 'DISK_GB': 'disk_gib'}
NOTHING = Resources(0, 0, 0)


def free_on_host(admin: api.Clients, host: str) -> Resources:
    """Return the free resources of a host.

    :param admin: clients of an administrator
    :param host: name of the host
    :raises NoHypervisor: nova lists no hypervisor on this host
    """
    return free_on_hosts(admin, [host])[host]


def free_on_hosts(admin: api.Clients,
                  hosts: Iterable[str]) -> dict[str, Resources]:
    """Return the free resources of hosts, by name.

    :param admin: clients of an administrator
    :param hosts: names of the hosts
    :raises NoHypervisor: nova lists no hypervisor on one of them
    """
    hosts = list(hosts)
    # One request for all hypervisors, and none where nobody asks.
    uuids = (compute_hosts.provider_uuids(admin.hypervisors)
             if hosts else {})
    for host in hosts:
        if host not in uuids:
            raise NoHypervisor(f'nova lists no hypervisor on host {host}')
    return {host: free(admin.providers, uuids[host]) for host in hosts}


def free(providers_client: Any, provider_uuid: str) -> Resources:
    """Return the free resources of a provider, overcommitment included.

    :param providers_client: tempest.lib's ResourceProvidersClient
    :param provider_uuid: UUID of the host's provider: of its hypervisor
    """
    inventories = providers_client.list_resource_provider_inventories(
        provider_uuid)['inventories']
    usages = providers_client.list_resource_provider_usages(
        provider_uuid)['usages']

    def left(name: str) -> int:
        inventory = inventories.get(name)
        if inventory is None:
            # A host without this resource class does not limit it, such as
            # local disk where storage is shared.
            return 2 ** 31
        return int((inventory['total'] - inventory['reserved']) *
                   inventory['allocation_ratio']) - int(usages.get(name, 0))

    return Resources(**{
        field: left(name) for name, field in _CLASSES.items()})


def room_query(needed: Resources) -> str:
    """Return the path with which placement lists the providers with room.

    :param needed: resources that one provider has to have
    """
    amounts = ','.join(
        f'{name}:{getattr(needed, field)}'
        for name, field in _CLASSES.items() if getattr(needed, field))
    return f'/allocation_candidates?resources={amounts}'


def list_candidates(placement_client: Any, needed: Resources) -> Any:
    """Return placement's answer to room_query().

    :param placement_client: tempest.lib's PlacementClient, of an admin
    :param needed: resources that one provider has to have
    """
    with use_microversion(MICROVERSION):
        resp, body = placement_client.get(room_query(needed))
    placement_client.expected_success(200, resp.status)
    return json.loads(body)


def allocations(placement_client: Any, consumer: str) -> frozenset[str]:
    """Return the UUIDs of the providers on which a consumer has allocations.

    :param placement_client: tempest.lib's PlacementClient
    :param consumer: UUID of a server or of a migration record
    """
    found = placement_client.list_allocations(consumer)
    return frozenset(found['allocations'])


def allocate(placement_client: Any, consumer: str, provider_uuid: str,
             **resources: int) -> None:
    """Allocate resources of a provider to a consumer that is no server.

    nova leaves allocations of consumers alone that it does not know
    (_remove_deleted_instances_allocations() in compute/resource_tracker.py).

    :param placement_client: tempest.lib's PlacementClient, of an admin
    :param consumer: new UUID
    :param provider_uuid: UUID of the provider
    :param resources: amounts by the names of resource classes
    """
    with use_microversion(MICROVERSION):
        resp, _ = placement_client.put(
            f'/allocations/{consumer}', json.dumps({
                'allocations': {provider_uuid: {'resources': resources}},
                'project_id': placement_client.project_id,
                'user_id': placement_client.user_id}))
    placement_client.expected_success(204, resp.status)


def release(placement_client: Any, consumer: str) -> None:
    """Delete the allocations of a consumer.

    :param placement_client: tempest.lib's PlacementClient, of an admin
    :param consumer: its UUID
    """
    resp, _ = placement_client.delete(f'/allocations/{consumer}')
    placement_client.expected_success(204, resp.status)


@contextlib.contextmanager
def use_microversion(version: str) -> Iterator[None]:
    """Use a microversion for the requests of all placement clients."""
    # tempest.lib has one microversion for the whole process.
    before = base_placement_client.PLACEMENT_MICROVERSION
    base_placement_client.PLACEMENT_MICROVERSION = version
    try:
        yield
    finally:
        base_placement_client.PLACEMENT_MICROVERSION = before


def provider_name(providers_client: Any, uuid: str) -> str:
    """Return the name of a resource provider; its UUID if it is gone.

    :param providers_client: tempest.lib's ResourceProvidersClient
    :param uuid: its UUID
    """
    try:
        return str(providers_client.show_resource_provider(uuid)['name'])
    except exceptions.NotFound:
        return uuid


def serves(providers_client: Any, uuid: str, root: str) -> bool:
    """Return whether a provider serves the servers on a host.

    These are the providers in its tree, such as those of bandwidth,
    VGPUs and PCI devices, and those that share with it, such as a shared
    disk.

    :param providers_client: tempest.lib's ResourceProvidersClient
    :param uuid: UUID of the provider
    :param root: UUID of the host's own provider
    """
    if uuid == root:
        return True
    with use_microversion(MICROVERSION):
        try:
            found = providers_client.show_resource_provider(uuid)
        except exceptions.NotFound:
            return False
        if found['root_provider_uuid'] == root:
            return True
        traits = providers_client.list_resource_provider_traits(
            uuid)['traits']
        if SHARING not in traits:
            return False
        shared, own = (
            set(providers_client.list_resource_provider_aggregates(
                each)['aggregates']) for each in (uuid, root))
        return bool(shared & own)


def lift_quota(quotas_client: Any, project_id: str) -> None:
    """Remove a project's limits on the number and size of its servers.

    A cloud with unified limits accepts the request and ignores it, so call
    quota_room() afterwards.

    :param quotas_client: tempest.lib's compute QuotasClient, of an admin
    :param project_id: the project's id
    """
    quotas_client.update_quota_set(
        project_id, instances=UNLIMITED, cores=UNLIMITED, ram=UNLIMITED)


def quota_room(limits_client: Any, each: Resources) -> int | None:
    """Return how many more servers a project may have; None if unlimited.

    :param limits_client: tempest.lib's compute LimitsClient, of the project
    :param each: resources of one server
    """
    limits = limits_client.show_limits()['limits']['absolute']
    found = [
        max(0, limits[most] - limits[used]) // needed
        for most, used, needed in (
            ('maxTotalInstances', 'totalInstancesUsed', 1),
            ('maxTotalCores', 'totalCoresUsed', each.vcpus),
            ('maxTotalRAMSize', 'totalRAMUsed', each.ram_mib))
        if limits[most] != UNLIMITED]
    return min(found, default=None)
