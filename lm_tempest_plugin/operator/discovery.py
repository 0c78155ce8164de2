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

"""What a cloud is, as far as its APIs tell."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from lm_tempest_plugin import cloud as own_cloud
from lm_tempest_plugin.cloud import hosts as cloud_hosts
from lm_tempest_plugin.cloud import microversions
from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import errors

# Tempest's names in [service_available], and types of the catalog.
SERVICES = {'cinder': 'block-storage', 'glance': 'image',
            'neutron': 'network', 'nova': 'compute', 'swift': 'object-store'}
NEEDED = ('glance', 'neutron', 'nova')
FEWEST = 2
# Providers that others use, and filtering by traits: placement 1.18.
SHARING = 'MISC_SHARES_VIA_AGGREGATE'
PLACEMENT = '1.19'


@dataclasses.dataclass(frozen=True)
class Cloud:
    """What was found.

    :ivar region: name of the region
    :ivar services: whether there are those that Tempest asks about
    :ivar hosts: compute hosts that are up and enabled
    :ivar unusable: the others
    :ivar oldest: microversion of the compute API
    :ivar newest: the same
    :ivar storage: shared if placement says that hosts share the disks of
        servers; empty if it does not say so, which tells nothing
    :ivar volume_versions: oldest and newest microversion of cinder; None
        where there is none
    """

    region: str
    services: Mapping[str, bool]
    hosts: tuple[cloud_hosts.Host, ...]
    unusable: tuple[cloud_hosts.Host, ...]
    oldest: str
    newest: str
    storage: str
    volume_versions: tuple[str, str] | None = None


def discover(access: accesses.Access) -> Cloud:
    """Return what a cloud is.

    :param access: the way to it
    :raises OperatorError: it cannot be asked, the account is none of an
        administrator, or there is nothing to migrate between
    """
    services = {name: bool(access.connection.has_service(kind))
                for name, kind in SERVICES.items()}
    missing = [name for name in NEEDED if not services[name]]
    if missing:
        raise errors.OperatorError(
            'cloud %s: the catalog has no %s, without which there are no '
            'guests to move' % (access.cloud, ' and no '.join(missing)))
    known = _hosts(access)
    usable = tuple(host for host in known if host.usable)
    if len(usable) < FEWEST:
        raise errors.OperatorError(
            'cloud %s: a live migration takes two compute hosts that are up '
            'and enabled, and there %s: %s' % (
                access.cloud, 'is one' if usable else 'is none',
                cloud_hosts.describe(known)))
    _check_identity(access)
    oldest, newest, region = _compute(access)
    return Cloud(
        region, services, usable,
        tuple(host for host in known if not host.usable), oldest, newest,
        _storage(access, usable),
        _volume_versions(access) if services['cinder'] else None)


def _hosts(access: accesses.Access) -> list[cloud_hosts.Host]:
    with access.to('list the compute services'):
        services = list(access.connection.compute.services(
            binary='nova-compute'))
    found = [cloud_hosts.Host(each.host, each.status, each.state or 'unknown')
             for each in services]
    return sorted(found, key=lambda host: host.name)


def _check_identity(access: accesses.Access) -> None:
    """Find out whether Tempest may make projects and users for its tests.

    :raises OperatorError: it may not even list projects
    """
    with access.to('list projects, and so not make those of the tests'):
        next(iter(access.connection.identity.projects(limit=1)), None)


def _compute(access: accesses.Access) -> tuple[str, str, str]:
    """Return oldest and newest microversion, and the region's name.

    :raises OperatorError: the tests need a newer one
    """
    with access.to('read the versions of the compute API'):
        data = access.connection.compute.get_endpoint_data()
    if not data or not data.min_microversion or not data.max_microversion:
        raise errors.OperatorError(
            'cloud %s: the compute API tells no microversions' %
            access.cloud)
    oldest, newest = ('%d.%d' % each for each in (
        data.min_microversion, data.max_microversion))
    if not microversions.at_least(newest, own_cloud.MICROVERSION):
        raise errors.OperatorError(
            'cloud %s: the compute API offers microversions up to %s, and '
            'the tests need %s' % (
                access.cloud, newest, own_cloud.MICROVERSION))
    return oldest, newest, access.account.region or _region(access)


def _volume_versions(access: accesses.Access) -> tuple[str, str] | None:
    with access.to('read the versions of the volume API'):
        data = access.connection.block_storage.get_endpoint_data()
    if not data or not data.min_microversion or not data.max_microversion:
        return None
    return ('%d.%d' % data.min_microversion,
            '%d.%d' % data.max_microversion)


def _region(access: accesses.Access) -> str:
    """Return the region in which the catalog has nova, if it is one.

    :raises OperatorError: there are several
    """
    with access.to('read the catalog'):
        catalog = access.connection.session.auth.get_access(
            access.connection.session).service_catalog
        found = {endpoint.get('region_id') or endpoint.get('region')
                 for endpoints in catalog.get_endpoints(
                     service_type='compute',
                     interface=access.account.interface).values()
                 for endpoint in endpoints}
    names = sorted(name for name in found if name)
    if len(names) > 1:
        raise errors.OperatorError(
            'cloud %s has several regions, and clouds.yaml does not say '
            'which (region_name): %s' % (access.cloud, ', '.join(names)))
    return names[0] if names else ''


def _storage(access: accesses.Access,
             usable: tuple[cloud_hosts.Host, ...]) -> str:
    """Return shared if placement has every host on a shared disk provider.

    Few deployments configure that, with Ceph or without: its absence tells
    nothing, and no other API tells where disks are.
    """
    with access.to('read resource providers from placement'):
        shared = _aggregates_of_disks(access)
        if not shared:
            return ''
        providers = {each.service_details['host']: each.id for each in
                     access.connection.compute.hypervisors(details=True)}
        on_them = [bool(shared & _aggregates(access, providers[host.name]))
                   for host in usable if host.name in providers]
    return 'shared' if len(on_them) == len(usable) and all(on_them) else ''


def _aggregates_of_disks(access: accesses.Access) -> set[str]:
    """Return the aggregates whose members share a provider of disks."""
    found: set[str] = set()
    for each in _get(access, '/resource_providers?required=%s' % SHARING)[
            'resource_providers']:
        if 'DISK_GB' in _get(access, '/resource_providers/%s/inventories' %
                             each['uuid'])['inventories']:
            found |= _aggregates(access, each['uuid'])
    return found


def _aggregates(access: accesses.Access, provider: str) -> set[str]:
    return set(_get(access, '/resource_providers/%s/aggregates' %
                    provider)['aggregates'])


def _get(access: accesses.Access, path: str) -> dict[str, Any]:
    answer = access.connection.placement.get(path, microversion=PLACEMENT)
    # Not every version of openstacksdk raises by itself here.
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body
