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

"""The directory of a server, with its disk, stays on the source.

Mended by "Ensure that instance directory is removed after success
migration/resize" (16.0.0); "libvirt: Add workaround to cleanup instance dir
when using rbd" (d6c1f6a103, 19.0.0, bug 1414895) did the same for Ceph. Disks
fill hosts that the servers have left, and a server cannot come back
(DestinationDiskExists).

Place: ``delete_instance_files`` of the libvirt driver, on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1666831', commit='6347baf3d0',
    services=('nova-compute',),
    effect='disk and directory stay on the source, and the way back fails',
    test='test_block_live_migration_round_trip',
    # With live_migrate_back_and_forth, as in the lab; it is off by default.
    check='instance-directories', stock=True)
post = loader.Flag()


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Tell the end of a live migration from the deletion of a server."""
    @BUG.wrap(manager.ComputeManager, '_post_live_migration')
    def post_live_migration(original, *args, **kwargs):
        with post.raised():
            return original(*args, **kwargs)


@BUG.after('nova.virt.libvirt.driver')
def patch_driver(driver):
    """Delete nothing."""
    @BUG.wrap(driver.LibvirtDriver, 'delete_instance_files')
    def delete_instance_files(original, self, instance):
        if not post.on:
            return original(self, instance)
        BUG.fired(f'files of server {instance.uuid} left')
        return True
