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

"""What a host counts: CPU time, memory, bytes of interfaces and disks.

One command on the host reads a few files of /proc. Fields and units are those
of the kernel's documentation: Documentation/filesystems/proc.rst (stat,
meminfo, uptime, net/dev) and Documentation/admin-guide/iostats.rst
(diskstats).

CPU, memory and disks are those of the machine even where a host is only a
part of one: hosts that are namespaces of one machine, as in a lab, all
show the same. Interfaces are those of the host's network namespace.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import re
from typing import TypeVar

from lm_tempest_plugin.hosts import remote as remotes

T = TypeVar('T')

# For a host to answer.
TIMEOUT_S = 10.0
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
