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

"""nova-compute that goes on after libvirtd has ended.

With native threads nova deadlocks itself: ``Host._get_connection`` tests the
connection with ``_wrapped_conn_lock`` held. If libvirtd has gone, libvirt
calls the close callback in this very thread, before the test returns, and the
callback takes the same lock. From then on every thread that needs libvirt
waits, although libvirtd is back, while the service is still reported as up.
With eventlet the callback only puts the event into a queue.

Here the lock can be taken again by the thread that holds it.
"""

import threading

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-compute',),
    effect='',
    # tools/run-lab.sh faults libvirtd shows it.
    test='', check='', stock=False, kind=loader.CORRECTION)
connecting = loader.Flag()


@BUG.after('nova.virt.libvirt.host')
def patch(host):
    @BUG.wrap(host.Host, '__init__')
    def init(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self._wrapped_conn_lock = threading.RLock()

    @BUG.wrap(host.Host, '_get_connection')
    def get_connection(original, self):
        with connecting.raised():
            return original(self)

    @BUG.wrap(host.Host, '_connection_closed')
    def connection_closed(original, self, *args, **kwargs):
        if connecting.on:
            BUG.fired('libvirtd has gone, and the thread that found out goes '
                      'on')
        original(self, *args, **kwargs)
