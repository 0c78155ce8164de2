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

from unittest import mock

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import sweep
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class SweepTest(base.TestCase):

    def setUp(self):
        super().setUp()
        # As it is when all is well.
        self.server = builders.server(host='beta')
        self.on_hosts = {'alpha': [], 'beta': [self.server]}
        self.allocations = {fakes.SERVER_ID: ['uuid-of-beta']}
        self.bindings = {'port-1': [('beta', 'ACTIVE')]}
        self.servers = mock.Mock()
        self.servers.show_server.side_effect = self.show_server
        self.servers.list_servers.side_effect = (
            lambda host, **kwargs: {'servers': list(map(
                simulation.server_body, self.on_hosts[host]))})
        hypervisors, placement, ports = mock.Mock(), mock.Mock(), mock.Mock()
        hypervisors.list_hypervisors.return_value = {'hypervisors': [
            {'id': 'uuid-of-%s' % name, 'service': {'host': name}}
            for name in ('alpha', 'beta')]}
        placement.list_allocations.side_effect = (
            lambda consumer: {'allocations': dict.fromkeys(
                self.allocations.get(consumer, []), {})})
        ports.list_ports.side_effect = lambda device_id: {
            'ports': [{'id': port_id} for port_id in self.bindings]}
        ports.list_resources.side_effect = lambda path: {'bindings': [
            {'host': host, 'status': status}
            for host, status in self.bindings[path.split('/')[2]]]}
        self.clients = simulation.clients(
            servers=self.servers, hypervisors=hypervisors,
            placement=placement, ports=ports)

    def show_server(self, server_id):
        if self.server is None:
            raise lib_exc.NotFound('gone')
        return {'server': {
            **simulation.server_body(self.server), 'id': server_id}}

    def sweep(self, *known):
        return sweep.sweep(self.clients, [
            verdicts.judge(each) for each in known or [
                builders.evidence(server=self.server)]])

    def assert_one(self, parts, *known):
        found = self.sweep(*known)
        self.assertEqual(1, len(found), found)
        for part in parts:
            self.assertIn(part, found[0])

    def test_all_is_well(self):
        self.assertEqual([], self.sweep())
        self.assertEqual({'alpha', 'beta'}, {
            call.kwargs['host']
            for call in self.servers.list_servers.call_args_list})

    def test_somebody_is_left_migrating(self):
        for each in (builders.migrating(server_id='other'),
                     builders.server(server_id='other',
                                     task_state='migrating')):
            self.on_hosts['alpha'] = [each]
            self.assert_one(['server other (guest) is left in', each.state])

    def test_a_server_that_is_gone(self):
        known = builders.evidence(server=self.server)
        self.server = None
        self.assert_one(['%s is gone' % fakes.SERVER_ID], known)

    def test_a_server_that_was_left_behind(self):
        known = builders.evidence(server=self.server)
        self.server = builders.server()
        self.allocations = {fakes.SERVER_ID: ['uuid-of-alpha']}
        self.bindings = {'port-1': [('alpha', 'ACTIVE')]}
        self.assert_one(
            ['%s (guest) on host alpha' % fakes.SERVER_ID, 'left behind'],
            known)

    def rolled_back(self, **kwargs):
        """Let the server be on the source; return what is known of it."""
        self.server = builders.server()
        self.allocations[fakes.SERVER_ID] = ['uuid-of-alpha']
        self.bindings = {'port-1': [('alpha', 'ACTIVE')]}
        return builders.evidence(**{
            'server': self.server, 'records': (builders.record('failed'),),
            **kwargs})

    def test_after_a_rollback_it_may_be_on_the_source(self):
        self.assertEqual([], self.sweep(self.rolled_back()))

    def test_a_refusal_has_no_record(self):
        self.assertEqual([], self.sweep(self.rolled_back(
            records=(), request=builders.request(
                refusal=requests.Refusal(409, 'no')))))

    def test_a_request_without_a_record(self):
        self.assert_one(['0 migration records: no record'],
                        self.rolled_back(records=()))

    def test_a_request_with_two_records(self):
        self.assert_one(['2 migration records', 'record 8'],
                        builders.evidence(records=(
                            builders.record(), builders.record(number=8))))

    def test_a_record_that_never_ended(self):
        self.assert_one(
            ['its record never ended', 'record 7 queued'], self.rolled_back(
                records=(builders.record('queued'),), given_up='waited'))

    def test_allocations_on_both_hosts(self):
        self.allocations[fakes.SERVER_ID] = ['uuid-of-alpha', 'uuid-of-beta']
        self.assert_one(['on host beta', 'allocations are on alpha, beta'])

    def test_allocations_on_the_wrong_host(self):
        self.allocations[fakes.SERVER_ID] = ['uuid-of-alpha']
        self.assert_one(['its allocations are on alpha'])

    def test_no_allocation(self):
        self.allocations = {}
        self.assert_one(['its allocations are on no host'])

    def test_a_provider_that_is_no_host(self):
        self.allocations[fakes.SERVER_ID] = ['uuid-of-beta', 'pool']
        self.assert_one(['its allocations are on beta, pool'])

    def test_an_allocation_is_left_with_the_record(self):
        self.allocations['uuid-7'] = ['uuid-of-alpha']
        self.assert_one(['record 7 still holds an allocation on alpha'])

    def test_a_binding_is_left_over(self):
        self.bindings['port-1'].append(('alpha', 'INACTIVE'))
        self.assert_one(['a binding is left over', 'port port-1',
                         'alpha (INACTIVE)'])

    def test_a_binding_that_is_not_active(self):
        self.bindings['port-2'] = [('beta', 'INACTIVE')]
        self.assert_one(['not bound to its host alone', 'port port-2',
                         'beta (INACTIVE)'])

    def test_bound_to_another_host(self):
        self.bindings['port-1'] = [('alpha', 'ACTIVE')]
        self.assert_one(['not bound to its host alone',
                         'alpha (ACTIVE)'])

    def test_bound_to_both(self):
        self.bindings['port-1'].append(('alpha', 'ACTIVE'))
        self.assert_one(['not bound to its host alone'])

    def test_each_of_several(self):
        other = builders.request(
            server=builders.server(server_id='other', name='second'))
        self.allocations['other'] = []
        self.assert_one(['server other', 'no host'],
                        builders.evidence(server=self.server),
                        builders.evidence(request=other))

    def test_a_destination_that_nobody_chose(self):
        known = self.rolled_back(records=(), request=builders.request(
            move=builders.move(destination=''),
            refusal=requests.Refusal(400, 'no')))
        self.assertEqual([], self.sweep(known))
        self.assertEqual(['alpha'], [
            call.kwargs['host']
            for call in self.servers.list_servers.call_args_list])
