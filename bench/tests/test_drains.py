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

import testtools

from bench.drains import __main__ as main
from bench.drains import moves
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


class TestDisagreement(testtools.TestCase):

    def _disagreement(self, kind, host, rows):
        evidence = builders.evidence(server=builders.server(host=host))
        self.server_id = evidence.request.server_id
        fleet = types.SimpleNamespace(
            STATES='', sql=lambda layout, statement: [
                [self.server_id, *row] for row in rows])
        self.addCleanup(setattr, main, 'fleets', main.fleets)
        main.fleets = fleet
        return main._disagreement(
            None, verdicts.Verdict(kind, '', 0, evidence),
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
