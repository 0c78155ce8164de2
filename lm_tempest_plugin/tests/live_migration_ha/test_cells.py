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

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses

from oslo_log import log as logging
import prettytable
from tempest import config
from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc
from testtools import content

from lm_tempest_plugin.hosts import change
from lm_tempest_plugin.hosts import journal
from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.migration import observation
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.live_migration_ha import base
from lm_tempest_plugin.tests.live_migration_ha import guests

CONF = config.CONF
LOG = logging.getLogger(__name__)

# What says nothing of the other cells: hosts, nova or a guest refuse, do not
# answer, or are not as they should be.
REFUSALS = (remotes.HostError, journal.JournalError,
            lib_exc.TempestException, errors.ProbeError, *poll.BROKEN)


def _stayed() -> tuple[verdicts.Kind, ...]:
    """Return the verdicts on a server that has to stay where it is."""
    if CONF.live_migration_ha.recovers_from_failure:
        return verdicts.Kind.ROLLED_BACK, verdicts.Kind.FAILED
    return verdicts.Kind.INCONSISTENT,


@dataclasses.dataclass(frozen=True)
class Row:
    """One migration in one cell, for the table.

    :ivar cell: which
    :ivar flavor: id of the server's flavor
    :ivar found: what was found
    :ivar arrival: what was found of all that moved with it
    """

    cell: cells.Cell
    flavor: str
    found: findings.Finding
    arrival: base.Arrival

    def columns(self) -> dict[str, str]:
        """Return the figures by the headings of their columns."""
        job, continuity = self.found.job, self.found.continuity
        observed, = self.arrival.drained.observed
        good = self.found.good and not self.arrival.contradictions
        return {
            'Cell': str(self.cell),
            'Flavor': self.flavor,
            'Together': str(len(self.arrival.findings)),
            'Verdict': str(self.found.verdict.kind),
            'Duration (s)': '%.1f' % self.found.attempt.duration_s,
            'Outage (s)': '%.3f' % continuity.outage.longest_s
            if continuity else '',
            'Stall (s)': '%.3f' % continuity.stall.longest_s
            if continuity else '',
            'Downtime (ms)': str(job.downtime_ms) if job else '',
            'Transport': self.arrival.hosts['sockets']['transport']
            if self.arrival.hosts else '',
            'At once': str(observed.running),
            'Judged': 'good' if good else 'BAD',
        }


def tabulate(rows: Sequence[Row]) -> str:
    """Return a table of migrations.

    :param rows: in their order
    """
    columns = [row.columns() for row in rows]
    table = prettytable.PrettyTable(list(columns[0]) if columns else [])
    table.align = 'l'
    table.add_rows([list(each.values()) for each in columns])
    return str(table)


