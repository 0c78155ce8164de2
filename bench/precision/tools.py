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

"""The tools that are compared: our prober, and its peers.

Nothing else in this package knows the command line of our prober or its
JSON. A peer is started some time before an outage, stopped some time after
it, and then gives its figure in seconds.
"""

import abc
from collections.abc import Iterable
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from tempest.common.utils import net_downtime

from bench.precision import children
from bench.precision import episodes

COMMAND = (os.path.join(os.path.dirname(sys.executable), 'tempest'),
           'live-migration-ha', 'probe')
SCHEMA = 1
# Part of the message that it prints when it begins to measure.
AT_WORK = b'alibration'
# How long it may take to start up and to calibrate itself, until that
# message; and the time from then to the first outage.
START_S = 40.0
SETTLE_S = 2.0
POLL_S = 0.05
PROBER_END_S = 60.0
# Characters of its output in an error message.
TAIL = 800

STAMP = re.compile(r'^\[(\d+\.\d+)\] \d+ bytes from', re.MULTILINE)
OUTAGE = re.compile(r'outage\(ms\) = (\d+)')
NO_LOSS = re.compile(r'\b0% packet loss')
PEER_END_S = 5.0


@dataclasses.dataclass(frozen=True)
class ToolFigure:
    """Figure of one tool for one outage.

    :ivar figure_s: length; None if the tool gives none
    :ivar bound_s: the tool's own error bound, if it has one
    """

    figure_s: float | None
    bound_s: float | None = None


@dataclasses.dataclass(frozen=True)
class ProbeReport:
    """Output of one run of our prober.

    :ivar json: all of it
    :ivar cpu_s: CPU time of the process, start and end included
    :ivar wall_s: how long the process lived
    """

    json: dict[str, Any]
    cpu_s: float
    wall_s: float

    @property
    def self_report(self) -> dict[str, Any]:
        """The prober's figures about itself."""
        return dict(self.json['prober'])

    @property
    def too_busy(self) -> bool:
        """Whether it reports that its machine was too busy."""
        return bool(self.json['prober']['too_busy'])

    @property
    def started_ns(self) -> int:
        """When it began to probe."""
        return round(self.json['started_monotonic_s'] * episodes.NS)

    def target(self, address: str) -> dict[str, Any]:
        """Return its figures of one address.

        :raises BenchError: there are none
        """
        for target in self.json['targets']:
            if target['address'] == address:
                return dict(target)
        raise children.BenchError(f'the prober did not measure {address}.')

    @property
    def troubles(self) -> list[str]:
        """Problems that it reports of single addresses."""
        return [target['error'] for target in self.json['targets']
                if target['error']]

    def outages(self, address: str, begin_ns: int,
                end_ns: int) -> list[dict[str, Any]]:
        """Return the outages of one address that overlap a time span."""
        return [outage for outage in self.target(address)['outages']
                if outage['start_monotonic_s'] * episodes.NS < end_ns
                and outage['end_monotonic_s'] * episodes.NS > begin_ns]

    def figure(self, address: str, begin_ns: int, end_ns: int) -> ToolFigure:
        """Return its figure for one true outage.

        :param address: of the guest
        :param begin_ns: true begin
        :param end_ns: true end
        """
        found = self.outages(address, begin_ns, end_ns)
        if not found:
            return ToolFigure(0.0, self.target(address)['resolution_s'])
        longest = max(found, key=lambda outage: outage['duration_s'])
        return ToolFigure(longest['duration_s'], longest['error_bound_s'])


