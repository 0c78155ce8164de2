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

"""Requests that nova has to refuse; the server must not be harmed."""

from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging
from tempest.config import CONF
from tempest.lib.common.utils import data_utils
from tempest.lib.common.utils import test_utils
from tempest.lib import decorators

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.guests.fleet import Fleet
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration.preflight import Obstacle
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.tests.live_migration_ha import base

LOG = logging.getLogger(__name__)

# The last microversion with disk_over_commit and without 'auto'.
OLD = '2.24'
# Before it, the scheduler does not check a host that the request names.
SCHEDULED = '2.30'
# Before it, nova answers after the checks of the conductor and of the hosts.
ASYNCHRONOUS = '2.34'


# Serial: others would find a destination disabled, down or full.
@decorators.serial
class NegativeTestCase(base.LiveMigrationHaTest):
    """Sends requests that cannot succeed."""

    def _refuse(self, fleet: Fleet, destination: str, status: int,
                obstacle: Obstacle | None = None, **kwargs: Any) -> None:
        """Request a live migration that nova has to refuse.

        :param fleet: the guests
        :param destination: name of the host
        :param status: HTTP status of the answer; 202 if nova checks later
        :param obstacle: the reason; None for one that only nova can see
        :param kwargs: parameters of migrate()
        """
        self.migrate(
            fleet, destination, expected=(Kind.FAILED,), measured=False,
            expected_refusal=plan.ExpectedRefusal(status, obstacle), **kwargs)

    @property
    def _checked_status(self) -> int:
        """HTTP status where only the conductor or the hosts can refuse."""
        return 202 if api.at_least(self.microversion, ASYNCHRONOUS) else 400


