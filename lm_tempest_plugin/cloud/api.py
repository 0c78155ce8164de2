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

"""Clients of the OpenStack APIs, and microversions of their requests."""

from collections.abc import Iterator
import contextlib
import dataclasses
import re
from typing import Any

from tempest.lib import exceptions
from tempest.lib.services.compute import base_compute_client
import urllib3

from lm_tempest_plugin import config

# os-migrations in the form that is read here came with 2.80, asynchronous
# checks of a live migration with 2.34, the flavor within the server with 2.47,
# and the details of failed events with 2.84: nova since Victoria (22.0).
MICROVERSION = '2.84'
# Exceptions of a request without any answer.
NO_ANSWER = (urllib3.exceptions.HTTPError, OSError)


@dataclasses.dataclass(frozen=True)
class Clients:
    """Clients of one administrator.

    :ivar servers: tempest.lib's compute ServersClient
    :ivar migrations: tempest.lib's compute MigrationsClient
    :ivar services: tempest.lib's compute ServicesClient
    :ivar hypervisors: tempest.lib's compute HypervisorClient
    :ivar versions: tempest.lib's compute VersionsClient
    :ivar quotas: tempest.lib's compute QuotasClient
    :ivar providers: tempest.lib's placement ResourceProvidersClient
    :ivar placement: tempest.lib's PlacementClient
    :ivar ports: tempest.lib's network PortsClient
    :ivar volumes: tempest.lib's VolumesClient; None without cinder
    :ivar attachments: tempest.lib's AttachmentsClient; None without cinder
    """

    servers: Any
    migrations: Any
    services: Any
    hypervisors: Any
    versions: Any
    quotas: Any
    providers: Any
    placement: Any
    ports: Any
    volumes: Any = None
    attachments: Any = None

    @classmethod
    def of(cls, manager: Any) -> 'Clients':
        """Return the clients of a manager.

        :param manager: tempest.clients.Manager of an administrator
        """
        return cls(
            servers=manager.servers_client,
            migrations=manager.migrations_client,
            services=manager.services_client,
            hypervisors=manager.hypervisor_client,
            versions=manager.compute_versions_client,
            quotas=manager.quotas_client,
            providers=manager.resource_providers_client,
            placement=manager.placement_client,
            ports=manager.ports_client,
            # Tempest's manager has these only where cinder is available.
            volumes=getattr(manager, 'volumes_client_latest', None),
            attachments=getattr(manager, 'attachments_client_latest', None))


def is_transient(exc: BaseException) -> bool:
    """Return whether an error may go away without our doing anything.

    That is so while an API server restarts: no connection, no proper answer,
    or HTTP 5xx.

    :param exc: raised by a request to the compute API
    """
    if isinstance(exc, (*NO_ANSWER, exceptions.InvalidHTTPResponseBody)):
        return True
    resp = getattr(exc, 'resp', None)
    return resp is not None and int(resp.status) >= 500


def parse_microversion(version: str) -> tuple[int, int]:
    """Return major and minor number of a microversion, to compare them.

    :param version: such as 2.84
    :raises ValueError: it is not a microversion
    """
    match = re.fullmatch(config.MICROVERSION, version)
    if match is None:
        raise ValueError(f'{version!r} is no microversion, such as 2.84')
    return int(match[1]), int(match[2])


def at_least(version: str, wanted: str) -> bool:
    """Return whether a microversion is the wanted one or a later one."""
    return parse_microversion(version) >= parse_microversion(wanted)


def offered_microversions(versions_client: Any) -> tuple[str, str]:
    """Return the oldest and the newest microversion that the cloud offers.

    :param versions_client: tempest.lib's VersionsClient
    :raises InvalidConfiguration: the cloud has no compute API 2.1
    """
    for version in versions_client.list_versions()['versions']:
        if version['id'] == 'v2.1':
            return version['min_version'], version['version']
    raise exceptions.InvalidConfiguration(
        'the cloud shows no compute API v2.1')


def choose_microversion(versions_client: Any, wanted: str,
                        default: str) -> str:
    """Return the microversion for requests.

    :param versions_client: tempest.lib's VersionsClient
    :param wanted: the only acceptable microversion; empty for the newest up
        to the default that the cloud offers
    :param default: the newest that the caller knows
    :raises InvalidConfiguration: the cloud does not offer the wanted one
    """
    oldest, newest = offered_microversions(versions_client)
    if not wanted:
        return min(default, newest, key=parse_microversion)
    if not (at_least(wanted, oldest) and at_least(newest, wanted)):
        raise exceptions.InvalidConfiguration(
            f'microversion {wanted} is wanted, but the compute API of this '
            f'cloud offers {oldest} to {newest}')
    return wanted


@contextlib.contextmanager
def use_microversion(version: str) -> Iterator[None]:
    """Use a microversion for the requests of all compute clients.

    The previous one is restored afterwards.

    :param version: such as 2.24
    """
    # tempest.lib has one microversion for the whole process.
    before = base_compute_client.COMPUTE_MICROVERSION
    base_compute_client.COMPUTE_MICROVERSION = version
    try:
        yield
    finally:
        base_compute_client.COMPUTE_MICROVERSION = before
