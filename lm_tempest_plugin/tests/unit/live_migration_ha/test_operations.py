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

import fixtures

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import ports
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import test_operations
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes

ADDRESS = '192.0.2.0'
NEW_PORT = 'port-2'


class OperationsTest(fakes.TempestTestCase):
    """A simulated server that obeys, unless a test spoils one answer.

    :ivar states: states of the guest's port, one for each look
    :ivar attached: ports of the server on each reading
    :ivar allocated: providers with an allocation of the server, the same
    :ivar traces: traces of the deleted server by the host
    """

    def setUp(self):
        super().setUp()
        self.conf.compute.build_timeout = 0
        self.conf.compute_feature_enabled.console_output = True
        self.conf.compute_feature_enabled.interface_attach = True
        self.conf.validation.ip_version_for_ssh = 4
        self.boots('boot-2')
        self.builder.verify.return_value = {'disk': ''}
        self.states = ['silent', 'refused']
        self.useFixture(fixtures.MockPatchObject(
            reachability, 'look', side_effect=lambda addresses, before: {
                'server-0': schema.Reachability(
                    closed_port={ADDRESS: self.states.pop(0)})}))
        new = ports.Port(NEW_PORT, 'ACTIVE', True, 'beta')
        self.attached = [[new], [], []]
        self.useFixture(fixtures.MockPatchObject(
            ports, 'list_all',
            side_effect=lambda *_: self.attached.pop(0)))
        self.allocated = [frozenset()]
        self.useFixture(fixtures.MockPatchObject(
            placement, 'allocations',
            side_effect=lambda *_: self.allocated.pop(0)))
        self.traces = {}
        hosts = mock.create_autospec(access.HostAccess, instance=True)
        hosts.has.return_value = True
        hosts.traces.side_effect = lambda host, ids: {
            each: self.traces.get(host, schema.HostTraces(host=host))
            for each in ids}
        self.test = self.new(
            test_operations.OperationsTest, 'test_operations_on_destination',
            hosts=hosts, create_empty_security_group=mock.Mock(
                return_value={'id': 'group'}),
            create_security_group_rule=mock.Mock(),
            servers_client=mock.MagicMock())
        self.owner.interfaces_client.list_interfaces.return_value = {
            'interfaceAttachments': [{'net_id': 'net'}]}
        self.owner.interfaces_client.create_interface.return_value = {
            'interfaceAttachment': {'port_id': NEW_PORT}}

    def boots(self, boot_id):
        """Let the guest have a boot id after the hard reboot."""
        self.builder.inspect.side_effect = [
            schema.GuestInspection(boot_id=each)
            for each in ('boot-1', 'boot-1', boot_id)]

    def test_a_server_that_obeys(self):
        self.passes(self.test)
        self.assertEqual('beta', self.plans[0].destination)
        self.test.servers_client.add_security_group.assert_called_once_with(
            'server-0', name='group')
        self.owner.interfaces_client.delete_interface.assert_called_once_with(
            'server-0', NEW_PORT)
        self.test.servers_client.reboot_server.assert_called_once_with(
            'server-0', type='HARD')
        self.assert_deleted_as_built()

    def test_features_that_the_cloud_lacks(self):
        self.conf.compute_feature_enabled.console_output = False
        self.conf.compute_feature_enabled.interface_attach = False
        self.states, self.attached = ['refused'], [[]]
        self.passes(self.test)
        self.test.servers_client.get_console_output.assert_not_called()
        self.test.servers_client.add_security_group.assert_not_called()
        self.owner.interfaces_client.create_interface.assert_not_called()

    def test_an_empty_console_log(self):
        self.test.servers_client.get_console_output.return_value = {
            'output': ''}
        self.fails(self.test, 'the console log is empty')

    def test_a_security_group_without_effect(self):
        self.states = ['silent', 'silent']
        self.fails(self.test, f'TCP port 9 of {ADDRESS}')

    def test_a_port_on_the_source(self):
        self.attached = [[ports.Port(NEW_PORT, 'ACTIVE', True, 'alpha')]]
        self.fails(self.test, f'port {NEW_PORT} to be ACTIVE on host beta')

    def test_a_port_that_stays(self):
        self.attached[1] = self.attached[0]
        self.fails(self.test, f'port {NEW_PORT} to be detached')

    def test_a_guest_that_was_not_rebooted(self):
        self.boots('boot-1')
        self.fails(self.test, 'has not booted the guest again')

    def test_a_disk_without_the_data(self):
        self.builder.verify.side_effect = [
            {'disk': ''}, {'disk': 'sum a, sum b before'}]
        self.fails(self.test, 'sum a, sum b before')

    def test_traces_of_the_deleted_server(self):
        self.attached[2] = [ports.Port('port-1', 'DOWN', True, '')]
        self.allocated = [frozenset(['provider'])]
        self.traces = {
            'alpha': schema.HostTraces(
                host='alpha', directory='7 ext4', interfaces=('tap1',)),
            'beta': schema.HostTraces(host='beta', state='shut off')}
        self.fails(
            self.test, 'server server-0, which is deleted',
            "'allocation on provider provider', 'port port-1', "
            "'tap1 on host alpha', 'instance directory on host alpha', "
            "'domain (shut off) on host beta'")
