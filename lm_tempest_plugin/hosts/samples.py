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

"""Load of a host while servers migrate: CPU, memory, interfaces and disks.

Once in a period, one command on the host reads a few files of /proc, and
differences of counters become rates. Fields and units are those of the
kernel's documentation: Documentation/filesystems/proc.rst (stat, meminfo,
uptime, net/dev) and Documentation/admin-guide/iostats.rst (diskstats).

The time between two samples is taken from the host's own uptime, which has a
resolution of 0.01 s. So the time that SSH takes, which varies, does not change
the rates. Each sample is between two times of our CLOCK_MONOTONIC, so it can
be compared with migrations and probes.

CPU, memory and disks are those of the machine even where a host is only a part
of it: hosts that are namespaces of one machine, as in a lab, all show the same
values. Interfaces are those of the host's network namespace.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import re
import time
from typing import Any
from typing import NamedTuple
from typing import TypeVar

from oslo_log import log as logging

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

T = TypeVar('T')
# Bytes in both directions: received and sent, or read and written.
Bytes = tuple[int, int]

PERIOD_S = 1.0
# Time for a host to answer.
TIMEOUT_S = 10.0
UPTIME, STAT, MEMINFO = '/proc/uptime', '/proc/stat', '/proc/meminfo'
NET, DISKS = '/proc/net/dev', '/proc/diskstats'
# With -v, both GNU's and busybox's tail print a heading before each file.
COMMAND = ('tail', '-v', '-n', '+1', UPTIME, STAT, MEMINFO, NET, DISKS)

_HEADING = re.compile(r'==> (\S+) <==')
# diskstats counts in these units, whatever the disk's own sectors are: the
# kernel's Documentation/block/stat.rst.
_SECTOR = 512
_KIB = 1024
# Device mapper, RAID, loop devices and bcache lie on disks that are counted
# already; RAM disks are memory; nvme0c0n1 is one of several paths to a disk.
_STACKED = re.compile(
    r'(dm-|md_|(md|loop|ram|zram|bcache|nvme\d+c)\d).*')


class CpuTime(NamedTuple):
    """Time of all CPUs since the boot, in USER_HZ (10 ms).

    :ivar busy: user, nice, system, irq, softirq (user and nice include
        guest and guest_nice)
    :ivar idle: idle, iowait
    :ivar stolen: steal: ready to run while a hypervisor below gave the CPU
        to another guest
    """

    busy: int
    idle: int
    stolen: int


@dataclasses.dataclass(frozen=True)
class Counters:
    """Counters of a host at one time.

    :ivar uptime_s: time since the boot, in seconds
    :ivar cpu: all CPUs together
    :ivar memory_total_bytes: MemTotal
    :ivar memory_available_bytes: MemAvailable
    :ivar interfaces: bytes received and sent, by name, without lo
    :ivar disks: bytes read and written, by name, without partitions and
        devices on other disks
    """

    uptime_s: float
    cpu: CpuTime
    memory_total_bytes: int
    memory_available_bytes: int
    interfaces: Mapping[str, Bytes]
    disks: Mapping[str, Bytes]


def read(host: remote.Remote, timeout_s: float = TIMEOUT_S) -> Counters:
    """Return a host's counters.

    :param host: the host
    :param timeout_s: time for the host to answer, in seconds
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    return remote.ask(host, parse, *COMMAND, timeout_s=timeout_s)


def parse(output: str) -> Counters:
    """Return the counters in the output of COMMAND.

    :param output: the files, each below its name
    :raises ValueError: it is something else; names the file and the part
    """
    files: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in filter(str.strip, output.splitlines()):
        heading = _HEADING.fullmatch(line)
        if heading:
            lines = files.setdefault(heading[1], [])
        else:
            lines.append(line)

    def parsed(name: str, parser: Callable[[list[str]], T]) -> T:
        if name not in files:
            raise ValueError(f'{name} is missing')
        try:
            return parser(files[name])
        except (ValueError, IndexError) as exc:
            raise ValueError(f'{name}: {exc}') from exc

    memory = parsed(MEMINFO, _memory)
    return Counters(
        uptime_s=parsed(UPTIME, lambda lines: float(lines[0].split()[0])),
        cpu=parsed(STAT, _cpu),
        memory_total_bytes=memory['MemTotal'],
        memory_available_bytes=memory['MemAvailable'],
        interfaces=parsed(NET, _interfaces), disks=parsed(DISKS, _disks))


