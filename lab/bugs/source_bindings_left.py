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

"""The ports keep an inactive binding to the source.

Mended by "Delete port bindings in setup_networks_on_host if teardown=True"
(18.0.0), and again where an error came before. The server cannot be migrated
back: neutron has a binding to that host already.

Place: ``_delete_port_bindings`` of nova-compute on the destination.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='724f67231b',
    services=('nova-compute',),
    effect='the ports keep a binding to the source, and the server cannot be '
    'migrated back',
    test='test_block_live_migration_round_trip', check='port-bindings',
    stock=True)
arriving = loader.Flag()


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Tell the arrival from other cleanups."""
    @BUG.wrap(manager.ComputeManager, 'post_live_migration_at_destination')
    def post_live_migration(original, *args, **kwargs):
        with arriving.raised():
            return original(*args, **kwargs)


@BUG.after('nova.network.neutron')
def patch_neutron(neutron):
    """Keep bindings when a server arrives."""
    @BUG.wrap(neutron.API, '_delete_port_bindings')
    def delete(original, self, context, ports, host):
        if not arriving.on:
            return original(self, context, ports, host)
        for port in ports:
            BUG.fired(f'binding of port {port["id"]} to host {host} kept')
