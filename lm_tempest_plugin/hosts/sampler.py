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

"""What a host is busy with while migrations run: sampled by the clock.

Once a period one command on the host reads a few files of /proc; what they
count is turned into rates. Fields and units are those of the kernel's
documentation: Documentation/filesystems/proc.rst (stat, meminfo, uptime,
net/dev) and Documentation/admin-guide/iostats.rst (diskstats).

CPU, memory and disks are those of the machine even where a host is only a
part of one: hosts that are namespaces of one machine, as in a lab, all
show the same. Interfaces are those of the host's network namespace.

How long lies between two readings is taken from the host's own uptime,
which it tells to 0.01 s: what SSH takes, more now and less then, does not
change the rates. When it was read is known by our clock: between two stamps
of CLOCK_MONOTONIC, to be compared with those of migrations and probes.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import re
import threading
import time
import types
from typing import Any
from typing import Self
from typing import TypeVar

from oslo_log import log as logging

from lm_tempest_plugin.hosts import remote as remotes

LOG = logging.getLogger(__name__)

T = TypeVar('T')

PERIOD_S = 1.0
TIMEOUT_S = 10.0
# Whoever stops waits this much longer than a command may take.
GRACE_S = 5.0

UPTIME, STAT, MEMINFO = '/proc/uptime', '/proc/stat', '/proc/meminfo'
NET, DISKS = '/proc/net/dev', '/proc/diskstats'
# Prints a line with the name before each file; GNU's does, and busybox's.
COMMAND = ('tail', '-v', '-n', '+1', UPTIME, STAT, MEMINFO, NET, DISKS)

_HEADING = re.compile(r'==> (\S+) <==')
# Disks count in these units, whatever their own sectors are: the kernel's
# Documentation/block/stat.rst.
_SECTOR = 512
_KIB = 1024
# What lies on other disks that are counted, or on none: device mapper, RAID,
# loops, memory, and the paths of an NVMe disk that has several.
_STACKED = re.compile(
    r'(dm-|md_|(md|loop|ram|zram|bcache|nvme\d+c)\d).*')


@dataclasses.dataclass(frozen=True)
class Cpu:
    """Time of all CPUs since the host was started, in USER_HZ (10 ms).

    :ivar busy: at work, for guests too: user, nice, system, irq, softirq
        (user has guest in it, and nice guest_nice)
    :ivar idle: without work, or waiting for disks: idle, iowait
    :ivar stolen: wanted to work while a hypervisor below gave the CPU to
        another one: steal
    """

    busy: int
    idle: int
    stolen: int


@dataclasses.dataclass(frozen=True)
class Flow:
    """Bytes in both directions, of an interface or a disk.

    :ivar taken: received, or read
    :ivar given: sent, or written
    """

    taken: int
    given: int

    def since(self, before: 'Flow') -> 'Flow':
        """Return what was counted since another time.

        A counter that is lower than it was has begun anew at zero in
        between, and counted at least what it says. (It may also have come
        to the end of its digits, with 32 bits after 4 GiB: that cannot be
        told apart.)
        """
        return Flow(
            self.taken - (before.taken if self.taken >= before.taken else 0),
            self.given - (before.given if self.given >= before.given else 0))


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a host's counters say at one time.

    :ivar uptime_s: since the host was started, in seconds
    :ivar cpu: of all CPUs together
    :ivar memory_total_bytes: MemTotal
    :ivar memory_available_bytes: MemAvailable: what can be had without
        swapping
    :ivar interfaces: by their names, without lo
    :ivar disks: by their names, without partitions and what lies on others
    """

    uptime_s: float
    cpu: Cpu
    memory_total_bytes: int
    memory_available_bytes: int
    interfaces: Mapping[str, Flow]
    disks: Mapping[str, Flow]


@dataclasses.dataclass(frozen=True)
class Rate:
    """Bytes per second in both directions.

    :ivar taken_bytes_per_s: received, or read
    :ivar given_bytes_per_s: sent, or written
    """

    taken_bytes_per_s: float
    given_bytes_per_s: float


