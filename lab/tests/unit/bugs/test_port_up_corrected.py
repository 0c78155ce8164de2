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

"""Unit tests of the correction of neutron's ports that are left DOWN."""

import sys
import types
from unittest import mock

import testtools

from lab.bugs import port_up_corrected

HERE, THERE = [types.SimpleNamespace(hostname='compute1')], [
    types.SimpleNamespace(hostname='compute2')]


class RowNotFound(Exception):
    """As ovsdbapp raises it."""


class PortUpCorrectedTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.known = False
        self.ports = {'port': types.SimpleNamespace(up=True, enabled=True)}

        class PortBindingChassisUpdateEvent:
            driver = types.SimpleNamespace(
                nb_ovn=types.SimpleNamespace(lookup=self.look_up))

            def match_fn(event, *args):
                return self.known

        self.fired = self.enterContext(mock.patch.object(
            type(port_up_corrected.BUG), '_log'))
        self.enterContext(mock.patch.dict(sys.modules, {
            'neutron.common.ovn.utils': types.SimpleNamespace(
                is_lsp_up=lambda port: port.up,
                is_lsp_enabled=lambda port: port.enabled),
            'ovsdbapp.backend.ovs_idl.idlutils': types.SimpleNamespace(
                RowNotFound=RowNotFound)}))
        port_up_corrected.patch(types.SimpleNamespace(
            PortBindingChassisUpdateEvent=PortBindingChassisUpdateEvent))
        self.event = PortBindingChassisUpdateEvent()
        self.fired.reset_mock()

    def look_up(self, table, name):
        self.assertEqual('Logical_Switch_Port', table)
        if name not in self.ports:
            raise RowNotFound
        return self.ports[name]

    def matches(self, now, name='port', **old):
        return self.event.match_fn(
            'update', types.SimpleNamespace(
                chassis=now, additional_chassis=[], logical_port=name),
            types.SimpleNamespace(**old))

    def test_both_columns_change_at_once(self):
        self.assertTrue(self.matches(
            THERE, chassis=HERE, additional_chassis=THERE))
        self.fired.assert_called_once_with(
            'fired', 'port port moved to chassis compute2 and is up')

    def test_source_has_released_the_port(self):
        self.assertTrue(self.matches(
            THERE, chassis=[], additional_chassis=THERE))
        self.assertEqual(1, self.fired.call_count)

    def test_neutron_knows_by_itself(self):
        self.known = True
        self.assertTrue(self.matches(
            THERE, chassis=HERE, additional_chassis=THERE))
        self.fired.assert_not_called()

    def test_nothing_to_report(self):
        for now, old in (
                (HERE, {'additional_chassis': THERE}),
                (HERE, {'chassis': HERE, 'additional_chassis': THERE}),
                ([], {'chassis': HERE}), (THERE, {'chassis': []})):
            self.assertFalse(self.matches(now, **old))
        # A router's gateway has a Port_Binding and no switch port.
        self.assertFalse(self.matches(THERE, 'cr-lrp', chassis=HERE))
        for field in ('up', 'enabled'):
            self.ports['port'] = types.SimpleNamespace(
                **{'up': True, 'enabled': True, field: False})
            self.assertFalse(self.matches(THERE, chassis=HERE))
        self.fired.assert_not_called()
