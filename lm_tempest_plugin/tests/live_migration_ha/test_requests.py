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

"""Live migrations that are asked for in other ways, or of other servers."""

from typing import Any

from tempest import config
from tempest.lib import decorators

from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.live_migration_ha import base

CONF = config.CONF

# The last with disk_over_commit, and without 'auto'.
OLD = '2.24'


@decorators.serial
class OldApiTest(base.LiveMigrationHaTest):
    """The API as it was when nova's checks were part of the request."""

    @decorators.idempotent_id('4c8c64c9-1f7b-4d63-8b0f-0f5f2c0c6f3e')
    @decorators.attr(type=['slow', 'multinode', 'negative'])
    def test_block_migration_flag_wrong(self) -> None:
        """Ask for block migration on shared storage, or the other way round.

        Asserted: nova refuses (HTTP 400) or rolls back; the server is as it
        was, on its host, its guest and its disk unharmed, and nothing is
        left over.
        """
        right = (CONF.compute_feature_enabled
                 .block_migration_for_live_migration)
        guest = self.create_guest()
        watched = self.start_watch(guest)
        sums = self.write_disks(guest)
        arrival = self.travel(base.Trip(
            [guest], self.choose_destination(guest.host), watched,
            self.read_boot_ids(guest),
            self.new_move(block_migration=not right, microversion=OLD),
            expected=(verdicts.Kind.FAILED, verdicts.Kind.ROLLED_BACK)))
        self.report(arrival, 'wrong flag')
        self._assert_clean(arrival)
        self.assert_unharmed(watched)
        self.assert_disks(sums, guest)

    def _assert_clean(self, arrival: base.Arrival) -> None:
        """Assert that a refusal is the client's fault, not the server's."""
        for found in arrival.findings:
            evidence = found.verdict.evidence
            self.assertTrue(evidence.as_before and evidence.on_source,
                            found.message())
            refusal = evidence.request.refusal
            if refusal is not None:
                self.assertEqual(400, refusal.status, found.message())

    @decorators.idempotent_id('c1a7b1ac-0f73-4a0e-9b3a-3c5a4f7d0b77')
    @decorators.attr(type=['slow', 'multinode'])
    def test_live_migration(self) -> None:
        """Live-migrate a server as it was done before 'auto'.

        Asserted is what the round trip asserts.
        """
        guest = self.create_guest()
        watched = self.start_watch(guest)
        sums = self.write_disks(guest)
        self.report(self.travel(base.Trip(
            [guest], self.choose_destination(guest.host), watched,
            self.read_boot_ids(guest),
            self.new_move(microversion=OLD))), 'old API')
        self.assert_unharmed(watched)
        self.assert_disks(sums, guest)


@decorators.serial
class PausedTest(base.LiveMigrationHaTest):
    """A server whose guest does not run."""

    @decorators.idempotent_id('d2b0d8c0-6d3b-4a8c-8c61-1d8f0b0f7e19')
    @decorators.attr(type=['slow', 'multinode'])
    def test_live_migration_of_paused_server(self) -> None:
        """Live-migrate a paused server, and let it go on.

        Asserted: it is PAUSED on the destination, nothing is left over, and
        the guest goes on where it was: the boot id is the same, the
        connection from before lives, without a message lost, and it reads
        from its disk what it wrote before.
        """
        guest = self.create_guest()
        watched = self.start_watch(guest)
        boot_ids = self.read_boot_ids(guest)
        sums = self.write_disks(guest)
        self.servers_client.pause_server(guest.server_id)
        self.wait_for(guest, 'PAUSED')
        self.report(self.travel(base.Trip(
            [guest], self.choose_destination(guest.host), None, {},
            self.new_move())), 'paused')
        self.servers_client.unpause_server(guest.server_id)
        self.wait_for(guest, 'ACTIVE')
        self.assertEqual(boot_ids, self.read_boot_ids(guest))
        self.assert_unharmed(watched)
        self.assert_disks(sums, guest)


@decorators.serial
class ManagerTest(base.LiveMigrationHaTest):
    """A project's manager, who is no administrator."""

    credentials = ['primary', 'admin', 'project_manager']

    @classmethod
    def choose_owner(cls) -> Any:
        return cls.os_project_manager

    @decorators.idempotent_id('a5f2b0f1-7d2c-4d61-9f2c-7f0b7c6f4d08')
    @decorators.attr(type=['slow', 'multinode'])
    def test_live_migration_by_project_manager(self) -> None:
        """Let a project's manager ask for a live migration.

        The scheduler chooses the host: to name one takes an administrator.
        Asserted is what the round trip asserts. Skipped where the policy of
        the cloud does not allow it (nova does by default since 32.0).
        """
        guest = self.create_guest()
        watched = self.start_watch(guest)
        sums = self.write_disks(guest)
        arrival = self.travel(
            base.Trip([guest], '', watched, self.read_boot_ids(guest),
                      self.new_move(), expected=(
                          verdicts.Kind.COMPLETED, verdicts.Kind.FAILED)),
            asker=self.os_project_manager.servers_client)
        found, = arrival.findings
        refusal = found.attempt.request.refusal
        if refusal is not None and refusal.status == 403:
            raise self.skipException(
                'The policy of this cloud does not let a project manager '
                'live-migrate: %s' % refusal.message)
        self.report(arrival, 'by project manager')
        self.assertEqual(verdicts.Kind.COMPLETED, found.verdict.kind,
                         found.message())
        self.assert_unharmed(watched)
        self.assert_disks(sums, guest)
