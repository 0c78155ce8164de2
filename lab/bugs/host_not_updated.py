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

"""An error after the copy leaves the server on the source.

Mended by "[compute] always set instance.host in post_livemigration" (27.0.0):
the guest runs on the destination, and an error of neutron or cinder kept nova
from setting the server's host. The server is in ERROR on the source, and a
hard reboot starts its guest a second time.

Place: ``_post_live_migration_update_host`` of nova-compute on the source.
neutron and cinder answer here, so the call of the destination fails.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1628606', commit='8449b7caef',
    services=('nova-compute',),
    effect='the server is in ERROR on the source, and its guest runs on the '
    'destination',
    test='test_block_live_migration_round_trip', check='domains', stock=True)


@BUG.after('nova.compute.rpcapi')
def patch_rpcapi(rpcapi):
    """Fail to call the destination."""
    @BUG.wrap(rpcapi.ComputeAPI, 'post_live_migration_at_destination')
    def post_live_migration(original, self, *args, **kwargs):
        raise RuntimeError(f'{BUG.name}: the destination cannot be called')


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Leave the server's host alone after an error."""
    @BUG.wrap(manager.ComputeManager, '_post_live_migration_update_host')
    def update_host(original, self, context, instance, *args, **kwargs):
        try:
            return self._post_live_migration(
                context, instance, *args, **kwargs)
        except Exception:
            BUG.fired(f'host of server {instance.uuid} is not updated')
            raise