class HostsTest(NegativeTestCase):
    """Destinations that cannot take the server."""

    @decorators.idempotent_id('dcac1f10-1fb5-4019-bf01-dc35efc8e540')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_unknown_host(self) -> None:
        """Name a host that does not exist.

        Asserted:

        * nova answers with HTTP 400;
        * the server is ACTIVE on its host and has no task, at once and some
          seconds later: it is not left MIGRATING (bug 1785031);
        * no migration record goes on, and no allocation or port binding is
          left over; with access to the hosts, the domain runs on its host
          alone;
        * the guest has no outage and no stall beyond the configured bounds,
          its TCP connection, boot id and disk are those from before, and it
          passes the other checks of a live migration.
        """
        guest, = self.build()
        with self.observe(guest) as fleet:
            self._refuse(fleet, data_utils.rand_name('host', prefix='unknown'),
                         400, Obstacle.UNKNOWN_HOST)

    @decorators.idempotent_id('67eeb7b0-390a-4677-8057-4b027fca3996')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_same_host(self) -> None:
        """Name the host that the server is on.

        Asserted: nova answers with HTTP 202 (400 before microversion 2.34),
        an event of the instance action has failed, the only migration record
        has ended, and the same as in test_unknown_host.
        """
        guest, = self.build()
        with self.observe(guest) as fleet:
            self._refuse(fleet, guest.host, self._checked_status,
                         Obstacle.SAME_HOST)

    @decorators.idempotent_id('77bc3690-bcbe-4290-8d47-87c5cfdbe8b8')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_disabled_host(self) -> None:
        """Name a host whose nova-compute is disabled.

        The destination is disabled for the time of the request: nova puts no
        new servers there meanwhile. Skipped if option changes_hosts is False,
        and before microversion 2.30, with which nova lets an administrator
        use a disabled host.
        Asserted: the same as in test_same_host.
        """
        self._require_changes()
        if not api.at_least(self.microversion, SCHEDULED):
            raise self.skipException(
                f'Before microversion {SCHEDULED} nova accepts a disabled '
                f'host, and requests are sent with {self.microversion}')
        guest, = self.build()
        destination = self.choose_destination(guest.host)
        with self.observe(guest) as fleet:
            self._change_service(
                destination,
                {'status': 'disabled', 'disabled_reason': self.id()},
                {'status': 'enabled'})
            self._refuse(fleet, destination, self._checked_status,
                         Obstacle.HOST_DISABLED)

    @decorators.idempotent_id('93beaa96-0362-4df7-a14b-959c59f02512')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_host_down(self) -> None:
        """Name a host that is down.

        The destination is forced down for the time of the request. Skipped
        if option changes_hosts is False, or if the destination has servers:
        software for high availability could evacuate them.
        Asserted: the same as in test_same_host.
        """
        self._require_changes()
        guest, = self.build()
        destination = self.choose_destination(guest.host)
        others = servers.list_on_host(self.clients.servers, destination)
        if others:
            raise self.skipException(
                f'Host {destination} has {len(others)} servers, so it is '
                'not forced down')
        with self.observe(guest) as fleet:
            self._change_service(destination, {'forced_down': True},
                                 {'forced_down': False})
            self._refuse(fleet, destination, self._checked_status,
                         Obstacle.HOST_DOWN)

    @decorators.idempotent_id('0ce2370a-2afd-4acf-ba77-60ad61ef86d1')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_no_room(self) -> None:
        """Name a host without enough memory.

        For the time of the request, placement allocates the free memory of
        the destination to a consumer that is no server. Skipped if option
        changes_hosts is False.
        Asserted: the same as in test_same_host.
        """
        self._require_changes()
        guest, = self.build()
        destination = self.choose_destination(guest.host)
        uuid = compute_hosts.provider_uuids(
            self.clients.hypervisors)[destination]
        providers = self.clients.providers
        inventory = providers.list_resource_provider_inventories(
            uuid)['inventories']['MEMORY_MB']
        with self.observe(guest) as fleet:
            free_mib = placement.free(providers, uuid).ram_mib
            # With overcommitment, more is free than one consumer may have.
            while free_mib > 0:
                part_mib = min(free_mib, inventory['max_unit'])
                consumer = data_utils.rand_uuid()
                self.addCleanup(
                    test_utils.call_and_ignore_notfound_exc,
                    placement.release, self.clients.placement, consumer)
                LOG.warning(
                    'Consumer %s has %d MiB of memory of host %s until the '
                    'test ends. If the test is killed, delete its '
                    'allocation.', consumer, part_mib, destination)
                placement.allocate(self.clients.placement, consumer, uuid,
                                   MEMORY_MB=part_mib)
                free_mib -= part_mib
            self._refuse(fleet, destination, self._checked_status,
                         Obstacle.NO_ROOM)

    def _require_changes(self) -> None:
        if not CONF.live_migration_ha.changes_hosts:
            raise self.skipException(
                '[live_migration_ha] changes_hosts is False')

    def _change_service(self, host: str, change: dict[str, Any],
                        undo: dict[str, Any]) -> None:
        """Change the nova-compute service of a host until the test ends.

        :param host: its name
        :param change: fields of the service
        :param undo: the same fields at the end of the test
        """
        client = self.clients.services
        service, = client.list_services(
            binary='nova-compute', host=host)['services']
        self.addCleanup(client.update_service, service['id'], **undo)
        LOG.warning('nova-compute of host %s has %s until the test ends. If '
                    'the test is killed, undo it: %s', host, change, undo)
        client.update_service(service['id'], **change)


