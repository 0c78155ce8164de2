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

"""The same live migrations with each combination of settings."""

from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging
import prettytable
from tempest.config import CONF
from tempest.lib import decorators
from tempest.lib import exceptions

from lm_tempest_plugin import attachments
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin import config
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.hosts import nova_conf
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import undo_log
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import settings
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import base

LOG = logging.getLogger(__name__)

# After one of these, other settings can still be tested.
ERRORS = (remote.HostError, undo_log.UndoLogError, exceptions.TempestException,
          errors.ProbeError, *api.NO_ANSWER)
COLUMNS = ('Settings', 'Workload', 'Flavor', 'Servers', 'Verdict',
           'Duration (s)',
           'Outage (s)', 'Stall (s)', 'Downtime (ms)', 'Transport',
           'At once', 'Problems')


def rows(run: engine.MigrationRun) -> list[list[str]]:
    """Return one row of the table for each migration of a run.

    :param run: a run from one source host
    """
    found = []
    concurrency, = run.drain.concurrency
    for result in run.results:
        continuity, job = result.continuity, result.job
        found.append([
            str(result.settings), str(result.workload), str(result.flavor),
            str(result.servers),
            result.verdict, f'{result.duration_s:.1f}',
            f'{continuity.outage.longest_s:.3f}' if continuity else '',
            f'{continuity.stall.longest_s:.3f}'
            if continuity and continuity.stall else '',
            str(job.downtime_ms) if job else '',
            run.drain.sockets.transport if run.drain.sockets else '',
            str(concurrency.running),
            str(len(result.problems) + len(run.drain.problems))])
    return found


