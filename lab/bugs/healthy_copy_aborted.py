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

"""A copy of disks that goes on well is aborted for lack of progress.

Mended by "Default live_migration_progress_timeout to off" (15.0.0), and the
option is gone since 19.0.0: nova looked at the memory alone, and it stands
still while disks are copied. After 150 s the migration was aborted.

Place: ``should_trigger_timeout_action`` of nova-compute on the source. The
disks of the lab are copied in seconds, so the time-out is one second.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1644248', commit='679d78ab2b, 4c3698c0b6',
    services=('nova-compute',),
    effect='live migrations that go on well are aborted',
    test='test_block_live_migration_round_trip', check='verdict', stock=True,
    storage='block')
PROGRESS_TIMEOUT_S = 1.0


@BUG.after('nova.virt.libvirt.migration')
def patch(migration):
    """Abort early."""
    @BUG.wrap(migration, 'should_trigger_timeout_action')
    def should_trigger(original, instance, elapsed, *args, **kwargs):
        if elapsed <= PROGRESS_TIMEOUT_S:
            return original(instance, elapsed, *args, **kwargs)
        BUG.fired(f'server {instance.uuid} aborted after {elapsed:.1f} s')
        return True
