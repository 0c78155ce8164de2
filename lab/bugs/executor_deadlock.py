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

"""A host that has sent one server away never sends another one.

Mended by "Replace ThreadPoolExecutor with GreenThreadPoolExecutor" (19.0.0):
with Python 3.7 and eventlet the pool of live migrations came to a deadlock.
The next live migration from the host is queued for ever, until nova-compute is
restarted.

Place: the thread of ``_do_live_migration`` does not return to the pool of
nova-compute on the source.
"""

import time

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='1f2a80c195', services=('nova-compute',),
    effect='the second live migration from a host is queued for ever',
    test='test_drain_in_window', check='verdict',
    # Two of its tests leave each host more than once.
    stock=True,
    profile='[live_migration_ha]\ndrain_servers = 2\nwindow_size = 2\n'
    'migration_timeout = 60\n')
# UUIDs of servers whose migrations keep a thread.
kept: list[str] = []


@BUG.after('nova.compute.manager')
def patch(manager):
    """Keep the thread of each live migration."""
    @BUG.wrap(manager.ComputeManager, '_do_live_migration')
    def do_live_migration(original, self, context, dest, instance, *args,
                          **kwargs):
        try:
            return original(self, context, dest, instance, *args, **kwargs)
        finally:
            kept.append(instance.uuid)
            BUG.fired(f'thread of server {instance.uuid} does not return to '
                      f'the pool')
            while True:
                time.sleep(3600)