@dataclasses.dataclass(frozen=True)
class Rates:
    """What a host did between two readings.

    :ivar seconds: how long that was, by the host's clock
    :ivar cpu_busy: part of all CPUs' time in which they worked, 0 to 1;
        None if it is not known
    :ivar cpu_stolen: part that a hypervisor below took from them, 0 to 1;
        None if it is not known
    :ivar network: all interfaces but lo together: a byte counts once for
        each that it goes through, such as a tap, a bridge and a card
    :ivar interfaces: each of those that moved anything, by their names
    :ivar disk: all disks together; None if none is known
    """

    seconds: float
    cpu_busy: float | None
    cpu_stolen: float | None
    network: Rate
    interfaces: Mapping[str, Rate]
    disk: Rate | None


@dataclasses.dataclass(frozen=True)
class Sample:
    """A host at one time.

    :ivar before_ns: CLOCK_MONOTONIC of ours before the host was asked
    :ivar after_ns: when its answer was there; it was read in between
    :ivar memory_total_bytes: memory of the host
    :ivar memory_available_bytes: of it, what can be had without swapping
    :ivar rates: since the sample before; None for the first one, and after
        the host was started anew
    """

    before_ns: int
    after_ns: int
    memory_total_bytes: int
    memory_available_bytes: int
    rates: Rates | None

    def row(self) -> dict[str, Any]:
        """Return it flat, under names that say their units.

        Figures that are not known are None.
        """
        rates = self.rates
        network = rates.network if rates else None
        disk = rates.disk if rates else None
        return {
            'before_ns': self.before_ns,
            'after_ns': self.after_ns,
            'seconds': rates.seconds if rates else None,
            'cpu_busy_fraction': rates.cpu_busy if rates else None,
            'cpu_stolen_fraction': rates.cpu_stolen if rates else None,
            'memory_total_bytes': self.memory_total_bytes,
            'memory_available_bytes': self.memory_available_bytes,
            'received_bytes_per_s': network and network.taken_bytes_per_s,
            'sent_bytes_per_s': network and network.given_bytes_per_s,
            'read_bytes_per_s': disk and disk.taken_bytes_per_s,
            'written_bytes_per_s': disk and disk.given_bytes_per_s,
            'interfaces': {
                name: {'received_bytes_per_s': rate.taken_bytes_per_s,
                       'sent_bytes_per_s': rate.given_bytes_per_s}
                for name, rate in rates.interfaces.items()} if rates else {},
        }


@dataclasses.dataclass(frozen=True)
class Failure:
    """A sample that is missing.

    :ivar before_ns: CLOCK_MONOTONIC of ours before the host was asked
    :ivar after_ns: when it had failed
    :ivar error: what went wrong
    """

    before_ns: int
    after_ns: int
    error: str


@dataclasses.dataclass(frozen=True)
class Sampled:
    """What was seen of a host.

    :ivar host: its name
    :ivar period_s: from one sample to the next, as was wanted, in seconds
    :ivar samples: in the order of time
    :ivar failures: samples that are missing, in the order of time
    """

    host: str
    period_s: float
    samples: tuple[Sample, ...]
    failures: tuple[Failure, ...]

    def between(self, start_ns: int, end_ns: int) -> 'Sampled':
        """Return what was seen in a window, such as a migration's.

        The rates of its first sample are those of the time up to a period
        before.

        :param start_ns: its begin, CLOCK_MONOTONIC of ours
        :param end_ns: its end
        """
        def within(one: Sample | Failure) -> bool:
            return one.after_ns >= start_ns and one.before_ns <= end_ns

        return dataclasses.replace(
            self, samples=tuple(filter(within, self.samples)),
            failures=tuple(filter(within, self.failures)))

    def as_dict(self) -> dict[str, Any]:
        """Return everything under names that say their units."""
        return {
            'host': self.host,
            'period_s': self.period_s,
            'samples': [sample.row() for sample in self.samples],
            'failures': [dataclasses.asdict(one) for one in self.failures],
            'first_error': self.failures[0].error if self.failures else '',
        }


