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

"""The guest's network card loses its MTU, and no copy begins.

Mended by "Fix network mtu metadata disappears after attaching" (34.0.0): after
an interface was attached, nova did not know the MTU of the others any more,
and wrote a domain without it for the destination. libvirt refuses to change a
card of a running guest. The reverse was mended by "libvirt: Avoid setting MTU
during live migration if unset" (19.0.0, bug 1800511).

Place: ``_update_vif_xml`` of nova-compute on the source. No interface is
attached here; the MTU is dropped from each.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='2080531, 1800511', commit='53bf15a5eb, 643f53f5e9',
    services=('nova-compute',),
    effect='libvirt refuses the migration: the domain for the destination has '
    'no MTU',
    test='test_block_live_migration_round_trip', check='verdict', stock=True)


@BUG.after('nova.virt.libvirt.migration')
def patch(migration):
    """Drop the MTU of each interface."""
    @BUG.wrap(migration, '_update_vif_xml')
    def update(original, *args, **kwargs):
        domain = original(*args, **kwargs)
        for interface in domain.findall('./devices/interface'):
            for mtu in interface.findall('mtu'):
                interface.remove(mtu)
                BUG.fired(f'MTU of {mtu.get("size")} bytes dropped, server '
                          f'{domain.findtext("uuid")}')
        return domain
