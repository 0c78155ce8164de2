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

"""Where post-copy is permitted, a paused server cannot be live-migrated.

Mended by "Allow live migrate paused instance when post copy is enabled"
(29.0.0): libvirt refuses VIR_MIGRATE_POSTCOPY for a paused guest.

Place: ``_live_migration_operation`` of nova-compute on the source. The lab
does not permit post-copy, so the flag is added for paused servers alone.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1671011', commit='33fa92b6cb',
    services=('nova-compute',),
    effect='paused servers cannot be live-migrated where post-copy is '
    'permitted',
    test='test_live_migration_of_paused_server', check='verdict', stock=False)
paused = loader.Flag()


@BUG.after('nova.virt.libvirt.driver')
def patch_driver(driver):
    """Tell paused servers from others."""
    @BUG.wrap(driver.LibvirtDriver, '_live_migration_operation')
    def operation(original, self, context, instance, *args, **kwargs):
        if instance.vm_state != driver.vm_states.PAUSED:
            return original(self, context, instance, *args, **kwargs)
        BUG.fired(f'post-copy permitted for paused server {instance.uuid}')
        with paused.raised():
            return original(self, context, instance, *args, **kwargs)


@BUG.after('nova.virt.libvirt.guest')
def patch_guest(guest):
    """Permit post-copy for paused servers."""
    @BUG.wrap(guest.Guest, 'migrate')
    def migrate(original, self, *args, flags=0, **kwargs):
        if paused.on:
            flags |= guest.libvirt.VIR_MIGRATE_POSTCOPY
        return original(self, *args, flags=flags, **kwargs)
