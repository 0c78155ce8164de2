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

"""Summary of results: the data behind every table of a report.

Migrations are grouped by their :class:`Conditions`: settings, flavor, number
of servers that were drained together, and strategy.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
import re
from typing import Any

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import effects
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import recommendation
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store

#: Titles of the quantities of a migration, by their names.
QUANTITIES = {
    'duration_s': 'duration', 'queue_s': 'queue', 'service_s': 'service time',
    'outage_s': 'longest outage', 'stall_s': 'longest stall',
    'downtime_s': 'downtime (libvirt)'}
# A server that stays on its host has to answer as well. The other quantities
# are those of completed migrations: a failed one has no time of arrival.
_ALWAYS_COUNTED = ('outage_s', 'stall_s')
# Queueing depends on the number of servers, so it is no trend of the cloud.
TREND_QUANTITIES = ('duration_s', 'service_s', 'outage_s', 'stall_s',
                    'downtime_s')
#: Fields of ComputeHost with versions, by the name of the program.
PROGRAMS = {'nova': 'nova_version', 'QEMU': 'hypervisor_version',
            'libvirt': 'libvirt_version', 'OVN': 'ovn_version'}
LEAST_ROUND_TRIPS = 3
STORAGE = 'storage'
LIMIT = 'max_concurrent_live_migrations'

_STRATEGY = re.compile(r'(batch|window) of ([1-9]\d{0,8})')


@dataclasses.dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions under which results can be compared with each other.

    A live migration among four waits for others and shares the network with
    them, so it is not comparable with one of a single server. Nor is one of a
    busy guest comparable with one of an idle guest.

    :ivar settings: settings and storage
    :ivar servers: number of servers that were drained together
    :ivar strategy: such as ``window of 2``; empty for a single server, for
        which all strategies are the same
    :ivar flavor: size of the servers; None for drains
    :ivar workload: work of the guests
    """

    settings: schema.Settings
    servers: int
    strategy: str
    flavor: schema.Flavor | None = None
    workload: schema.WorkloadChoice = schema.WorkloadChoice()

    @classmethod
    def of(cls, line: schema.MigrationResult | schema.DrainResult
           ) -> 'Conditions':
        """Return the conditions of a migration or of a drain."""
        return cls(line.settings, line.servers,
                   line.strategy if line.servers != 1 else '',
                   getattr(line, 'flavor', None), line.workload)

    @property
    def drained_together(self) -> str:
        """Servers and strategy: ``4 servers, window of 2``."""
        text = f'{self.servers} server{"" if self.servers == 1 else "s"}'
        return f'{text}, {self.strategy}' if self.strategy else text

    @property
    def drained_together_short(self) -> str:
        """The same for a column of servers: ``4, window of 2``."""
        return ', '.join(filter(None, (str(self.servers), self.strategy)))

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key: settings, workload, flavor's size, strategy, servers."""
        flavor = self.flavor
        match = _STRATEGY.fullmatch(self.strategy)
        strategy = ((match[1], int(match[2])) if match
                    else (self.strategy, 0))
        return (self.settings.storage, tuple(self.settings.values.items()),
                # Guests that are idle come first.
                bool(self.workload.unit), self.workload.name,
                self.workload.per_s, self.workload.memory_mib,
                (flavor.ram_gib, flavor.vcpus, flavor.disk_gib, flavor.name)
                if flavor else (), *strategy, self.servers)


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of a quantity.

    :ivar median: median of the values
    :ivar p95: 95th percentile of the values
    :ivar largest: largest value
    """

    median: estimates.Estimate
    p95: estimates.Estimate
    largest: float

    @classmethod
    def of(cls, values: numpy.ndarray) -> 'Spread':
        """Return the distribution of values.

        :raises ValueError: there are no values
        """
        return cls(estimates.median(values),
                   estimates.quantile(values, estimates.P95),
                   float(values.max()))


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Live migrations under the same conditions.

    Each migration is counted once: as completed, as refused, or with
    problems.

    :ivar conditions: settings, servers, strategy and flavor
    :ivar migrations: number of live migrations, warm-ups included
    :ivar completed: number that completed without problems
    :ivar refused: number that did not complete, as was expected: such as a
        request that nova has to refuse, or a migration that was aborted
    :ivar with_problems: number with at least one problem
    :ivar verdicts: number of migrations by verdict
    :ivar spreads: of each known quantity, without warm-ups. outage_s and
        stall_s are those of all migrations, other quantities those of
        completed ones
    :ivar phases: median of each phase in seconds, in order
    """

    conditions: Conditions
    migrations: int
    completed: int
    refused: int
    with_problems: int
    verdicts: Mapping[str, int]
    spreads: Mapping[str, Spread]
    phases: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class DrainWithMigrations:
    """A drain and its migrations.

    :ivar result: the drain
    :ivar migrations: its migrations, in order
    """

    result: schema.DrainResult
    migrations: Sequence[schema.MigrationResult]

    @property
    def load(self) -> str:
        """Number of servers of each flavor: ``4 lm.small``."""
        return load(self.migrations) or f'{self.result.servers} servers'

    @property
    def counts(self) -> bool:
        """Whether its wall time tells how long a drain takes.

        A warm-up does not count, nor does a drain that left a server on its
        host: that server took no time to get to another one.
        """
        return (self.result.measured and bool(self.migrations) and
                len(self.migrations) == self.result.servers and
                all(each.completed for each in self.migrations))

    @property
    def concurrency(self) -> schema.Concurrency | None:
        """Concurrency on the drained host; None if it is not known."""
        return next((each for each in self.result.concurrency
                     if each.host == self.result.source), None)


