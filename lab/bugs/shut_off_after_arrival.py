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

"""nova calls a server SHUTOFF as soon as it has arrived.

Mended by "bug 944145: race condition causes VM's state to be SHUTOFF"
(2012.1): nova-compute of the source compared the states of the servers with
those of libvirt, did not find the guest any more, and noted that the server
was off. Its guest runs on the destination, until nova stops it there because
it ought to be off.

Place: nova-compute on the source. It was a race; here it is lost every time.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='944145', commit='ec20076d24',
    services=('nova-compute',),
    effect='the server is SHUTOFF, and its guest runs on the destination',
    test='test_block_live_migration_round_trip', check='verdict', stock=True)


@BUG.after('nova.compute.manager')
def patch(manager):
    """Note that a server that has left is off."""
    @BUG.wrap(manager.ComputeManager, '_post_live_migration')
    def post_live_migration(original, self, context, instance, *args,
                            **kwargs):
        result = original(self, context, instance, *args, **kwargs)
        # The destination has changed the server.
        instance.refresh()
        instance.vm_state = manager.vm_states.STOPPED
        instance.power_state = manager.power_state.SHUTDOWN
        instance.save()
        BUG.fired(f'server {instance.uuid} is called off')
        return result
