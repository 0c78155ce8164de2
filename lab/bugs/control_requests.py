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

"""Control without a bug: nova-api logs requests for live migrations."""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-api',), effect='',
    test='test_block_live_migration_round_trip', check='', stock=False,
    kind=loader.CONTROL)


@BUG.after('nova.compute.api')
def patch(api):
    """Log each request."""
    @BUG.wrap(api.API, 'live_migrate')
    def live_migrate(original, self, context, instance, *args, **kwargs):
        BUG.fired(f'server {instance.uuid}')
        return original(self, context, instance, *args, **kwargs)
