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

"""Requests of other kinds: old microversions, paused servers, managers."""

from typing import Any

from tempest.lib import decorators

from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.tests.live_migration_ha import base


# The last microversion with disk_over_commit and without 'auto'.
OLD = '2.24'


@decorators.serial
class OldApiTest(base.LiveMigrationHaTest):
    """Microversions with which nova's checks are part of the request."""

    @decorators.idempotent_id('c1a7b1ac-0f73-4a0e-9b3a-3c5a4f7d0b77')
    @decorators.attr(type=['slow', 'multinode'])
    def test_live_migration(self) -> None:
        """Live-migrate a server with a microversion without 'auto'.

        Asserted: the same as in test_block_live_migration_round_trip.
        """
        guest, = self.build()
        with self.observe(guest) as fleet:
            self.migrate(fleet, self.choose_destination(guest.host),
                         options=self.request_options(microversion=OLD))


@decorators.serial
class PausedTest(base.LiveMigrationHaTest):
    """A server whose guest does not run."""

    @decorators.idempotent_id('d2b0d8c0-6d3b-4a8c-8c61-1d8f0b0f7e19')
    @decorators.attr(type=['slow', 'multinode'])
    def test_live_migration_of_paused_server(self) -> None:
        """Live-migrate a paused server, and unpause it.

        Asserted: it is PAUSED on the destination, no allocation, port
        binding or migration record is leaked, and the guest continues: the
        boot id is the same, the TCP connection has survived without a lost
        message, and the guest reads from its disk the data that it wrote
        before.
        """
        guest, = self.build()
        with self.observe(guest) as fleet:
            self.servers_client.pause_server(guest.server_id)
            self.builder.wait_for(guest, 'PAUSED')
            self.migrate(fleet, self.choose_destination(guest.host),
                         probed=False)
            self.servers_client.unpause_server(guest.server_id)
            self.builder.wait_for(guest, 'ACTIVE')


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
        """Let a project's manager request a live migration.

        The scheduler chooses the host: only an administrator may name one.
        Asserted: the same as in test_block_live_migration_round_trip.
        Skipped if the policy of the cloud does not allow it (nova's
        default allows it since 32.0).
        """
        guest, = self.build()
        with self.observe(guest) as fleet:
            run = self.migrate(
                fleet, '', expected=(
                    verdict.Kind.COMPLETED, verdict.Kind.FAILED),
                requester=self.os_project_manager.servers_client)
            result = run.results[0]
            if result.refusal is not None and result.refusal.status == 403:
                raise self.skipException(
                    'The policy of this cloud does not let a project manager '
                    f'live-migrate: {result.refusal.message}')
            self.assertEqual(verdict.Kind.COMPLETED, result.verdict,
                             messages.summary_line(result))
