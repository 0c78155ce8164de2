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

"""An abort of a queued live migration cleans nothing up.

Mended by "Clean up when queued live migration aborted" (25.0.0). The record is
cancelled, but the server stays MIGRATING, its ports keep their bindings to the
destination, and its allocation there stays.

Place: ``live_migration_abort`` of nova-compute on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1949808, 1960412', commit='219520d9ce',
    services=('nova-compute',),
    effect='after an abort in the queue the server is MIGRATING for ever, '
    'with allocation and port bindings on the destination',
    test='test_abort_queued', check='verdict', stock=False)
abort = loader.Flag()


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Keep the server's task and its allocations."""
    @BUG.wrap(manager.ComputeManager, 'live_migration_abort')
    def live_migration_abort(original, self, context, instance, migration_id):
        # Only the branch for queued migrations saves the server here.
        instance.save = lambda *args, **kwargs: BUG.fired(
            f'task of server {instance.uuid} kept')
        try:
            with abort.raised():
                return original(self, context, instance, migration_id)
        finally:
            del instance.save

    @BUG.wrap(manager.ComputeManager, '_revert_allocation')
    def revert_allocation(original, self, context, instance, migration):
        if not abort.on:
            return original(self, context, instance, migration)
        BUG.fired(f'allocations of server {instance.uuid} kept')


@BUG.after('nova.network.neutron')
def patch_neutron(neutron):
    """Keep the port bindings."""
    @BUG.wrap(neutron.API, 'setup_networks_on_host')
    def setup_networks_on_host(original, self, context, instance, *args,
                               **kwargs):
        if not abort.on:
            return original(self, context, instance, *args, **kwargs)
        BUG.fired(f'port bindings of server {instance.uuid} kept')
