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

"""Block live migration: a round trip, and a server without its image."""

import shutil
import tempfile
from typing import Any

from tempest.config import CONF
from tempest.lib.common.utils import data_utils
from tempest.lib.common.utils import test_utils
from tempest.lib import decorators
from tempest.lib import exceptions

from lm_tempest_plugin.tests.live_migration_ha import base

# A larger image would take minutes to copy through this machine.
LARGEST_IMAGE = 2 ** 31
# Fields of an image that nobody but glance sets.
READ_ONLY = frozenset([
    'checksum', 'created_at', 'direct_url', 'file', 'id', 'locations', 'name',
    'os_hash_algo', 'os_hash_value', 'os_hidden', 'owner', 'protected',
    'schema', 'self', 'size', 'status', 'stores', 'tags', 'updated_at',
    'virtual_size', 'visibility'])


@decorators.serial
class BlockMigrationTestCase(base.LiveMigrationHaTest):
    """Skips tests where local disks are not copied."""

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.compute_feature_enabled.block_migration_for_live_migration:
            raise cls.skipException(
                f'{cls.__name__} skipped: [compute-feature-enabled] '
                'block_migration_for_live_migration is False')


# Serial: other tests would disturb its measurement.
@decorators.serial
class BlockMigrationTest(BlockMigrationTestCase):
    """A server whose disk is local to its host."""

    @decorators.idempotent_id('3d3216ab-147d-4fff-bf14-bfd281f285d7')
    @decorators.attr(type=['slow', 'multinode'])
    def test_block_live_migration_round_trip(self) -> None:
        """Live-migrate a server to another host and back, with its disk.

        Asserted for each of the two migrations:

        * the request has exactly one migration record, it is completed, and
          its source and destination are the right hosts;
        * the server is ACTIVE on the destination and has no task state;
        * from the request until some seconds after the end there is no
          outage (ICMP) and no stall (TCP) beyond the configured bounds;
        * the TCP connection from before the first migration lives, and no
          message on it was lost, repeated or altered;
        * the guest's boot id is that from before the first migration;
        * the guest reads from its disk the data that it wrote before the
          first migration, and parts that it did not write are unchanged;
        * in the guest, the metadata service and DHCP answer, a small write is
          on the disk in time, the clocks run on, and the kernel's log shows
          no new failure;
        * a connection that the guest opened to this machine lives;
        * all its addresses still answer, full-size packets pass, and a port
          that no security group opens stays closed; its ports are ACTIVE;
        * another guest, which is not migrated, still reaches the guest;
        * no allocation, port binding or migration record is leaked; with
          access to the hosts, no domain, instance directory or interface is
          left on the source, and its active and inactive domain XML agree.

        At the end the last message that was sent has come back.
        """
        guest, neighbour = self.build(2)
        options = self.request_options(block_migration=True)
        with self.observe(guest, neighbour=neighbour) as fleet:
            for host in (self.choose_destination(guest.host), guest.host):
                self.migrate(fleet, host, options=options)


@decorators.serial
class ImageDeletedTest(BlockMigrationTestCase):
    """A server whose image does not exist any more."""

    placed = True

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.service_available.glance:
            raise cls.skipException(
                f'{cls.__name__} skipped: [service_available] glance is '
                'False')

    @decorators.idempotent_id('5b1f7a2c-0e64-4d93-9c58-7e2a6d40b813')
    @decorators.attr(type=['slow', 'multinode'])
    def test_image_deleted(self) -> None:
        """Live-migrate a server, with its disk, whose image was deleted.

        The image is a copy of the guest image, made for this test. nova needs
        it on the destination, since the server's disk is only an overlay of
        it. If option copies_images is True, nova gets it from the source host.
        If it is False, another server has been on the destination, which has
        left the image in the host's cache.

        Asserted: the same as in test_block_live_migration_round_trip, for one
        migration. Skipped if glance does not delete an image that servers
        use, or if the image is larger than 2 GiB.
        """
        image_id = self._copy_image()
        guest, = self.build(image_id=image_id)
        destination = self.choose_destination(guest.host)
        if not CONF.live_migration_ha.copies_images:
            self.builder.delete(
                *self.builder.build(1, destination, image_id=image_id))
        try:
            self._images.delete_image(image_id)
        except exceptions.Conflict as exc:
            raise self.skipException(
                f'glance does not delete an image in use: {exc}') from exc
        self._images.wait_for_resource_deletion(image_id)
        with self.observe(guest) as fleet:
            self.migrate(fleet, destination, measured=False,
                         options=self.request_options(block_migration=True))

    @property
    def _images(self) -> Any:
        return self.owner.image_client_v2

    def _copy_image(self) -> str:
        """Return the id of a copy of the guest image."""
        known = self._images.show_image(CONF.compute.image_ref)
        if known['size'] > LARGEST_IMAGE:
            raise self.skipException(
                f'Image {known["id"]} has {known["size"] / 2 ** 30:.1f} GiB, '
                'which is too much for a copy of it')
        copy_id = str(self._images.create_image(
            name=data_utils.rand_name(
                prefix=CONF.resource_name_prefix,
                name=f'{type(self).__name__}-image'),
            visibility='private',
            **{name: value for name, value in known.items()
               if name not in READ_ONLY and value is not None and
               not name.startswith('os_glance')})['id'])
        self.addCleanup(
            test_utils.call_and_ignore_notfound_exc,
            self._images.delete_image, copy_id)
        # First down, then up: a glance with one worker serves one transfer
        # after the other. A file, not the memory of this machine.
        with tempfile.TemporaryFile() as stream:
            data = self._images.show_image_file(known['id'], chunked=True)
            try:
                shutil.copyfileobj(data, stream)
            finally:
                data.release_conn()
            stream.seek(0)
            self._images.store_image_file(copy_id, stream)
        return copy_id
