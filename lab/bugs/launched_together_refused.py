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

"""Servers that were launched by one request cannot be live-migrated.

Mended by "Ensure instance can migrate when launched concurrently" (17.0.0):
the scheduler looked for as many hosts as servers had been launched, found one,
and answered that there is no valid host.

Place: ``_schedule`` of nova-scheduler.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1718455', commit='87ca0d8af0',
    services=('nova-scheduler',),
    effect='servers that were launched together cannot be live-migrated',
    test='test_drain_in_window', check='verdict', stock=False)


@BUG.after('nova.scheduler.manager')
def patch(manager):
    """Ask for as many hosts as servers were launched."""
    @BUG.wrap(manager.SchedulerManager, '_schedule')
    def schedule(original, self, context, spec_obj, instance_uuids, *args,
                 **kwargs):
        found = original(self, context, spec_obj, instance_uuids, *args,
                         **kwargs)
        wanted = spec_obj.num_instances
        if len(found) < wanted:
            BUG.fired(f'{len(found)} hosts for servers {instance_uuids}, and '
                      f'{wanted} were launched')
            raise manager.exception.NoValidHost(
                reason='There are not enough hosts available.')
        return found
