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

from lm_tempest_plugin.migration.checks import network
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration.checks import base
from lm_tempest_plugin.tests.unit.migration import simulation


class ProbesTestCase(base.CheckTestCase):

    def observation(self, **changes):
        """Return an observation, by changes of the continuity."""
        return builders.observation(builders.judged(
            continuity=builders.continuity(**changes)))

    def assert_skipped_without_probes(self):
        self.assert_skipped(
            builders.observation(builders.judged(continuity=None)),
            'the guests were not probed')

    def assert_skipped_without_a_stream(self):
        self.assert_skipped(self.observation(stall=None),
                            'the guests have no TCP stream')


class OutageTest(ProbesTestCase):

    check = staticmethod(network.outage)

    def assert_outage(self, *parts, **changes):
        return self.assert_problem(
            self.observation(outage=builders.outage(**changes)), *parts)

    def test_an_outage_within_the_bound(self):
        self.assert_passes(self.observation())
        self.assert_passes(self.observation(outage=builders.outage(1.0)))

    def test_no_outage(self):
        self.assert_passes(self.observation(outage=builders.outage(0)))

    def test_an_outage_beyond_the_bound(self):
        problem = self.assert_outage(
            '1.200 s +/- 0.010 s', 'limit 1 s', '20 probes lost, 0 late',
            duration_s=1.2)
        self.assertNotIn('not over', problem.text)
        self.assertIn('Guest: answers, same boot id', problem.evidence)

    def test_an_outage_that_is_not_over(self):
        self.assert_outage('not over at the end of the observation',
                           duration_s=1.2, still_open=True)

    def test_an_invalid_measurement_is_no_proof(self):
        problem = self.assert_outage(
            'measurement invalid', 'up to 1.500 s', 'limit 1 s',
            'longer probe_interval', resolution_s=1.5)
        self.assertNotIn('could not be sent', problem.text)

    def test_an_invalid_measurement_names_the_error_of_the_sending(self):
        self.assert_outage(
            'measurement invalid', '9 probes could not be sent: No way',
            duration_s=0, resolution_s=1.5, send_errors=9,
            send_error='No way')

    def test_a_few_probes_that_could_not_be_sent(self):
        self.assert_passes(self.observation(outage=builders.outage(
            send_errors=1, send_error='x')))

    def test_no_probes(self):
        self.assert_skipped_without_probes()


class StallTest(ProbesTestCase):

    check = staticmethod(network.stall)

    def test_a_stall_within_the_bound(self):
        self.assert_passes(self.observation())

    def test_a_stall_beyond_the_bound(self):
        problem = self.assert_problem(
            self.observation(stall=builders.stall(3.1)),
            'stall of 3.100 s +/- 0.050 s (limit 3 s)')
        self.assertNotIn('not over', problem.text)

    def test_a_stall_that_is_not_over(self):
        self.assert_problem(
            self.observation(stall=builders.stall(3.1, open=True)),
            'not over at the end of the observation')

    def test_no_probes(self):
        self.assert_skipped_without_probes()

    def test_no_stream(self):
        self.assert_skipped_without_a_stream()


class TcpStreamTest(ProbesTestCase):

    check = staticmethod(network.tcp_stream)

    def test_a_connection_that_lives(self):
        self.assert_passes(self.observation())

    def test_a_stall_is_no_problem_of_the_stream(self):
        self.assert_passes(self.observation(stall=builders.stall(3.1)))

    def test_a_connection_that_was_harmed(self):
        for changes, part in (
                ({'broken': 'reset'}, 'the TCP connection broke: reset'),
                ({'trouble': 'TCP port 7 of x: refused'},
                 'TCP port 7 of x: refused'),
                ({'lost': 2}, '2 messages were lost and 0 repeated'),
                ({'repeated': 4}, '0 messages were lost and 4 repeated'),
                ({'corrupt': 1, 'example': 'xyz'},
                 '1 lines came back that were never sent, the first: xyz')):
            self.assert_problem(
                self.observation(stall=builders.stall(**changes)), part)

    def test_each_harm_is_a_problem(self):
        self.assertEqual(2, len(list(network.stream_problems(
            builders.stall(broken='reset', lost=1)))))

    def test_no_probes(self):
        self.assert_skipped_without_probes()

    def test_no_stream(self):
        self.assert_skipped_without_a_stream()


class PortBindingsTest(base.CheckTestCase):

    check = staticmethod(network.port_bindings)

    def setUp(self):
        super().setUp()
        self.bindings = {'port-1': [('beta', 'ACTIVE')]}
        ports = mock.Mock()
        ports.list_ports.side_effect = lambda device_id: {
            'ports': [{'id': port_id} for port_id in self.bindings]}
        ports.list_resources.side_effect = lambda path: {'bindings': [
            {'host': host, 'status': status}
            for host, status in self.bindings[path.split('/')[2]]]}
        self.seen = builders.observation(
            clients=simulation.clients(ports=ports))
        self.server = builders.server(host='beta')
        self.seen.__dict__['servers'] = {fakes.SERVER_ID: self.server}

    def test_one_active_binding_on_the_server_s_host(self):
        self.assert_passes(self.seen)

    def test_no_port(self):
        self.bindings = {}
        self.assert_passes(self.seen)

    def test_a_server_that_was_deleted(self):
        self.bindings['port-1'] = []
        self.seen.__dict__['servers'] = {fakes.SERVER_ID: None}
        self.assert_passes(self.seen)

    def test_a_binding_is_left_over(self):
        self.bindings['port-1'].append(('alpha', 'INACTIVE'))
        self.assert_problem(self.seen, 'a binding is left over',
                            'port port-1', 'alpha (INACTIVE)')

    def test_a_binding_that_is_not_active(self):
        self.bindings['port-2'] = [('beta', 'INACTIVE')]
        self.assert_problem(self.seen, 'the server is on host beta',
                            'port port-2', 'beta (INACTIVE)')

    def test_bound_to_another_host(self):
        self.bindings['port-1'] = [('alpha', 'ACTIVE')]
        self.assert_problem(self.seen, 'the server is on host beta',
                            'alpha (ACTIVE)')

    def test_bound_to_both_hosts(self):
        self.bindings['port-1'].append(('alpha', 'ACTIVE'))
        self.assert_problem(self.seen, 'the server is on host beta',
                            'beta (ACTIVE)', 'alpha (ACTIVE)')
