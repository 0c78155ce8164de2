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

"""A server that has arrived keeps the progress of its live migration.

Mended by "Reset instance progress when LM finishes" (13.0.0): the server is
ACTIVE with a progress such as 92 %, and a user takes it for unfinished.

Place: ``post_live_migration_at_destination`` of nova-compute on the
destination.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='41e4b511d2',
    services=('nova-compute',),
    effect='the server is ACTIVE, with the progress of its live migration',
    test='test_block_live_migration_round_trip', check='server-status',
    stock=False)


@BUG.after('nova.compute.manager')
def patch(manager):
    """Save the progress from before."""
    @BUG.wrap(manager.ComputeManager, 'post_live_migration_at_destination')
    def post_live_migration(original, self, context, instance, *args,
                            **kwargs):
        # A short copy may never have stored any.
        progress, save = instance.progress or 92, instance.save

        def save_old_progress(*save_args, **save_kwargs):
            instance.progress = progress
            return save(*save_args, **save_kwargs)

        instance.save = save_old_progress
        BUG.fired(f'server {instance.uuid} keeps a progress of {progress} %')
        return original(self, context, instance, *args, **kwargs)
