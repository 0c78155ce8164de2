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

"""A live migration that the hosts refuse leaves the server MIGRATING.

Mended by "Reset migrating task state for more Exceptions" (2013.1): of some
refusals, such as a block migration on shared storage, nova did not reset the
server's task. The server cannot be stopped, rebooted or migrated any more.

Place: ``_live_migrate`` of nova-conductor. nova-compute calls all refusals of
its own MigrationPreCheckError today.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1100462', commit='f5fa022468',
    services=('nova-conductor',),
    effect='a refused server is MIGRATING for ever',
    test='test_block_migration_flag_wrong', check='left-migrating',
    stock=False, profile='[live_migration_ha]\nsettle_timeout = 20\n')
migrating = loader.Flag()


@BUG.after('nova.conductor.manager')
def patch_manager(manager):
    """Tell live migrations from other requests."""
    @BUG.wrap(manager.ComputeTaskManager, '_live_migrate')
    def live_migrate(original, *args, **kwargs):
        with migrating.raised():
            return original(*args, **kwargs)


@BUG.after('nova.scheduler.utils')
def patch_utils(utils):
    """Do not reset the task of a refused server."""
    @BUG.wrap(utils, 'set_vm_state_and_notify')
    def set_state(original, context, instance_uuid, service, method, updates,
                  error, *args, **kwargs):
        if not migrating.on or not isinstance(
                error, utils.exception.MigrationPreCheckError):
            return original(context, instance_uuid, service, method, updates,
                            error, *args, **kwargs)
        BUG.fired(f'server {instance_uuid} stays MIGRATING: {error}')
