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

"""Round trips of all servers of a host by different strategies."""

import random

from tempest.config import CONF
from tempest.lib import decorators

from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.tests.live_migration_ha import base


FEWEST = 2


# Serial: other tests would disturb its measurement.
@decorators.serial
class DrainTest(base.LiveMigrationHaTest):
    """Drains of several servers from one host to another."""

    placed = True

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        options = CONF.live_migration_ha
        # OS_TEST_TIMEOUT is meant for a test of one server.
        cls.TIMEOUT_SCALING_FACTOR = 2 * options.round_trips * max(
            1, len(options.batch_sizes) * options.drain_servers // 6)

    @decorators.idempotent_id('6f0f6cbb-63a5-4a1a-8a5c-0d2f6a3f62a4')
    @decorators.attr(type=['slow', 'multinode'])
    def test_drain_in_batches(self) -> None:
        """Drain a host in batches of each size, with round trips.

        The same servers make all round trips, from one host to another and
        back. In each round trip number, every batch size makes one round
        trip, in random order. Asserted for each server and each round trip:
        the same as in test_block_live_migration_round_trip; moreover:

        * if option max_concurrent_live_migrations declares a limit, the
          source host runs as many live migrations at once;
        * no server on the two hosts is left in MIGRATING.
        """
        self._drain([plan.batches(size)
                     for size in CONF.live_migration_ha.batch_sizes])

    @decorators.idempotent_id('8a7f4f3e-3ff4-4f4c-9b33-3f0e4d0c91ab')
    @decorators.attr(type=['slow', 'multinode'])
    def test_drain_in_window(self) -> None:
        """Drain a host with a constant number of migrations in flight.

        The next server follows as soon as one has arrived. Asserted: the
        same as in test_drain_in_batches.
        """
        self._drain([plan.window(CONF.live_migration_ha.window_size)])

    def _drain(self, strategies: list[plan.Strategy]) -> None:
        """Build servers, and make round trips with each strategy."""
        options = CONF.live_migration_ha
        if options.stack_id:
            _, guests = self.build_stacks().adopt_stack()
            source = guests[0].host
            destination = self.choose_destination(source)
        else:
            source, destination = self.choose_hosts()
            guests = self.builder.build(self.builder.room(
                options.drain_servers, FEWEST, source, destination), source)
        # Random, so that a drift of the cloud does not look like an effect
        # of the strategy.
        order = random.Random(options.seed)
        with self.observe(*guests) as fleet:
            for round_trip in range(1, options.round_trips + 1):
                for strategy in order.sample(strategies, len(strategies)):
                    for host in (destination, source):
                        self.migrate(fleet, host, strategy=strategy,
                                     round_trip=round_trip)
