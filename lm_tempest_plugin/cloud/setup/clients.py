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

"""Clients of tempest.lib without Tempest's configuration."""

from collections.abc import Iterator
import contextlib
from typing import Any

from tempest.lib import auth
from tempest.lib import exceptions
from tempest.lib.services import compute
from tempest.lib.services import network
from tempest.lib.services.placement import placement_client
from tempest.lib.services.placement import resource_providers_client
import urllib3

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud.setup import discovery


class CountingProvider(auth.KeystoneV3AuthProvider):
    """Authenticates requests, and counts them.

    :ivar requests: number of requests so far
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.requests = 0

    def auth_request(self, *args: Any, **kwargs: Any) -> Any:
        """Return the parts of a request with its token."""
        self.requests += 1
        return super().auth_request(*args, **kwargs)


def create(access: discovery.Access
           ) -> tuple[api.Clients, CountingProvider]:
    """Return the clients of an account, and its provider.

    Nothing is asked yet. There are no clients of cinder: volumes are left
    alone.

    :param access: connection to the cloud
    :raises SetupError: the cloud has several regions, and clouds.yaml names
        none
    """
    account = access.account
    common = {
        'disable_ssl_certificate_validation': account.insecure,
        'ca_certs': account.ca_file or None,
        # Without a limit, a service that does not answer blocks forever.
        'http_timeout': discovery.API_TIMEOUT_S}
    provider = CountingProvider(auth.KeystoneV3Credentials(
        username=account.username, password=account.password,
        project_name=account.project, user_domain_name=account.user_domain,
        project_domain_name=account.project_domain), account.auth_url,
        **common)
    region = discovery.find_region(access)

    def client(kind: Any, service: str) -> Any:
        return kind(provider, service, region,
                    endpoint_type=account.interface, **common)

    return api.Clients(
        servers=client(compute.ServersClient, 'compute'),
        migrations=client(compute.MigrationsClient, 'compute'),
        services=client(compute.ServicesClient, 'compute'),
        hypervisors=client(compute.HypervisorClient, 'compute'),
        versions=client(compute.VersionsClient, 'compute'),
        quotas=client(compute.QuotasClient, 'compute'),
        providers=client(
            resource_providers_client.ResourceProvidersClient, 'placement'),
        placement=client(placement_client.PlacementClient, 'placement'),
        ports=client(network.PortsClient, 'network')), provider


@contextlib.contextmanager
def microversions(clients: api.Clients) -> Iterator[None]:
    """Use the microversions that this plugin needs, for the whole process.

    Threads may send requests meanwhile, which none of them could if each set
    a microversion of its own.

    :param clients: of an administrator
    :raises InvalidConfiguration: the cloud does not offer them
    """
    version = api.choose_microversion(
        clients.versions, api.MICROVERSION, api.MICROVERSION)
    with api.use_microversion(version), placement.use_microversion(
            placement.MICROVERSION):
        yield


@contextlib.contextmanager
def explaining(access: discovery.Access, action: str) -> Iterator[None]:
    """Turn errors of the clients in a block into one sentence.

    :param access: connection to the cloud
    :param action: the block's purpose, such as: list hosts
    :raises SetupError: the cloud refuses, or does not answer
    """
    try:
        yield
    except (exceptions.Forbidden, exceptions.Unauthorized) as exc:
        raise access.error(
            f'user {access.account.username} may not {action}: use an '
            'administrator\'s account') from exc
    except (exceptions.TempestException, urllib3.exceptions.HTTPError,
            OSError) as exc:
        # Tempest's text about an endpoint has the credentials.
        shown = '' if isinstance(exc, exceptions.EndpointNotFound) else exc
        text = ' '.join(str(shown).split()) or type(exc).__name__
        raise access.error(f'cannot {action}: {text}') from exc
