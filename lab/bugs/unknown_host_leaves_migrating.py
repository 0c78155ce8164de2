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

"""A request for a host that does not exist leaves the server MIGRATING.

Mended by "Fix host validity check for live-migration" (18.0.0): nova set the
server's task, looked for the host after that, and answered with HTTP 400. The
server cannot be stopped, rebooted or migrated any more.

Place: ``live_migrate`` of nova-api.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1785031, 1643623', commit='c7aed3d139, fb68fd12e2',
    services=('nova-api',),
    effect='a server that was to go to an unknown host is MIGRATING for ever',
    test='test_unknown_host', check='left-migrating', stock=False,
    profile='[live_migration_ha]\nmigration_timeout = 60\n'
    'settle_timeout = 20\n')


@BUG.after('nova.compute.api')
def patch(api):
    """Set the task before the host is known to exist."""
    @BUG.wrap(api.API, 'live_migrate')
    def live_migrate(original, self, context, instance, *args, **kwargs):
        try:
            return original(self, context, instance, *args, **kwargs)
        except api.exception.ComputeHostNotFound:
            instance.task_state = api.task_states.MIGRATING
            instance.save(expected_task_state=[None])
            BUG.fired(f'server {instance.uuid} stays MIGRATING')
            raise
