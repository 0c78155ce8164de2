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

"""Ports are bound to the destination only after the migration.

Mended by "Port binding based on events during live migration" (18.0.0) and
"Implement setup_networks_on_host for Neutron networks" (14.0.0): before them,
neutron knew nothing of the destination until
``post_live_migration_at_destination`` had updated the port. The guest runs on
the destination and cannot be reached until then.

Place: nova-conductor and nova-compute act as if neutron lacked the extension
binding-extended, for which nova still has code, and the binding profile does
not say ``migrating_to``.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1605016, 1456073', commit='1f48d3d83b, 55f3d476a1',
    services=('nova-compute', 'nova-conductor'),
    effect='no network from the switch-over until nova has updated the port',
    test='test_block_live_migration_round_trip', check='outage', stock=False,
    # The outage is about 0.9 s, that of other migrations 0.2 to 0.3 s.
    profile='[live_migration_ha]\nmax_outage = 0.6\n')


@BUG.after('nova.network.neutron')
def patch(neutron):
    """Bind no port to the destination beforehand."""
    @BUG.wrap(neutron.API, 'has_port_binding_extension')
    def has_port_binding_extension(original, self, *args, **kwargs):
        return False

    @BUG.wrap(neutron.API, '_setup_migration_port_profile')
    def setup_profile(original, self, context, instance, host, *args,
                      **kwargs):
        BUG.fired(f'neutron is not told that server {instance.uuid} goes to '
                  f'{host}')
