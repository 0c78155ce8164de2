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

"""The source keeps a domain of the server, which is shut off.

Mended by "libvirt: force config related migration flags" (13.0.0): without
VIR_MIGRATE_UNDEFINE_SOURCE in nova.conf the domain stayed defined, unless nova
had an instance directory to clean up. If it is started, by virsh or by an
autostart, two guests write to one disk.

Place: nova-compute on the source. The lab's hosts do not share the instance
directory, so the cleanup leaves the domain alone as well.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='3fd24ba528',
    services=('nova-compute',),
    effect='a domain of the server is left on the source',
    test='test_block_live_migration_round_trip', check='domains', stock=False)
cleaning_up = loader.Flag()


@BUG.after('nova.virt.libvirt.guest')
def patch_guest(guest):
    """Do not ask libvirt to undefine the domain."""
    @BUG.wrap(guest.Guest, 'migrate')
    def migrate(original, self, *args, flags=0, **kwargs):
        flags &= ~guest.libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        BUG.fired(f'domain of server {self.uuid} is not to be undefined')
        return original(self, *args, flags=flags, **kwargs)


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Tell the cleanup of the source from others."""
    @BUG.wrap(manager.ComputeManager, '_post_live_migration')
    def post_live_migration(original, *args, **kwargs):
        with cleaning_up.raised():
            return original(*args, **kwargs)


@BUG.after('nova.virt.libvirt.driver')
def patch_driver(driver):
    """Keep the domain in the cleanup of the source."""
    @BUG.wrap(driver.LibvirtDriver, '_undefine_domain')
    def undefine(original, self, instance, *args, **kwargs):
        if not cleaning_up.on:
            return original(self, instance, *args, **kwargs)
        BUG.fired(f'domain of server {instance.uuid} kept')
