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

"""max_concurrent_live_migrations limits nothing.

Mended by "Limit parallel live migrations in progress" (12.0.0), and for
negative values, which meant no limit, by "Add minimum value in
max_concurrent_live_migrations" (20.0.0). A host that is drained sends all its
servers at once; none gets enough of the network to converge.

Place: the pool of live migrations of nova-compute has 10 threads.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1478108', commit='2c0a306632, 37c42c97e2',
    services=('nova-compute',),
    effect='all live migrations of a host run at once',
    test='test_drain_in_window', check='concurrency', stock=False,
    profile='[live_migration_ha]\ndrain_servers = 2\nwindow_size = 2\n')


@BUG.after('nova.thread_pool_factory')
def patch(factory):
    """Replace the size of the pool."""
    def size():
        BUG.fired('the pool of live migrations has 10 threads')
        return 10

    factory.ExecutorsPoolSize._EXECUTOR_POOL_SIZE[
        factory.ExecutorType.LIVE_MIGRATION] = size
    BUG.applied('ExecutorsPoolSize._EXECUTOR_POOL_SIZE')
