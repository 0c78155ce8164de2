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

"""The domain on the destination is gone as soon as its guest ends.

Mended by "libvirt: add migration flag VIR_MIGRATE_PERSIST_DEST" (15.0.0):
before, nova defined the domain on the destination in a step of its own, the
last but one. Where that was not reached, the domain stayed transient: a guest
that powers itself off takes its domain away, and devices cannot be detached.

Place: ``Guest.migrate`` of nova-compute on the source. nova 34 has no such
step, so the domain is transient after each migration.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='a6053dd608',
    services=('nova-compute',),
    effect='the domain is not defined on the destination',
    test='test_block_live_migration_round_trip', check='domains', stock=False)


@BUG.after('nova.virt.libvirt.guest')
def patch(guest):
    """Do not ask libvirt to define the domain."""
    @BUG.wrap(guest.Guest, 'migrate')
    def migrate(original, self, *args, flags=0, **kwargs):
        BUG.fired(f'domain of server {self.uuid} is not to be defined')
        return original(
            self, *args, flags=flags & ~guest.libvirt.VIR_MIGRATE_PERSIST_DEST,
            **kwargs)
