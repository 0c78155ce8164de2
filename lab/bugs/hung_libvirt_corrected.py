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
lock of its one connection meanwhile. The RPC server and the report of the
service go on, so neither the conductor's call monitoring nor the service group
sees anything: the server stays MIGRATING for [DEFAULT]long_rpc_timeout
(1800 s).

Here libvirt's keep-alive closes a connection that is silent for INTERVAL_S *
(COUNT + 1) seconds, and a new one may take CONNECT_S: libvirt sends no
keep-alive messages before a connection is open. nova then disables its
service, and the conductor refuses the migration. Without
:mod:`lab.bugs.libvirt_gone_corrected` nova would deadlock instead.
"""

from concurrent import futures
import importlib

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-compute',),
    effect='',
    # tools/run-lab.sh faults libvirtd-destination shows it.
    test='', check='', stock=False, kind=loader.CORRECTION,
    needs=('libvirt_gone_corrected',))
INTERVAL_S, COUNT, CONNECT_S = 5, 2, 10


@BUG.after('nova.virt.libvirt.host')
def patch_host(host):
    """Ask libvirtd for signs of life, and limit the time to connect."""
    # One thread: an attempt that hangs does not become many.
    executor = futures.ThreadPoolExecutor(max_workers=1)

    @BUG.wrap(host.Host, '_connect')
    def connect(original, self, uri, read_only):
        attempt = executor.submit(original, self, uri, read_only)
        try:
            connection = attempt.result(CONNECT_S)
        except futures.TimeoutError as error:
            attempt.cancel()
            BUG.fired(f'no connection to {uri} within {CONNECT_S} s')
            raise loader.libvirt_error(
                f'{uri} does not answer within {CONNECT_S} s',
                'VIR_ERR_RPC') from error
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