def _cpu(lines: list[str]) -> CpuTime:
    for line in lines:
        name, *fields = line.split()
        if name == 'cpu':
            user, nice, system, idle, iowait, irq, softirq, steal = (
                _numbers(line, fields, 8)[:8])
            return CpuTime(user + nice + system + irq + softirq,
                           idle + iowait, steal)
    raise ValueError('it has no line for all CPUs')


def _memory(lines: list[str]) -> dict[str, int]:
    found = {}
    for line in lines:
        name, _, value = line.partition(':')
        if name in ('MemTotal', 'MemAvailable'):
            found[name] = _KIB * _numbers(line, value.split()[:1], 1)[0]
    for name in ('MemTotal', 'MemAvailable'):
        if name not in found:
            raise ValueError(f'{name} is missing')
    return found


def _interfaces(lines: list[str]) -> dict[str, Bytes]:
    found = {}
    # The first two lines are headings.
    for line in lines[2:]:
        # An alias such as tap0:1 has a colon in its name.
        name, _, counters = line.rpartition(':')
        numbers = _numbers(line, counters.split(), 16)
        if name.strip() != 'lo':
            found[name.strip()] = numbers[0], numbers[8]
    return found


def _disks(lines: list[str]) -> dict[str, Bytes]:
    found = {}
    for line in lines:
        fields = line.split()
        # Major and minor number, name, counters.
        numbers = _numbers(line, fields[3:], 11)
        found[fields[2]] = _SECTOR * numbers[2], _SECTOR * numbers[6]

    def whole(name: str) -> str:
        """Return the disk that a device of this name is a partition of.

        The kernel appends the number to the disk's name, after a "p" if that
        ends in a digit: add_partition() in block/partitions/core.c.
        """
        match = re.fullmatch(r'(.*\d)p\d+|(.*\D)\d+', name)
        return (match[1] or match[2]) if match else ''

    # Some clouds attach a partition without its disk; that is counted.
    return {name: moved for name, moved in found.items()
            if not _STACKED.fullmatch(name) and whole(name) not in found}


def _numbers(line: str, fields: list[str], least: int) -> list[int]:
    if len(fields) < least or not all(map(str.isdecimal, fields)):
        raise ValueError(f'{line!r} does not have {least} numbers')
    return list(map(int, fields))


def sample(before_ns: int, after_ns: int, previous: Counters | None,
           counters: Counters) -> schema.HostSample:
    """Return a sample, with rates if they are known.

    An interface or a disk that only one of the samples has does not count:
    nobody knows since when, or until when, it existed. Rates of all
    interfaces count a byte once for each interface that it passes, such as a
    tap, a bridge and a network card.

    :param before_ns: before the host was asked, CLOCK_MONOTONIC
    :param after_ns: when its answer had arrived
    :param previous: counters of the sample before; None for the first one
    :param counters: counters of this sample
    """
    rates: dict[str, Any] = {}
    seconds = counters.uptime_s - previous.uptime_s if previous else 0.0
    # Negative: the host was rebooted in between.
    if previous is not None and seconds > 0:
        interfaces = _rates(previous.interfaces, counters.interfaces, seconds)
        disks = _rates(previous.disks, counters.disks, seconds)
        busy, stolen = _cpu_fractions(previous.cpu, counters.cpu)
        rates = {
            'seconds': seconds,
            'cpu_busy_fraction': busy,
            'cpu_stolen_fraction': stolen,
            'received_bytes_per_s': sum(
                received for received, _ in interfaces.values()),
            'sent_bytes_per_s': sum(sent for _, sent in interfaces.values()),
            'interfaces': {
                name: schema.InterfaceRate(
                    received_bytes_per_s=received, sent_bytes_per_s=sent)
                for name, (received, sent) in sorted(interfaces.items())
                if received or sent},
        }
        if disks:
            rates.update(
                read_bytes_per_s=sum(taken for taken, _ in disks.values()),
                written_bytes_per_s=sum(given for _, given in disks.values()))
    return schema.HostSample(
        before_ns=before_ns, after_ns=after_ns,
        memory_total_bytes=counters.memory_total_bytes,
        memory_available_bytes=counters.memory_available_bytes, **rates)


