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
"""The tempest.lib clients that live migrations need, in one value."""

import dataclasses
from typing import Any

from tempest.lib import exceptions as lib_exc
import urllib3

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
    if isinstance(exc, (*NO_ANSWER, lib_exc.InvalidHTTPResponseBody)):
        return True
    resp = getattr(exc, 'resp', None)
    return resp is not None and int(resp.status) >= 500
