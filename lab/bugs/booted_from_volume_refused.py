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

"""A server that was booted from a volume is refused.

Mended by "allow live migration in case of a booted from volume instance"
(12.0.0): nova asked for shared storage although there was no local disk.

Place: ``check_can_live_migrate_source`` of nova-compute on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1469006', commit='177e9ff722',
    services=('nova-compute',),
    effect='servers that were booted from a volume cannot be live-migrated',
    test='test_booted_from_volume', check='verdict', stock=True,
    storage='ceph')


@BUG.after('nova.virt.libvirt.driver')
def patch(driver):
    """Refuse servers that have volumes for all disks."""
    @BUG.wrap(driver.LibvirtDriver, 'check_can_live_migrate_source')
    def check(original, self, context, instance, dest_check_data, *args,
              **kwargs):
        data = original(self, context, instance, dest_check_data, *args,
                        **kwargs)
        if not dest_check_data.is_volume_backed:
            return data
        BUG.fired(f'server {instance.uuid} refused')
        raise driver.exception.InvalidSharedStorage(
            reason='live migration without shared storage',
            path=instance.host)
