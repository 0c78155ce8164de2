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

"""A compute API without a cloud: what tempest.lib's clients return."""

from unittest import mock

from tempest.lib import exceptions as lib_exc
from tempest.lib.services.compute import migrations_client
from tempest.lib.services.compute import servers_client
from tempest.lib.services.compute import services_client

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

    def sleep(self, seconds):
        self.slept_s.append(seconds)
        self.now_ns += round(seconds * S)


class Response(dict):
    """The headers of a response, and its status."""

    def __init__(self, status, **headers):
        super().__init__(headers)
        self.status = status


def server(status='ACTIVE', task_state=None, host='alpha', fault=None,
           ram=2048, disk=20, ephemeral=4):
    """Return a server as nova's JSON has it."""
    body = {
        'id': SERVER_ID, 'name': 'guest', 'status': status,
        'OS-EXT-STS:task_state': task_state,
        'OS-EXT-SRV-ATTR:host': host,
        'flavor': {'ram': ram, 'disk': disk, 'ephemeral': ephemeral}}
    if fault:
        body['fault'] = {'message': fault}
    return body


def record(status, number=7, source='alpha', destination='beta'):
    """Return a migration record as nova's JSON has it."""
    return {'id': number, 'uuid': 'uuid-%d' % number, 'status': status,
            'source_compute': source, 'dest_compute': destination,
            'updated_at': '2026-01-01T00:00:00.000000'}


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


def migrations(*answers):
    """Return a client that lists these records, one list after the other.

    The last list is shown for ever. Exceptions among them are raised.
    """
    client = mock.create_autospec(
        migrations_client.MigrationsClient, instance=True)
    client.list_migrations.side_effect = _last_for_ever(
        [answer if isinstance(answer, Exception) else {'migrations': answer}
         for answer in answers])
    return client


def services(*hosts):
    """Return a client that lists these (host, status, state)."""
    client = mock.create_autospec(
        services_client.ServicesClient, instance=True)
    client.list_services.return_value = {'services': [
        {'host': host, 'status': status, 'state': state}
        for host, status, state in hosts]}
    return client


def server_fault(status=500):
    """Return what tempest.lib raises when an API server is at fault."""
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
