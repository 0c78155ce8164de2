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

"""After an abort the destination keeps the server's directory and interfaces.

Mended by "libvirt: Fix live migration failure cleanup on ceph" (2015.1): the
rollback was not told of the storage, took the directory for shared, and did
not call the destination. The server cannot be migrated to that host again:
DestinationDiskExists.

Place: ``_rollback_live_migration`` of nova-compute on the source.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1430223', commit='c10fc3d2a4',
    services=('nova-compute',),
    effect='after an abort the destination keeps the instance directory and '
    'the interfaces',
    test='test_abort_running', check='instance-directories', stock=False,
    # nova 34 would leave the server in ERROR in any case.
    needs=('abort_corrected',),
    profile='[live_migration_ha]\nrecovers_from_failure = true\n')
rolling_back = loader.Flag()


@BUG.after('nova.compute.manager')
def patch(manager):
    """Take all storage for shared in a rollback."""
    @BUG.wrap(manager.ComputeManager, '_rollback_live_migration')
    def rollback(original, *args, **kwargs):
        with rolling_back.raised():
            return original(*args, **kwargs)

    @BUG.wrap(manager.ComputeManager, '_live_migration_cleanup_flags')
    def flags(original, *args, **kwargs):
        if not rolling_back.on:
            return original(*args, **kwargs)
        BUG.fired('the destination is not asked to clean up')
        return False, False