@dataclasses.dataclass(frozen=True, slots=True)
class DrainGroup:
    """Drains of the same servers under the same conditions.

    :ivar conditions: settings, servers and strategy
    :ivar load: number of servers of each flavor: ``4 lm.small``
    :ivar drains: number of drains
    :ivar wall: seconds from the first request to the last end, of drains
        that count
    :ivar ran: maximum number of migrations that ran at once, in the drain
        with the least and in that with the most; None if it is not known
    :ivar queued: maximum number that waited at once; None if it is not known
    :ivar transports: transports that were seen, such as ``direct``
    """

    conditions: Conditions
    load: str
    drains: int
    wall: Spread
    ran: tuple[int, int] | None
    queued: int | None
    transports: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CheckSummary:
    """Outcomes of one check in all drains.

    :ivar check: its slug
    :ivar ran: number of drains on which it ran
    :ivar failed: number of drains on which it failed
    :ivar skipped: number of drains on which it was skipped
    :ivar reasons: number of drains by the reason for skipping the check
    :ivar problems: number of problems that it found
    """

    check: str
    ran: int
    failed: int
    skipped: int
    reasons: Mapping[str, int]
    problems: int


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """Change of a quantity from round trip to round trip.

    :ivar conditions: settings, servers, strategy and flavor
    :ivar quantity: name of the quantity
    :ivar round_trips: number of round trips
    :ivar per_round_trip: change with each round trip
    """

    conditions: Conditions
    quantity: str
    round_trips: int
    per_round_trip: estimates.Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class MemoryFit:
    """Duration without queueing as a function of the flavor's memory.

    :ivar conditions: settings, servers and strategy
    :ivar line: the straight line
    """

    conditions: Conditions
    line: estimates.StraightLine


