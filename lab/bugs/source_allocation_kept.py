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

"""The source host stays allocated after a live migration.

Mended by "Remove source node allocation after live migration completes"
(17.0.0). Since "Make live migration hold resources with a migration
allocation" (3626019fa0, 17.0.0) the migration record holds the allocation on
the source, and here nobody deletes it. After a few drains the scheduler finds
no valid host although hosts are empty.

Place: ``_delete_allocation_after_move`` of nova-compute on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1712045', commit='72728ed01f',
    services=('nova-compute',),
    effect="the migration record keeps the source's allocation for ever",
    test='test_block_live_migration_round_trip', check='allocations',
    stock=False)


@BUG.after('nova.compute.manager')
def patch(manager):
    """Keep the allocation of live migrations."""
    @BUG.wrap(manager.ComputeManager, '_delete_allocation_after_move')
    def delete_allocation(original, self, context, instance, migration):
        if not migration.is_live_migration:
            return original(self, context, instance, migration)
        BUG.fired(f'allocation of migration {migration.uuid} kept')
