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

"""The same live migrations with each work of the guests."""

from oslo_log import log as logging
import prettytable
from tempest.config import CONF
from tempest.lib import decorators

from lm_tempest_plugin import attachments
from lm_tempest_plugin import config
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import base
from lm_tempest_plugin.tests.live_migration_ha import test_matrix

LOG = logging.getLogger(__name__)


# Serial: it fills the hosts, and other tests would disturb its measurement.
@decorators.serial
class WorkloadsTest(base.LiveMigrationHaTest):
    """Guests that do not idle while they are live-migrated."""

    placed = True

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        cls.workloads = config.compared_workloads(CONF)
        if not cls.workloads:
            raise cls.skipException(
                f'{cls.__name__} skipped: option workloads in group '
                'live_migration_ha_matrix has no work of guests to compare')
        # OS_TEST_TIMEOUT is meant for one round trip of one server.
        cls.TIMEOUT_SCALING_FACTOR = (
            2 * len(cls.workloads) * CONF.live_migration_ha.round_trips *
            (CONF.live_migration_ha_matrix.drain_servers // 4 + 1))

    @decorators.idempotent_id('8d0f3a36-90a1-4a0e-b6b5-7a3ce3b9f0c1')
    @decorators.attr(type=['slow', 'multinode'])
    def test_all_workloads(self) -> None:
        """Drain a host and back with each work of the guests.

        Option workloads in group live_migration_ha_matrix names the work, and
        drain_servers there the number of guests. Asserted for each work and
        migration: the same as in test_drain_in_window, and

        * memory and disk: the work goes on, and each block on the disk holds
          what was last written to it with fsync;
        * keeper: no page of the guest's memory was lost, or is older than it
          was;
        * wordcount: each chunk of the text was counted once, in order, with
          the right number of words, across all migrations.

        If one workload fails, the others are tested nevertheless.
        """
        self.table = prettytable.PrettyTable(test_matrix.COLUMNS)
        self.table.align = 'l'
        failures = []
        try:
            for workload in self.workloads:
                LOG.info('Workload %s', workload)
                try:
                    self._drain(workload)
                except (self.failureException, *test_matrix.ERRORS) as exc:
                    LOG.exception('Workload %s', workload)
                    failures.append(f'{workload}: {exc}')
        finally:
            LOG.info('The workloads:\n%s', self.table)
            attachments.attach(
                self, 'workloads', attachments.LOG, str(self.table).encode())
        if failures:
            raise self.failureException(messages.combined(
                f'{len(failures)} of {len(self.workloads)} workloads have '
                'problems', failures))

    def _drain(self, workload: schema.WorkloadChoice) -> None:
        """Drain a host and back, as often as the options say."""
        options = CONF.live_migration_ha
        source, destination = self.choose_hosts()
        number = self.builder.room(
            max(1, CONF.live_migration_ha_matrix.drain_servers), 1,
            source, destination)
        guests = self.builder.build(number, source)
        with self.observe(*guests, delete=True, workload=workload) as fleet:
            for round_trip in range(1, options.round_trips + 1):
                for host in (destination, source):
                    self.migrate(
                        fleet, host, round_trip=round_trip,
                        strategy=plan.window(options.window_size),
                        on_run=lambda run: self.table.add_rows(
                            test_matrix.rows(run)))