@dataclasses.dataclass(frozen=True, slots=True)
class WorkloadGroup:
    """Live migrations of guests at work under the same conditions.

    A figure that no migration has is None.

    :ivar conditions: settings, servers, strategy, flavor and workload
    :ivar migrations: number of measured live migrations
    :ivar with_problems: number of them with at least one problem
    :ivar skipped: number of them whose guest did not do the work
    :ivar dirty_mib_per_s: median of the dirty rates
    :ivar before_per_s: median of the work each second before the migration
    :ivar during_per_s: the same during the migration
    :ivar after_per_s: the same after it
    :ivar duration_s: median of the durations
    :ivar outage_s: longest outage
    :ivar application_stall_s: longest stall of the application
    :ivar disk_stall_s: longest write to the disk
    """

    conditions: Conditions
    migrations: int
    with_problems: int
    skipped: int
    dirty_mib_per_s: float | None
    before_per_s: float | None
    during_per_s: float | None
    after_per_s: float | None
    duration_s: float | None
    outage_s: float | None
    application_stall_s: float | None
    disk_stall_s: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ConvergenceFit:
    """Duration without queueing as a function of the dirty rate.

    :ivar conditions: settings, servers, strategy and flavor
    :ivar curve: the curve
    """

    conditions: Conditions
    curve: estimates.Convergence


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Effect of one setting.

    :ivar setting: its name, or ``storage``
    :ivar before: conditions with the smaller value
    :ivar after: conditions that differ in nothing but this setting
    :ivar quantity: name of the quantity
    :ivar effect: the comparison
    """

    setting: str
    before: Conditions
    after: Conditions
    quantity: str
    effect: effects.Effect


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a report tells.

    :ivar good: whether there are migrations and no problem
    :ivar sentence: the verdict in one sentence
    :ivar runs: names of the runs
    :ivar groups: live migrations by their conditions
    :ivar drains: drains by their conditions and servers
    :ivar checks: outcomes by check
    :ivar drifts: changes from round trip to round trip
    :ivar fits: duration by memory
    :ivar workloads: guests at work, beside idle ones; empty if all are idle
    :ivar convergences: duration by dirty rate
    :ivar differences: effects of single settings
    :ivar recommendation: number of live migrations at once for a drain
    :ivar problems: one text for each migration, drain or test with problems,
        and for each server that was never judged
    :ivar remarks: other facts about the results
    """

    good: bool
    sentence: str
    runs: tuple[str, ...]
    groups: tuple[Group, ...]
    drains: tuple[DrainGroup, ...]
    checks: tuple[CheckSummary, ...]
    drifts: tuple[Drift, ...]
    fits: tuple[MemoryFit, ...]
    workloads: tuple[WorkloadGroup, ...]
    convergences: tuple[ConvergenceFit, ...]
    differences: tuple[Difference, ...]
    recommendation: recommendation.Recommendation
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


Grouped = Mapping[Conditions, Sequence[schema.MigrationResult]]
#: Versions on the source and on the destination, as texts.
Direction = tuple[str, str]


def summarize(results: store.Results) -> Summary:
    """Return the summary of results."""
    grouped = group(results.migrations)
    drains = drains_of(results)
    warm_up = sum(not each.measured for each in results.migrations)
    return Summary(
        good=good(results), sentence=_sentence(results),
        runs=tuple(run.run for run in results.runs),
        groups=tuple(_group(key, found) for key, found in grouped.items()),
        drains=tuple(_drain_groups(drains)), checks=_checks(results),
        drifts=tuple(_drifts(grouped)), fits=_fits(grouped),
        workloads=_workloads(grouped), convergences=_convergences(grouped),
        differences=tuple(_differences(grouped)),
        recommendation=_recommendation(drains), problems=problems(results),
        remarks=(*results.remarks, *(
            [f'{document.count(warm_up, "live migration")} not measured '
             f'(warm-up, or disturbed on purpose): judged, but left out of '
             f'all figures'] if warm_up else [])))


def good(results: store.Results) -> bool:
    """Return whether there are migrations and no problem."""
    return bool(results.migrations) and not problems(results)


def group(migrations: Iterable[schema.MigrationResult]) -> Grouped:
    """Return migrations by their conditions, in the order of a report."""
    found = collections.defaultdict(list)
    for each in migrations:
        found[Conditions.of(each)].append(each)
    return {key: found[key]
            for key in sorted(found, key=lambda key: key.order)}