def _cpu_fractions(before: CpuTime,
                   after: CpuTime) -> tuple[float | None, float | None]:
    """Return the busy and the stolen fraction; None if not known."""
    busy = after.busy - before.busy
    stolen = after.stolen - before.stolen
    # iowait, which is part of it, may decrease: proc.rst says so.
    idle = max(0, after.idle - before.idle)
    total = busy + stolen + idle
    if busy < 0 or stolen < 0 or not total:
        return None, None
    return busy / total, stolen / total


def _rates(before: Mapping[str, Bytes], after: Mapping[str, Bytes],
           seconds: float) -> dict[str, tuple[float, float]]:
    def rate(old: int, new: int) -> float:
        # A counter that decreased started again at 0 and counted at least
        # its value. (A 32-bit counter may also have overflowed at 4 GiB,
        # which looks the same.)
        return (new - (old if new >= old else 0)) / seconds

    return {name: (rate(before[name][0], after[name][0]),
                   rate(before[name][1], after[name][1]))
            for name in before.keys() & after.keys()}


class Sampler(remote.RepeatingThread):
    """Sample a host from start() to stop(); also a context manager.

    A sample that fails is noted, and does not affect the next ones.
    """

    def __init__(self, host: remote.Remote, period_s: float = PERIOD_S,
                 timeout_s: float = TIMEOUT_S) -> None:
        """Prepare; start() asks the host for the first time.

        :param host: the host
        :param period_s: time from one sample to the next, in seconds. A
            sample that takes longer skips those that were due meanwhile
        :param timeout_s: time for the host to answer, in seconds
        :raises ValueError: the period is not above zero
        """
        super().__init__(f'sampler of {host.name}', period_s,
                         timeout_s + remote.GRACE_S)
        if period_s <= 0:
            raise ValueError(f'a period of {period_s:g} s is not above zero')
        self._host = host
        self._timeout_s = timeout_s
        self._due_s: float | None = None
        self._latest: Counters | None = None
        self._samples: list[schema.HostSample] = []
        self._missed: list[schema.MissedSample] = []

    def results(self) -> schema.HostSamples:
        """Return the samples so far.

        :raises HostError: the sampler was ended by an error of another kind
        """
        self.raise_error()
        return schema.HostSamples(
            host=self._host.name, period_s=self._period_s,
            samples=tuple(self._samples), missed=tuple(self._missed))

    def pause_s(self) -> float:
        """Return the time until the next sample is due, in seconds."""
        now_s = time.monotonic()
        self._due_s = now_s if self._due_s is None else next_due_s(
            self._due_s, self._period_s, now_s)
        return max(0.0, self._due_s - time.monotonic())

    def step(self) -> None:
        """Take one sample, or note that it failed."""
        before_ns = time.monotonic_ns()
        try:
            counters = read(self._host, self._timeout_s)
        except remote.HostError as exc:
            error = ' '.join(str(exc).split())
            if not self._missed:
                LOG.warning('A sample of %s failed (more failures are only '
                            'counted): %s', self._host.name, error)
            self._missed.append(schema.MissedSample(
                before_ns=before_ns, after_ns=time.monotonic_ns(),
                error=error))
            return
        self._samples.append(sample(
            before_ns, time.monotonic_ns(), self._latest, counters))
        self._latest = counters


def next_due_s(due_s: float, period_s: float, now_s: float) -> float:
    """Return the next time on the grid that is not over.

    :param due_s: a time on the grid, in seconds
    :param period_s: distance of the grid
    :param now_s: the present time
    """
    return due_s + period_s * max(1, -(-(now_s - due_s) // period_s))
