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
"""nova-compute that ends the live migrations of its earlier process.

A nova-compute that starts looks for a record in status running only: it asks
libvirt to abort, ends the record with an error, whether that worked or not,
and calls the server ACTIVE on the source. If the copy has ended meanwhile, the
guest runs on the destination, unknown to nova. In each case the allocations
and bindings stay as they were made for the move, and records in the statuses
queued and preparing never end.

Here the last steps follow if the copy has ended; otherwise allocations and
bindings go back and the record ends. Not corrected: a copy that ends between
the question and the abort, files on the destination, and post-copy.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-compute',),
    effect='',
    # tools/run-lab.sh faults compute-running compute-queued shows it.
    test='', check='', stock=False, kind=loader.CORRECTION)


@BUG.after('nova.compute.manager')
def patch(manager):
    power_state = manager.power_state

    @BUG.wrap(manager.ComputeManager, '_reset_live_migration')
    def reset(original, self, context, instance):
        found = manager.objects.MigrationList.get_by_filters(context, {
            'instance_uuid': instance.uuid, 'source_compute': self.host,
            'migration_type': 'live-migration',
            'status': ['queued', 'preparing', 'running']})
        if not found:
            original(self, context, instance)
            return
        migration = found[0]
        if (migration.status == 'running' and
                self._get_power_state(instance) == power_state.NOSTATE):
            finish(self, context, instance, migration)
            BUG.fired(f'server {instance.uuid} is on '
                      f'{migration.dest_compute}')
            return
        original(self, context, instance)
        self._revert_allocation(context, instance, migration)
        self.network_api.setup_networks_on_host(
            context, instance, migration.dest_compute, teardown=True)
        self._set_migration_status(migration, 'error')
        BUG.fired(f'server {instance.uuid} stays on {self.host}')

    def finish(self, context, instance, migration):
        """Carry out the steps that follow a finished copy."""
        network_info = instance.get_network_info()
        shared = self._is_instance_storage_shared(
            context, instance, host=migration.dest_compute)
        self.network_api.migrate_instance_start(context, instance, migration)
        self.compute_rpcapi.post_live_migration_at_destination(
            context, instance, False, migration.dest_compute)
        self.driver.cleanup(context, instance, network_info,
                            destroy_disks=not shared)
        migration.status = 'completed'
        migration.save()
        self._delete_allocation_after_move(context, instance, migration)
        # The caller starts guests that should run, if
        # resume_guests_state_on_host_boot is set; not saved.
        instance.power_state = power_state.NOSTATE
