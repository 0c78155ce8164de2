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

"""Coverage: every host of the cloud sends a server and receives one."""

from collections.abc import Sequence
import contextlib
import dataclasses
import json
import pathlib

from oslo_log import log as logging
from tempest.config import CONF
from tempest.lib import decorators
from tempest.lib import exceptions

from lm_tempest_plugin import attachments
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin import config
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests.fleet import Fleet
from lm_tempest_plugin.guests.fleet import ProbeOptions
from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import inventory
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration.plan import window
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.live_migration_ha import base
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)


class Hindered(Exception):
    """Servers could not be migrated, and nothing was requested of nova.

    :ivar role: the role of the hosts that a new server cannot take
    """

    def __init__(self, role: int, text: str) -> None:
        super().__init__(text)
        self.role = role


# Serial: other tests would take the room on its hosts.
@decorators.serial
class HostsTest(base.LiveMigrationHaTest):
    """Servers that move between all hosts of the cloud, in pairs.

    They are the canaries that `bootstrap --canaries` built, perhaps before an
    upgrade, on hosts that have one, and new servers elsewhere.
    """

    placed = True

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        cls.options = CONF.live_migration_ha_coverage
        # OS_TEST_TIMEOUT is meant for a test of one server on two hosts.
        hosts = len(cls.list_hosts())
        pairs = hosts * (hosts if cls.options.pairs == coverage.ALL else 2)
        cls.TIMEOUT_SCALING_FACTOR = 2 * (2 + pairs // cls.options.servers)

    @decorators.idempotent_id('1a6f3c90-8d2e-47b5-b0c3-5f9e2d7a8c14')
    @decorators.attr(type=['slow', 'multinode'])
    def test_every_host_sends_and_receives(self) -> None:
        """Live-migrate servers so that each host sends and receives.

        A host may be able to send and unable to receive (certificate, secret
        of Ceph, packages). A host whose migration had a problem is tried
        again with one that works, so that the right one is named. Asserted
        for each migration: the same as in
        test_block_live_migration_round_trip. Moreover:

        * each chosen host has sent a server and received one; hosts that
          cannot take part are named with the reason;
        * where nova refuses a destination because its QEMU is older, the
          server stays unharmed where it is.
        """
        self._canaries = self._adopt()
        self.coverage = coverage.Coverage(self._plan())
        self._problems: list[str] = []
        if self.options.resume:
            self._resume()
        pairs = self.coverage.open_pairs()
        size = 0 if not pairs else (
            self.options.servers if self.options.only_canaries else
            self.builder.room(self.options.servers, 1))
        while pairs:
            for portion in coverage.portions(
                    self.coverage.plan, pairs, size):
                self._cover(portion)
                self._store()
                if self.coverage.too_many_failures(
                        self.options.max_failures):
                    self._fail('The test ends early, since more than '
                               f'{self.options.max_failures} of the planned '
                               'migrations had a problem')
            pairs = self.coverage.cross_checks()
        self._store()
        if self._problems or not all(
                each.good for each in self.coverage.verdicts()):
            self._fail('Not every host can send and receive')

    def _plan(self) -> coverage.CoveragePlan:
        """Return the plan for the hosts as they are now.

        :raises CoverageError: no plan is possible
        """
        flavor = self.owner.flavors_client.show_flavor(
            CONF.compute.flavor_ref)['flavor']
        hosts = inventory.of_clients(
            self.clients, placement.Resources.of_flavor(flavor),
            self.hosts.versions() if self.hosts else {},
            CONF.compute.target_hosts_to_avoid)
        return coverage.plan(
            coverage.choose(hosts, self.options.hosts), self.options.pairs,
            self.options.group_by,
            self._canaries if self.options.only_canaries else None)

    def _adopt(self) -> dict[str, list[builder.Guest]]:
        """Return the canaries by the host that they are on now."""
        found: dict[str, list[builder.Guest]] = {}
        path = CONF.live_migration_ha.canary_key_file
        for each in self.builder.adopt(path) if path else ():
            found.setdefault(each.host, []).append(each)
        return found

    def _resume(self) -> None:
        """Take over the outcomes of an earlier run.

        :raises CoverageError: there are none, or they are of another cloud
        :raises ResultsError: they cannot be read
        """
        directory = pathlib.Path(self.options.resume)
        paths = sorted(directory.glob('*' + store.SUFFIX))
        if not paths:
            raise coverage.CoverageError(
                f'there is nothing to resume: directory {directory} has no '
                f'results file (*{store.SUFFIX})')
        for pair, outcome in coverage.earlier(
                store.read(paths), self.id(), CONF.identity.region,
                [each.name for each in self.list_hosts()]):
            self.coverage.add(pair, outcome)
        LOG.info('Resumed: %d pairs have a result, %d have none',
                 len(self.coverage.outcomes), len(self.coverage.open_pairs()))

    def _cover(self, portion: Sequence[coverage.Pair]) -> None:
        """Migrate servers between pairs of hosts.

        One host where no server can be built, or reached, must not keep
        others from being covered: then each half is tried by itself.
        """
        pairs = self._still_usable(portion)
        if not pairs:
            return
        try:
            self._build_and_migrate(pairs)
        except Hindered as exc:
            LOG.warning('Pairs %s: %s', ', '.join(map(str, pairs)), exc)
            if len(pairs) == 1:
                self.coverage.hindered[pairs[0][exc.role], exc.role] = str(exc)
                return
            middle = len(pairs) // 2
            self._cover(pairs[:middle])
            self._cover(pairs[middle:])

    def _still_usable(self, portion: Sequence[coverage.Pair]
                      ) -> list[coverage.Pair]:
        """Return the pairs whose hosts have not gone down or been disabled."""
        known = {each.name: each for each in self.list_hosts()}
        for name in {name for pair in portion for name in pair}:
            host = known.get(name)
            if host is None or not host.usable:
                state = (f'{host.status} and {host.state}' if host
                         else 'no compute host any more')
                for role in (coverage.SENDS, coverage.RECEIVES):
                    self.coverage.hindered.setdefault(
                        (name, role), f'during the test it was {state}')
        for pair in portion if self.options.only_canaries else ():
            if not self._canaries.get(pair.source):
                self.coverage.hindered.setdefault(
                    (pair.source, coverage.SENDS), 'it has no canary')
        return [pair for pair in portion if not any(
            (name, role) in self.coverage.hindered
            for role, name in enumerate(pair))]

    def _build_and_migrate(self, pairs: Sequence[coverage.Pair]) -> None:
        """Build servers on the sources, migrate them, and delete them.

        :raises Hindered: servers cannot be built, or reached
        """
        guests = {pair.source: self._canaries[pair.source][0]
                  for pair in pairs if self._canaries.get(pair.source)}
        missing = [pair.source for pair in pairs if pair.source not in guests]
        with contextlib.ExitStack() as stack:
            if missing:
                try:
                    built = self.builder.build_on(missing)
                except exceptions.TempestException as exc:
                    raise Hindered(
                        coverage.SENDS, 'no server can be built on it: '
                        f'{_reason(exc)}') from exc
                stack.callback(self._delete, built)
                guests |= dict(zip(missing, built))
            fleet = Fleet(
                self.builder, tuple(guests[pair.source] for pair in pairs),
                ProbeOptions.of(CONF.live_migration_ha),
                workload=config.declared_workload(CONF))
            try:
                stack.enter_context(fleet)
            except (errors.NotAnswering, errors.BadEcho,
                    builder.GuestUnreachable) as exc:
                raise Hindered(
                    coverage.SENDS,
                    f'a server on it cannot be reached: {_reason(exc)}'
                ) from exc
            self._migrate({
                guests[pair.source].server_id: pair for pair in pairs}, fleet)

    def _delete(self, guests: Sequence[builder.Guest]) -> None:
        """Delete servers.

        One that stays, such as one on a host that is down, must not keep
        other hosts from being covered. The test fails at its end.
        """
        try:
            self.builder.delete(*guests)
        except exceptions.TimeoutException as exc:
            self._problems.append(_reason(exc))

    def _migrate(self, pairs: dict[str, coverage.Pair],
                 fleet: Fleet) -> None:
        """Migrate the guests of a fleet, and note the outcome of each pair.

        :param pairs: hosts of each server, by its UUID
        :param fleet: the servers
        :raises Hindered: a server or a host cannot take part
        """
        refusable = any(map(self.coverage.plan.may_be_refused,
                            pairs.values()))
        runs: list[engine.MigrationRun] = []
        try:
            self.migrate(
                fleet, '', on_run=runs.append, destinations={
                    server_id: pair.destination
                    for server_id, pair in pairs.items()},
                strategy=window(self.options.at_once, per_host=1),
                expected=(verdict.Kind.COMPLETED, verdict.Kind.FAILED)
                if refusable else (verdict.Kind.COMPLETED,))
        except preflight.CannotMigrate as exc:
            raise Hindered(coverage.RECEIVES, _reason(exc)) from exc
        except self.failureException:
            if not runs:
                raise
            # One server is no reason not to cover other hosts.
            LOG.exception('Pairs of hosts had problems')
        for result in runs[0].results:
            pair = pairs[result.server_id]
            self.coverage.add(pair, coverage.outcome(result))
            self._follow(pair, result.server_host, result.server_status)
        self._problems += [str(each) for each in runs[0].problems
                           if each.server_id not in pairs]
        for problem in fleet.final_problems():
            self.coverage.add(
                pairs[str(problem.server_id)],
                coverage.PairOutcome(coverage.Result.BAD, str(problem)))

    def _follow(self, pair: coverage.Pair, host: str | None,
                status: str) -> None:
        """Note where a canary is now; one that is not ACTIVE rests."""
        if self._canaries.get(pair.source):
            canary = self._canaries[pair.source].pop(0)
            if host and status == 'ACTIVE':
                self._canaries.setdefault(host, []).append(
                    dataclasses.replace(canary, host=host))

    def _store(self) -> None:
        """Keep the verdicts so far beside the results files."""
        directory = CONF.live_migration_ha.results_directory
        if directory:
            pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
            utils.write_atomically(
                pathlib.Path(directory) / coverage.VERDICTS, json.dumps([
                    dataclasses.asdict(each)
                    for each in self.coverage.verdicts()], indent=1) + '\n')

    def _fail(self, title: str) -> None:
        """Fail with the hosts that are not good, the worst first."""
        found = [each for each in self.coverage.verdicts() if not each.good]
        lines = coverage.table(found)
        attachments.attach(self, 'hosts', attachments.LOG,
                           *(line.encode() for line in lines))
        raise self.failureException(messages.shortened('\n'.join(
            [f'{title}; hosts: {len(found)} of '
             f'{len(self.coverage.verdicts())}', *self._problems, *lines])))


def _reason(exc: Exception) -> str:
    """Return the text of an error on one line."""
    text = str(exc)
    return ' '.join((text.partition('Details: ')[2] or text).split())
