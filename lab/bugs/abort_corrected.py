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

"""Correction: an abort leaves the server ACTIVE, and its record cancelled.

nova 34.0.0 leaves the server of an aborted or failed live migration in ERROR:
see :mod:`lab.bugs.abort_leaves_error`. Moreover it mostly calls the record of
an aborted one failed: it asks libvirt every half second, finds no job any
more, and takes that for a failure.

Here ``_live_migration`` does not raise an error after a rollback that went
well, as before nova's commit 20a9f9d740, and the record of an aborted
migration is cancelled. Bugs of the rollback can only be told with this
correction.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-compute',),
    effect='', test='test_abort_running', check='', stock=False,
    kind=loader.CORRECTION,
    profile='[live_migration_ha]\nrecovers_from_failure = true\n')
# UUIDs of servers whose migration was aborted.
aborted: set[str] = set()


@BUG.after('nova.virt.libvirt.driver')
def patch(driver):
    """Report a rollback that went well as success."""
    @BUG.wrap(driver.LibvirtDriver, 'live_migration_abort')
    def live_migration_abort(original, self, instance):
        aborted.add(instance.uuid)
        return original(self, instance)

    @BUG.wrap(driver.LibvirtDriver, '_live_migration')
    def live_migration(original, self, context, instance, dest, post_method,
                       recover_method, *args, **kwargs):
        recovered = []
        aborted.discard(instance.uuid)

        def recover(*recover_args, **recover_kwargs):
            if instance.uuid in aborted:
                recover_kwargs['migration_status'] = 'cancelled'
            recover_method(*recover_args, **recover_kwargs)
            recovered.append(instance.uuid)

        try:
            return original(self, context, instance, dest, post_method,
                            recover, *args, **kwargs)
        except driver.libvirt.libvirtError as error:
            if not recovered:
                raise
            BUG.fired(f'server {instance.uuid} is rolled back; not raised: '
                      f'{error}')
