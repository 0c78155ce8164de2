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

"""Which compute hosts there are to migrate to."""

from collections.abc import Iterable
import dataclasses
import re
from typing import Any

from tempest.lib import exceptions as lib_exc


class NoSuitableHost(lib_exc.TempestException):
    """A server cannot be moved the way that is asked for."""

    message = 'No suitable compute host'


@dataclasses.dataclass(frozen=True)
class Host:
    """One nova-compute service.

    :ivar name: the host's name, as servers and records show it
    :ivar status: enabled or disabled
    :ivar state: up or down
    """

    name: str
    status: str
    state: str

    @property
    def usable(self) -> bool:
        """Whether servers can be moved to it."""
        return self.status == 'enabled' and self.state == 'up'


def list_hosts(services_client: Any, avoid: str = '') -> list[Host]:
    """Return the compute hosts in the order of their names.

    :param services_client: tempest.lib's ServicesClient, of an admin
    :param avoid: regular expression for hosts to leave out, as in Tempest's
        [compute]target_hosts_to_avoid; empty to leave out none
    """
    services = services_client.list_services(
        binary='nova-compute')['services']
    # The services of a cell that is down come without a state.
    hosts = [Host(service['host'], service['status'],
                  service.get('state', 'unknown'))
             for service in services]
    return sorted((host for host in hosts
                   if not avoid or not re.search(avoid, host.name)),
                  key=lambda host: host.name)


def choose_destination(hosts: Iterable[Host], source: str,
                       wanted: str | None = None) -> str:
    """Return the name of a host to which a server can be moved.

    :param hosts: the cloud's compute hosts
    :param source: where the server is
    :param wanted: the host that it has to be; None for any other than source
    :raises NoSuitableHost: there is none; says why for every host
    """
    hosts = list(hosts)
    for host in hosts:
        if (host.usable and host.name != source and
                wanted in (None, '', host.name)):
            return host.name
    if wanted and wanted == source:
        raise NoSuitableHost('the server is on host %s already' % wanted)
    if wanted and wanted not in [host.name for host in hosts]:
        raise NoSuitableHost('host %s has no nova-compute service; those '
                             'that have: %s' % (wanted, describe(hosts)))
    raise NoSuitableHost(
        'no compute host other than %s is enabled and up%s: %s' % (
            source, ' and is named %s' % wanted if wanted else '',
            describe(hosts)))


def provider_uuids(hypervisors_client: Any) -> dict[str, str]:
    """Return the UUID of each host's resource provider, by the host's name.

    It is that of the hypervisor (since microversion 2.53). The provider's
    name is no help: a hypervisor may call itself otherwise than nova does.

    :param hypervisors_client: tempest.lib's HypervisorClient, of an admin
    """
    found = hypervisors_client.list_hypervisors(detail=True)['hypervisors']
    return {body['service']['host']: str(body['id']) for body in found}


def describe(hosts: Iterable[Host]) -> str:
    """Return the hosts with status and state, in words."""
    return ', '.join('%s (%s, %s)' % (host.name, host.status, host.state)
                     for host in hosts) or 'none at all'


def reported(services_client: Any, name: str) -> str | None:
    """Return when a host's nova-compute last reported, as nova has it.

    :param services_client: tempest.lib's ServicesClient, of an admin
    :param name: name of the host
    :returns: None if there is no such service, or nova takes it for down
    """
    for service in services_client.list_services(
            binary='nova-compute', host=name)['services']:
        if service.get('state') == 'up':
            return str(service['updated_at'])
    return None
