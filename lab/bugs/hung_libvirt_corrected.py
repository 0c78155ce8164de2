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
"""nova whose checks end when libvirtd of a host hangs.

nova-compute waits without a limit for the answer of libvirtd, and holds the
lock of its one connection meanwhile. The periodic tasks of the RPC server go
on, so neither the conductor's call monitoring nor the service group sees
anything: the server stays MIGRATING for [DEFAULT]long_rpc_timeout (1800 s).

Here libvirt's keep-alive closes a connection that is silent for
INTERVAL_S * (COUNT + 1) seconds, and every call on it ends with an error. nova
then disables its service, and the conductor refuses the migration. What is
left: a new connection to a libvirtd that hangs still waits, because
libvirt sends no keep-alive messages before it is open.
"""

import importlib

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-compute',),
    effect='',
    # tools/run-lab.sh faults libvirtd-destination shows it.
    test='', check='', stock=False, kind=loader.CORRECTION)
#: libvirtd's own defaults for its clients.
INTERVAL_S, COUNT = 5, 5


@BUG.after('nova.virt.libvirt.host')
def patch_host(host):
    """Ask libvirtd for signs of life."""
    @BUG.wrap(host.Host, '_get_new_connection')
    def get_new_connection(original, self):
        connection = original(self)
        connection.setKeepAlive(INTERVAL_S, COUNT)
        return connection


@BUG.after('nova.compute.manager')
def patch_manager(manager):
    """Report a lost connection as an error that the conductor expects."""
    libvirt = importlib.import_module('libvirt')

    @BUG.wrap(manager.ComputeManager, 'check_can_live_migrate_destination')
    def check(original, self, ctxt, instance, *args, **kwargs):
        try:
            return original(self, ctxt, instance, *args, **kwargs)
        except libvirt.libvirtError as error:
            if error.get_error_domain() not in (
                    libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_RPC):
                raise
            BUG.fired(f'server {instance.uuid}: {error}')
            raise manager.exception.HypervisorUnavailable() from error
