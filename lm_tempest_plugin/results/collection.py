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

"""What files of records say, in the form in which it is used.

A line of a file has everything that is known of an attempt, ten kilobytes
and more; what is kept of it here is what statistics, report and comparison
use. What the lines have is told in doc/source/records.rst.
"""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Set
import dataclasses
import datetime
import functools
import os
import sys
from typing import Any

from lm_tempest_plugin.results import chain

# Kinds of lines.
RUN, BEGAN, ENDED, ATTEMPT, DRAIN, FAILED = (
    'run', 'began', 'ended', 'attempt', 'drain', 'failed')
COMPLETED = 'completed'


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """What was configured where servers were moved.

    :ivar storage: block or shared; empty if nobody said
    :ivar settings: options of nova-compute by our names, in the order in
        which they are told: those that were declared or set
    """

    storage: str
    settings: tuple[tuple[str, int | bool], ...]

    def __str__(self) -> str:
        return ', '.join([
            *([self.storage] if self.storage else []),
            *('%s %s' % (name.replace('_', ' '), _word(value))
              for name, value in self.settings)]) or 'as it is'


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    """How large a server is.

    :ivar name: as the cloud calls it; empty if that is not known
    :ivar vcpus: virtual CPUs
    :ivar ram_gib: memory
    :ivar disk_gib: local disks
    """

    name: str
    vcpus: int
    ram_gib: float
    disk_gib: float

    def __str__(self) -> str:
        return self.name or '%d vCPUs, %g GiB' % (self.vcpus, self.ram_gib)


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """How many servers were moved together, and how.

    A live migration among four waits for others and shares the link with
    them: it is another thing than one of a server alone.

    :ivar servers: how many
    :ivar strategy: how many at once, in words: window of 2; empty for a
        single server, to which all strategies are the same
    """

    servers: int
    strategy: str

    @property
    def short(self) -> str:
        """It as a table has it, in a column of servers: 4, window of 2."""
        return ', '.join(filter(None, (str(self.servers), self.strategy)))

    def __str__(self) -> str:
        return ('%d servers, %s' % (self.servers, self.strategy)
                if self.strategy else '%d server%s' % (
                    self.servers, '' if self.servers == 1 else 's'))


