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

"""The volume is detached from the host that the server went to.

Mended by "Fix live-migrations usage of the wrong connector information"
(12.0.0): for the cleanup of the source, nova read the volumes' connections
after it had replaced them with those of the destination. So the source stayed
connected, and another volume's connection could be removed.

Place: nova-compute on the source. With today's attachments it means that the
attachment of the destination is deleted, and the one of the source is left.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='1475411, 1288039, 1423772', commit='8b649aa86f',
    services=('nova-compute',),
    effect="the attachment of the server's present host is deleted, and the "
    "source's is left",
    test='test_with_volume_attached', check='volume-attachment', stock=False,
    storage='ceph')


@BUG.after('nova.compute.manager')
def patch(manager):
    """Clean up with the connections of the destination."""
    @BUG.wrap(manager.ComputeManager,
              '_post_live_migration_remove_source_vol_connections')
    def remove_connections(original, self, context, instance, source_bdms):
        present = manager.objects.BlockDeviceMappingList.get_by_instance_uuid(
            context, instance.uuid)
        for each in present:
            if each.is_volume:
                BUG.fired(f'attachment {each.attachment_id} of volume '
                          f'{each.volume_id} deleted')
        return original(self, context, instance, present)
