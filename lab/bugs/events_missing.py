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

"""The instance action of a live migration has no events of nova-compute.

Mended by "Add instance action events for live migration" (12.0.0). A user sees
neither which host failed, nor when a step began or ended.

Place: nova-compute on both hosts. The events are left out where they are
recorded.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1468212', commit='958060f992',
    services=('nova-compute',),
    effect='the instance action has no events of the hosts',
    test='test_block_live_migration_round_trip', check='events', stock=False)


@BUG.after('nova.compute.utils')
def patch(utils):
    """Record no event of a live migration."""
    @BUG.wrap(utils.EventReporter, '__init__')
    def init(original, self, context, event_name, host, *instance_uuids,
             **kwargs):
        if event_name.startswith('compute_') and (
                'live_migrat' in event_name):
            for uuid in instance_uuids:
                BUG.fired(f'event {event_name} of server {uuid} not recorded')
            instance_uuids = ()
        original(self, context, event_name, host, *instance_uuids, **kwargs)