class Sampler:
    """Samples a host from start() to stop(); also a context manager.

    A sample that fails is noted, and the next one is taken as if it had
    been nothing.
    """

    def __init__(self, remote: remotes.Remote, period_s: float = PERIOD_S,
                 timeout_s: float = TIMEOUT_S) -> None:
        """Make ready; nothing is asked before start().

        :param remote: the host
        :param period_s: from one sample to the next, in seconds. One that
            takes longer leaves out those whose time has gone by
        :param timeout_s: how long the host may take to answer, in seconds
        :raises ValueError: the period is not above zero
        """
        if period_s <= 0:
            raise ValueError('a period of %g s is none' % period_s)
        self._remote = remote
        self._period_s = period_s
        self._timeout_s = timeout_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._died: BaseException | None = None
        self._latest: Reading | None = None
        self._samples: list[Sample] = []
        self._failures: list[Failure] = []

    def start(self) -> None:
        """Start to sample."""
        self._thread = threading.Thread(
            target=self._run, name='sampler of %s' % self._remote.name,
            daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop to sample, and wait for the last. Twice does no harm.

        :raises HostError: the last command does not end, or the sampler had
            died of what is no failure of a host
        """
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(self._timeout_s + GRACE_S)
            if thread.is_alive():
                raise remotes.HostError(
                    '%s: sampling it does not end within %g s' % (
                        self._remote.name, self._timeout_s + GRACE_S))
        self._raise_died()

    def sampled(self) -> Sampled:
        """Return what was seen up to now, or until stop().

        :raises HostError: the sampler has died of what is no failure of a
            host
        """
        self._raise_died()
        return Sampled(self._remote.name, self._period_s,
                       tuple(self._samples), tuple(self._failures))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.stop()

    def _raise_died(self) -> None:
        if self._died is not None:
            raise remotes.HostError('%s: its sampler died: %r' % (
                self._remote.name, self._died)) from self._died

    def _run(self) -> None:
        try:
            due_s = time.monotonic()
            while not self._stopping.is_set():
                self._sample()
                due_s = _next(due_s, self._period_s, time.monotonic())
                self._stopping.wait(max(0.0, due_s - time.monotonic()))
        except BaseException as exc:
            LOG.exception('The sampler of %s died', self._remote.name)
            self._died = exc

    def _sample(self) -> None:
        """Take one sample, or note that it failed."""
        before_ns = time.monotonic_ns()
        try:
            reading = read(self._remote, self._timeout_s)
        except remotes.HostError as exc:
            self._fail(before_ns, ' '.join(str(exc).split()))
            return
        after_ns = time.monotonic_ns()
        latest, self._latest = self._latest, reading
        self._samples.append(Sample(
            before_ns, after_ns, reading.memory_total_bytes,
            reading.memory_available_bytes,
            rates(latest, reading) if latest else None))

    def _fail(self, before_ns: int, error: str) -> None:
        if not self._failures:
            LOG.warning('A sample of %s failed; further ones are counted: %s',
                        self._remote.name, error)
        self._failures.append(Failure(
            before_ns, time.monotonic_ns(), error))


def _next(due_s: float, period_s: float, now_s: float) -> float:
    """Return the next time on the grid that has not gone by."""
    return due_s + period_s * max(1, -(-(now_s - due_s) // period_s))


def read(remote: remotes.Remote, timeout_s: float = TIMEOUT_S) -> Reading:
    """Return what a host's counters say now.

    :param remote: the host
    :param timeout_s: how long it may take, in seconds
    :raises HostError: the host cannot be asked, or its answer cannot be
        understood
    """
    output = remote.run(*COMMAND, timeout_s=timeout_s)
    try:
        return parse(output)
    except ValueError as exc:
        raise remotes.HostError(
            '%s: what it counts cannot be understood: %s' % (
                remote.name, exc)) from exc


def parse(output: str) -> Reading:
    """Return the counters in what COMMAND prints.

    :param output: the files, each below its name
    :raises ValueError: it is something else; says which file and what
    """
    files = _files(output)
    memory = _in(files, MEMINFO, _memory)
    return Reading(
        uptime_s=_in(files, UPTIME, _uptime), cpu=_in(files, STAT, _cpu),
        memory_total_bytes=memory['MemTotal'],
        memory_available_bytes=memory['MemAvailable'],
        interfaces=_in(files, NET, _interfaces),
        disks=_in(files, DISKS, _disks))


def rates(before: Reading, after: Reading) -> Rates | None:
    """Return what a host did from one reading to the next.

    An interface or a disk that only one of them has does not count: since
    when, or until when, is not known.

    :param before: the earlier one
    :param after: the later one
    :returns: None if the host was started anew in between, or if no time
        went by
    """
    seconds = after.uptime_s - before.uptime_s
    if seconds <= 0:
        return None
    interfaces = _per_second(before.interfaces, after.interfaces, seconds)
    disks = _per_second(before.disks, after.disks, seconds)
    busy, stolen = _cpu_parts(before.cpu, after.cpu)
    return Rates(
        seconds=seconds, cpu_busy=busy, cpu_stolen=stolen,
        network=_together(interfaces.values()),
        interfaces={
            name: rate for name, rate in sorted(interfaces.items())
            if rate.taken_bytes_per_s or rate.given_bytes_per_s},
        disk=_together(disks.values()) if disks else None)


def _cpu_parts(before: Cpu, after: Cpu) -> tuple[float | None, float | None]:
    """Return the parts that were busy and stolen, None if not known."""
    busy = after.busy - before.busy
    stolen = after.stolen - before.stolen
    # It may go back by a little: proc.rst says so of iowait.
    idle = max(0, after.idle - before.idle)
    total = busy + stolen + idle
    if busy < 0 or stolen < 0 or not total:
        return None, None
    return busy / total, stolen / total


def _per_second(before: Mapping[str, Flow], after: Mapping[str, Flow],
                seconds: float) -> dict[str, Rate]:
    found = {}
    for name in before.keys() & after.keys():
        moved = after[name].since(before[name])
        found[name] = Rate(moved.taken / seconds, moved.given / seconds)
    return found


def _together(found: Iterable[Rate]) -> Rate:
    found = list(found)
    return Rate(sum(rate.taken_bytes_per_s for rate in found),
                sum(rate.given_bytes_per_s for rate in found))


def _files(output: str) -> dict[str, list[str]]:
    """Return the lines of each file by its name, without empty ones."""
    files: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in filter(str.strip, output.splitlines()):
        heading = _HEADING.fullmatch(line)
        if heading:
            lines = files.setdefault(heading[1], [])
        else:
            lines.append(line)
    return files


def _in(files: Mapping[str, list[str]], name: str,
        parser: Callable[[list[str]], T]) -> T:
    """Return what a file says.

    :raises ValueError: says which file and what
    """
    if name not in files:
        raise ValueError('%s is missing' % name)
    try:
        return parser(files[name])
    except ValueError as exc:
        raise ValueError('%s: %s' % (name, exc)) from exc


def _uptime(lines: list[str]) -> float:
    for line in lines:
        return float(line.split()[0])
    raise ValueError('it is empty')


def _cpu(lines: list[str]) -> Cpu:
    for line in lines:
        name, *fields = line.split()
        if name == 'cpu':
            user, nice, system, idle, iowait, irq, softirq, steal = (
                _numbers(line, fields, 8)[:8])
            return Cpu(user + nice + system + irq + softirq, idle + iowait,
                       steal)
    raise ValueError('no line for all CPUs')


def _memory(lines: list[str]) -> dict[str, int]:
    """Return MemTotal and MemAvailable, in bytes."""
    found = {}
    for line in lines:
        name, _, value = line.partition(':')
        if name in ('MemTotal', 'MemAvailable'):
            found[name] = _KIB * _numbers(line, value.split()[:1], 1)[0]
    for name in ('MemTotal', 'MemAvailable'):
        if name not in found:
            raise ValueError('no %s' % name)
    return found


def _interfaces(lines: list[str]) -> dict[str, Flow]:
    found = {}
    # Two lines of headings come first.
    for line in lines[2:]:
        name, _, counters = line.rpartition(':')
        numbers = _numbers(line, counters.split(), 16)
        if name.strip() != 'lo':
            found[name.strip()] = Flow(numbers[0], numbers[8])
    return found


def _disks(lines: list[str]) -> dict[str, Flow]:
    flows = {}
    for line in lines:
        fields = line.split()
        # Numbers of the device, its name, and what is counted.
        numbers = _numbers(line, fields[3:], 11)
        flows[fields[2]] = Flow(_SECTOR * numbers[2], _SECTOR * numbers[6])
    return {name: flow for name, flow in flows.items()
            if not _STACKED.fullmatch(name) and
            _whole(name) not in flows}


def _whole(name: str) -> str:
    """Return the disk that a device of this name were a partition of.

    The kernel puts the number behind the disk's name, with a p in between
    if that ends in a digit itself: add_partition() in block/partitions/core.c.
    """
    found = re.fullmatch(r'(.*\d)p\d+|(.*\D)\d+', name)
    return (found[1] or found[2]) if found else ''


def _numbers(line: str, fields: list[str], least: int) -> list[int]:
    """Return the numbers of a line.

    :raises ValueError: there are fewer, or something else is among them
    """
    if len(fields) < least or not all(map(str.isdecimal, fields)):
        raise ValueError('%r has no %d numbers' % (line, least))
    return list(map(int, fields))
