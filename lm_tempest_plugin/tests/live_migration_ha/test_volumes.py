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


"""Servers with volumes: booted from one, or with one attached."""

import dataclasses
import functools
from typing import Any

from tempest.config import CONF
from tempest.lib.common.utils import data_utils
from tempest.lib import decorators

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import volumes
from lm_tempest_plugin import config
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests.workloads import volume
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import settings
from lm_tempest_plugin.tests.live_migration_ha import base
from lm_tempest_plugin.tests.live_migration_ha import test_intervention


# Serial: other tests would disturb its measurement.
@decorators.serial
class VolumesTest(base.LiveMigrationHaTest):
    """Servers whose volumes go with them, without being copied.

    nova shows the progress of a copy only if it asks libvirt during the
    copy, so a volume that is copied in a short time may not be seen.
    """

    volume_min_microversion = volumes.MICROVERSION

    @classmethod
    def skip_checks(cls) -> None:
        # First of all, as in the base class.
        config.check(CONF)
        if not CONF.service_available.cinder:
            raise cls.skipException(
                f'{cls.__name__} skipped: [service_available] cinder is '
                'False')
        if not CONF.volume.max_microversion:
            raise cls.skipException(
                f'{cls.__name__} skipped: it lists attachments of volumes, '
                f'which needs microversion {volumes.MICROVERSION}, and '
                '[volume] max_microversion is not set')
        super().skip_checks()

    @decorators.idempotent_id('37f2b08b-8bb3-4a2a-98dc-9b68a4ab128f')
    @decorators.attr(type=['slow', 'multinode'])
    def test_booted_from_volume(self) -> None:
        """Live-migrate a server that was booted from a volume.

        Asserted for each migration of one round trip: the same as in
        test_block_live_migration_round_trip; moreover:

        * the volume is in-use and has one attachment, which is attached, is
          the server's, and is on the host that the server went to;
        * nova does not show it being copied.

        When the server is deleted, the volume is available and has no
        attachment.
        """
        if not CONF.compute_feature_enabled.volume_backed_live_migration:
            raise self.skipException(
                '[compute-feature-enabled] volume_backed_live_migration is '
                'False')
        volume_id = self._create_volume(imageRef=CONF.compute.image_ref)
        guest, = self.build(image_id='', block_device_mapping_v2=[{
            'uuid': volume_id, 'source_type': 'volume', 'boot_index': 0,
            'destination_type': 'volume', 'delete_on_termination': False}])
        # Other servers with local disks copy them: figures of this one would
        # not be comparable with theirs.
        storage = CONF.live_migration_ha.storage
        self._round_trip(dataclasses.replace(guest, volumes=(volume_id,)),
                         measured=storage == settings.Storage.SHARED)

    @decorators.idempotent_id('4fbc8340-cd25-44b4-b6b0-76ac031ae5a4')
    @decorators.attr(type=['slow', 'multinode'])
    def test_with_volume_attached(self) -> None:
        """Live-migrate a server to which a volume was attached.

        Asserted: the same as in test_booted_from_volume, except that nova
        may show a copy of the server's own disk; moreover, the guest reads
        from the volume the data that it wrote before the first migration.
        """
        self._round_trip(self._build_with_volume())

    @decorators.idempotent_id('c2e9d7b1-46f0-4a3e-8b5d-19a7f3608e54')
    @decorators.attr(type=['slow', 'multinode'])
    def test_abort_with_volume_attached(self) -> None:
        """Abort the live migration of a server with a volume, and repeat it.

        Asserted: after the abort, the same as in test_abort_running, and the
        volume is in-use and has one attachment, which is attached, is the
        server's, and is on the source. A second live migration to the same
        host is completed, with all that is asserted of one in
        test_with_volume_attached, and the bound of option max_forced_outage:
        the guest keeps writing memory. The guest reads from the volume the
        data that it wrote before.

        When the server is deleted, the volume is available and has no
        attachment.
        """
        if not CONF.live_migration_ha.recovers_from_failure:
            raise self.skipException(
                '[live_migration_ha] recovers_from_failure is False')
        guest = self._build_with_volume()
        client = self.clients.servers
        intervention = test_intervention.Intervention(
            functools.partial(test_intervention.is_copying, client),
            functools.partial(migration_records.abort, client))
        destination = self.choose_destination(guest.host)
        with self.observe(guest) as fleet:
            self.builder.start(guest, test_intervention.writing(self.owner))
            run = self.migrate(
                fleet, destination, on_poll=intervention,
                aborted=intervention.done, measured=False)
            if not intervention.done:
                raise self.skipException(
                    test_intervention.too_fast(run.results))
            self.migrate(
                fleet, destination, measured=False,
                bounds=plan.Bounds.forced(CONF.live_migration_ha))
        self._delete(guest)

    def _build_with_volume(self) -> builder.Guest:
        """Return a guest with a volume attached, and data on it."""
        volume_id = self._create_volume()
        guest, = self.build()
        self.servers_client.attach_volume(guest.server_id, volumeId=volume_id)
        self._wait_for(volume_id, 'in-use')
        mib = CONF.live_migration_ha.disk_mib
        if mib:
            self.builder.start(guest, volume.VolumeWorkload(volume_id, mib))
        return dataclasses.replace(guest, volumes=(volume_id,))

    def _create_volume(self, **kwargs: Any) -> str:
        """Return the UUID of a new volume, which is available.

        It is deleted when the test ends. Servers are created later, so they
        are deleted before it.
        """
        options = CONF.volume
        if options.volume_type:
            kwargs['volume_type'] = options.volume_type
        if CONF.compute.compute_volume_common_az:
            kwargs['availability_zone'] = CONF.compute.compute_volume_common_az
        body = self.owner.volumes_client_latest.create_volume(
            size=options.volume_size, name=data_utils.rand_name(
                prefix=CONF.resource_name_prefix,
                name=f'{type(self).__name__}-volume'), **kwargs)['volume']
        volume_id = str(body['id'])
        self.addCleanup(
            volumes.delete, self.clients.volumes, volume_id,
            options.build_timeout, options.build_interval)
        self._wait_for(volume_id, 'available')
        return volume_id

    def _wait_for(self, volume_id: str, status: str) -> None:
        volumes.wait_for(
            self.clients.volumes, volume_id, status,
            CONF.volume.build_timeout, CONF.volume.build_interval)

    def _round_trip(self, guest: builder.Guest, measured: bool = True
                    ) -> None:
        """Move a guest with a volume to a host and back, and delete it."""
        with self.observe(guest) as fleet:
            for host in (self.choose_destination(guest.host), guest.host):
                self.migrate(fleet, host, measured=measured)
        self._delete(guest)

    def _delete(self, guest: builder.Guest) -> None:
        """Delete a guest; its volume has to be without any attachment."""
        volume_id, = guest.volumes
        self.builder.delete(guest)
        self._wait_for(volume_id, 'available')
        left = volumes.list_attachments(self.clients.attachments, volume_id)
        self.assertEqual(
            [], left, f'volume {volume_id} still has attachments although '
            f'its server is deleted: {"; ".join(map(str, left))}')
