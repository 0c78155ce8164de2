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

"""The compute hosts with the facts that decide where their servers can go."""

from collections.abc import Callable
from collections.abc import Mapping
import json
import re
from typing import Any

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.migration import results_file

#: Returns the JSON at a path of an API. nova tells the CPU of a host with
#: microversions 2.28 to 2.87.
Get = Callable[[str], Any]


def read(get: Get, candidates: Mapping[str, Any],
         versions: Mapping[str, access.HostVersions],
         avoid: str = '') -> list[coverage.Host]:
    """Return the compute hosts of a cloud.

    nova's API does not tell the cell of a host. A name that occurs in several
    is that of no usable host, since a request cannot say which one is meant.

    :param get: asks the compute API
    :param candidates: placement's answer, which names the providers with room
    :param versions: versions of programs on hosts that were asked, by name
    :param avoid: regular expression of hosts to leave out; empty for none
    """
    services: dict[str, list[Any]] = {}
    for body in get('os-services?binary=nova-compute')['services']:
        if not avoid or not re.search(avoid, body['host']):
            services.setdefault(body['host'], []).append(body)
    hypervisors: dict[str, list[Any]] = {}
    for body in _hypervisors(get):
        hypervisors.setdefault(body['service']['host'], []).append(body)
    aggregates = get('os-aggregates')['aggregates']
    roomy = {provider for each in candidates['allocation_requests']
             for provider in each['allocations']}
    return [_host(name, bodies, hypervisors.get(name, []), aggregates, roomy,
                  versions) for name, bodies in sorted(services.items())]


def of_clients(clients: api.Clients, each: placement.Resources,
               versions: Mapping[str, access.HostVersions],
               avoid: str = '') -> list[coverage.Host]:
    """Return the compute hosts, as Tempest's clients show them.

    :param clients: of an administrator
    :param each: resources of one server
    :param versions: versions of programs on hosts that were asked, by name
    :param avoid: regular expression of hosts to leave out; empty for none
    """
    def get(path: str) -> Any:
        resp, body = clients.hypervisors.get(path)
        clients.hypervisors.expected_success(200, resp.status)
        return json.loads(body)

    return read(get, placement.list_candidates(clients.placement, each),
                versions, avoid)


def _hypervisors(get: Get) -> list[Any]:
    """Return all hypervisors; nova lists up to 1,000 at a time."""
    path, found = 'os-hypervisors/detail', []
    while True:
        answer = get(path)
        found += answer['hypervisors']
        if not answer.get('hypervisors_links') or not answer['hypervisors']:
            return found
        path = f'os-hypervisors/detail?marker={found[-1]["id"]}'


def _host(name: str, services: list[Any], hypervisors: list[Any],
          aggregates: list[Any], roomy: set[str],
          versions: Mapping[str, access.HostVersions]) -> coverage.Host:
    service = services[0]
    members = [each for each in aggregates if name in each['hosts']]
    facts: dict[str, Any] = {
        'zone': service.get('zone') or '',
        'member_of': frozenset(each['name'] for each in members),
        'aggregates': ','.join(sorted(
            each['name'] for each in members
            if set(each['metadata']) - {'availability_zone'}))}
    if len(services) > 1:
        facts['unusable'] = (f'{len(services)} nova-compute services have '
                             'this name, as in several cells')
    elif service['status'] == 'disabled':
        why = service.get('disabled_reason')
        facts['unusable'] = f'disabled: {why}' if why else 'disabled'
    elif service.get('state') != 'up':
        # nova lists the services of a cell that is down without a state, and
        # with status UNKNOWN.
        facts['unusable'] = service.get('state') or 'of unknown state'
    elif len(hypervisors) != 1:
        facts['unusable'] = f'nova lists {len(hypervisors)} hypervisors on it'
    elif hypervisors[0]['id'] not in roomy:
        facts['unusable'] = 'full: no room for a server of the tests'
    if len(hypervisors) == 1:
        body = hypervisors[0]
        software = results_file.describe_host(body, versions)
        # Other drivers than libvirt's tell none, or a text.
        cpu = body.get('cpu_info')
        cpu = cpu if isinstance(cpu, dict) else {}
        facts |= {
            'architecture': cpu.get('arch', ''),
            'hypervisor': software.hypervisor_type,
            'cpu': ' '.join(filter(None, (cpu.get('vendor'),
                                          cpu.get('model')))),
            'features': frozenset(cpu.get('features', ())),
            'qemu': software.hypervisor_version,
            'nova': software.nova_version or '',
            'libvirt': software.libvirt_version or ''}
    return coverage.Host(name, **facts)
