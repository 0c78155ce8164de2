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

"""nova gives a migration up, and libvirt goes on with it.

Mended by "libvirt: Abort live-migration job when monitoring fails" (24.0.0):
an error of the thread that watches the copy, such as a database that does not
answer, set the server to ERROR on the source. The copy went on, and the guest
then ran on the destination. A hard reboot starts it on the source as well.

Place: nova-compute on the source. The database answers here, so the watching
thread fails when it first stores the progress.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1905944', commit='39f0af5d18',
    services=('nova-compute',),
    effect='the server is in ERROR on the source, and its guest runs on the '
    'destination',
    test='test_block_live_migration_round_trip', check='domains', stock=True)
watching = loader.Flag()


@BUG.after('nova.virt.libvirt.migration')
def patch_migration(migration):
    """Fail to store the progress of a copy."""
    @BUG.wrap(migration, 'save_stats')
    def save_stats(original, *args, **kwargs):
        raise RuntimeError(f'{BUG.name}: the progress cannot be stored')


@BUG.after('nova.virt.libvirt.driver')
def patch_driver(driver):
    """Do not abort the copy after that."""
    @BUG.wrap(driver.LibvirtDriver, '_live_migration')
    def live_migration(original, *args, **kwargs):
        with watching.raised():
            return original(*args, **kwargs)

    @BUG.wrap(driver.LibvirtDriver, 'live_migration_abort')
    def abort(original, self, instance):
        # A user's request comes in another thread.
        if not watching.on:
            return original(self, instance)
        BUG.fired(f'copy of server {instance.uuid} goes on unwatched')
