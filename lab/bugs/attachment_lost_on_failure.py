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

"""A preparation that fails leaves volumes without any attachment.

Mended by "compute: Don't delete the original attachment during pre LM
rollback" (22.0.0): the destination had put the source's attachment back, and
the rollback of the source then deleted it. The volume is available although a
running server uses it, so a second server can get it too.

Place: ``_rollback_volume_bdms`` of nova-compute on the source. nova prepares
without errors here, so the destination raises one after it has connected the
volumes.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1889108', commit='2102f1834a',
    services=('nova-compute',),
    effect='after a failed preparation, volumes of the running server have '
    'no attachment',
    test='test_with_volume_attached', check='volume-attachment', stock=True,
    storage='ceph')


@BUG.after('nova.virt.libvirt.driver')
def patch_driver(driver):
    """Fail when the volumes are connected."""
    @BUG.wrap(driver.LibvirtDriver, '_pre_live_migration_plug_vifs')
    def plug(original, self, instance, *args, **kwargs):
        original(self, instance, *args, **kwargs)
        raise RuntimeError(f'{BUG.name}: the preparation fails')


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Delete attachments that are those of the source already."""
    @BUG.wrap(manager.ComputeManager, '_rollback_volume_bdms')
    def rollback(original, self, context, bdms, original_bdms, instance):
        before = {each.volume_id: each.attachment_id
                  for each in original_bdms if each.is_volume}
        for each in bdms:
            if each.attachment_id and (
                    each.attachment_id == before.get(each.volume_id)):
                self.volume_api.attachment_delete(context, each.attachment_id)
                BUG.fired(f'attachment {each.attachment_id} of volume '
                          f'{each.volume_id} deleted')
        return original(self, context, bdms, original_bdms, instance)
