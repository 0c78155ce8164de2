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

"""Live migrations are tunnelled although the setting says that they are not.

Mended by "libvirt: add a new live_migration_tunnelled config" (13.0.0) and
the commits after it: VIR_MIGRATE_TUNNELLED was part of the default flags. The
copy goes through two daemons, on one core, and is several times slower.

Place: ``_handle_live_migration_tunnelled`` of nova-compute on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='621594fc41',
    services=('nova-compute',),
    effect='live migrations are tunnelled, which the settings forbid',
    # libvirt cannot tunnel the copy of disks.
    test='test_live_migration', check='transport', stock=False,
    storage='ceph')


@BUG.after('nova.virt.libvirt.driver')
def patch(driver):
    """Add the flag in any case."""
    @BUG.wrap(driver.LibvirtDriver, '_handle_live_migration_tunnelled')
    def tunnelled(original, self, migration_flags):
        return (original(self, migration_flags) |
                driver.libvirt.VIR_MIGRATE_TUNNELLED)

    @BUG.wrap(driver.LibvirtDriver, '_live_migration_operation')
    def operation(original, self, context, instance, *args, **kwargs):
        BUG.fired(f'live migration of server {instance.uuid} is tunnelled')
        return original(self, context, instance, *args, **kwargs)
