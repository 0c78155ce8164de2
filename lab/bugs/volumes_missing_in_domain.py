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

"""The domain that is defined on the destination has no volumes.

Mended by "Use block_device_info at post_live_migration_at_destination"
(2014.1): nova defined the domain on the destination anew, from the server's
flavor and image alone. The guest has its volumes until it is stopped and
started; one that was booted from a volume does not start again.

Place: ``post_live_migration_at_destination`` of nova-compute on the
destination. libvirt defines the domain by itself today, so it is defined once
more here.
"""

from xml.etree import ElementTree

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1271780', commit='0486647e1c',
    services=('nova-compute',),
    effect='volumes are missing when the server is stopped and started',
    test='test_with_volume_attached', check='domain-xml', stock=False,
    storage='ceph')


@BUG.after('nova.virt.libvirt.driver')
def patch(driver):
    """Define the domain without volumes."""
    @BUG.wrap(driver.LibvirtDriver, 'post_live_migration_at_destination')
    def define(original, self, context, instance, *args, **kwargs):
        original(self, context, instance, *args, **kwargs)
        guest = self._host.get_guest(instance)
        domain = ElementTree.fromstring(
            guest.get_xml_desc(dump_inactive=True, dump_sensitive=True))
        # nova gives volumes their UUID as serial number, and other disks none.
        volumes = [(devices, disk) for devices in domain.iterfind('devices')
                   for disk in devices.iterfind('disk[serial]')]
        for devices, disk in volumes:
            devices.remove(disk)
            BUG.fired(f'volume {disk.findtext("serial")} of server '
                      f'{instance.uuid} is not defined')
        if volumes:
            self._host.write_instance_config(
                ElementTree.tostring(domain, encoding='unicode'))