@dataclasses.dataclass(frozen=True, slots=True)
class Longest:
    """The longest outage or stall of an attempt.

    :ivar seconds: how long it was; 0 if there was none
    :ivar error_s: by how much that may be wrong
    :ivar bound_s: how long it may be
    :ivar start_s: when it began, in seconds after the request; None if
        there was none, or that is not known
    """

    seconds: float
    error_s: float
    bound_s: float
    start_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One live migration.

    Times of day are seconds since 1970, UTC. What is not known is None.

    :ivar run: the run's name
    :ivar drain: of what drain it was a part
    :ivar cell: what was configured
    :ivar flavor: how large the server is
    :ivar strategy: how many at once, in words: window of 2
    :ivar servers: how many were moved together
    :ivar trip: number of the round trip, from 1
    :ivar server_id: UUID
    :ivar server_name: what its owner calls it: to be escaped
    :ivar source: name of the host that it was to leave
    :ivar destination: name of the host to go to
    :ivar requested_s: time of day of the request
    :ivar requested_monotonic_s: the same by CLOCK_MONOTONIC of the machine
        that ran the tests, which drains and samples of hosts share
    :ivar duration_s: from the request to the end, with queueing
    :ivar queue_s: how long it waited for others
    :ivar service_s: how long the hosts were at work on it
    :ivar phases: their names, with seconds, in their order
    :ivar verdict: what became of it, such as completed
    :ivar cause: why; empty if it was completed
    :ivar violations: what was expected and not met, in words; empty if all
        was
    :ivar measured: whether its figures count; not those of a warm-up
    :ivar outage: the longest outage
    :ivar control: the longest outage at other times
    :ivar stall: the longest stall
    :ivar downtime_s: how long the guest's CPUs stood still, by libvirt
    :ivar memory_bytes: memory that was sent, by libvirt
    """

    run: str
    drain: str
    cell: Cell
    flavor: Flavor
    strategy: str
    servers: int
    trip: int
    server_id: str
    server_name: str
    source: str
    destination: str
    requested_s: float
    requested_monotonic_s: float
    duration_s: float
    queue_s: float
    service_s: float | None
    phases: tuple[tuple[str, float], ...]
    verdict: str
    cause: str
    violations: tuple[str, ...]
    measured: bool
    outage: Longest | None
    control: Longest | None
    stall: Longest | None
    downtime_s: float | None
    memory_bytes: int | None

    @property
    def way(self) -> Way:
        """How many servers were moved together, and how."""
        return _way(self.servers, self.strategy)

    @property
    def good(self) -> bool:
        """Whether every expectation was met."""
        return not self.violations

    @property
    def completed(self) -> bool:
        """Whether the server was moved."""
        return self.verdict == COMPLETED


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """A host at one time.

    :ivar at_monotonic_s: when, by CLOCK_MONOTONIC of the tests' machine
    :ivar cpu: part of its CPUs' time in which they worked, 0 to 1
    :ivar sent_bytes_per_s: by all interfaces but lo
    :ivar received_bytes_per_s: the same
    """

    at_monotonic_s: float
    cpu: float | None
    sent_bytes_per_s: float | None
    received_bytes_per_s: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Drain:
    """Servers that were moved together.

    :ivar identifier: what its attempts call it
    :ivar run: the run's name
    :ivar name: what it was, in words
    :ivar cell: what was configured
    :ivar strategy: how many at once, in words
    :ivar trip: number of the round trip, from 1
    :ivar source: name of the host that was drained
    :ivar destination: name of the host to which servers went
    :ivar servers: how many
    :ivar measured: whether its figures count; not those of a warm-up
    :ivar began_s: time of day
    :ivar began_monotonic_s: by CLOCK_MONOTONIC of the tests' machine
    :ivar wall_s: from the first request to the last end
    :ivar ran: how many ran at once on the source, at most; None if it is
        not known
    :ivar ran_mean: how many ran at once on the average, while any did
    :ivar queued: how many waited, at most
    :ivar transport: direct, tunnelled, unseen; empty without access to
        hosts
    :ivar contradictions: what was declared and not seen, in words
    :ivar left_over: what is not as it should be afterwards, in words
    :ivar samples: of each host, by its name
    """

    identifier: str
    run: str
    name: str
    cell: Cell
    strategy: str
    trip: int
    source: str
    destination: str
    servers: int
    measured: bool
    began_s: float
    began_monotonic_s: float
    wall_s: float
    ran: int | None
    ran_mean: float | None
    queued: int | None
    transport: str
    contradictions: tuple[str, ...]
    left_over: tuple[str, ...]
    samples: Mapping[str, tuple[Sample, ...]]

    @property
    def way(self) -> Way:
        """How many servers were moved together, and how."""
        return _way(self.servers, self.strategy)

    @property
    def good(self) -> bool:
        """Whether all was as declared, and nothing is left over."""
        return not self.contradictions and not self.left_over


@dataclasses.dataclass(frozen=True)
class Run:
    """What is known of a run as a whole.

    :ivar name: of the run
    :ivar path: the file that it is in
    :ivar started_s: time of day, in seconds since 1970, UTC
    :ivar body: the rest of its first line
    """

    name: str
    path: str
    started_s: float
    body: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """A test that failed, for whatever reason.

    :ivar test: its id
    :ivar said: why, in words
    """

    test: str
    said: str

    def __str__(self) -> str:
        return 'test %s failed: %s' % (self.test.rpartition('.')[2], self.said)


@dataclasses.dataclass(frozen=True)
class Collection:
    """What one or more files say.

    :ivar runs: in the order of the files
    :ivar attempts: in the order in which they were written
    :ivar drains: the same
    :ivar unjudged: servers that were to be moved, and of which nothing was
        judged, since the run had ended before: a line for each, in words
    :ivar remarks: what is to be said of the files, in words
    :ivar failed: tests that failed, in the order in which they did
    :ivar tests: ids of all tests that moved something, or failed
    """

    runs: Sequence[Run]
    attempts: Sequence[Attempt]
    drains: Sequence[Drain]
    unjudged: Sequence[str]
    remarks: Sequence[str]
    failed: Sequence[Failed] = ()
    tests: Set[str] = frozenset()


def read(paths: Iterable[str | os.PathLike[str]]) -> Collection:
    """Return what files of records say.

    :param paths: of the files; each holds one run
    :raises RecordsError: one cannot be used, or two hold the same run
    """
    gathered = _Gathered()
    for path in paths:
        gathered.take(chain.Reader(path))
    return Collection(
        list(gathered.runs.values()), gathered.attempts, gathered.drains,
        gathered.unjudged, gathered.remarks, gathered.failed,
        frozenset(gathered.tests))


class _Gathered:
    """What the files that were read so far say."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.attempts: list[Attempt] = []
        self.drains: list[Drain] = []
        self.unjudged: list[str] = []
        self.remarks: list[str] = []
        self.failed: list[Failed] = []
        self.tests: set[str] = set()
        # What is known of servers that are not judged, by drain and server.
        self._open: dict[tuple[str, str], str] = {}

    def take(self, reader: chain.Reader) -> None:
        """Take all lines of a file.

        :raises RecordsError: it cannot be used
        """
        begin = len(self.attempts), len(self.drains)
        for number, line in enumerate(reader, 1):
            try:
                self._take_line(reader, line)
            except (AttributeError, KeyError, TypeError, ValueError) as exc:
                raise chain.RecordsError(
                    'line %d of %s is not as its schema has it: %r' % (
                        number, reader.path, exc)) from exc
        self._count(*begin)
        self.unjudged.extend(self._open.values())
        self._open.clear()
        self.remarks.extend(reader.remarks)

    def _count(self, attempts: int, drains: int) -> None:
        """Tell attempts how many they were; a drain's line comes last."""
        servers = {
            **collections.Counter(
                each.drain for each in self.attempts[attempts:]),
            **{each.identifier: each.servers
               for each in self.drains[drains:]}}
        self.attempts[attempts:] = [
            dataclasses.replace(each, servers=servers[each.drain])
            for each in self.attempts[attempts:]]

    def _take_line(self, reader: chain.Reader,
                   line: Mapping[str, Any]) -> None:
        kind = line['kind']
        if kind == RUN:
            _add_run(self.runs, reader, line)
        elif kind == BEGAN:
            self.tests.add(line['test'])
            self._open.update({
                (line['drain'], server_id): 'server %s from %s to %s: it was '
                'under way' % (server_id, line['source'] or 'its host',
                               line['destination'] or 'another')
                for server_id in line['server_ids']})
        elif kind == ENDED:
            self._open[line['drain'], line['server_id']] = _told(line)
        elif kind == ATTEMPT:
            self._open.pop((line['drain'], line['server_id']), None)
            self.attempts.append(_attempt(line))
        elif kind == DRAIN:
            self.drains.append(_drain(line))
        elif kind == FAILED:
            self.tests.add(line['test'])
            self.failed.append(Failed(line['test'], line['said']))