class ProbeProcess:
    """One run of our prober as a process."""

    def __init__(self, addresses: Sequence[str], interval_s: float,
                 tcp_port: int | None = None) -> None:
        """Start it.

        :param addresses: to probe
        :param interval_s: time between two requests to each, in seconds
        :param tcp_port: port of the TCP echo servers
        """
        self.interval_s = interval_s
        interval = f'{interval_s:g}'
        tcp = [] if tcp_port is None else [
            '--tcp', str(tcp_port), '--tcp-interval', interval]
        self._output = tempfile.TemporaryFile()
        self._messages = tempfile.TemporaryFile()
        self._started_s = time.monotonic()
        self._process = subprocess.Popen(
            [*COMMAND, *addresses, '--interval', interval, *tcp,
             '--format', 'json'],
            stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=self._messages, cwd=children.ROOT,
            # A terminal's width and colours are not wanted here.
            env={**os.environ, 'NO_COLOR': '1'}, process_group=0)

    def wait(self) -> None:
        """Wait until it begins to measure.

        :raises BenchError: it did not in time
        """
        deadline_s = self._started_s + START_S
        while AT_WORK not in os.pread(self._messages.fileno(), TAIL, 0):
            if time.monotonic() > deadline_s:
                raise children.BenchError(
                    f'the prober did not begin to measure within '
                    f'{START_S:g} s.')
            time.sleep(POLL_S)

    def stop(self) -> ProbeReport:
        """End it, and return its output.

        :raises BenchError: it has failed
        """
        with self._output, self._messages:
            cpu_s = children.interrupt(self._process, PROBER_END_S)
            wall_s = time.monotonic() - self._started_s
            output, messages = map(
                read_all, (self._output, self._messages))
        # An exit code with a report is about some of the addresses.
        if self._process.returncode and not output:
            raise children.BenchError(
                f'the prober ended with exit code '
                f'{self._process.returncode}: {messages[-TAIL:].strip()}')
        return parse_report(output, cpu_s, wall_s)


def our_name(interval_s: float) -> str:
    """Return the name of our prober in the tables."""
    return f'our probe {interval_s * 1000:g} ms'


def read_all(stream: Any) -> str:
    """Return the content of a temporary file."""
    stream.seek(0)
    return str(stream.read().decode())


def parse_report(output: str, cpu_s: float = 0.0,
                 wall_s: float = 0.0) -> ProbeReport:
    """Return the report in the prober's output.

    :param output: its standard output
    :param cpu_s: the CPU time that it used, in seconds
    :param wall_s: how long it lived, in seconds
    :raises BenchError: it is no report of the expected schema
    """
    try:
        found = json.loads(output)
    except ValueError as exc:
        raise children.BenchError(
            f'the prober prints no JSON ({exc}): {output[:TAIL]!r}') from exc
    if found.get('schema') != SCHEMA:
        raise children.BenchError(f'the prober prints schema '
                                  f'{found.get("schema")!r}, not {SCHEMA}.')
    return ProbeReport(found, cpu_s, wall_s)


def start_ns(probes: Iterable[ProbeProcess]) -> int:
    """Wait until all of them measure; return when outages may begin."""
    for probe in probes:
        probe.wait()
    return time.monotonic_ns() + round(SETTLE_S * episodes.NS)


def check_started(reports: Iterable[ProbeReport], first_ns: int) -> None:
    """Check that all probers began before the first outage.

    :raises BenchError: one did not
    """
    for report in reports:
        late_ns = report.started_ns - first_ns
        if late_ns > 0:
            raise children.BenchError(
                f'a prober began {late_ns / episodes.NS:.1f} s after the '
                f'first outage.')


class Peer(abc.ABC):
    """A tool that measures one address.

    :cvar name: its name in the tables
    """

    name: str

    def __init__(self, address: str) -> None:
        self.address = address

    @abc.abstractmethod
    def start(self) -> None:
        """Begin to measure."""

    @abc.abstractmethod
    def stop(self) -> float | None:
        """End; return the downtime in seconds, None if it gives none."""