def directions(results: store.Results
               ) -> dict[Direction, list[schema.MigrationResult]]:
    """Return migrations by the versions on their two hosts.

    Only programs whose version differs between the hosts of a run count. A run
    with equal hosts has no directions, so its migrations are left out. So are
    those to or from a host that the run does not describe.
    """
    texts: dict[tuple[str, str], str] = {}
    for run in results.runs:
        differing = [
            (program, field) for program, field in PROGRAMS.items()
            if len({getattr(host, field) for host in run.hosts} - {None}) > 1]
        if differing:
            texts.update({(run.run, host.host): ', '.join(
                f'{program} {getattr(host, field) or "of unknown version"}'
                for program, field in differing) for host in run.hosts})
    found: dict[Direction, list[schema.MigrationResult]] = {}
    for each in results.migrations:
        ends = [texts.get((each.run, host))
                for host in (each.source, each.destination)]
        if ends[0] and ends[1]:
            found.setdefault((ends[0], ends[1]), []).append(each)
    return found


def drains_of(results: store.Results) -> tuple[DrainWithMigrations, ...]:
    """Return all drains with their migrations, in order."""
    by_drain = migrations_by_drain(results.migrations)
    return tuple(
        DrainWithMigrations(drain, by_drain.get((drain.run, drain.drain), ()))
        for drain in results.drains)


def migrations_by_drain(
        migrations: Iterable[schema.MigrationResult]
        ) -> dict[tuple[str, str], list[schema.MigrationResult]]:
    """Return migrations by run and drain."""
    found = collections.defaultdict(list)
    for each in migrations:
        found[each.run, each.drain].append(each)
    return dict(found)


def load(migrations: Iterable[schema.MigrationResult]) -> str:
    """Return the number of servers of each flavor: ``4 lm.small``.

    The work of servers that are not idle follows.
    """
    counts = collections.Counter(
        f'{each.flavor} with {each.workload}' if each.workload.unit
        else str(each.flavor) for each in migrations)
    return ', '.join(f'{count} {name}'
                     for name, count in sorted(counts.items()))


def value(migration: schema.MigrationResult, quantity: str) -> float | None:
    """Return a quantity of a migration; None if it is not known.

    :param migration: None is returned for a warm-up, and for most quantities
        of a migration that did not complete
    :param quantity: one of QUANTITIES
    """
    if not migration.measured:
        return None
    if not migration.completed and quantity not in _ALWAYS_COUNTED:
        return None
    continuity, job = migration.continuity, migration.job
    match quantity:
        case 'duration_s':
            return migration.duration_s
        case 'queue_s':
            return migration.queue_s
        case 'service_s':
            return migration.service.seconds if migration.service else None
        case 'outage_s':
            return continuity.outage.longest_s if continuity else None
        case 'stall_s':
            return (continuity.stall.longest_s
                    if continuity and continuity.stall else None)
        case 'downtime_s':
            return (job.downtime_ms / 1000
                    if job and job.downtime_ms is not None else None)
    raise ValueError(f'there is no quantity {quantity}')


def values(migrations: Iterable[schema.MigrationResult],
           quantity: str) -> numpy.ndarray:
    """Return a quantity of all migrations for which it is known."""
    return numpy.array([
        found for found in (value(each, quantity) for each in migrations)
        if found is not None])


def problems(results: store.Results) -> tuple[str, ...]:
    """Return one text for each migration, drain or test with problems.

    Servers that were never judged follow, one text each.
    """
    titled: list[tuple[str, schema.MigrationResult | schema.DrainResult]] = [
        *((f'server {each.server_name} ({each.server_id}) from '
           f'{each.source or "a host"} to '
           f'{each.destination or "a host of the scheduler"}, '
           f'{each.strategy}, round trip {each.round_trip}', each)
          for each in results.migrations if each.problems),
        *((drain_title(each), each)
          for each in results.drains if each.problems)]
    return (
        *(f'{title}, {each.settings}: {"; ".join(map(str, each.problems))}'
          for title, each in titled),
        *(f'never judged, because the run ended before: {each}'
          for each in results.unjudged),
        *(f'test {each.test.rpartition(".")[2]} failed: {each.reason}'
          for each in results.failures))


