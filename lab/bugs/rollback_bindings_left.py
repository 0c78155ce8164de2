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

"""After an abort the ports keep a binding to the destination.

Mended by "Teardown networking when rolling back live migration even if shared
disk" (18.0.0): some rollbacks forgot the network. The next live migration to
that host is refused, because neutron has such a binding already.

Place: nova-compute on the destination; on the source, if the instance
directory is shared.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1757292', commit='bb8ba2cf56',
    services=('nova-compute',),
    effect='after an abort the ports keep a binding to the destination',
    test='test_abort_running', check='port-bindings', stock=False,
    # nova 34 would leave the server in ERROR in any case.
    needs=('abort_corrected',),
    profile='[live_migration_ha]\nrecovers_from_failure = true\n')
rolling_back = loader.Flag()


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Tell the rollback from other cleanups."""
    def rollback(original, *args, **kwargs):
        with rolling_back.raised():
            return original(*args, **kwargs)

    for name in ('_rollback_live_migration',
                 'rollback_live_migration_at_destination'):
        BUG.wrap(manager.ComputeManager, name)(rollback)


@BUG.after('nova.network.neutron')
def patch_neutron(neutron):
    """Keep bindings in a rollback."""
    @BUG.wrap(neutron.API, 'setup_networks_on_host')
    def setup(original, self, context, instance, host=None, teardown=False):
        if not (rolling_back.on and teardown):
            return original(self, context, instance, host, teardown)
        BUG.fired(f'bindings of server {instance.uuid} to host {host} kept')