# Serial: it changes the hosts, and other tests would disturb its measurement.
@decorators.serial
class MatrixTest(base.LiveMigrationHaTest):
    """Sets options of nova-compute on the hosts, and puts them back."""

    placed = True

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        options = CONF.live_migration_ha_matrix
        values = {setting.name: getattr(options, setting.name)
                  for setting in config.NOVA_SETTINGS}
        if not any(values.values()):
            raise cls.skipException(
                f'{cls.__name__} skipped: group live_migration_ha_matrix '
                'has no settings to compare')
        if not CONF.live_migration_ha.storage:
            raise cls.skipException(
                f'{cls.__name__} skipped: the expected outcome of settings '
                'depends on the storage, and [live_migration_ha] storage is '
                'not set')
        cls.matrix = settings.matrix(
            values, CONF.live_migration_ha.seed,
            CONF.live_migration_ha.storage)
        cls.workloads = config.compared_workloads(CONF) or [
            config.declared_workload(CONF)]
        # OS_TEST_TIMEOUT is meant for one round trip of one server.
        flavors = len(options.flavors) or 1
        cls.TIMEOUT_SCALING_FACTOR = 2 * len(cls.matrix) * (
            1 + CONF.live_migration_ha.round_trips * len(cls.workloads) * (
                flavors + options.drain_servers // 4 + 1))

    @decorators.idempotent_id('c0a8c2e6-54a7-4b0b-8f0a-5be6f1d9c7d3')
    @decorators.attr(type=['slow', 'multinode'])
    def test_all_settings(self) -> None:
        """Live-migrate servers with each combination of settings.

        The options of group live_migration_ha_matrix are set on all hosts,
        nova-compute is restarted, and at the end the old values are
        restored. First one server of each flavor makes round_trips round
        trips alone; then several servers make them together. With option
        workloads, this is repeated with each work of the guests. An earlier
        round trip of another guest is not measured. Asserted for each
        combination:

        * for each server, the same as in
          test_block_live_migration_round_trip, or, if the settings cannot
          work together, that it stays on its host, ACTIVE (but see option
          recovers_from_failure), and that its guest and its disk are
          unharmed;
        * that the settings take effect: sockets between the hosts, number
          of migrations at once, copies of disks;
        * if nova-compute cannot start with the settings, that it does not
          start, and that it starts again with the old ones.

        If one combination or workload fails, the others are tested
        nevertheless.
        """
        self.table = prettytable.PrettyTable(COLUMNS)
        self.table.align = 'l'
        declared = self.settings
        failures: list[str] = []
        assert self.hosts is not None, 'config.check() requires it'
        changes = self.hosts.changes()
        self.addCleanup(changes.close)
        self.addCleanup(changes.restore)
        changes.check()
        try:
            for number, wanted in enumerate(self.matrix, 1):
                LOG.info('Settings %d of %d: %s', number, len(self.matrix),
                         wanted)
                self.settings = settings.merged(declared, wanted)
                try:
                    self._test_settings(changes, wanted)
                except nova_conf.NotRestored:
                    # Nothing else can be tested on these hosts.
                    raise
                except (self.failureException, *ERRORS) as exc:
                    LOG.exception('Settings %s', wanted)
                    failures.append(f'{wanted}: {exc}')
        finally:
            LOG.info('The matrix:\n%s', self.table)
            attachments.attach(
                self, 'matrix', attachments.LOG, str(self.table).encode())
        if failures:
            raise self.failureException(messages.combined(
                f'{len(failures)} of {len(self.matrix)} combinations of '
                'settings have problems', failures))

    def _test_settings(self, changes: nova_conf.NovaConfChanges,
                       wanted: schema.Settings) -> None:
        """Set options on the hosts, and migrate servers."""
        outcome = settings.outcome(self.settings)
        if outcome == settings.Outcome.DOES_NOT_START:
            exc = self.assertRaises(service.NotStarted, changes.set,
                                    settings.nova_conf(wanted))
            LOG.info('Settings %s: as expected, %s', wanted, exc)
            return
        changes.set(settings.nova_conf(wanted))
        source, destination = self.choose_hosts()
        if outcome == settings.Outcome.MOVES:
            self._warm_up(source, destination)
        failures = []
        for workload in self.workloads:
            try:
                self._test_workload(workload, [destination, source], outcome)
            except (self.failureException, *ERRORS) as exc:
                LOG.exception('Workload %s', workload)
                failures.append(f'{workload}: {exc}')
        if failures:
            raise self.failureException('\n'.join(failures))

    def _test_workload(self, workload: schema.WorkloadChoice,
                       route: Sequence[str],
                       outcome: settings.Outcome) -> None:
        """Migrate servers with each flavor alone, and several together."""
        options = CONF.live_migration_ha_matrix
        destination, source = route
        for flavor in options.flavors or ['']:
            self._migrate(
                self.builder.build(1, source, self.builder.flavor_id(flavor)),
                route, outcome, workload)
        if options.drain_servers > 1 and outcome == settings.Outcome.MOVES:
            # One more than the hosts run at once, at least. Otherwise none
            # has to wait, and the limit cannot be observed.
            limit = self.settings.values.get('max_concurrent_live_migrations')
            number = self.builder.room(
                options.drain_servers, 1 + (limit or 1), source, destination)
            self._migrate(self.builder.build(number, source),
                          route, outcome, workload)

    def _warm_up(self, source: str, destination: str) -> None:
        """Make a round trip with a guest without measuring it.

        The first migration after a restart makes nova-compute start its
        helper processes, which is no cost of the settings.
        """
        guest, = self.builder.build(1, source)
        with self.observe(guest, delete=True,
                          workload=schema.WorkloadChoice()) as fleet:
            for host in (destination, source):
                self.migrate(
                    fleet, host, measured=False,
                    bounds=plan.Bounds.forced(CONF.live_migration_ha))

    def _migrate(self, guests: Sequence[builder.Guest],
                 route: Sequence[str], outcome: settings.Outcome,
                 workload: schema.WorkloadChoice) -> None:
        """Move guests along a route, as far as the settings let them."""
        options = CONF.live_migration_ha
        stays = outcome == settings.Outcome.REFUSES
        limit = self.settings.values.get('max_concurrent_live_migrations')
        fields: dict[str, Any] = {
            'strategy': plan.window(1 + (limit or len(guests))),
            'bounds': plan.Bounds(*(settings.bound_s(
                self.settings, getattr(CONF.live_migration_ha_matrix, name),
                getattr(options, name))
                for name in ('max_outage', 'max_stall')))}
        if stays:
            recovers = options.recovers_from_failure
            fields['expected'] = (
                (verdict.Kind.ROLLED_BACK, verdict.Kind.FAILED) if recovers
                else (verdict.Kind.INCONSISTENT,))
            fields['expected_status'] = 'ACTIVE' if recovers else 'ERROR'
        with self.observe(*guests, delete=True, workload=workload) as fleet:
            for round_trip in range(1, 2 if stays else
                                    options.round_trips + 1):
                for host in route[:1] if stays else route:
                    self.migrate(
                        fleet, host, round_trip=round_trip, **fields,
                        on_run=lambda run: self.table.add_rows(rows(run)))