class ServersTest(NegativeTestCase):
    """Servers in states in which nova does not live-migrate them."""

    @decorators.idempotent_id('4ffd969a-230c-4eab-9e43-22e9502cfbff')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_suspended_server(self) -> None:
        """Request the live migration of a suspended server, and resume it.

        Asserted: nova answers with HTTP 409; the server is SUSPENDED on its
        host and has no task; no migration record goes on, and no allocation
        or port binding is left over. Then the guest continues: the boot id
        is the same, the TCP connection has survived without a lost message,
        and the guest reads from its disk the data that it wrote before.
        """
        if not CONF.compute_feature_enabled.suspend:
            raise self.skipException(
                '[compute-feature-enabled] suspend is False')
        guest, = self.build()
        with self.observe(guest) as fleet:
            self.servers_client.suspend_server(guest.server_id)
            self.builder.wait_for(guest, 'SUSPENDED')
            self._refuse(fleet, self.choose_destination(guest.host), 409,
                         Obstacle.SERVER_STATE, probed=False)
            self.servers_client.resume_server(guest.server_id)
            self.builder.wait_for(guest, 'ACTIVE')

    @decorators.idempotent_id('8c2492e7-3ed1-46db-8788-aafde1f7d984')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_shut_off_server(self) -> None:
        """Request the live migration of a server that is off, and start it.

        Asserted: nova answers with HTTP 409; the server is SHUTOFF on its
        host and has no task; no migration record goes on, and no allocation
        or port binding is left over. Then the server starts: its guest has
        booted again, and reads from its disk the data that it wrote before.
        """
        guest, = self.build()
        with self.observe(guest) as fleet:
            before = fleet.inspections[guest.server_id].boot_id
        self.servers_client.stop_server(guest.server_id)
        self.builder.wait_for(guest, 'SHUTOFF')
        self._refuse(fleet, self.choose_destination(guest.host), 409,
                     Obstacle.SERVER_STATE, probed=False)
        self.servers_client.start_server(guest.server_id)
        self.builder.wait_for(guest, 'ACTIVE')
        self.assertNotEqual(
            before, self.builder.inspect(guest, inspection.PARTS).boot_id)
        # No other workload: connections have ended with the guest.
        self.assertEqual('', self.builder.verify(guest).get('disk', ''))

    @decorators.idempotent_id('094f82c6-2c77-4508-bc2e-b2aca87bf53c')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_second_request(self) -> None:
        """Request a live migration again while it goes on.

        Asserted: nova answers the second request with HTTP 409, and for the
        first one the same as in test_block_live_migration_round_trip: one
        migration record, and the server on the destination.
        """
        guest, = self.build()
        destination = self.choose_destination(guest.host)
        second: list[request.Request] = []

        def request_again(snapshot: poll.Snapshot,
                          migrations: Sequence[follow.Migration]) -> None:
            server = migrations[0].server
            if server is not None and not server.settled and not second:
                second.append(request.live_migrate(
                    self.clients.servers, server, destination,
                    self.request_options()))

        with self.observe(guest) as fleet:
            self.migrate(fleet, destination, on_poll=request_again,
                         measured=False)
        if not second:
            raise self.skipException(
                'The server was never seen MIGRATING, so there was no second '
                'request; a shorter poll_interval helps')
        refusal = second[0].refusal
        self.assertEqual(409, refusal.status if refusal else 202, refusal)


class FlagTest(NegativeTestCase):
    """Block migration on shared storage, or the other way round."""

    @decorators.idempotent_id('4c8c64c9-1f7b-4d63-8b0f-0f5f2c0c6f3e')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_block_migration_flag_wrong(self) -> None:
        """Request the wrong kind of migration with microversion 2.24.

        nova's checks are part of this request.
        Asserted: nova answers with HTTP 400, the only migration record has
        ended, and the same as in test_unknown_host.
        """
        self._request_wrong_kind(OLD, 400)

    @decorators.idempotent_id('e5f7002e-5bdb-4206-bdaa-44b20887afea')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_block_migration_flag_wrong_and_checked_later(self) -> None:
        """Request the wrong kind of migration with the usual microversion.

        The scheduler has chosen the destination and allocated its resources
        when the hosts refuse.
        Asserted: the same as in test_same_host.
        """
        self._request_wrong_kind(self.microversion, self._checked_status)

    def _request_wrong_kind(self, microversion: str, status: int) -> None:
        right = (CONF.compute_feature_enabled
                 .block_migration_for_live_migration)
        guest, = self.build()
        with self.observe(guest) as fleet:
            self._refuse(
                fleet, self.choose_destination(guest.host), status,
                options=self.request_options(
                    block_migration=not right, microversion=microversion))
