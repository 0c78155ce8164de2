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

"""Round trip of one server by block live migration, with measurements."""

from tempest.config import CONF
from tempest.lib import decorators

from lm_tempest_plugin.tests.live_migration_ha import base


# Serial: other tests would disturb its measurement.
@decorators.serial
class BlockMigrationTest(base.LiveMigrationHaTest):
    """A server whose disk is local to its host."""

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.compute_feature_enabled.block_migration_for_live_migration:
            raise cls.skipException(
                f'{cls.__name__} skipped: [compute-feature-enabled] '
                'block_migration_for_live_migration is False')

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
