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

Once a period the host's counters are read, and turned into rates.

How long lies between two readings is taken from the host's own uptime,
which it tells to 0.01 s: what SSH takes, more now and less then, does not
change the rates. When it was read is known by our clock: between two stamps
of CLOCK_MONOTONIC, to be compared with those of migrations and probes.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import threading
import time
import types
from typing import Any
from typing import Self

from oslo_log import log as logging

from lm_tempest_plugin.hosts import counters
from lm_tempest_plugin.hosts import remote as remotes

LOG = logging.getLogger(__name__)

PERIOD_S = 1.0
# Whoever stops waits this much longer than a command may take.
GRACE_S = 5.0


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
                 timeout_s: float = counters.TIMEOUT_S) -> None:
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
        self._latest: counters.Reading | None = None
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
            reading = counters.read(self._remote, self._timeout_s)
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


def rates(before: counters.Reading,
          after: counters.Reading) -> Rates | None:
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


def _cpu_parts(before: counters.Cpu, after: counters.Cpu) -> tuple[
        float | None, float | None]:
    """Return the parts that were busy and stolen, None if not known."""
    busy = after.busy - before.busy
    stolen = after.stolen - before.stolen
    # It may go back by a little: proc.rst says so of iowait.
    idle = max(0, after.idle - before.idle)
    total = busy + stolen + idle
    if busy < 0 or stolen < 0 or not total:
        return None, None
    return busy / total, stolen / total


def _per_second(before: Mapping[str, counters.Flow],
                after: Mapping[str, counters.Flow],
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
