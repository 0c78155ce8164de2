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

"""Control without a bug: nova-conductor logs tasks of live migration."""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-conductor',),
    effect='', test='test_block_live_migration_round_trip', check='',
    stock=False, kind=loader.CONTROL)


@BUG.after('nova.conductor.tasks.live_migrate')
def patch(live_migrate):
    """Log each task, before and after it."""
    @BUG.wrap(live_migrate.LiveMigrationTask, '_execute')
    def execute(original, self):
        BUG.fired(f'server {self.instance.uuid}: begin')
        try:
            return original(self)
        finally:
            BUG.fired(f'server {self.instance.uuid}: end')