# It changes the hosts, and measures.
@decorators.serial
class CellsTest(base.LiveMigrationHaTest):
    """Sets nova-compute's options on the hosts, and puts them back."""

    placed = True

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        options = CONF.live_migration_ha_cells
        settings = {name: getattr(options, name)
                    for name in cells.SETTINGS}
        if not any(settings.values()):
            raise cls.skipException(
                '%s skipped: group live_migration_ha_cells has no settings '
                'to switch through' % cls.__name__)
        cls.matrix = cells.matrix(settings, CONF.live_migration_ha.seed)
        if not CONF.live_migration_ha.storage:
            raise cls.skipException(
                '%s skipped: what a cell is to do depends on where disks '
                'are, and [live_migration_ha] storage does not say it' %
                cls.__name__)
        # OS_TEST_TIMEOUT is meant for one server, there and back.
        flavors = len(options.flavors) or 1
        cls.TIMEOUT_SCALING_FACTOR = 2 * len(cls.matrix) * (
            1 + CONF.live_migration_ha.round_trips * (
                flavors + options.drain_servers // 4 + 1))

    @decorators.idempotent_id('c0a8c2e6-54a7-4b0b-8f0a-5be6f1d9c7d3')
    @decorators.attr(type=['slow', 'multinode'])
    def test_each_cell(self) -> None:
        """Live-migrate servers in every cell, one of each flavor and a few.

        The options of group live_migration_ha_cells are set on all hosts,
        nova-compute is restarted, and in the end all is as it was. Servers
        make round_trips round trips; a guest that goes there and back before
        is not measured. Asserted in each cell:

        * of each server, what test_block_live_migration_round_trip asserts,
          or, where the settings cannot work together, that it stays where
          it is, ACTIVE (but see option recovers_from_failure), and that its
          guest and its disk are unharmed;
        * that what was set is what is seen: sockets between the hosts, how
          many migrations run at once, whether disks are copied;
        * where nova-compute cannot start with the settings, that it does
          not, and comes back as it was.

        The other cells are tested when one fails.
        """
        self.rows: list[Row] = []
        self.configured = self.declared
        bad: list[str] = []
        assert self.reach is not None, 'config.check() sees to it'
        changed = self.reach.changed()
        self.addCleanup(changed.close)
        self.addCleanup(changed.restore)
        changed.check()
        try:
            for number, cell in enumerate(self.matrix, 1):
                LOG.info('Cell %d of %d: %s', number, len(self.matrix), cell)
                said = self._try(changed, cell)
                if said:
                    bad.append('%s: %s' % (cell, said))
        finally:
            table = tabulate(self.rows)
            LOG.info('The cells:\n%s', table)
            self.addDetail('cells', content.text_content(table))
        if bad:
            self.fail('%d of %d cells are not as they should be:\n%s' % (
                len(bad), len(self.matrix), '\n\n'.join(bad)))

    def _try(self, changed: change.Hosts, cell: cells.Cell) -> str:
        """Test a cell, and return what is wrong with it, if anything.

        :raises NotRestored: no other cell can be tested
        """
        try:
            self._test_cell(changed, cell)
        except change.NotRestored:
            raise
        except (self.failureException, *REFUSALS) as exc:
            LOG.exception('Cell %s', cell)
            return str(exc)
        return ''

    def _test_cell(self, changed: change.Hosts, cell: cells.Cell) -> None:
        """Set a cell on the hosts, and see what servers do."""
        options = CONF.live_migration_ha_cells
        storage = cells.Storage(CONF.live_migration_ha.storage)
        outcome = self.configured.cell.but(cell).outcome(storage)
        if outcome == cells.Outcome.DOES_NOT_START:
            exc = self.assertRaises(
                service.NotStarted, changed.set, cell.values())
            LOG.info('Cell %s: as expected, %s', cell, exc)
            return
        changed.set(cell.values())
        self.declared = observation.Declared(
            self.configured.cell.but(cell), storage)
        source, destination = self.choose_hosts()
        if outcome == cells.Outcome.MOVES:
            self._warm_up(source, destination)
        for flavor in options.flavors or ['']:
            self._travel(cell, flavor, self.create_guests(
                1, source, self.flavor_id(flavor)), [destination, source],
                outcome)
        if options.drain_servers > 1 and outcome == cells.Outcome.MOVES:
            self._travel(cell, '', self.create_guests(
                self._number(cell, source, destination), source),
                [destination, source], outcome)

    def _number(self, cell: cells.Cell, *names: str) -> int:
        """Return how many servers are drained in a cell.

        One more than the hosts run at once, at least: else none ever has to
        wait, and nobody sees how many run at once.

        :raises CannotMove: fewer fit
        """
        return self.fitting(
            CONF.live_migration_ha_cells.drain_servers,
            1 + (cell.max_concurrent_live_migrations or 1), *names)

    def _warm_up(self, source: str, destination: str) -> None:
        """Move a guest there and back without asking how long it stops.

        The first migrations after a restart make nova-compute start its
        helpers: what that costs is none of the cell's.
        """
        fleet = self.create_guests(1, source)
        forced = CONF.live_migration_ha.max_forced_outage
        with self._watching(fleet) as watched:
            for host in (destination, source):
                self.report(self.travel(base.Trip(
                    fleet, host, watched, {}, self.new_move(),
                    bounds=findings.Bounds(forced, 2 * forced + 1),
                    measured=False)), 'warm-up to %s' % host)

    @contextlib.contextmanager
    def _watching(self, fleet: Sequence[guests.Guest]
                  ) -> Iterator[watch.Watch]:
        """Watch guests; in the end, whatever comes of it, delete them.

        What comes next needs the room, and no probes of these.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self.delete_guests, *fleet)
            watched = self.start_watch(*fleet)
            stack.callback(watched.stop)
            yield watched

    def _bounds(self, cell: cells.Cell) -> findings.Bounds:
        """Return what a live migration may do to a guest in a cell."""
        options = CONF.live_migration_ha
        storage = cells.Storage(options.storage)
        return findings.Bounds(*(
            cell.bound_s(getattr(CONF.live_migration_ha_cells, name), storage,
                         getattr(options, name))
            for name in ('max_outage', 'max_stall')))

    def _travel(self, cell: cells.Cell, flavor: str,
                fleet: Sequence[guests.Guest], route: Sequence[str],
                outcome: cells.Outcome) -> None:
        """Move guests, and delete them."""
        with self._watching(fleet) as watched:
            self._go(cell, flavor, fleet, watched, route, outcome)

    def _go(self, cell: cells.Cell, flavor: str,
            fleet: Sequence[guests.Guest], watched: watch.Watch,
            route: Sequence[str], outcome: cells.Outcome) -> None:
        """Move guests along a route, as far as the cell lets them."""
        sums = self.write_disks(*fleet)
        stays = outcome == cells.Outcome.REFUSES
        trip = base.Trip(
            fleet, '', watched, self.read_boot_ids(*fleet), self.new_move(),
            strategies.window(1 + (
                cell.max_concurrent_live_migrations or len(fleet))),
            bounds=self._bounds(cell),
            expected=_stayed() if stays else (verdicts.Kind.COMPLETED,))
        legs = ([(1, route[0])] if stays else
                [(number + 1, host)
                 for number in range(CONF.live_migration_ha.round_trips)
                 for host in route])
        for number, host in legs:
            arrival = self.travel(dataclasses.replace(
                trip, destination=host, number=number))
            self.rows.extend(Row(cell, flavor, found, arrival)
                             for found in arrival.findings)
            self.report(arrival, '%s, flavor %s, %d to %s, trip %d' % (
                cell, flavor or 'as configured', len(fleet), host, number))
            if stays:
                self._assert_stayed(arrival)
        self.assert_unharmed(watched)
        self.assert_disks(sums, *fleet)

    def _assert_stayed(self, arrival: base.Arrival) -> None:
        """Assert that nova has servers where they were."""
        wanted = ('ACTIVE' if CONF.live_migration_ha.recovers_from_failure
                  else 'ERROR')
        for found in arrival.findings:
            request, server = found.attempt.request, (
                found.verdict.evidence.server)
            self.assertEqual(
                (request.source, wanted),
                server and (server.host, server.status),
                'host and status of server %s' % request.server_id)
