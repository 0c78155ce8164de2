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

"""A check that fails on a host puts the server in ERROR.

Mended by "nova-conductor puts instance in error state" (33.0.0): an error of
the source reached nova-conductor by way of the destination, as one that it did
not know. Nothing has begun and the guest runs on, but the server is in ERROR.

Place: ``check_can_live_migrate_destination`` of nova-compute turns the error
into an unknown one.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='2044235', commit='dc51a4271b',
    services=('nova-compute',),
    effect='a refused live migration leaves the server in ERROR',
    test='test_block_migration_flag_wrong', check='verdict', stock=False)


@BUG.after('nova.compute.manager')
def patch(manager):
    """Hide the class of the error."""
    @BUG.wrap(manager.ComputeManager, 'check_can_live_migrate_destination')
    def check(original, self, context, instance, *args, **kwargs):
        try:
            return original(self, context, instance, *args, **kwargs)
        except manager.exception.MigrationPreCheckError as error:
            BUG.fired(f'server {instance.uuid}: {error}')
            raise RuntimeError(f'Remote error: {error}') from error
