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

from tempest.lib import exceptions

from lm_tempest_plugin.migration.checks import network
from lm_tempest_plugin.results import schema
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
            'the guest came back', duration_s=1.2)
        self.assertNotIn('not over', problem.text)
        self.assertIn('Guest: answers, same boot id', problem.evidence)

    def test_an_outage_that_is_not_over(self):
        problem = self.assert_outage(
            'not over at the end of the observation', duration_s=1.2,
            still_open=True)
        self.assertNotIn('came back', problem.text)

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


ONE, TWO = '192.0.2.1', '192.0.2.2'


def reachable(*answering, size=1500, port='silent', neighbour=None):
    """Return answers, the same of all addresses that answer."""
    return schema.Reachability(
        answering=answering,
        full_size_bytes=dict.fromkeys(answering, size) if size else {},
        closed_port=dict.fromkeys(answering, port) if port else {},
        from_neighbour=neighbour)


class SinglePacketsTestCase(base.CheckTestCase):

    def seen(self, before, after, guest=builders.ANSWERS):
        seen = builders.observation(builders.judged(
            builders.new_evidence(guest=guest), reachable_before=before))
        seen.__dict__['reachable'] = (
            {fakes.SERVER_ID: after} if after else {})
        return seen

    def assert_skipped_without_answers(self):
        """Assert what all of these checks have in common."""
        well = reachable(ONE)
        for before, after in ((None, None), (well, None), (None, well)):
            self.assert_skipped(self.seen(before, after),
                                'no single packets were sent')
        self.assert_skipped(
            self.seen(well, reachable(), builders.SILENT),
            'the guests do not answer at all')


class AddressesTest(SinglePacketsTestCase):

    check = staticmethod(network.addresses)

    def test_all_answer(self):
        self.assert_passes(self.seen(reachable(ONE, TWO),
                                     reachable(ONE, TWO)))

    def test_one_that_was_silent_before(self):
        for after in (reachable(ONE), reachable(ONE, TWO)):
            self.assert_passes(self.seen(reachable(ONE), after))

    def test_one_is_silent_now(self):
        problem = self.assert_problem(
            self.seen(reachable(ONE, TWO), reachable(ONE)), TWO)
        self.assertNotIn(ONE, problem.text)

    def test_the_probed_one_is_silent_and_another_one_answers(self):
        self.assert_problem(self.seen(
            reachable(ONE, TWO), reachable(TWO), builders.SILENT), ONE)

    def test_all_are_silent_although_the_probes_were_answered(self):
        self.assert_problem(
            self.seen(reachable(ONE, TWO), reachable()), f'{ONE}, {TWO}')

    def test_no_answers(self):
        self.assert_skipped_without_answers()
        self.assert_skipped(self.seen(reachable(), reachable()),
                            'no address answered before')

    def test_one_guest_of_several_is_silent(self):
        seen = builders.observation(*(
            builders.judged(
                builders.new_evidence(guest=guest),
                migration=builders.migration(
                    server=builders.server(server_id=server_id)),
                reachable_before=reachable(ONE, TWO))
            for guest, server_id in ((builders.SILENT, fakes.SERVER_ID),
                                     (builders.ANSWERS, 'other'))))
        seen.__dict__['reachable'] = {
            fakes.SERVER_ID: reachable(), 'other': reachable(ONE)}
        self.assert_problem(seen, TWO, server_id='other')


class FullSizePacketsTest(SinglePacketsTestCase):

    check = staticmethod(network.full_size_packets)

    def test_they_pass(self):
        self.assert_passes(self.seen(reachable(ONE), reachable(ONE)))

    def test_they_are_dropped(self):
        self.assert_problem(
            self.seen(reachable(ONE, TWO, size=1442),
                      reachable(ONE, TWO, size=0)),
            f'1442 bytes to {ONE}, 1442 bytes to {TWO}', 'MTU black hole')

    def test_a_silent_address_is_no_problem_of_its_own(self):
        self.assert_passes(self.seen(reachable(ONE, TWO), reachable(ONE)))

    def test_no_answers(self):
        self.assert_skipped_without_answers()
        self.assert_skipped(
            self.seen(reachable(ONE, size=0), reachable(ONE)),
            'no full-size packet was answered before')


class ClosedPortTest(SinglePacketsTestCase):

    check = staticmethod(network.closed_port)

    def test_it_stays_filtered(self):
        self.assert_passes(self.seen(reachable(ONE), reachable(ONE)))

    def test_it_answers(self):
        for state in ('refused', 'open'):
            self.assert_problem(
                self.seen(reachable(ONE), reachable(ONE, port=state)),
                f'{state} at {ONE}', 'the security group is not applied')

    def test_an_answer_before_proves_nothing(self):
        mixed = schema.Reachability(
            answering=(ONE, TWO), closed_port={ONE: 'silent', TWO: 'refused'})
        self.assert_passes(self.seen(mixed, mixed))

    def test_it_could_not_be_tried_now(self):
        self.assert_passes(
            self.seen(reachable(ONE), reachable(ONE, port='')))

    def test_no_answers(self):
        self.assert_skipped_without_answers()
        for port in ('refused', 'open', ''):
            self.assert_skipped(
                self.seen(reachable(ONE, port=port), reachable(ONE)),
                'TCP port 9 was not filtered before')


