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

"""A live migration that is forced to complete leaves the guest paused.

Mended by "Fix race condition for live-migration-force-complete" (14.0.0): nova
paused the guest whatever the migration was doing at that moment. The server is
ACTIVE on the destination, and its guest stands still.

Place: nova-compute on both hosts. It was a race; here it is lost every time.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1580609', commit='2194b103ad',
    services=('nova-compute',),
    effect='after a forced completion the server is ACTIVE and its guest '
    'paused',
    test='test_force_complete', check='verdict', stock=False)


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Mark the server on the source."""
    @BUG.wrap(manager.ComputeManager, 'live_migration_force_complete')
    def force_complete(original, self, context, instance):
        original(self, context, instance)
        BUG.shared(instance.uuid).touch()


@BUG.after('nova.virt.libvirt.driver')
def patch_driver(driver):
    """Pause a marked server on the destination."""
    @BUG.wrap(driver.LibvirtDriver, 'post_live_migration_at_destination')
    def post_live_migration(original, self, context, instance, *args,
                            **kwargs):
        original(self, context, instance, *args, **kwargs)
        mark = BUG.shared(instance.uuid)
        if mark.exists():
            mark.unlink()
            self._host.get_guest(instance).pause()
            BUG.fired(f'guest of server {instance.uuid} paused')