def _add_run(runs: dict[str, Run], reader: chain.Reader,
             body: Mapping[str, Any]) -> None:
    name = body['run']
    if name in runs:
        raise chain.RecordsError('%s and %s hold the same run, %s' % (
            runs[name].path, reader.path, name))
    runs[name] = Run(name, str(reader.path), _seconds(body['started_at']),
                     body)


def _told(body: Mapping[str, Any]) -> str:
    return 'server %s from %s to %s: record %s, server %s' % (
        body['server_id'], body['source'], body['destination'],
        body['record_status'] or 'missing', body['server_status'])


def _attempt(body: Mapping[str, Any]) -> Attempt:
    service, job = body['service'], body['job'] or {}
    downtime_ms = job.get('downtime_ms')
    return Attempt(
        run=sys.intern(body['run']), drain=sys.intern(body['drain']),
        cell=_cell(body['cell']), flavor=_flavor(body['flavor']),
        strategy=sys.intern(body['strategy']), servers=1, trip=body['trip'],
        server_id=sys.intern(body['server_id']),
        server_name=sys.intern(body['server_name']),
        source=sys.intern(body['source']),
        destination=sys.intern(body['destination']),
        requested_s=_seconds(body['requested_at']),
        requested_monotonic_s=body['requested_monotonic_s'],
        duration_s=body['duration_s'], queue_s=body['queue_s'],
        service_s=service['seconds'] if service else None,
        phases=tuple((sys.intern(phase['name']), phase['seconds'])
                     for phase in body['phases']),
        verdict=sys.intern(body['verdict']), cause=body['cause'],
        violations=tuple(body['violations']), measured=body['measured'],
        outage=_outage(body, 'icmp', body['max_outage_s']),
        control=_outage(body, 'icmp_control', body['max_outage_s']),
        stall=_stall(body),
        downtime_s=None if downtime_ms is None else downtime_ms / 1000,
        memory_bytes=job.get('memory_bytes_processed'))