def drain_title(drain: schema.DrainResult) -> str:
    """Return a title of a drain, without its settings."""
    return (f'drain of {drain.source or "several hosts"} to '
            f'{drain.destination or "other hosts"}, {drain.strategy}, round '
            f'trip {drain.round_trip}')


def _sentence(results: store.Results) -> str:
    migrations = results.migrations
    bad = [each for each in migrations if each.problems]
    parts = []
    if migrations:
        refused = sum(not each.completed and not each.problems
                      for each in migrations)
        flavors = len({each.flavor for each in migrations})
        settings = len({each.settings for each in migrations})
        parts.append(
            f'{len(migrations) - len(bad)} of '
            f'{document.count(len(migrations), "migration")} as expected' +
            (f', {refused} of them refused or not completed, as the test '
             f'asked for' if refused else '') +
            f' ({document.count(flavors, "flavor")}, '
            f'{document.count(settings, "set")} of settings)')
    else:
        parts.append('no live migration was judged')
    if bad:
        # "3 completed" alone would read like good news.
        failed = ', '.join(dict.fromkeys(
            problem.check for each in bad if each.completed
            for problem in each.problems))
        verdicts = collections.Counter(
            f'{each.verdict} but failed a check ({failed})'
            if each.completed else each.verdict for each in bad)
        parts.append(f'{len(bad)} with problems: ' + ', '.join(
            f'{number} {verdict}'
            for verdict, number in verdicts.most_common()))
    for noun, number, rest in (
            ('drain', sum(bool(each.problems) for each in results.drains),
             'with problems'),
            ('live migration', len(results.unjudged), 'never judged'),
            ('test', len({each.test for each in results.failures}),
             'failed')):
        if number:
            parts.append(f'{document.count(number, noun)} {rest}')
    outages = [(each.continuity.outage.longest_s, each.max_outage_s)
               for each in migrations if each.measured and each.continuity]
    if outages:
        longest_s, limit_s = max(outages)
        parts.append(
            f'longest outage {longest_s:.2f} s (limit {limit_s:g} s)')
    return '; '.join(parts)


def _group(conditions: Conditions,
           migrations: Sequence[schema.MigrationResult]) -> Group:
    found = {quantity: values(migrations, quantity)
             for quantity in QUANTITIES}
    with_problems = sum(bool(each.problems) for each in migrations)
    completed = sum(each.completed and not each.problems
                    for each in migrations)
    known = [each.phases for each in migrations
             if each.measured and each.completed]
    # The migration with the most phases has all of them in their order.
    phases: dict[str, list[float]] = {
        each.name: [] for each in max(known, key=len, default=())}
    for each in itertools.chain.from_iterable(known):
        phases.setdefault(each.name, []).append(each.seconds)
    return Group(
        conditions, migrations=len(migrations), completed=completed,
        refused=len(migrations) - completed - with_problems,
        with_problems=with_problems,
        verdicts=dict(collections.Counter(
            each.verdict for each in migrations).most_common()),
        spreads={quantity: Spread.of(numbers)
                 for quantity, numbers in found.items() if numbers.size},
        phases={name: float(numpy.median(seconds))
                for name, seconds in phases.items()})


def _drain_groups(drains: Iterable[DrainWithMigrations]
                  ) -> Iterator[DrainGroup]:
    together = collections.defaultdict(list)
    for each in drains:
        together[Conditions.of(each.result), each.load].append(each)
    for conditions, servers in sorted(
            together, key=lambda key: (key[0].order, key[1])):
        found = together[conditions, servers]
        walls = [each.result.wall_s for each in found if each.counts]
        if not walls:
            continue
        concurrency = [each.concurrency for each in found if each.concurrency]
        ran = [each.running for each in concurrency]
        yield DrainGroup(
            conditions, servers, drains=len(found),
            wall=Spread.of(numpy.array(walls)),
            ran=(min(ran), max(ran)) if ran else None,
            queued=max((each.queued for each in concurrency), default=None),
            transports=tuple(sorted({
                each.result.sockets.transport for each in found
                if each.result.sockets})))


