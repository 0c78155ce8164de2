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

"""Answers of tempest.lib's clients without a cloud."""

import json
from unittest import mock
from urllib import parse

from tempest.lib import exceptions as lib_exc
from tempest.lib.services.compute import hypervisor_client
from tempest.lib.services.compute import migrations_client
from tempest.lib.services.compute import servers_client
from tempest.lib.services.compute import services_client
from tempest.lib.services.compute import versions_client
from tempest.lib.services.network import ports_client
from tempest.lib.services.placement import placement_client
from tempest.lib.services.placement import resource_providers_client

S = 1_000_000_000
SERVER_ID = '5d2b0b9c-6f2c-4d2f-8c94-6bb0c9b0f6b1'


class Clock:
    """A clock that moves only when someone sleeps."""

    def __init__(self):
        self.now_ns = 1000 * S
        self.slept_s = []

    def monotonic_ns(self):
        return self.now_ns

    def monotonic(self):
        return self.now_ns / S

    def time_ns(self):
        """Return the time of day: an hour ahead of the monotonic clock."""
        return self.now_ns + 3600 * S

    def sleep(self, seconds):
        self.slept_s.append(seconds)
        self.now_ns += round(seconds * S)


class Response(dict):
    """The headers of a response, and its status."""

    def __init__(self, status, **headers):
        super().__init__(headers)
        self.status = status


def server(status='ACTIVE', task_state=None, host='alpha', fault=None,
           ram=2048, disk=20, ephemeral=4, vcpus=2, swap=0, image='image-1',
           server_id=SERVER_ID):
    """Return the JSON of a server.

    :param image: its id; None if the server was booted from a volume
    """
    body = {
        'id': server_id, 'name': 'guest', 'status': status,
        'updated': '2026-01-01T12:00:07Z',
        'image': {'id': image} if image else '',
        'OS-EXT-STS:task_state': task_state,
        'OS-EXT-SRV-ATTR:host': host,
        'flavor': {'vcpus': vcpus, 'ram': ram, 'disk': disk,
                   'ephemeral': ephemeral, 'swap': swap}}
    if fault:
        body['fault'] = {'message': fault}
    return body


def record(status, number=7, source='alpha', destination='beta',
           instance_uuid=SERVER_ID,
           created_at='2026-01-01T00:00:00.000000',
           updated_at='2026-01-01T00:00:00.000000'):
    """Return the JSON of a migration record."""
    return {'id': number, 'uuid': f'uuid-{number}', 'status': status,
            'instance_uuid': instance_uuid,
            'source_compute': source, 'dest_compute': destination,
            'created_at': created_at, 'updated_at': updated_at}


def servers(*answers):
    """Return a client that shows these servers, one after the other.

    The last is shown for ever. Exceptions among them are raised.
    """
    client = mock.create_autospec(
        servers_client.ServersClient, instance=True)
    client.show_server.side_effect = _last_for_ever(
        [answer if isinstance(answer, Exception) else {'server': answer}
         for answer in answers])
    return client


def server_pages(*pages):
    """Return a client that lists these servers, page by page."""
    client = mock.create_autospec(
        servers_client.ServersClient, instance=True)
    client.list_servers.side_effect = [
        {'servers': page, 'servers_links': [{'rel': 'next'}]}
        for page in pages[:-1]] + [{'servers': pages[-1]}]
    return client


def acting(status=202):
    """Return a client of servers whose requests get this status."""
    client = mock.create_autospec(
        servers_client.ServersClient, instance=True)
    for method in (client.post, client.delete):
        method.return_value = (Response(status), b'')
    client.expected_success.side_effect = (
        servers_client.ServersClient.expected_success)
    return client


def migrations(*answers):
    """Return a client that lists these records, one list after the other.

    The last list is shown for ever. Exceptions among them are raised.
    """
    client = mock.create_autospec(
        migrations_client.MigrationsClient, instance=True)
    client.list_migrations.side_effect = _last_for_ever(
        [answer if isinstance(answer, Exception) else {
            'migrations': answer, 'migrations_links': []}
         for answer in answers])
    client.get.side_effect = by_query(client.list_migrations)
    return client


def by_query(answer):
    """Return a rest client's get() for os-migrations.

    :param answer: takes the query as keyword arguments
    """
    def get(url):
        path, _, query = url.partition('?')
        assert path == 'os-migrations', path
        return Response(200), json.dumps(answer(**dict(
            parse.parse_qsl(query))))

    return get


def services(*hosts):
    """Return a client that lists these (host, status, state)."""
    client = mock.create_autospec(
        services_client.ServicesClient, instance=True)
    client.list_services.return_value = {'services': [
        {'host': host, 'status': status, 'state': state}
        for host, status, state in hosts]}
    return client


def hypervisors(**ids):
    """Return a client that lists hypervisors.

    :param ids: id of the hypervisor of each host
    """
    client = mock.create_autospec(
        hypervisor_client.HypervisorClient, instance=True)
    client.list_hypervisors.return_value = {'hypervisors': [
        {'id': number, 'hypervisor_hostname': f'{host}.example.org',
         'service': {'host': host}} for host, number in ids.items()]}
    return client


def versions(*answers):
    """Return a client that lists these (id, oldest, newest)."""
    client = mock.create_autospec(
        versions_client.VersionsClient, instance=True)
    client.list_versions.return_value = {'versions': [
        {'id': name, 'min_version': oldest, 'version': newest}
        for name, oldest, newest in answers]}
    return client


def providers(inventories, usages):
    """Return a client that shows these values for each provider."""
    client = mock.create_autospec(
        resource_providers_client.ResourceProvidersClient, instance=True)
    client.list_resource_provider_inventories.return_value = {
        'inventories': inventories}
    client.list_resource_provider_usages.return_value = {'usages': usages}
    return client


def placement(*provider_uuids):
    """Return a client that shows allocations on these providers."""
    client = mock.create_autospec(
        placement_client.PlacementClient, instance=True)
    client.list_allocations.return_value = {'allocations': {
        uuid: {'resources': {'VCPU': 1}} for uuid in provider_uuids}}
    return client


def port(port_id, status='ACTIVE', host='beta', **changes):
    """Return a port as neutron shows it to an administrator."""
    return {'id': port_id, 'status': status, 'binding:host_id': host,
            'admin_state_up': True, **changes}


def ports(**bindings):
    """Return a client that lists ports.

    :param bindings: (host, status) of each binding of each port
    """
    client = mock.create_autospec(ports_client.PortsClient, instance=True)
    client.list_ports.return_value = {
        'ports': [{'id': port} for port in bindings]}
    client.list_resources.side_effect = [
        {'bindings': [{'host': host, 'status': status}
                      for host, status in each]}
        for each in bindings.values()]
    return client


def server_fault(status=500):
    """Return the exception of tempest.lib for an HTTP 5xx."""
    if status == 500:
        return lib_exc.ServerFault('oops', resp=Response(500), message='oops')
    return lib_exc.UnexpectedResponseCode(str(status), resp=Response(status))


def _last_for_ever(answers):
    answers = list(answers)

    def answer(*args, **kwargs):
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    return answer