class NeighbourTest(SinglePacketsTestCase):

    check = staticmethod(network.neighbour)

    def neighbour(self, before, after, silent=()):
        return self.seen(
            reachable(ONE, TWO, neighbour=before),
            reachable(*(each for each in (ONE, TWO) if each not in silent),
                      neighbour=after))

    def test_it_is_reached(self):
        self.assert_passes(self.neighbour((ONE, TWO), (ONE, TWO)))
        self.assert_passes(self.neighbour((ONE,), (ONE, TWO)))

    def test_it_is_reached_from_here_alone(self):
        problem = self.assert_problem(
            self.neighbour((ONE, TWO), (TWO,)), f'second guest: {ONE}:')
        self.assertNotIn(TWO, problem.text)

    def test_an_address_that_nobody_reaches(self):
        self.assert_passes(
            self.neighbour((ONE, TWO), (TWO,), silent=(ONE,)))

    def test_no_answers(self):
        self.assert_skipped_without_answers()
        for before, after, why in (
                (None, (ONE,), 'there is no second guest'),
                (None, None, 'there is no second guest'),
                ((), (ONE,), 'reached no address before'),
                ((ONE,), None, 'cannot be asked now')):
            self.assert_skipped(self.neighbour(before, after), why)


class PortStatusTest(base.CheckTestCase):

    check = staticmethod(network.port_status)

    def setUp(self):
        super().setUp()
        self.own = [fakes.port('one')]
        self.below = []
        client = mock.Mock()
        client.list_ports.side_effect = lambda **filters: {
            'ports': self.own if 'device_id' in filters else self.below}
        self.seen = builders.observation(
            clients=simulation.clients(ports=client))
        self.server()

    def server(self, **changes):
        self.seen.__dict__['servers'] = {
            fakes.SERVER_ID: builders.server(host='beta', **changes)}

    def subport(self, *args):
        self.own[0]['trunk_details'] = {'sub_ports': [{'port_id': 'below'}]}
        self.below = [fakes.port('below', *args)]

    def test_all_are_active(self):
        self.subport()
        self.assert_passes(self.seen)

    def test_a_port_is_down(self):
        self.own.append(fakes.port('two', 'DOWN'))
        self.assert_problem(self.seen, 'port two is DOWN')

    def test_a_subport_is_down(self):
        self.subport('DOWN')
        self.assert_problem(
            self.seen, 'subport below of the trunk of port one is DOWN')

    def test_a_subport_is_bound_to_the_source(self):
        self.subport('ACTIVE', 'alpha')
        self.assert_problem(self.seen, 'the server is on host beta',
                            'subport below', 'is bound to alpha')

    def test_a_subport_without_a_binding_is_usual_with_ovn(self):
        self.subport('ACTIVE', '')
        self.assert_passes(self.seen)

    def test_a_port_that_is_disabled(self):
        self.own.append(fakes.port('two', 'DOWN', admin_state_up=False))
        self.assert_passes(self.seen)

    def test_a_paused_server(self):
        self.server(status='PAUSED')
        self.own = [fakes.port('one', 'DOWN')]
        self.assert_problem(self.seen, 'port one is DOWN')

    def test_nothing_to_judge(self):
        self.own = []
        self.assert_skipped(self.seen, 'no running server has a port')
        self.own = [fakes.port('one', 'DOWN')]
        for status in ('SHUTOFF', 'ERROR'):
            self.server(status=status)
            self.assert_skipped(self.seen, 'no running server has a port')


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
        self.assert_skipped(self.seen, 'no migration of a server that exists')

    def test_a_cloud_that_does_not_show_bindings(self):
        self.seen.clients.ports.list_resources.side_effect = (
            exceptions.NotFound('no such resource'))
        self.assert_skipped(self.seen, 'binding-extended', 'no such resource')

    def test_a_migration_that_goes_on_has_two_bindings(self):
        self.bindings['port-1'].append(('alpha', 'INACTIVE'))
        self.seen = builders.observation(
            builders.judged(migration=builders.migration(
                builders.snapshot(100, [builders.record('running')],
                                  builders.migrating()),
                timed_out={fakes.SERVER_ID: 'too long'})),
            clients=self.seen.clients)
        self.seen.__dict__['servers'] = {fakes.SERVER_ID: self.server}
        self.assert_skipped(self.seen, 'has ended')

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
