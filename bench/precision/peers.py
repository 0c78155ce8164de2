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

"""The other tools that tell how long a guest did not answer.

Each is started some time before an outage, stopped some time after it, and
then gives its figure in seconds.
"""

import abc
from concurrent import futures
import re
import subprocess
import tempfile
import threading

from tempest.common.utils import net_downtime

from bench.precision import children

STAMP = re.compile(r'^\[(\d+\.\d+)\] \d+ bytes from', re.MULTILINE)
OUTAGE = re.compile(r'outage\(ms\) = (\d+)')
NO_LOSS = re.compile(r'\b0% packet loss')
END_S = 5.0


class Peer(abc.ABC):
    """A tool that watches one address.

    :cvar name: what it is called in the tables
    """

    name: str

    def __init__(self, address: str) -> None:
        """Make ready to watch an address."""
        self.address = address

    @abc.abstractmethod
    def start(self) -> None:
        """Begin to watch."""

    @abc.abstractmethod
    def stop(self) -> float | None:
        """End; return the downtime in seconds, None if it gives none."""


class Command(Peer):
    """A tool that is a command, and that Ctrl-C ends."""

    @abc.abstractmethod
    def arguments(self) -> list[str]:
        """Return the command."""

    @abc.abstractmethod
    def figure(self, output: str) -> float | None:
        """Return the downtime, in seconds, from what it has printed."""

    def start(self) -> None:
        """Start it; what it prints goes to a file, which never blocks."""
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self.arguments(), stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=subprocess.STDOUT, process_group=0)

    def stop(self) -> float | None:
        """End it, and read what it has printed."""
        with self._output:
            children.interrupt(self._process, END_S)
            self._output.seek(0)
            return self.figure(self._output.read().decode())


class Ping(Command):
    """iputils: the longest time between two replies, less the interval."""

    name = 'ping 100 ms'
    interval_s = 0.1

    def arguments(self) -> list[str]:
        """Print the time of each reply (-D)."""
        return ['ping', '-D', '-i', '%g' % self.interval_s, self.address]

    def figure(self, output: str) -> float | None:
        """Return the longest time between replies, less the interval."""
        gap_s = longest_gap_s(output)
        return None if gap_s is None else max(0.0, gap_s - self.interval_s)


class FastPing(Ping):
    """The same as often as our prober asks."""

    name = 'ping 10 ms'
    interval_s = 0.01


class Fping(Command):
    """fping's own outage figure.

    The time-out is what fping takes by default for this period: of all it
    suits held packets best, since those that come later count as lost.
    """

    name = 'fping 10 ms'

    def arguments(self) -> list[str]:
        """Loop (-l), and tell the outage (-o)."""
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
        """Ask it, as Tempest's tests do, then clean it up."""
        process = self._meter.ping_process
        try:
            downtime_s = self._meter.get_downtime()
        finally:
            self._meter.cleanUp()
            # It does not wait for its ping.
            process.communicate(timeout=END_S)
        return None if downtime_s is None else float(downtime_s)


class OsicLoop(Peer):
    """The loop of the OSIC white paper, written anew, for one guest.

    Half a second is counted for each ping that was not answered, however
    long it took.
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
            return self._future.result(END_S)
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


ALL: tuple[type[Peer], ...] = (FastPing, Fping, Ping, TempestMeter, OsicLoop)


def longest_gap_s(output: str) -> float | None:
    """Return the longest time between two replies in ping's output.

    :param output: of ``ping -D``
    :returns: seconds; None if there are less than two replies
    """
    stamps = [float(stamp) for stamp in STAMP.findall(output)]
    return max((after - before for before, after in zip(stamps, stamps[1:])),
               default=None)


def fping_outage_s(output: str) -> float | None:
    """Return the outage that ``fping -o`` tells, in seconds.

    The figure comes last; None if there is none.
    """
    found = OUTAGE.findall(output)
    return int(found[-1]) / 1000 if found else None
