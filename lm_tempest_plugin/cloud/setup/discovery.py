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

"""Facts about a cloud that its APIs tell."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import account

# Names in Tempest's [service_available], and types in the catalog.
SERVICES = {'cinder': 'block-storage', 'glance': 'image',
            'neutron': 'network', 'nova': 'compute', 'swift': 'object-store'}
REQUIRED = ('glance', 'neutron', 'nova')
MIN_HOSTS = 2
# The trait of a resource provider whose inventory other providers use.
SHARING = 'MISC_SHARES_VIA_AGGREGATE'
# 1.18 filters by traits, 1.19 shows generations of aggregates.
PLACEMENT = '1.19'


@dataclasses.dataclass(frozen=True)
class CloudFacts:
    """Facts about a cloud.

    :ivar region: name of the region
    :ivar services: whether each of SERVICES exists
    :ivar hosts: compute hosts that are up and enabled
    :ivar unusable: the other compute hosts
    :ivar oldest: oldest microversion of the compute API
    :ivar newest: newest microversion of the compute API
    :ivar storage: ``shared`` if placement says that all hosts share the disks
        of servers; else empty, which means nothing
    :ivar volume_versions: oldest and newest microversion of cinder; None
        without cinder
    """

    region: str
    services: Mapping[str, bool]
    hosts: tuple[compute_hosts.ComputeService, ...]
    unusable: tuple[compute_hosts.ComputeService, ...]
    oldest: str
    newest: str
    storage: str
    volume_versions: tuple[str, str] | None = None


def discover(access: account.Access) -> CloudFacts:
    """Return the facts about a cloud.

    :param access: connection to it
    :raises SetupError: it does not answer, the account is not an
        administrator's, or servers cannot be live-migrated in it
    """
    services = {name: bool(access.connection.has_service(kind))
                for name, kind in SERVICES.items()}
    missing = [name for name in REQUIRED if not services[name]]
    if missing:
        raise setup.SetupError(
            f'cloud {access.cloud}: the catalog has no '
            f'{" and no ".join(missing)}, and the tests need it')
    known = _hosts(access)
    usable = tuple(host for host in known if host.usable)
    if len(usable) < MIN_HOSTS:
        raise setup.SetupError(
            f'cloud {access.cloud}: compute hosts that are up and enabled: '
            f'{len(usable)}, minimum for a live migration: {MIN_HOSTS}; all '
            f'hosts: {compute_hosts.describe(known)}')
    # Tempest creates projects and users for its tests. Listing projects takes
    # the same rights, and changes nothing.
    with access.explaining('list projects, and so not create those of the '
                           'tests'):
        next(iter(access.connection.identity.projects(limit=1)), None)
    oldest, newest = _compute_versions(access)
    return CloudFacts(
        region=access.account.region or _region(access), services=services,
        hosts=usable, oldest=oldest, newest=newest,
        unusable=tuple(host for host in known if not host.usable),
        storage=_storage(access, usable),
        volume_versions=_volume_versions(access) if services['cinder']
        else None)


def _hosts(access: account.Access) -> list[compute_hosts.ComputeService]:
    with access.explaining('list the compute services'):
        found = [compute_hosts.ComputeService(
            each.host, each.status, each.state or 'unknown')
            for each in access.connection.compute.services(
                binary='nova-compute')]
    return sorted(found, key=lambda host: host.name)


def _compute_versions(access: account.Access) -> tuple[str, str]:
    with access.explaining('read the versions of the compute API'):
        found = _versions(access.connection.compute)
    if found is None:
        raise setup.SetupError(
            f'cloud {access.cloud}: the compute API tells no '
            'microversions')
    if not api.at_least(found[1], api.MICROVERSION):
        raise setup.SetupError(
            f'cloud {access.cloud}: the compute API offers microversions up '
            f'to {found[1]}, and the tests need {api.MICROVERSION}')
    return found


def _volume_versions(access: account.Access) -> tuple[str, str] | None:
    with access.explaining('read the versions of the volume API'):
        return _versions(access.connection.block_storage)


def _versions(proxy: Any) -> tuple[str, str] | None:
    data = proxy.get_endpoint_data()
    if not data or not data.min_microversion or not data.max_microversion:
        return None
    return ('{}.{}'.format(*data.min_microversion),
            '{}.{}'.format(*data.max_microversion))


def _region(access: account.Access) -> str:
    """Return the region in which the catalog has nova.

    :raises SetupError: there are several
    """
    with access.explaining('read the catalog'):
        session = access.connection.session
        catalog = session.auth.get_access(session).service_catalog
        found = {endpoint.get('region_id') or endpoint.get('region')
                 for endpoints in catalog.get_endpoints(
                     service_type='compute',
                     interface=access.account.interface).values()
                 for endpoint in endpoints}
    names = sorted(name for name in found if name)
    if len(names) > 1:
        raise setup.SetupError(
            f'cloud {access.cloud} has {len(names)} regions: choose one with '
            f'region_name in clouds.yaml: {", ".join(names)}')
    return names[0] if names else ''


def _storage(access: account.Access,
             usable: tuple[compute_hosts.ComputeService, ...]) -> str:
    """Return ``shared`` if all hosts use a shared provider of disks.

    Few deployments configure one, with or without Ceph, so its absence means
    nothing. No other API tells where disks are.
    """
    with access.explaining('read resource providers from placement'):
        shared: set[str] = set()
        for each in _placement(access, '/resource_providers?required='
                               f'{SHARING}')['resource_providers']:
            if 'DISK_GB' in _placement(
                    access, f'/resource_providers/{each["uuid"]}/inventories'
                    )['inventories']:
                shared |= _aggregates(access, each['uuid'])
        if not shared:
            return ''
        providers = {each.service_details['host']: each.id for each in
                     access.connection.compute.hypervisors(details=True)}
        return 'shared' if all(
            host.name in providers and
            shared & _aggregates(access, providers[host.name])
            for host in usable) else ''


def _aggregates(access: account.Access, provider: str) -> set[str]:
    return set(_placement(access, f'/resource_providers/{provider}/aggregates'
                          )['aggregates'])


def _placement(access: account.Access, path: str) -> dict[str, Any]:
    answer = access.connection.placement.get(path, microversion=PLACEMENT)
    # Not every version of openstacksdk raises by itself here.
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body
