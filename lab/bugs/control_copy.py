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

"""Control without a bug: nova-compute logs each look at a running copy.

It is called every half second, in the thread that watches the copy.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-compute',),
    effect='', test='test_block_live_migration_round_trip', check='',
    stock=False, kind=loader.CONTROL)


@BUG.after('nova.virt.libvirt.guest')
def patch(guest):
    """Log the state of the copy."""
    @BUG.wrap(guest.Guest, 'get_job_info')
    def get_job_info(original, self):
        info = original(self)
        BUG.fired(f'server {self.uuid}: job type {info.type}')
        return info