class CommandPeer(Peer):
    """A tool that is a command, and that Ctrl-C ends."""

    @abc.abstractmethod
    def arguments(self) -> list[str]:
        """Return the command."""

    @abc.abstractmethod
    def figure(self, output: str) -> float | None:
        """Return the downtime in its output, in seconds."""

    def start(self) -> None:
        """Start it; its output goes to a file, which never blocks."""
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self.arguments(), stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=subprocess.STDOUT, process_group=0)

    def stop(self) -> float | None:
        """End it, and read its output."""
        with self._output:
            children.interrupt(self._process, PEER_END_S)
            return self.figure(read_all(self._output))


class Ping(CommandPeer):
    """iputils: the longest time between two replies, less the interval."""

    name = 'ping 100 ms'
    interval_s = 0.1

    def arguments(self) -> list[str]:
        """Print the time of each reply (-D)."""
        return ['ping', '-D', '-i', f'{self.interval_s:g}', self.address]

    def figure(self, output: str) -> float | None:
        """Return the longest time between replies, less the interval."""
        gap_s = longest_gap_s(output)
        return None if gap_s is None else max(0.0, gap_s - self.interval_s)


class FastPing(Ping):
    """The same, with the interval of our prober."""

    name = 'ping 10 ms'
    interval_s = 0.01


class Fping(CommandPeer):
    """fping's own outage figure.

    The time-out is fping's default for this period. No other suits held
    packets better, because later answers count as lost.
    """

    name = 'fping 10 ms'

    def arguments(self) -> list[str]:
        """Loop (-l), and print the outage (-o)."""
        return ['fping', '-o', '-D', '-l', '-p', '10', '-t', '10',
                self.address]

    def figure(self, output: str) -> float | None:
        """Return the outage that it prints at the end."""
        return fping_outage_s(output)


class TempestMeter(Peer):
    """Tempest's own meter, used as the fixture that it is."""

    name = 'Tempest meter'

    def start(self) -> None:
        """Set it up."""
        self._meter = net_downtime.NetDowntimeMeter(self.address)
        self._meter.setUp()

    def stop(self) -> float | None:
        """Ask it as Tempest's tests do, then clean it up."""
        process = self._meter.ping_process
        try:
            downtime_s = self._meter.get_downtime()
        finally:
            self._meter.cleanUp()
            # It does not wait for its ping.
            process.communicate(timeout=PEER_END_S)
        return None if downtime_s is None else float(downtime_s)


class OsicLoop(Peer):
    """The loop of the OSIC white paper, rewritten for one guest.

    Each ping without an answer counts as half a second, however long it
    took.
    """

    name = 'OSIC loop'
    pause_s = 0.5

    def start(self) -> None:
        """Start the loop in a thread."""
        self._ended = threading.Event()
        self._executor = futures.ThreadPoolExecutor(1)
        self._future = self._executor.submit(self._loop)

    def stop(self) -> float | None:
        """End the loop, with the ping that is under way."""
        self._ended.set()
        try:
            return self._future.result(PEER_END_S)
        finally:
            self._executor.shutdown()

    def _loop(self) -> float:
        downtime_s = 0.0
        while True:
            done = subprocess.run(
                ['ping', '-c1', '-l1', '-s1', '-W1', self.address],
                capture_output=True, text=True)
            if not NO_LOSS.search(done.stdout):
                downtime_s += self.pause_s
            if self._ended.wait(self.pause_s):
                return downtime_s


PEERS: tuple[type[Peer], ...] = (
    FastPing, Fping, Ping, TempestMeter, OsicLoop)


def longest_gap_s(output: str) -> float | None:
    """Return the longest time between two replies in ping's output.

    :param output: of ``ping -D``
    :returns: seconds; None if there are less than two replies
    """
    stamps = [float(stamp) for stamp in STAMP.findall(output)]
    return max((after - before for before, after in zip(stamps, stamps[1:])),
               default=None)


def fping_outage_s(output: str) -> float | None:
    """Return the last outage that ``fping -o`` prints, in seconds.

    :returns: None if there is none
    """
    found = OUTAGE.findall(output)
    return int(found[-1]) / 1000 if found else None
