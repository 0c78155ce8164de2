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

"""A server that was sent to a named host holds no allocation there.

Mended by "Allocate resources on forced dest host during live migration"
(17.0.0): if a request names the host and bypasses the scheduler (before
microversion 2.30, or with force), nothing claimed the resources. placement
then offers them to other servers, until the host runs out of memory.

Place: ``LiveMigrationTask`` of nova-conductor.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1712008', commit='5d3a11b9c9',
    services=('nova-conductor',),
    effect='after a live migration to a named host (microversion 2.24) the '
    'server has no allocation',
    test='test_live_migration', check='allocations', stock=False)
task = loader.Flag()


@BUG.after('nova.conductor.tasks.live_migrate')
def patch_task(live_migrate):
    """Tell live migrations from evacuations, which claim as well."""
    @BUG.wrap(live_migrate.LiveMigrationTask, '_execute')
    def execute(original, self):
        with task.raised():
            return original(self)


@BUG.after('nova.scheduler.utils')
def patch_utils(utils):
    """Claim nothing."""
    @BUG.wrap(utils, 'claim_resources_on_destination')
    def claim(original, context, reportclient, instance, *args, **kwargs):
        if not task.on:
            return original(context, reportclient, instance, *args, **kwargs)
        BUG.fired(f'nothing claimed for server {instance.uuid}')
