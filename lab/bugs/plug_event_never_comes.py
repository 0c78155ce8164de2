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

"""No live migration begins: nova waits for an event that never comes.

Mended by "only wait for plugtime events in pre-live-migration" (23.0.0): nova
waited for network-vif-plugged of each port, and some kinds of ports only sent
it when the guest had arrived. After vif_plugging_timeout (300 s by default)
the migration was given up.

Place: ``_get_neutron_events_for_live_migration`` of nova-compute on the
source. Ports of OVN send their event in time, so nova waits for one more, of
a port that does not exist, and for 20 s only.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1901707', commit='8b33ac0644',
    services=('nova-compute',),
    effect='live migrations are given up after vif_plugging_timeout',
    test='test_block_live_migration_round_trip', check='verdict', stock=True)


NEVER = 'network-vif-plugged', 'of no port'


@BUG.after('nova.compute.manager')
def patch(manager):
    """Wait for one more event."""
    @BUG.wrap(manager.ComputeManager, '_get_neutron_events_for_live_migration')
    def events(original, instance, *args):
        BUG.fired(f'nova waits in vain for an event of server {instance.uuid}')
        return [*original(instance, *args), NEVER]

    @BUG.wrap(manager.ComputeVirtAPI, 'wait_for_instance_event')
    def wait(original, self, instance, event_names, timeout=300, **kwargs):
        if NEVER in event_names:
            timeout = 20
        return original(self, instance, event_names, timeout=timeout, **kwargs)
