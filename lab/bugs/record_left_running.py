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

"""An error in the cleanup leaves the migration record running for ever.

Mended by "Stop _undefine_domain erroring if domain not found" and "Stop failed
live-migrates getting stuck migrating" (16.0.0). The server has arrived and is
ACTIVE, but its migration never ends, and the record keeps the allocation on
the source.

Place: nova-compute on the source. At the time of the bug the cleanup followed
the call of the destination; today it comes before. So the error comes where it
came then, in every migration (it was a race), and neither record nor server
are told of it.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1662626', commit='b706155888, b56f8fc2d1',
    services=('nova-compute',),
    effect='the server has arrived, and its record is running for ever',
    test='test_block_live_migration_round_trip', check='verdict', stock=False,
    profile='[live_migration_ha]\nmigration_timeout = 60\n')
migrating = loader.Flag()
# UUIDs of servers whose cleanup failed.
failed: set[str] = set()


@BUG.after('nova.compute.rpcapi')
def patch_rpcapi(rpcapi):
    """Fail after the call of the destination."""
    @BUG.wrap(rpcapi.ComputeAPI, 'post_live_migration_at_destination')
    def post_live_migration(original, self, context, instance, *args,
                            **kwargs):
        result = original(self, context, instance, *args, **kwargs)
        if migrating.on:
            failed.add(instance.uuid)
            BUG.fired(f'domain of server {instance.uuid} cannot be undefined')
            raise loader.libvirt_error(
                'Domain not found: no domain with matching uuid',
                'VIR_ERR_NO_DOMAIN')
        return result


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Tell neither record nor server of the error."""
    @BUG.wrap(manager.ComputeManager, '_do_live_migration')
    def do_live_migration(original, self, context, dest, instance, *args,
                          **kwargs):
        with migrating.raised():
            try:
                return original(self, context, dest, instance, *args,
                                **kwargs)
            finally:
                failed.discard(instance.uuid)

    @BUG.wrap(manager.ComputeManager, '_post_live_migration_update_host')
    def post_live_migration(original, self, *args, **kwargs):
        return self._post_live_migration(*args, **kwargs)

    @BUG.wrap(manager.ComputeManager, '_set_migration_status')
    def set_migration_status(original, migration, status):
        if migration is None or migration.instance_uuid not in failed:
            return original(migration, status)
        BUG.fired(f'migration {migration.uuid} is not set to {status}')

    @BUG.wrap(manager.ComputeManager, '_set_instance_obj_error_state')
    def set_error(original, self, instance, *args, **kwargs):
        if instance.uuid not in failed:
            return original(self, instance, *args, **kwargs)