def _checks(results: store.Results) -> tuple[CheckSummary, ...]:
    """Summarize checks, in the order in which they ran."""
    counts = collections.Counter(problem.check for problem in (
        *(found for each in results.migrations for found in each.problems),
        *(found for each in results.drains for found in each.problems)))
    outcomes: dict[str, collections.Counter[str]] = {}
    reasons: dict[str, collections.Counter[str]] = {}
    for each in itertools.chain.from_iterable(
            drain.checks for drain in results.drains):
        outcomes.setdefault(each.check, collections.Counter())[
            each.outcome] += 1
        if each.reason:
            reasons.setdefault(each.check, collections.Counter())[
                each.reason] += 1
    # A run that was killed has problems of drains that never got a line.
    for check in counts:
        outcomes.setdefault(check, collections.Counter())
    return tuple(CheckSummary(
        check, ran=found['passed'] + found['failed'], failed=found['failed'],
        skipped=found['skipped'],
        reasons=dict(reasons.get(check, collections.Counter()).most_common()),
        problems=counts[check]) for check, found in outcomes.items())


def _drifts(grouped: Grouped) -> Iterator[Drift]:
    for conditions, migrations in grouped.items():
        # Each run numbers its round trips from 1, so those of two runs are
        # not in one order of time.
        if len({each.run for each in migrations}) > 1:
            continue
        for quantity in TREND_QUANTITIES:
            known = [(each.round_trip, found) for each, found in (
                (each, value(each, quantity)) for each in migrations)
                if found is not None]
            numbers = len({number for number, _ in known})
            if numbers >= LEAST_ROUND_TRIPS:
                yield Drift(conditions, quantity, numbers, estimates.drift(
                    *map(list, zip(*known))))


def _fits(grouped: Grouped) -> tuple[MemoryFit, ...]:
    together: dict[Conditions, list[tuple[float, float]]] = (
        collections.defaultdict(list))
    for conditions, migrations in grouped.items():
        together[dataclasses.replace(conditions, flavor=None)] += [
            (each.flavor.ram_gib, each.duration_s - each.queue_s)
            for each in migrations if each.measured and each.completed]
    return tuple(
        MemoryFit(conditions, estimates.line(*map(list, zip(*points))))
        for conditions, points in together.items()
        if len({ram_gib for ram_gib, _ in points}) > 1)


def dirty_mib_per_s(migration: schema.MigrationResult) -> float | None:
    """Return the dirty rate of a guest before its migration, in MiB/s.

    Where libvirt has not measured it, a guest with workload memory tells how
    much it wrote, and an idle one writes next to nothing.

    :returns: None if it is not known
    """
    work = migration.work
    if work is not None and work.dirty_bytes_per_s is not None:
        return work.dirty_bytes_per_s / 2 ** 20
    if not migration.workload.unit:
        return 0.0
    return work.before_per_s if work is not None and (
        migration.workload.name == 'memory') else None


def _workloads(grouped: Grouped) -> tuple[WorkloadGroup, ...]:
    if not any(conditions.workload.unit for conditions in grouped):
        return ()
    found = []
    for conditions, migrations in grouped.items():
        measured = [each for each in migrations if each.measured]
        if not measured:
            continue
        work = [each.work for each in measured if each.work]

        def known(values: Iterable[float | None], figure: Callable[
                [list[float]], Any] = numpy.median) -> float | None:
            numbers = [each for each in values if each is not None]
            return float(figure(numbers)) if numbers else None

        found.append(WorkloadGroup(
            conditions, len(measured),
            sum(bool(each.problems) for each in measured),
            sum(bool(each.skipped) for each in work),
            known(map(dirty_mib_per_s, measured)),
            known(each.before_per_s for each in work),
            known(each.during_per_s for each in work),
            known(each.after_per_s for each in work),
            known(value(each, 'duration_s') for each in measured),
            known((value(each, 'outage_s') for each in measured), max),
            known((each.application_stall_s for each in work), max),
            known((each.disk_stall_s for each in work), max)))
    return tuple(found)


