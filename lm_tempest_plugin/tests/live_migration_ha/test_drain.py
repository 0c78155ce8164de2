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

"""Emptying a host of its servers, there and back, by different strategies."""

import dataclasses
import random

from tempest import config
from tempest.lib import decorators

from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.tests.live_migration_ha import base

CONF = config.CONF

FEWEST = 2


# It measures: what other tests do to the hosts meanwhile would be measured.
@decorators.serial
class DrainTest(base.LiveMigrationHaTest):
    """Several servers on one host, all of which go to another one."""

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

        The same servers go through all of it, from one host to another and
        back; each round trip is made with all sizes, in an order drawn by
        lot. Asserted for each server and each trip is what
        test_block_live_migration_round_trip asserts of one; moreover:

        * the source host runs as many live migrations at once as option
          max_concurrent_live_migrations declares;
        * nobody on the two hosts is left in MIGRATING.
        """
        self._drain([strategies.batches(size)
                     for size in CONF.live_migration_ha.batch_sizes])

    @decorators.idempotent_id('8a7f4f3e-3ff4-4f4c-9b33-3f0e4d0c91ab')
    @decorators.attr(type=['slow', 'multinode'])
    def test_drain_in_window(self) -> None:
        """Drain a host with a constant number of migrations in flight.

        The next server follows as soon as one has arrived. Asserted is what
        test_drain_in_batches asserts.
        """
        self._drain([
            strategies.window(CONF.live_migration_ha.window_size)])

    def _drain(self, plan: list[strategies.Strategy]) -> None:
        """Make a fleet, and move it there and back by each strategy."""
        source, destination = self.choose_hosts()
        fleet = self.create_guests(self.fitting(
            CONF.live_migration_ha.drain_servers, FEWEST, source,
            destination), source)
        watched = self.start_watch(*fleet)
        boot_ids = self.read_boot_ids(*fleet)
        sums = self.write_disks(*fleet)
        trip = base.Trip(fleet, '', watched, boot_ids, self.new_move())
        order = random.Random(CONF.live_migration_ha.seed)
        for number in range(CONF.live_migration_ha.round_trips):
            for strategy in order.sample(plan, len(plan)):
                for host in (destination, source):
                    self._leg(dataclasses.replace(
                        trip, destination=host, strategy=strategy,
                        number=number + 1),
                        'drain to %s, %s, trip %d' % (
                            host, strategy, number + 1))
        self.assert_unharmed(watched)
        self.assert_disks(sums, *fleet)

    def _leg(self, trip: base.Trip, name: str) -> None:
        """Move all of a fleet one way."""
        self.report(self.travel(trip), name)
