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

"""After a rollback the destination stays allocated.

Mended by "Remove dest node allocations during live migration rollback"
(17.0.0). After a live migration that failed or was aborted the server has its
allocation on the destination, and the record that on the source.

Place: ``_revert_allocation`` of nova-compute on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1715182, 1714237', commit='f90c61cd88',
    services=('nova-compute',),
    effect="after an abort the server's allocation is on the destination",
    test='test_abort_running', check='allocations', stock=False,
    # nova 34 would leave the server in ERROR in any case.
    needs=('abort_corrected',),
    profile='[live_migration_ha]\nrecovers_from_failure = true\n')


@BUG.after('nova.compute.manager')
def patch(manager):
    """Keep the allocations of live migrations."""
    @BUG.wrap(manager.ComputeManager, '_revert_allocation')
    def revert_allocation(original, self, context, instance, migration):
        if not migration.is_live_migration:
            return original(self, context, instance, migration)
        BUG.fired(f'allocations of server {instance.uuid} kept')