def by_dirty_rate(grouped: Grouped) -> Grouped:
    """Return measured migrations by their conditions but for the workload.

    Only of guests that idle or write memory at a rate: other work takes time
    of the CPUs and the network that the copy needs.
    """
    together: dict[Conditions, list[schema.MigrationResult]] = (
        collections.defaultdict(list))
    for conditions, migrations in grouped.items():
        together[dataclasses.replace(
            conditions, workload=schema.WorkloadChoice())] += [
                each for each in migrations if each.measured and
                conditions.workload.name in ('idle', 'memory')]
    return together


def _convergences(grouped: Grouped) -> tuple[ConvergenceFit, ...]:
    fits = []
    for conditions, migrations in by_dirty_rate(grouped).items():
        known = [(rate, each) for each in migrations if each.completed and
                 (rate := dirty_mib_per_s(each)) is not None]
        if len({rate for rate, _ in known}) < estimates.LEAST_RATES:
            continue
        # Pages of zeros are not sent, so less than the flavor's memory.
        memory_mib = min(
            each.job.memory_bytes_processed / 2 ** 20
            if each.job and each.job.memory_bytes_processed
            else each.flavor.ram_gib * 1024 for _, each in known)
        fits.append(ConvergenceFit(conditions, estimates.convergence(
            [rate for rate, _ in known],
            [each.duration_s - each.queue_s for _, each in known],
            memory_mib)))
    return tuple(fits)


def _differences(grouped: Grouped) -> Iterator[Difference]:
    same = collections.defaultdict(list)
    for conditions in grouped:
        same[conditions.flavor, conditions.servers, conditions.strategy,
             conditions.workload].append(conditions)
    for found in same.values():
        for before, after in itertools.combinations(found, 2):
            setting = different_setting(before.settings, after.settings)
            if not setting:
                continue
            for quantity in QUANTITIES:
                first, second = (values(grouped[each], quantity)
                                 for each in (before, after))
                if first.size and second.size:
                    yield Difference(setting, before, after, quantity,
                                     effects.compare(first, second))


def different_setting(before: schema.Settings,
                      after: schema.Settings) -> str:
    """Return the only setting in which two differ; empty if there is none.

    A setting that only one of them declares may or may not be the same, so
    then there is none.
    """
    first, second = ({STORAGE: each.storage, **each.values}
                     for each in (before, after))
    if first.keys() != second.keys() or not (before.storage and
                                             after.storage):
        return ''
    names = [name for name in first if first[name] != second[name]]
    return names[0] if len(names) == 1 else ''


def _recommendation(drains: Iterable[DrainWithMigrations]
                    ) -> recommendation.Recommendation:
    """Recommend a number of live migrations at once for a drain.

    Drains are told apart by the number that was seen to run. The configured
    number would not do: on a host that runs one at a time, larger windows
    and batches only queue.
    """
    places: dict[str, dict[int, list[DrainWithMigrations]]] = {}
    for each in drains:
        running = each.concurrency.running if each.concurrency else 0
        # A single server leaves no number to choose.
        if running and each.result.servers > 1:
            # All that drains share, but for the number at once.
            settings, strategy = each.result.settings, each.result.strategy
            match = _STRATEGY.fullmatch(strategy)
            if match:
                strategy = {'batch': 'batches', 'window': 'windows'}[match[1]]
            shared = schema.Settings(storage=settings.storage, values={
                name: setting for name, setting in settings.values.items()
                if name != LIMIT})
            places.setdefault(
                f'{shared}, {each.load}, {strategy}', {}).setdefault(
                    running, []).append(each)

    def level(running: int, found: Sequence[DrainWithMigrations]
              ) -> recommendation.Level:
        migrations = [each for drain in found for each in drain.migrations]
        return recommendation.Level(
            running, [each.result.wall_s / each.result.servers
                      for each in found if each.counts],
            len(migrations), sum(bool(each.problems) for each in migrations),
            values(migrations, 'outage_s').tolist())
    return recommendation.recommend({
        place: list(itertools.starmap(level, levels.items()))
        for place, levels in places.items()})
