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


import types
from unittest import mock

import testtools

from bench.drains import __main__ as main
from bench.drains import moves
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdicts.Kind


class Client:

    def raw_request(self, url, method, **kwargs):
        return url, method


class TestCalls(testtools.TestCase):

    def test_counted(self):
        servers, migrations = Client(), Client()
        calls = moves.Calls(types.SimpleNamespace(
            servers=servers, migrations=migrations))
        self.assertEqual(('a', 'GET'), servers.raw_request('a', 'GET'))
        migrations.raw_request('b', 'GET')
        servers.raw_request('c', 'POST')
        self.assertEqual({'GET': 2, 'POST': 1}, dict(calls.counts))
        self.assertEqual(3, calls.counts.total())


class TestDrains(testtools.TestCase):

    def _drain(self, results=()):
        """Return the cost of a drain with 30 requests in 2 s."""
        clients = types.SimpleNamespace(servers=Client(), migrations=Client())
        drains = moves.MeasuredDrains(clients)

        def run(plan, clients, store, on_poll, **observed):
            self.plan = plan
            # What comes before the first snapshot and after the last one does
            # not count.
            clients.servers.raw_request('a', 'GET')
            on_poll(None, ())
            for _ in range(2):
                for _ in range(15):
                    clients.servers.raw_request('a', 'GET')
                on_poll(None, ())
            clients.servers.raw_request('a', 'GET')
            return types.SimpleNamespace(results=results)

        with mock.patch.object(moves.engine, 'run', run), mock.patch(
                'time.monotonic', side_effect=[10.0, 11.0, 12.0]):
            return drains.drain(['server-0', 'server-1'], 'beta',
                                plans.window(2))

    def test_plan(self):
        self._drain()
        self.assertEqual(
            (['server-0', 'server-1'], 'beta', plans.window(2)),
            ([each.server_id for each in self.plan.servers],
             self.plan.destination, self.plan.strategy))

    def test_requests_per_second_of_the_drain(self):
        self.assertEqual(15.0, self._drain().calls_per_s)

    def test_known_service_times(self):
        cost = self._drain([
            types.SimpleNamespace(service=None),
            types.SimpleNamespace(service=types.SimpleNamespace(
                seconds=6.0))])
        self.assertEqual([6.0], cost.services_s)


class TestDisagreement(testtools.TestCase):

    def _disagreement(self, kind, host, rows):
        evidence = builders.new_evidence(server=builders.server(host=host))
        self.server_id = evidence.request.server_id
        fleet = types.SimpleNamespace(
            STATES='', sql=lambda layout, statement: [
                [self.server_id, *row] for row in rows])
        self.addCleanup(setattr, main, 'fleet', main.fleet)
        main.fleet = fleet
        return main._disagreement(
            None, verdicts.Verdict(kind, '', '', evidence),
            {self.server_id: [host]})

    def test_agrees(self):
        self.assertEqual('', self._disagreement(
            Kind.COMPLETED, 'beta', [['beta', 'active', 'NULL',
                                      'completed']]))

    def test_newest_record_counts(self):
        self.assertEqual('', self._disagreement(
            Kind.COMPLETED, 'beta', [
                ['beta', 'active', 'NULL', 'error'],
                ['beta', 'active', 'NULL', 'completed']]))

    def test_libvirt_contradicts(self):
        self.assertIn('libvirt runs it on', self._disagreement(
            Kind.COMPLETED, 'alpha', []))

    def test_database_contradicts(self):
        self.assertIn('the database has', self._disagreement(
            Kind.COMPLETED, 'beta', [['alpha', 'active', 'NULL',
                                      'completed']]))
