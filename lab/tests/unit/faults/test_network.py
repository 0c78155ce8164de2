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

from lab.faults.fault import Place
from lab.faults import network
from lab.tests.unit import base


class TestFaults(base.TestCase):
    """Each fault is injected, is then present, and is healed."""

    def setUp(self):
        super().setUp()
        self.place = Place(self.layout, 'compute1', 'compute2', 'server')
        self.done, self.output = [], ''
        self.supervisor = mock.Mock()
        self.supervisor.state.return_value.up = False
        self.port = types.SimpleNamespace(
            id='port-1', status='DOWN', binding_host_id='', fixed_ips=[
                {'subnet_id': 'first'}], trunk_details={
                    'sub_ports': [{'port_id': 'port-3'}]})
        second = types.SimpleNamespace(
            id='port-2', fixed_ips=[{'subnet_id': 'second'}])
        api = mock.Mock()
        api.network.find_subnet.return_value.id = 'second'
        # neutron lists ports in any order.
        api.network.ports.side_effect = lambda device_id: [second, self.port]
        api.network.get_port.side_effect = lambda port: self.port
        api.network.update_port.side_effect = (
            lambda *args, **kwargs: self.done.append(('update', args, kwargs)))
        api.compute.post.side_effect = (
            lambda *args, **kwargs: self.done.append(('post', args, kwargs)))
        self.patch(network.openstack, 'connect', return_value=api)
        self.patch(network.fleet, 'inside', self._run)
        self.patch(network.fleet.subprocess, 'run', self._run)
        for owner, name in (
                (network.fleet, 'sql'), (network.network, 'set_management'),
                (network.settings, 'change'), (network.settings, 'restore'),
                (network.settings, 'restart_compute'),
                (network.programs, 'pause'), (network.programs, 'resume')):
            self.patch(owner, name, side_effect=self._note(name))
        self.patch(network.settings, 'is_changed', return_value=True)
        self.patch(network.programs, 'paused', return_value=True)
        self.patch(network.programs, 'supervisor',
                   return_value=self.supervisor)
        self.patch(network.programs, 'for_a_while',
                   lambda seconds, begin, end: begin())

    def _note(self, name):
        return lambda *args, **kwargs: self.done.append((name, args, kwargs))

    def _run(self, *command, **options):
        self.done.append(command)
        return types.SimpleNamespace(stdout=self.output)

    def _said(self):
        said, self.done = str(self.done + self.supervisor.mock_calls), []
        self.supervisor.reset_mock()
        return said

    def test_each(self):
        left = {each.name: each for each in network.FAULTS}
        for name, shown, injected, healed in (
                ('metadata', '',
                 "stop('compute2-neutron-ovn-metadata-agent')",
                 "start('compute2-neutron-ovn-metadata-agent')"),
                ('ovn-controller-60s', '',
                 "'pause', ('compute2-ovn-controller',)",
                 "'resume', ('compute2-ovn-controller',)"),
                ('vif-plug-timeout', '',
                 "'pause', ('compute2-ovn-controller',)",
                 "'resume', ('compute2-ovn-controller',)"),
                ('port-down', '', "IF(NEW.id = 'port-1', 'DOWN'",
                 'DROP TRIGGER'),
                ('subport-down', '', "IF(NEW.id = 'port-3', 'DOWN'",
                 'DROP TRIGGER'),
                ('second-port-unbound', '',
                 "('port-2',), {'binding_host_id': ''}",
                 "('port-2',), {'binding_host_id': 'compute2'}"),
                ('migration-ports', 'table inet lm_fault', '49152-49215',
                 'delete table inet lm_fault'),
                ('inbound-address', '', 'live_migration_inbound_addr',
                 'restore'),
                ('mtu', 'mtu 900 qdisc', "'mtu', '900'", "'mtu', '1500'"),
                ('security-group', '', "'remove', 'Port_Group'",
                 "'add', 'Port_Group'"),
                ('network-20s', '', "'up': False", "'up': True"),
                ('network', 'state DOWN', "'up': False", "'up': True")):
            each, self.output = left.pop(name), shown
            each.inject(self.place)
            self.assertIn(injected, self._said(), name)
            self.assertEqual('', each.present(self.place), name)
            each.heal(self.place)
            self.assertIn(healed, self._said(), name)
        self.assertEqual({}, left)

    def test_fault_that_is_gone(self):
        self.port.status, self.port.binding_host_id = 'ACTIVE', 'compute2'
        self.supervisor.state.return_value.up = True
        self.output = '7'
        self.patch(network.settings, 'is_changed', return_value=False)
        self.patch(network.programs, 'paused', return_value=False)
        for each in network.FAULTS:
            gone = each.present(self.place)
            # Two of them end by themselves.
            self.assertEqual(
                each.name not in ('ovn-controller-60s', 'network-20s'),
                bool(gone), each.name)

    def test_nova_knows_the_binding(self):
        each = next(each for each in network.FAULTS
                    if each.name == 'second-port-unbound')
        self.patch(network, 'BIND_SECONDS', 0)
        self.patch(network.fleet, 'sql', lambda *args: [[network.UNBOUND]])
        self.assertIn('nova to know the binding',
                      self.refused(each.heal, self.place))
        self.assertIn("'name': 'network-changed', 'server_uuid': 'server', "
                      "'tag': 'port-2'", self._said())

    def test_time_out_of_the_source(self):
        each = next(each for each in network.FAULTS
                    if each.name == 'vif-plug-timeout')
        each.prepare(self.place)
        self.assertIn("'compute1', '[DEFAULT]\\nvif_plugging_timeout = 30",
                      self._said())
        each.heal(self.place)
        self.assertIn("'restore', (Layout", self._said())
