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
"""neutron 29 without ports that are DOWN after a rollback.

nova names the destination in the binding profile of each port, and takes the
name out again when it rolls back. To ML2 a changed profile is a new binding:
it sets the port DOWN and binds it to the same host. Nothing sets it ACTIVE
again, because OVN's port was up all the time, and OVN reports changes only.

Here the driver looks whether OVN's port is up on the host of the binding.
"""

import importlib

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('neutron',),
    effect='', test='test_abort_running', check='', stock=False,
    kind=loader.CORRECTION, needs=('abort_corrected', 'port_up_corrected'),
    profile='[live_migration_ha]\nrecovers_from_failure = true\n'
            'leave_out_checks =\n')


@BUG.after('neutron.plugins.ml2.drivers.ovn.mech_driver.mech_driver')
def patch(mech_driver):
    utils = importlib.import_module('neutron.common.ovn.utils')

    @BUG.wrap(mech_driver.OVNMechanismDriver, 'update_port_postcommit')
    def update_port_postcommit(original, self, context):
        original(self, context)
        port, before = context.current, context.original
        if (port['status'] != 'DOWN' or port['binding:vif_type'] != 'ovs' or
                before['binding:vif_type'] != 'unbound' or
                'migrating_to' in port['binding:profile']):
            return
        switch_port = self.nb_ovn.lookup('Logical_Switch_Port', port['id'],
                                         default=None)
        # After the activation of another binding it may still be up on the
        # host that it leaves.
        hosts = [row.chassis[0].hostname for row in self.sb_ovn.db_find_rows(
            'Port_Binding', ('logical_port', '=', port['id'])).execute(
                check_error=True) if row.chassis]
        if (switch_port is None or not utils.is_lsp_up(switch_port) or
                hosts != [port['binding:host_id']]):
            return
        BUG.fired(f'port {port["id"]} is up on {hosts[0]} as before')
        self._plugin.update_port_status(context.plugin_context, port['id'],
                                        'ACTIVE')
