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

"""Block live migration of one server, there and back, under observation."""

from tempest import config
from tempest.lib import decorators

from lm_tempest_plugin.probes.tcp import streams
from lm_tempest_plugin.tests.live_migration_ha import base

CONF = config.CONF


# It measures: what other tests do to the hosts meanwhile would be measured.
@decorators.serial
class BlockMigrationTest(base.LiveMigrationHaTest):
    """A server whose disk is local to its host."""

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.compute_feature_enabled.block_migration_for_live_migration:
            raise cls.skipException(
                '%s skipped: [compute-feature-enabled] '
                'block_migration_for_live_migration is False' % cls.__name__)

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
        * the guest's boot id is that from before the first migration.

        In the end the last message that was sent has come back.
        """
        guest = self.create_guest()
        destination = self.choose_destination(guest)
        watched = self.start_watch(guest)
        boot_id = self.read_boot_id(guest)
        for host in (destination, guest.host):
            self.report(self.migrate(
                guest, watched, boot_id, host, block_migration=True))
        self._assert_unharmed(watched.finish(
            CONF.live_migration_ha.drain_timeout)[guest.address])

    def _assert_unharmed(self, seen: streams.StreamSeen) -> None:
        """Assert that a connection lives and has brought everything back."""
        self.assertEqual(
            ((), 0, 0, 0),
            (seen.breaks, seen.lost, seen.repeated, seen.corrupt),
            'the TCP connection to %s did not stay unharmed '
            '(breaks, lost, repeated, corrupt)' % (
                seen.echoes.target))
        self.assertEqual(
            seen.last_sent, seen.last_echoed,
            'the last message that was sent to %s has not come back within '
            '%g s' % (seen.echoes.target,
                      CONF.live_migration_ha.drain_timeout))
