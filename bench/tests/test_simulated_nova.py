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
import threading

import testtools

from bench import simulated_nova
from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.migration import inventory
from lm_tempest_plugin.migration import request

OPTIONS = request.RequestOptions()


class CloudClock:
    """Time of the simulated cloud."""

    def __init__(self):
        self.now_s = 1_800_000_000.0

    def __call__(self):
        return self.now_s


class CloudTestCase(testtools.TestCase):
    """Serves a small cloud to Tempest's real clients, over HTTP."""

    hosts, guests, history = 3, 6, 0

    def setUp(self):
        super().setUp()
        self.clock = CloudClock()
        self.nova = simulated_nova.SimulatedNova(
            self.hosts, self.guests, copy_s=10.0, history=self.history,
            clock=self.clock)
        server = simulated_nova.NovaEndpoint(self.nova)
        thread = threading.Thread(target=server.serve_forever, kwargs={
            'poll_interval': 0.05})
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.running = simulated_nova.connect(server.url)
        self.clients = self.running.clients
        context = api.use_microversion(api.MICROVERSION)
        context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def server(self, host, number=0):
        return servers.list_on_host(self.clients.servers, host)[number]

    def migrate(self, host, number=0, destination=''):
        return request.live_migrate(
            self.clients.servers, self.server(host, number), destination,
            OPTIONS)

    def statuses(self):
        return [each.status for each in migration_records.list_since(
            self.clients.migrations, self.since())]

    def since(self, seconds=60):
        return datetime.datetime.fromtimestamp(
            self.clock.now_s - seconds, datetime.UTC)


class MigrationTest(CloudTestCase):

    def test_the_states_of_a_migration(self):
        requested = self.migrate('host0', destination='host2')
        self.assertIsNone(requested.refusal)
        seen = []
        for wait_s in (0.0, 0.5, 10.0):
            self.clock.now_s += wait_s
            server = servers.show(
                self.clients.servers, requested.server_id)
            seen.append((*self.statuses(), server.status, server.host))
        self.assertEqual([
            ('preparing', 'MIGRATING', 'host0'),
            ('running', 'MIGRATING', 'host0'),
            ('completed', 'ACTIVE', 'host2')], seen)
        action = actions.show(self.clients.servers, requested.server_id,
                              requested.request_id)
        self.assertEqual('live-migration', action.name)

    def test_a_host_works_on_one_at_a_time(self):
        self.migrate('host0', 0)
        self.migrate('host0', 1)
        self.assertEqual(['preparing', 'queued'], self.statuses())
        self.clock.now_s += 10.3
        self.assertEqual(['completed', 'preparing'], self.statuses())

    def test_the_scheduler_never_takes_the_source(self):
        for number in (0, 1):
            for host in self.nova.hosts:
                self.assertIsNone(self.migrate(host, number).refusal)
        self.assertEqual([], [each for each in self.nova.moves
                              if each.source == each.destination])

    def test_progress(self):
        requested = self.migrate('host0')
        self.assertIsNone(migration_records.show_progress(
            self.clients.servers, requested.server_id))
        for wait_s, share in ((0.2, 0.0), (5.0, 0.5)):
            self.clock.now_s += wait_s
            found = migration_records.show_progress(
                self.clients.servers, requested.server_id)
            self.assertAlmostEqual(share, (
                found.memory_processed_bytes / found.memory_total_bytes),
                places=3)

    def test_refusals(self):
        server = self.server('host0')
        for destination, status in (
                ('host9', 400), ('host0', 400), ('host1', None),
                ('host1', 409)):
            refusal = request.live_migrate(
                self.clients.servers, server, destination, OPTIONS).refusal
            self.assertEqual(status, refusal and refusal.status)


class ListTest(CloudTestCase):

    hosts, guests, history = 1200, 1201, 250

    def test_hosts(self):
        self.assertEqual(1200, len(compute_hosts.list_hosts(
            self.clients.services)))
        # More than a page.
        self.assertEqual(1200, len(compute_hosts.provider_uuids(
            self.clients.hypervisors)))
        self.assertEqual(placement.Resources(44, 2 ** 19 - 2 ** 17, 3800),
                         placement.free_on_host(self.clients, 'host1199'))

    def test_servers_page_by_page(self):
        found = servers.list_changed(
            self.clients.servers, self.since(200_000))
        self.assertEqual(1201, len({each.server_id for each in found}))
        self.assertEqual(2, len(servers.list_on_host(
            self.clients.servers, 'host0')))

    def test_servers_that_have_changed(self):
        moved = self.migrate('host7').server_id
        self.assertEqual([moved], [each.server_id for each in (
            servers.list_changed(self.clients.servers, self.since()))])
        self.clock.now_s += 5
        self.assertEqual([], servers.list_changed(
            self.clients.servers, self.since(-1)))

    def test_records_page_by_page(self):
        begin = self.running.counters()['requests']
        self.assertEqual(250, len(migration_records.list_since(
            self.clients.migrations, self.since(200_000))))
        self.assertEqual(3, self.running.counters()['requests'] - begin)

    def test_records_that_have_changed(self):
        self.migrate('host7')
        self.clock.now_s += 5.3
        answer = self.clients.migrations.list_migrations(**{
            'changes-since': self.since(1).isoformat()})
        self.assertEqual(['running'], [
            each['status'] for each in answer['migrations']])

    def test_facts_for_a_plan_of_coverage(self):
        hosts = inventory.of_clients(
            self.clients, placement.Resources(1, 1024, 1), {})
        self.assertEqual(1200, len(coverage.plan(hosts).pairs))

    def test_versions(self):
        self.assertEqual(('2.1', '2.96'), api.offered_microversions(
            self.clients.versions))


class ProcessTest(testtools.TestCase):

    def test_a_process_of_its_own(self):
        with (simulated_nova.running('--hosts', '2', '--servers', '2') as nova,
              api.use_microversion(api.MICROVERSION)):
            self.assertEqual(2, len(compute_hosts.list_hosts(
                nova.clients.services)))
            self.assertEqual(1, nova.counters()['requests'])

    def test_one_that_does_not_start(self):
        with testtools.ExpectedException(ChildProcessError, '.*exit code 2'):
            with simulated_nova.running('--no-such-option'):
                pass
