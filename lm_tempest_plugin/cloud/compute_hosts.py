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
"""nova's compute services: the hosts between which servers can move."""

from collections.abc import Iterable
import dataclasses
import re
from typing import Any

from tempest.lib import exceptions


class NoSuitableHost(exceptions.TempestException):
    """No compute host can take the server."""

    message = 'No suitable compute host'


@dataclasses.dataclass(frozen=True)
class ComputeService:
    """One nova-compute service.

    :ivar name: the host's name, as in servers and migration records
    :ivar status: enabled or disabled
    :ivar state: up or down
    """

    name: str
    status: str
    state: str

    @property
    def usable(self) -> bool:
        """Whether servers can move to this host."""
        return self.status == 'enabled' and self.state == 'up'


def list_hosts(services_client: Any, avoid: str = '') -> list[ComputeService]:
    """Return the compute services, ordered by name of host.

    :param services_client: tempest.lib's ServicesClient, of an admin
    :param avoid: regular expression for hosts to leave out, as in Tempest's
        [compute]target_hosts_to_avoid; empty to leave out none
    """
    services = services_client.list_services(
        binary='nova-compute')['services']
    # nova lists the services of a cell that is down without a state.
    hosts = [ComputeService(service['host'], service['status'],
                            service.get('state', 'unknown'))
             for service in services]
    return sorted((host for host in hosts
                   if not avoid or not re.search(avoid, host.name)),
                  key=lambda host: host.name)


def choose_destination(hosts: Iterable[ComputeService], source: str,
                       wanted: str | None = None) -> str:
    """Return the name of a host to which a server can move.

    :param hosts: the cloud's compute services
    :param source: name of the server's host
    :param wanted: name of the only acceptable host; None, empty or the source
        for any host other than the source. A round trip goes back to the
        host that is configured as its destination if the server was built
        there.
    :raises NoSuitableHost: there is none; names every host and its state
    """
    hosts = list(hosts)
    if wanted == source:
        wanted = None
    for host in hosts:
        if (host.usable and host.name != source and
                wanted in (None, '', host.name)):
            return host.name
    if wanted and wanted not in [host.name for host in hosts]:
        raise NoSuitableHost(
            f'host {wanted} has no nova-compute service; hosts that have one: '
            f'{describe(hosts)}')
    named = f' and is named {wanted}' if wanted else ''
    raise NoSuitableHost(
        f'no compute host other than {source} is enabled and up{named}: '
        f'{describe(hosts)}')


def provider_uuids(hypervisors_client: Any) -> dict[str, str]:
    """Return the UUID of each host's resource provider, by name of host.

    It is the hypervisor's UUID (since microversion 2.53). The provider's name
    does not help, because it is the hypervisor's hostname, which may differ
    from nova's name of the host.

    :param hypervisors_client: tempest.lib's HypervisorClient, of an admin
    """
    return {body['service']['host']: str(body['id'])
            for body in list_hypervisors(hypervisors_client)}


def list_hypervisors(hypervisors_client: Any) -> list[dict[str, Any]]:
    """Return the JSON of all hypervisors.

    :param hypervisors_client: tempest.lib's HypervisorClient, of an admin
    """
    # nova answers with [api]max_limit hypervisors at most: 1,000 by default.
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {}
    while True:
        answer = hypervisors_client.list_hypervisors(detail=True, **query)
        found += answer['hypervisors']
        if not answer.get('hypervisors_links'):
            return found
        query['marker'] = found[-1]['id']


def describe(hosts: Iterable[ComputeService]) -> str:
    """Return a text that lists the hosts with status and state."""
    return ', '.join(f'{host.name} ({host.status}, {host.state})'
                     for host in hosts) or 'none at all'


def reported(services_client: Any, name: str) -> str | None:
    """Return when a host's nova-compute last reported, in nova's format.

    :param services_client: tempest.lib's ServicesClient, of an admin
    :param name: name of the host
    :returns: None if there is no such service or nova shows it as down
    """
    for service in services_client.list_services(
            binary='nova-compute', host=name)['services']:
        if service.get('state') == 'up':
            return str(service['updated_at'])
    return None
