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
"""A cloud that migrates servers, by a clock that only sleeping moves."""

import dataclasses
import datetime
import functools
from unittest import mock

import msgspec
from tempest.lib.common import rest_client
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.migration import judging
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

S = builders.S
# More requests than any test needs.
MANY = 10_000


def clients(**kwargs):
    """Return clients; those not given are mocks."""
    return api.Clients(**{
        field.name: mock.Mock() for field in
        dataclasses.fields(api.Clients)} | kwargs)


def use_clock(test, clock):
    """Let requests, drains and judges of a test use a clock.

    :param test: the test
    :param clock: the clock
    """
    for module in (request, drain, judging, inspector):
        test.patch(module, 'time', clock)
    # The defaults of its arguments are the real clock.
    test.patch(poll, 'Poller', functools.partial(
        poll.Poller, clock=clock.monotonic_ns, sleep=clock.sleep))


def server_body(server):
    """Return the JSON of a server."""
    return {
        'id': server.server_id, 'name': server.name,
        'status': server.status, 'OS-EXT-STS:task_state': server.task_state,
        'OS-EXT-SRV-ATTR:host': server.host, 'image': {'id': 'image'},
        'fault': {'message': server.fault}, 'progress': server.progress,
        'OS-EXT-STS:vm_state': server.vm_state,
        'flavor': {'vcpus': server.vcpus,
                   'ram': round(server.ram_gib * 1024),
                   'disk': round(server.disk_gib), 'ephemeral': 0,
                   'swap': 0, 'original_name': server.flavor}}


def record_body(record):
    """Return the JSON of a migration record."""
    return {
        'id': record.number, 'uuid': record.uuid, 'status': record.status,
        'instance_uuid': record.server_id, 'source_compute': record.source,
        'dest_compute': record.destination, 'created_at': record.created_at,
        'updated_at': record.updated_at}


def action_body(action):
    """Return the JSON of an instance action."""
    def time(moment):
        return moment and moment.replace(tzinfo=None).isoformat()

    return {
        'action': action.name, 'message': action.message or None,
        'start_time': time(action.start),
        # nova lists the newest first.
        'events': [{
            'event': each.name, 'host': each.host,
            'start_time': time(each.start),
            'finish_time': time(each.finish), 'result': each.result or None,
            'details': each.details or None}
            for each in reversed(action.events)]}


def now():
    """Return the real time in nova's format."""
    return datetime.datetime.now(datetime.UTC).replace(
        tzinfo=None).isoformat(timespec='microseconds')


