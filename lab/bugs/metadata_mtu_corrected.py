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
"""neutron 29 without metadata ports whose MTU is None.

Since commit 76e1be24ee of neutron ("Set MTU of metadata and OVN LB HM port
tap interfaces to network MTU") OVN's metadata port has the MTU of its network,
read from a field that a port has in updates by ML2. The maintenance worker
passes ports without that field, and so writes "None". Metadata agents fail to
read that as a number, and provide no metadata on their host.

Here the network is read if the port does not bring it.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none',
    services=('neutron', 'neutron-ovn-maintenance-worker'), effect='',
    # No test changes the subnets of the network of its servers.
    test='', check='', stock=False, kind=loader.CORRECTION)


@BUG.after('neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb.ovn_client')
def patch(ovn_client):
    utils = ovn_client.utils

    @BUG.wrap(ovn_client.OVNClient, '_get_port_options')
    def get_port_options(original, self, context, port):
        if 'network' not in port and (utils.is_ovn_metadata_port(port) or
                                      utils.is_ovn_lb_hm_port(port)):
            network = self._plugin.get_network(context.elevated(),
                                               port['network_id'])
            BUG.fired(f'port {port["id"]}: MTU {network["mtu"]}')
            port = {**port, 'network': network}
        return original(self, context, port)
