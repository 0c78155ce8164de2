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

"""Ports are switched to the destination after slow work on volumes.

Mended by "Call Neutron immediately upon _post_live_migration() start"
(29.0.0). Where neutron binds a port to both hosts during the migration, the
network helps itself; so here OVN is kept from it, as ML2/OVS, and OVN before
22.09, never did it: the binding profile does not say ``migrating_to``, nova
waits for no event of that, and does not switch the ports when libvirt says
that the guest has been suspended.

Place: nova-compute on both hosts.
"""

import time

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='26fbc9e8e7', services=('nova-compute',),
    effect='no network for 5 s after the switch-over',
    test='test_block_live_migration_round_trip', check='outage', stock=False)
#: Time for which nova works on volumes.
VOLUME_SECONDS = 5
post = loader.Flag()
event = loader.Flag()


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Flag the calls that switch ports, and wait for no event."""
    @BUG.wrap(manager.ComputeManager, '_post_live_migration')
    def post_live_migration(original, *args, **kwargs):
        with post.raised():
            return original(*args, **kwargs)

    @BUG.wrap(manager.ComputeManager, 'handle_lifecycle_event')
    def handle_lifecycle_event(original, *args, **kwargs):
        with event.raised():
            return original(*args, **kwargs)

    @BUG.wrap(manager.ComputeManager,
              '_get_neutron_events_for_live_migration')
    def no_events(original, instance):
        return []


@BUG.after('nova.network.neutron')
def patch_neutron(neutron):
    """Switch the ports late."""
    @BUG.wrap(neutron.API, '_setup_migration_port_profile')
    def setup_profile(original, self, *args, **kwargs):
        pass

    @BUG.wrap(neutron.API, 'migrate_instance_start')
    def migrate_instance_start(original, self, context, instance, migration):
        if event.on:
            return
        if post.on:
            BUG.fired(f'ports of server {instance.uuid} wait for volumes')
            time.sleep(VOLUME_SECONDS)
        return original(self, context, instance, migration)