class Cloud:
    """A cloud that migrates servers; it stands in for all clients.

    :ivar calls: names of the requests so far, in order
    :ivar requested: live migration requests so far: time, UUID of the
        server, number of migrations that were going on
    :ivar fails: exceptions that the next requests raise
    :ivar refusals: exceptions of live_migrate_server, by UUID of the server
    :ivar progress_error: exception of requests for progress
    :ivar stuck: UUIDs of servers whose migration never ends
    :ivar durations_s: duration of a migration, by UUID of the server
    :ivar outcomes: final status of a migration record other than completed,
        by UUID of the server
    :ivar hosts: names of the compute hosts
    """

    def __init__(self, number, limit=1, hosts=('alpha', 'beta')):
        self.clock = fakes.Clock()
        self.limit = limit
        self.hosts = hosts
        self.calls, self.requested, self.fails = [], [], []
        self.refusals, self.durations_s, self.outcomes = {}, {}, {}
        self.progress_error = None
        self.stuck = set()
        self.servers = {
            server.server_id: server for server in (
                builders.server(server_id=f'server-{each}',
                                name=f'guest-{each}', flavor='small')
                for each in range(number))}
        # Too old for snapshots.
        self.old_records = []
        self.records = []
        self.actions = {}
        self._ends_ns = {}
        self.clients = clients(**{
            field.name: self for field in
            dataclasses.fields(api.Clients)})

    def _called(self, name):
        self.calls.append(name)
        if len(self.calls) > MANY:
            raise AssertionError(f'it would never end: {self.records}')
        if self.fails:
            raise self.fails.pop(0)
        self._advance()

    @property
    def going_on(self):
        """The records that have not ended."""
        return [each for each in self.records
                if not migration_records.is_terminal(each)]

    def _set_status(self, number, status):
        self.records[number] = msgspec.structs.replace(
            self.records[number], status=status)

    def _advance(self):
        """Bring the migrations to the present state."""
        for number, each in enumerate(self.records):
            if migration_records.in_service(each) and (
                    self.clock.monotonic_ns() >= self._ends_ns[each.uuid]):
                status = self.outcomes.get(each.server_id, 'completed')
                self._set_status(number, status)
                self._change(each.server_id, 'ACTIVE', None,
                             each.destination if status == 'completed'
                             else each.source)
            elif each.status == 'preparing':
                self._set_status(number, 'running')
        for number, each in enumerate(self.records):
            busy = sum(map(migration_records.in_service, self.records))
            if each.status == 'queued' and busy < self.limit:
                self._set_status(number, 'preparing')
                self._ends_ns[each.uuid] = (
                    float('inf') if each.server_id in self.stuck else
                    self.clock.monotonic_ns() + round(
                        self.durations_s.get(each.server_id, 5) * S))

    def _change(self, server_id, status, task_state, host):
        self.change(server_id, status=status, task_state=task_state,
                    host=host)

    def live_migrate_server(self, server_id, **kwargs):
        self._called('live_migrate_server')
        self.requested.append(
            (self.clock.monotonic_ns(), server_id, len(self.going_on)))
        if server_id in self.refusals:
            raise self.refusals[server_id]
        number = len(self.records) + 1
        source = self.servers[server_id].host
        self.records.append(schema.MigrationRecord(
            number=number, uuid=f'uuid-{number}', server_id=server_id,
            status='queued', source=source,
            destination=kwargs['host'] or 'beta',
            created_at=now(), updated_at=now()))
        self._change(server_id, 'MIGRATING', 'migrating', source)
        self.act(server_id, 'live-migration', f'req-{number}')
        return mock.Mock(response=fakes.Response(
            202, **{'x-openstack-request-id': f'req-{number}'}))

    def get(self, url):
        return fakes.by_query(self.list_migrations)(url)

    def expected_success(self, expected, status):
        assert expected == status

    def list_migrations(self, **kwargs):
        self._called('list_migrations_of_server' if 'instance_uuid' in kwargs
                     else 'list_migrations')
        newest = [
            each for each in reversed(self.records)
            if kwargs.get('instance_uuid', each.server_id) == each.server_id
            # nova hides them.
            and self.servers[each.server_id].status != 'DELETED']
        if 'instance_uuid' in kwargs:
            newest += self.old_records
        begin = 0
        if 'marker' in kwargs:
            begin = 1 + [each.uuid for each in newest].index(
                kwargs['marker'])
        end = begin + int(kwargs.get('limit', MANY))
        return {'migrations': list(map(record_body, newest[begin:end]))}

    def list_servers(self, **kwargs):
        self._called('list_servers')
        return {'servers': [
            server_body(each) for each in self.servers.values()
            if kwargs.get('host', each.host) == each.host]}

    def show_server(self, server_id):
        self._called('show_server')
        if self.servers[server_id].status == 'DELETED':
            raise lib_exc.NotFound('gone')
        return {'server': server_body(self.servers[server_id])}

    def show_instance_action(self, server_id, request_id):
        # So that the phases rest on the transitions alone.
        raise lib_exc.Forbidden('the policy hides instance actions')

    def list_instance_actions(self, server_id):
        return {'instanceActions': self.actions.get(server_id, [])}

    def list_services(self, binary):
        return rest_client.ResponseBody(fakes.Response(200), {'services': [
            {'host': host, 'status': 'enabled', 'state': 'up'}
            for host in self.hosts]})

    def list_hypervisors(self, detail):
        return {'hypervisors': [
            {'id': f'uuid-of-{host}', 'service': {'host': host}}
            for host in self.hosts]}

    def list_resource_provider_inventories(self, uuid):
        return {'inventories': {
            name: {'total': 2 ** 20, 'reserved': 0, 'allocation_ratio': 1}
            for name in ('VCPU', 'MEMORY_MB', 'DISK_GB')}}

    def list_resource_provider_usages(self, uuid):
        return {'usages': {}}

    def list_allocations(self, consumer):
        held = self.servers.get(consumer)
        return {'allocations': {
            f'uuid-of-{held.host}': {}} if held else {}}

    def list_ports(self, device_id):
        return {'ports': []}

    def list_in_progress_live_migration(self, server_id):
        self._called('list_in_progress_live_migration')
        if self.progress_error:
            raise self.progress_error
        found = msgspec.structs.asdict(
            builders.progress(memory_remaining=builders.GIB))
        del found['at_s']
        return {'migrations': [found]}

    def act(self, server_id, name, request_id='req-other'):
        """Note that a user asked for an action."""
        # nova lists the newest first.
        self.actions.setdefault(server_id, []).insert(0, {
            'action': name, 'request_id': request_id, 'user_id': 'a user',
            'start_time': now()})

    def change(self, server_id, **changes):
        """Change a server."""
        self.servers[server_id] = dataclasses.replace(
            self.servers[server_id], **changes)

    def delete(self, server_id):
        """Delete a server, and with it its migration."""
        for number, each in enumerate(self.records):
            if each.server_id == server_id:
                self._set_status(number, 'error')
        self._change(server_id, 'DELETED', None, '')
