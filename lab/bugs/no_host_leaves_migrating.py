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

"""A live migration for which there is no host leaves the server MIGRATING.

Mended by "reset task_state after select_destinations failed" (13.0.0): if the
scheduler's answer was an error, nova did not reset the server's task. The
server cannot be stopped, rebooted or migrated any more.

Place: ``_live_migrate`` of nova-conductor. The scheduler's errors are known
today, so the answer that there is no valid host has to do.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1536916', commit='30d5d805c1',
    services=('nova-conductor',),
    effect='a server for which there is no host is MIGRATING for ever',
    test='test_no_room', check='left-migrating', stock=False,
    profile='[live_migration_ha]\nsettle_timeout = 20\n')
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
    """Do not reset the task if there is no host."""
    @BUG.wrap(utils, 'set_vm_state_and_notify')
    def set_state(original, context, instance_uuid, service, method, updates,
                  error, *args, **kwargs):
        if not migrating.on or not isinstance(
                error, utils.exception.NoValidHost):
            return original(context, instance_uuid, service, method, updates,
                            error, *args, **kwargs)
        BUG.fired(f'server {instance_uuid} stays MIGRATING: {error}')
