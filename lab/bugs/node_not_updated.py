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

"""The server keeps the hypervisor of the source, and cannot leave again.

Mended by "Update hypervisor_hostname after live migration" (2013.2): nova set
the server's host and left its node alone. nova-compute of the destination
does not count the server, and the next live migration is refused, because
that host has no such node.

Place: ``post_live_migration_at_destination`` of nova-compute on the
destination.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1173376', commit='8c8e44cf37',
    services=('nova-compute',),
    effect='the server keeps the node of the source, and its next live '
    'migration is refused',
    test='test_block_live_migration_round_trip', check='verdict', stock=True)


@BUG.after('nova.compute.manager')
def patch(manager):
    """Save the host without its node."""
    @BUG.wrap(manager.ComputeManager, 'post_live_migration_at_destination')
    def post_live_migration(original, self, context, instance, *args,
                            **kwargs):
        node, compute_id, save = (
            instance.node, instance.compute_id, instance.save)

        def save_old_node(*save_args, **save_kwargs):
            if instance.node != node:
                instance.node, instance.compute_id = node, compute_id
                BUG.fired(f'server {instance.uuid} is on host '
                          f'{instance.host} with node {node}')
            return save(*save_args, **save_kwargs)

        instance.save = save_old_node
        return original(self, context, instance, *args, **kwargs)
