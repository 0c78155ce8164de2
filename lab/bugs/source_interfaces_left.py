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

"""The interfaces of the server stay in the source's Open vSwitch.

Mended by "Use source vifs when unplugging on source during post live migrate"
(18.0.0): nova unplugged with the facts about the destination's ports, so the
source's ports were not found. Each server that leaves a host leaves ports
behind, and another network agent may bind them again.

Place: ``post_live_migration_at_source`` of nova-compute on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1783917', commit='8e17c3784e',
    services=('nova-compute',),
    effect="the server's interfaces are left on the source",
    test='test_block_live_migration_round_trip', check='interfaces',
    stock=False)


@BUG.after('nova.virt.libvirt.driver')
def patch(driver):
    """Unplug no interface at the source."""
    @BUG.wrap(driver.LibvirtDriver, 'post_live_migration_at_source')
    def unplug(original, self, context, instance, network_info):
        BUG.fired(f'interfaces of server {instance.uuid} kept')
        return original(self, context, instance, [])
