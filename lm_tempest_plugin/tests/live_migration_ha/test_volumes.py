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

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

from oslo_log import log as logging
from tempest import config
from tempest.lib.common.utils import data_utils
from tempest.lib import decorators

from lm_tempest_plugin.cloud import volumes
from lm_tempest_plugin import config as own_config
from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.tests.live_migration_ha import base
from lm_tempest_plugin.tests.live_migration_ha import guests
from lm_tempest_plugin.workloads import volume as workload

CONF = config.CONF
LOG = logging.getLogger(__name__)

GIB = 2 ** 30


# It measures: what other tests do to the hosts meanwhile would be measured.
@decorators.serial
class VolumesTest(base.LiveMigrationHaTest):
    """Servers whose volumes go with them, without being copied.

    Where nova shows how much is copied, that is: it asks libvirt now and
    then, and of a short copy not at all.
    """

    volume_min_microversion = volumes.MICROVERSION

    @classmethod
    def skip_checks(cls) -> None:
        # Before all else, as everywhere.
        own_config.check(CONF)
        if not CONF.service_available.cinder:
            raise cls.skipException(
                '%s skipped: [service_available] cinder is False' %
                cls.__name__)
        if not CONF.volume.max_microversion:
            raise cls.skipException(
                '%s skipped: it lists the attachments of volumes, which '
                'takes microversion %s, and [volume] max_microversion is '
                'not set' % (cls.__name__, volumes.MICROVERSION))
        super().skip_checks()

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.admin_volumes = cls.os_admin.volumes_client_latest
        cls.admin_attachments = cls.os_admin.attachments_client_latest

    def setUp(self) -> None:
        super().setUp()
        # Volumes by the UUID of the server that has them.
        self.attached: dict[str, list[str]] = {}

    @decorators.idempotent_id('37f2b08b-8bb3-4a2a-98dc-9b68a4ab128f')
    @decorators.attr(type=['slow', 'multinode'])
    def test_booted_from_volume(self) -> None:
        """Live-migrate a server that was booted from a volume.

        There and back. Asserted for each of the two migrations is what
        test_block_live_migration_round_trip asserts; moreover:

        * the volume is in-use and has one attachment, which is attached, is
          the server's, and is on the host that the server went to;
        * nova does not show it being copied.

        In the end the guest reads from the volume what it wrote before the
        first migration; when the server is deleted, the volume is available
        and has no attachment.
        """
        if not CONF.compute_feature_enabled.volume_backed_live_migration:
            raise self.skipException(
                '[compute-feature-enabled] volume_backed_live_migration is '
                'False')
        volume_id = self._create_volume(imageRef=CONF.compute.image_ref)
        guest = self._create_guest(image_id='', block_device_mapping_v2=[{
            'uuid': volume_id, 'source_type': 'volume', 'boot_index': 0,
            'destination_type': 'volume', 'delete_on_termination': False}])
        self.attached[guest.server_id] = [volume_id]
        # Its figures are those of its cell only if other servers have no
        # disk that is copied either.
        storage = CONF.live_migration_ha.storage
        self._round_trip(guest, measured=storage == cells.Storage.SHARED)
        self._assert_released(guest, volume_id)

    @decorators.idempotent_id('4fbc8340-cd25-44b4-b6b0-76ac031ae5a4')
    @decorators.attr(type=['slow', 'multinode'])
    def test_with_volume_attached(self) -> None:
        """Live-migrate a server to which a volume was attached.

        Asserted is what test_booted_from_volume asserts, of the server's own
        disk and of the volume.
        """
        mib = CONF.live_migration_ha.disk_mib
        volume_id = self._create_volume()
        guest = self._create_guest()
        self._attach(guest, volume_id)
        written = (self._run_in(guest, workload.write(volume_id, mib))
                   if mib else None)
        self._round_trip(guest)
        if written is not None:
            self.assertEqual(
                written, self._run_in(guest, workload.read(volume_id, mib)),
                'what server %s reads from volume %s is not what it wrote' % (
                    guest.server_id, volume_id))
        self._assert_released(guest, volume_id)

    def look_further(self, found: Sequence[findings.Finding]) -> list[str]:
        """Return what is wrong with the volumes of servers, in words."""
        wrong = []
        for each in found:
            server = each.verdict.evidence.server
            # One that is gone is left over in another way.
            if server is not None:
                for volume_id in self.attached.get(server.server_id, ()):
                    wrong += volumes.misplaced(
                        self.admin_volumes, self.admin_attachments,
                        volume_id, server.server_id, server.host)
            wrong += self._copied(each)
        return wrong

    def _copied(self, found: findings.Finding) -> Iterator[str]:
        """Say so if a server's volume was copied, as far as nova shows it.

        What a guest writes meanwhile is copied once more, and counts once
        more: half a volume is far more than these guests write.
        """
        server = found.attempt.request.server
        most = max((sample.progress.disk_total
                    for sample in found.attempt.samples), default=0)
        if most > GIB * (server.disk_gib + CONF.volume.volume_size / 2):
            yield ('server %s has local disks of %g GiB, and nova showed '
                   '%.1f GiB of disks being copied: its volume was among '
                   'them' % (server.server_id, server.disk_gib, most / GIB))

    def _create_volume(self, **kwargs: Any) -> str:
        """Return the UUID of a new volume, which is available.

        It goes away when the test ends. Servers are made later, and so go
        away before that.
        """
        options = CONF.volume
        if options.volume_type:
            kwargs['volume_type'] = options.volume_type
        if CONF.compute.compute_volume_common_az:
            kwargs['availability_zone'] = CONF.compute.compute_volume_common_az
        body = self.owner.volumes_client_latest.create_volume(
            size=options.volume_size, name=data_utils.rand_name(
                prefix=CONF.resource_name_prefix,
                name=type(self).__name__ + '-volume'), **kwargs)['volume']
        volume_id = str(body['id'])
        self.addCleanup(
            volumes.delete, self.admin_volumes, volume_id,
            options.build_timeout, options.build_interval)
        self._wait_for(volume_id, 'available')
        return volume_id

    def _create_guest(self, **kwargs: Any) -> guests.Guest:
        """Return a new guest, as create_guest() does.

        :param kwargs: what is asked of nova beside that
        """
        private_key, login = self._login
        host = CONF.compute.migration_source_host
        if host:
            kwargs['host'] = host
        return self._built(self._build(
            self._security_group, {**login, **kwargs}), private_key)

    def _attach(self, guest: guests.Guest, volume_id: str) -> None:
        """Attach a volume to a guest that runs."""
        self.servers_client.attach_volume(
            guest.server_id, volumeId=volume_id)
        self._wait_for(volume_id, 'in-use')
        self.attached[guest.server_id] = [volume_id]

    def _wait_for(self, volume_id: str, status: str) -> None:
        volumes.wait_for(
            self.admin_volumes, volume_id, status,
            CONF.volume.build_timeout, CONF.volume.build_interval)

    def _round_trip(self, guest: guests.Guest, measured: bool = True) -> None:
        """Move a guest to another host and back."""
        destination = self.choose_destination(guest.host)
        watched = self.start_watch(guest)
        sums = self.write_disks(guest)
        trip = base.Trip(
            [guest], '', watched, self.read_boot_ids(guest), self.new_move(),
            measured=measured)
        for host in (destination, guest.host):
            self.report(self.travel(
                dataclasses.replace(trip, destination=host)), 'to-%s' % host)
        self.assert_unharmed(watched)
        self.assert_disks(sums, guest)
        watched.stop()

    def _assert_released(self, guest: guests.Guest, volume_id: str) -> None:
        """Assert that a volume is free again when its server is deleted."""
        self.delete_guests(guest)
        self._wait_for(volume_id, 'available')
        left = volumes.list_attachments(self.admin_attachments, volume_id)
        self.assertEqual(
            [], left, 'volume %s is left with %s when its server is '
            'deleted' % (volume_id, '; '.join(map(str, left))))
