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
"""nova that releases the source if the last steps of a migration fail.

When the guest runs on the destination and a later step fails, nova sets the
server's host to the destination and raises: neither the allocation of the
migration record on the source is deleted, nor the ports' bindings to it. No
periodic task does it later.

Here both are deleted before the error is raised.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-compute',),
    effect='',
    # tools/run-lab.sh faults reset-state shows it.
    test='', check='', stock=False, kind=loader.CORRECTION)


@BUG.after('nova.compute.manager')
def patch(manager):
    @BUG.wrap(manager.ComputeManager, '_post_live_migration_update_host')
    def update_host(original, self, ctxt, instance, dest,
                    block_migration=False, migrate_data=None,
                    source_bdms=None):
        try:
            original(self, ctxt, instance, dest, block_migration,
                     migrate_data, source_bdms)
        except Exception as error:
            # It is not, if the destination could not be written down.
            if instance.host == dest:
                self._delete_allocation_after_move(
                    ctxt, instance, migrate_data.migration)
                self.network_api.setup_networks_on_host(
                    ctxt, instance, self.host, teardown=True)
                BUG.fired(f'server {instance.uuid}: {self.host} is released '
                          f'after {type(error).__name__}')
            raise
