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

import datetime
from urllib import parse

from lm_tempest_plugin.migration import cloud_poller
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import simulation


def at(second):
    """Return a time in the format of migration records."""
    return f'2026-01-01T12:00:{second:02}.000000'


class Nova:
    """Records and servers with times, filtered as nova does it."""

    def __init__(self):
        self.records, self.servers, self.queries = {}, {}, []
        self.limit = 1000
        self.fails = []
        # Numbers of records, and UUIDs of servers, that are missing among
        # those that have changed.
        self.missed = set()

    def record(self, number, status='running', created=0, updated=None,
               server_id=None):
        self.records[number] = {
            **fakes.record(status, number, created_at=at(created),
                           instance_uuid=server_id or f'server-{number}'),
            'updated_at': updated if updated is None else at(updated)}

    def server(self, name, updated=0, **changes):
        self.servers[name] = {
            **fakes.server(**{'server_id': name, **changes}),
            'updated': f'{at(updated)[:19]}Z'}

    def get(self, url):
        query = dict(parse.parse_qsl(parse.urlsplit(url).query))
        if self.fails:
            raise self.fails.pop(0)
        since = query.get('changes-since')
        self.queries.append(
            'changed' if since else
            'of server' if 'instance_uuid' in query else 'created')
        found = [
            self.records[number] for number in sorted(
                self.records, reverse=True)
            if query.get('instance_uuid', self.records[number][
                'instance_uuid']) == self.records[number]['instance_uuid']]
        if since:
            found = [each for each in found
                     if each['updated_at'] and
                     each['id'] not in self.missed and
                     f'{each["updated_at"]}+00:00' >= since]
        if 'marker' in query:
            found = found[1 + [each['uuid'] for each in found].index(
                query['marker']):]
        return fakes.by_query(lambda **_: {
            'migrations': found[:int(query.get('limit', 1000))]})(
                'os-migrations?')

    def expected_success(self, expected, status):
        assert expected == status

    def list_servers(self, detail, all_tenants, **query):
        self.queries.append('servers')
        return {'servers': [
            each for name, each in self.servers.items()
            if each['updated'] >= query['changes-since'][:19] and
            name not in self.missed]}

    def show_server(self, server_id):
        self.queries.append('server')
        return {'server': self.servers[server_id]}


class CloudPollerTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.nova = Nova()
        self.poller = self.new_poller()

    def new_poller(self):
        clock = fakes.Clock()
        made = cloud_poller.CloudPoller(
            simulation.clients(servers=self.nova, migrations=self.nova),
            1.0, 5.0, 2e9, clock=clock.monotonic_ns, sleep=clock.sleep)
        # The records are that old.
        made._changed_since = datetime.datetime(
            2026, 1, 1, tzinfo=datetime.UTC)
        return made

    def snapshot(self, *kept):
        """Return the statuses by number of the record, and the servers."""
        self.nova.queries.clear()
        taken = self.poller.snapshot()
        self.poller.keep(kept)
        return ({each.number: each.status
                 for found in taken.records.values() for each in found},
                taken.servers)

    def test_three_requests(self):
        for number in range(50):
            self.nova.record(number)
            self.nova.server(f'server-{number}')
        records, servers = self.snapshot()
        self.assertEqual(50, len(records))
        self.assertEqual(['created', 'changed', 'servers'],
                         self.nova.queries)

    def test_one_more_for_each_further_page(self):
        for number in range(250):
            self.nova.record(number, updated=1)
        records, _ = self.snapshot()
        self.assertEqual(250, len(records))
        self.assertEqual(
            [*['created'] * 3, *['changed'] * 2, 'servers'],
            self.nova.queries)
        # The number of new ones is known now.
        self.nova.queries.clear()
        self.snapshot()
        self.assertEqual(['created'] * 2, self.nova.queries[:2])

    def test_old_ones_cost_nothing(self):
        """However long the watch takes: what is over is forgotten."""
        for number in range(250):
            self.nova.record(number, 'completed', 0, 1)
        self.snapshot()
        self.nova.record(300, 'completed', 40, 41)
        self.snapshot()
        self.nova.record(301, 'running', 42, 43)
        self.assertEqual({300: 'completed', 301: 'running'},
                         self.snapshot()[0])
        self.assertEqual(['created', 'changed', 'servers'],
                         self.nova.queries)

    def test_a_change(self):
        """nova does not list a record that never changed as a change."""
        self.nova.record(1, 'accepted')
        self.assertEqual({1: 'accepted'}, self.snapshot()[0])
        self.nova.record(2, 'accepted', 50)
        self.nova.record(1, 'running', 0, 50)
        self.assertEqual({1: 'running', 2: 'accepted'}, self.snapshot()[0])
        # From now on, only changes tell of it.
        self.nova.record(1, 'completed', 0, 55)
        self.assertEqual({1: 'completed', 2: 'accepted'},
                         self.snapshot()[0])
        self.assertEqual({2: 'accepted'}, self.snapshot()[0])

    def test_one_that_is_kept(self):
        self.nova.record(1, 'completed', 0, 1)
        self.nova.server('server-1')
        self.snapshot('server-1')
        self.nova.record(2, 'accepted', 50)
        self.nova.server('server-2', 50)
        self.snapshot('server-1')
        records, servers = self.snapshot('server-1')
        self.assertEqual({1: 'completed', 2: 'accepted'}, records)
        self.assertIn('server-1', servers)

    def test_only_servers_that_matter_are_kept(self):
        self.nova.record(1)
        for name in ('server-1', 'other'):
            self.nova.server(name)
        self.nova.server('alone', status='MIGRATING', task_state='migrating')
        _, servers = self.snapshot()
        self.assertEqual({'server-1', 'alone'}, set(servers))
        _, servers = self.snapshot()
        self.assertEqual({'alone'}, set(servers))

    def test_a_server_that_was_deleted(self):
        self.nova.record(1)
        self.nova.server('server-1')
        self.snapshot('server-1')
        self.nova.server('server-1', 9, status='DELETED')
        records, servers = self.snapshot('server-1')
        self.assertEqual(({}, {'server-1': None}), (records, servers))

    def test_a_record_whose_end_was_missed(self):
        """The clock of its host is behind. Only one is read at a time."""
        for number in (1, 2):
            self.nova.record(number)
            self.nova.server(f'server-{number}', status='MIGRATING',
                             task_state='migrating')
        kept = ('server-1', 'server-2')
        # So that they are not listed as new ones any more.
        self.nova.record(3, 'accepted', 50)
        self.snapshot(*kept)
        self.nova.missed |= {1, 2}
        for number in (1, 2):
            self.nova.record(number, 'completed', 0, 1)
            self.nova.server(f'server-{number}', 30)
        ended = []
        for _ in range(3):
            records, _ = self.snapshot(*kept)
            ended.append(list(records.values()).count('completed'))
            self.assertLessEqual(len(self.nova.queries), 4)
        self.assertEqual([1, 2, 2], ended)
        # Nothing is doubtful any more.
        self.assertEqual(3, len(self.nova.queries))

    def test_a_server_whose_change_was_missed(self):
        self.nova.record(1)
        self.nova.server('server-1', status='MIGRATING',
                         task_state='migrating')
        self.snapshot('server-1')
        self.nova.missed.add('server-1')
        self.nova.record(1, 'completed', 0, 30)
        self.nova.server('server-1', 1, host='beta')
        _, servers = self.snapshot('server-1')
        self.assertEqual('beta', servers['server-1'].host)
        self.assertEqual(['created', 'changed', 'servers', 'server'],
                         self.nova.queries)

    def test_a_new_record_is_new_after_an_error(self):
        self.snapshot()
        self.nova.record(1, 'completed', 5, 6)
        self.nova.server('server-1', 6)
        listed, self.nova.list_servers = self.nova.list_servers, None

        def fail_once(**query):
            self.nova.list_servers = listed
            raise fakes.server_fault(503)

        self.nova.list_servers = fail_once
        records, servers = self.snapshot()
        self.assertEqual({1: 'completed'}, records)
        self.assertIn('server-1', servers)
        self.assertEqual(1, self.poller.errors)

    def test_the_api_is_away(self):
        self.nova.fails = [fakes.server_fault(503)] * 20
        self.assertRaises(poll.ApiUnavailable, self.poller.snapshot)
