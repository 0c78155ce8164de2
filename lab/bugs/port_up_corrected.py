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

"""neutron 29 without the race that leaves a working port DOWN.

When nova activates the destination's binding, neutron sets the port DOWN and
removes the source from the port's requested chassis. The destination's
ovn-controller then changes ``chassis`` and clears ``additional_chassis`` of
the Port_Binding in one transaction. Usually the source's ovn-controller has
called the port down before, so that the northbound database shows it down and
up again, and neutron sets it ACTIVE. In 10 of 129 activations in logs of the
lab it did not. In 9 of them the destination took the port before the source
had released it, so Port_Binding.up never became false; in one, ovn-northd saw
both changes at once. Then the changed chassis is the only sign.
PortBindingChassisUpdateEvent ignores it since commit ee20f78e72 of neutron
("Wait for Port_Binding additional chassis in live-migration"), because
additional_chassis became empty in the same update.

Here a changed chassis counts, whatever happens to additional_chassis.
"""

import importlib

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('neutron',),
    effect='', test='test_block_live_migration_round_trip', check='',
    stock=False, kind=loader.CORRECTION,
    # The lab leaves out the check port-status.
    profile='[live_migration_ha]\nleave_out_checks =\n')


@BUG.after('neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb.ovsdb_monitor')
def patch(monitor):
    utils = importlib.import_module('neutron.common.ovn.utils')
    idlutils = importlib.import_module('ovsdbapp.backend.ovs_idl.idlutils')

    @BUG.wrap(monitor.PortBindingChassisUpdateEvent, 'match_fn')
    def match_fn(original, self, event, row, old=None):
        if original(self, event, row, old):
            return True
        before = getattr(old, 'chassis', None)
        if before is None or not row.chassis or before == row.chassis:
            return False
        # The source has released the port. One that is claimed for the first
        # time had no second host.
        if not before and not getattr(old, 'additional_chassis', None):
            return False
        try:
            port = self.driver.nb_ovn.lookup('Logical_Switch_Port',
                                             row.logical_port)
        except idlutils.RowNotFound:
            return False
        if not (utils.is_lsp_enabled(port) and utils.is_lsp_up(port)):
            return False
        BUG.fired(f'port {row.logical_port} moved to chassis '
                  f'{row.chassis[0].hostname} and is up')
        return True