def _outage(body: Mapping[str, Any], part: str,
            bound_s: float) -> Longest | None:
    found = body.get(part)
    if not found:
        return None
    start_s = found['longest_outage_start_monotonic_s']
    return Longest(
        found['longest_outage_s'], found['error_bound_s'], bound_s,
        None if start_s is None
        else start_s - body['requested_monotonic_s'])


def _stall(body: Mapping[str, Any]) -> Longest | None:
    found = body.get('tcp')
    if not found:
        return None
    return Longest(found['longest_stall_s'], found['stall_error_bound_s'],
                   body['max_stall_s'])


def _drain(body: Mapping[str, Any]) -> Drain:
    observed: Mapping[str, Any] = next(
        (each for each in body['observed_concurrency']
         if each['host'] == body['source']), {})
    hosts = body['hosts'] or {}
    return Drain(
        identifier=sys.intern(body['drain']), run=sys.intern(body['run']),
        name=body['name'], cell=_cell(body['cell']),
        strategy=sys.intern(body['strategy']), trip=body['trip'],
        source=sys.intern(body['source']),
        destination=sys.intern(body['destination']),
        servers=body['servers'], measured=body['measured'],
        began_s=_seconds(body['began_at']),
        began_monotonic_s=body['began_monotonic_s'], wall_s=body['wall_s'],
        ran=observed.get('running'), ran_mean=observed.get('mean'),
        queued=observed.get('queued'),
        transport=hosts['sockets']['transport'] if hosts else '',
        contradictions=tuple(body['contradictions']),
        left_over=tuple(body['left_over']),
        samples={each['host']: tuple(map(_sample, each['samples']))
                 for each in hosts.get('samples', ())})


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(
        (row['before_ns'] + row['after_ns']) / 2e9,
        row['cpu_busy_fraction'], row['sent_bytes_per_s'],
        row['received_bytes_per_s'])


# The same few cells and flavors come again and again.
_cached_cell = functools.lru_cache(maxsize=1000)(Cell)
_cached_flavor = functools.lru_cache(maxsize=1000)(Flavor)


@functools.lru_cache(maxsize=1000)
def _way(servers: int, strategy: str) -> Way:
    return Way(servers, strategy if servers != 1 else '')


def _cell(body: Mapping[str, Any]) -> Cell:
    return _cached_cell(body['storage'] or '', tuple(
        (name, value) for name, value in body['settings'].items()))


def _flavor(body: Mapping[str, Any]) -> Flavor:
    return _cached_flavor(body['name'], body['vcpus'], body['ram_gib'],
                          body['disk_gib'])


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def _word(value: int | bool) -> str:
    if isinstance(value, bool):
        return 'on' if value else 'off'
    return str(value)
