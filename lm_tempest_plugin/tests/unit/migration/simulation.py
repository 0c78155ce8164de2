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

"""A cloud that moves servers by a clock that moves when someone sleeps."""

import dataclasses
import datetime
from unittest import mock

from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

S = builders.S
# More requests than any test needs.
MANY = 10_000


def clients(**kwargs):
    """Return clients; those not given answer with mocks."""
    return cloud_clients.Clients(**{
        field.name: mock.Mock() for field in
        dataclasses.fields(cloud_clients.Clients)} | kwargs)


def server_body(server):
    """Return a server as nova's JSON has it."""
    return {
        'id': server.server_id, 'name': server.name,
        'status': server.status, 'OS-EXT-STS:task_state': server.task_state,
        'OS-EXT-SRV-ATTR:host': server.host, 'image': {'id': 'image'},
        'fault': {'message': server.fault},
        'flavor': {'vcpus': server.vcpus,
                   'ram': round(server.ram_gib * 1024),
                   'disk': round(server.disk_gib), 'ephemeral': 0,
                   'swap': 0}}


def record_body(record):
    """Return a record as nova's JSON has it."""
    return {
        'id': record.number, 'uuid': record.uuid, 'status': record.status,
        'instance_uuid': record.server_id, 'source_compute': record.source,
        'dest_compute': record.destination, 'created_at': record.created_at,
        'updated_at': record.updated_at}


def now():
    return datetime.datetime.now(datetime.UTC).replace(
        tzinfo=None).isoformat(timespec='microseconds')


class Cloud:
    """Moves servers, so many at once; plays all clients that this takes.

    :ivar calls: names of the requests so far, in their order
    :ivar asked: what was asked for: when, UUID of the server, how many
        migrations were under way just then
    :ivar fails: exceptions that the next requests raise
    :ivar refusals: what live_migrate_server raises, by the server's UUID
    :ivar sample_error: what asking for progress raises
    :ivar stuck: UUIDs of servers whose migration never ends
    :ivar durations_s: how long a migration takes, by the server's UUID
    """

    def __init__(self, number, limit=1):
        self.clock = fakes.Clock()
        self.limit = limit
        self.calls, self.asked, self.fails = [], [], []
        self.refusals, self.durations_s = {}, {}
        self.sample_error = None
        self.stuck = set()
        self.servers = {
            server.server_id: server for server in (
                builders.server(server_id='server-%d' % each,
                                name='guest-%d' % each)
                for each in range(number))}
        self.records = []
        self._ends_ns = {}
        self.clients = clients(**{
            field.name: self for field in
            dataclasses.fields(cloud_clients.Clients)})

    def _called(self, name):
        self.calls.append(name)
        if len(self.calls) > MANY:
            raise AssertionError('it would never end: %s' % self.records)
        if self.fails:
            raise self.fails.pop(0)
        self._go_on()

    @property
    def under_way(self):
        """The records that have not ended."""
        return [each for each in self.records if not each.terminal]

    def _go_on(self):
        """Let happen what has happened by now."""
        for number, each in enumerate(self.records):
            if each.in_service and self.clock.monotonic_ns() >= self._ends_ns[
                    each.uuid]:
                self.records[number] = dataclasses.replace(
                    each, status='completed')
                self._change(each.server_id, 'ACTIVE', None, 'beta')
            elif each.status == 'preparing':
                self.records[number] = dataclasses.replace(
                    each, status='running')
        for number, each in enumerate(self.records):
            busy = sum(each.in_service for each in self.records)
            if each.status == 'queued' and busy < self.limit:
                self.records[number] = dataclasses.replace(
                    each, status='preparing')
                self._ends_ns[each.uuid] = (
                    float('inf') if each.server_id in self.stuck else
                    self.clock.monotonic_ns() + round(
                        self.durations_s.get(each.server_id, 5) * S))

    def _change(self, server_id, status, task_state, host):
        self.servers[server_id] = dataclasses.replace(
            self.servers[server_id], status=status, task_state=task_state,
            host=host)

    def live_migrate_server(self, server_id, **kwargs):
        self._called('live_migrate_server')
        self.asked.append(
            (self.clock.monotonic_ns(), server_id, len(self.under_way)))
        if server_id in self.refusals:
            raise self.refusals[server_id]
        number = len(self.records) + 1
        self.records.append(records.Record(
            number, 'uuid-%d' % number, server_id, 'queued', 'alpha',
            kwargs['host'], now(), now()))
        self._change(server_id, 'MIGRATING', 'migrating', 'alpha')
        return mock.Mock(response=fakes.Response(
            202, **{'x-openstack-request-id': 'req-%d' % number}))

    def get(self, url):
        return fakes.by_query(self.list_migrations)(url)

    def expected_success(self, expected, status):
        assert expected == status

    def list_migrations(self, **kwargs):
        self._called('list_migrations')
        newest = list(reversed(self.records))
        begin = 0
        if 'marker' in kwargs:
            begin = 1 + [each.uuid for each in newest].index(
                kwargs['marker'])
        return {'migrations': list(map(
            record_body, newest[begin:begin + int(kwargs['limit'])]))}

    def list_servers(self, **kwargs):
        self._called('list_servers')
        return {'servers': list(map(server_body, self.servers.values()))}

    def show_server(self, server_id):
        self._called('show_server')
        return {'server': server_body(self.servers[server_id])}

    def show_instance_action(self, server_id, request_id):
        return {'instanceAction': {
            'action': 'live-migration', 'message': None, 'events': [],
            'start_time': now()}}

    def list_services(self, binary):
        return {'services': [
            {'host': host, 'status': 'enabled', 'state': 'up'}
            for host in ('alpha', 'beta')]}

    def list_hypervisors(self, detail):
        return {'hypervisors': [
            {'id': 'uuid-of-%s' % host, 'service': {'host': host}}
            for host in ('alpha', 'beta')]}

    def list_resource_provider_inventories(self, uuid):
        return {'inventories': {
            name: {'total': 2 ** 20, 'reserved': 0, 'allocation_ratio': 1}
            for name in ('VCPU', 'MEMORY_MB', 'DISK_GB')}}

    def list_resource_provider_usages(self, uuid):
        return {'usages': {}}

    def list_allocations(self, consumer):
        held = self.servers.get(consumer)
        return {'allocations': {
            'uuid-of-%s' % held.host: {}} if held else {}}

    def list_ports(self, device_id):
        return {'ports': []}

    def list_in_progress_live_migration(self, server_id):
        self._called('list_in_progress_live_migration')
        if self.sample_error:
            raise self.sample_error
        found = builders.sample(memory_remaining=builders.GIB).progress
        return {'migrations': [
            {'%s_bytes' % name: value for name, value in
             dataclasses.asdict(found).items()}]}

    def delete(self, server_id):
        """Let a server be gone, as if someone had deleted it."""
        self._change(server_id, 'DELETED', None, '')
