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

"""Our prober: how it is run, and what its JSON says.

Nothing else in this package knows its command line or its format.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from bench.precision import children
from bench.precision import episodes
from bench.precision import errors

COMMAND = (os.path.join(os.path.dirname(sys.executable), 'tempest'),
           'live-migration-ha', 'probe')
SCHEMA = 1
# What it has told when it is at work.
AT_WORK = b'alibration'
# How long it may take to start up and to calibrate itself, of which it tells
# when that is done; and how long after that the first outage may begin.
START_S = 40.0
SETTLE_S = 2.0
POLL_S = 0.05
END_S = 60.0
# How much of what it printed goes into an error message.
TAIL = 800


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a tool says about one outage.

    :ivar figure_s: how long it was; None if the tool gives no figure
    :ivar bound_s: the error bound that the tool gives itself, if it does
    :ivar kind: what kind of outage the tool takes it for, if it tells
    """

    figure_s: float | None
    bound_s: float | None = None
    kind: str | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """What one run of the prober says.

    :ivar json: the whole of it
    :ivar cpu_s: CPU time of the process, start and end included
    :ivar wall_s: how long the process lived
    """

    json: dict[str, Any]
    cpu_s: float
    wall_s: float

    @property
    def self_report(self) -> dict[str, Any]:
        """What the prober says about itself."""
        return dict(self.json['prober'])

    @property
    def too_busy(self) -> bool:
        """Whether it says that its machine was too busy."""
        return bool(self.json['prober']['too_busy'])

    @property
    def started_ns(self) -> int:
        """When it began to ask."""
        return round(self.json['started_monotonic_s'] * episodes.NS)

    def target(self, address: str) -> dict[str, Any]:
        """Return what it says about one address.

        :raises BenchError: it says nothing
        """
        for target in self.json['targets']:
            if target['address'] == address:
                return dict(target)
        raise errors.BenchError('the prober did not watch %s.' % address)

    @property
    def troubles(self) -> list[str]:
        """What it says has gone wrong with single addresses."""
        return [target['error'] for target in self.json['targets']
                if target['error']]

    def outages(self, address: str, begin_ns: int,
                end_ns: int) -> list[dict[str, Any]]:
        """Return the outages of one address that overlap a time span."""
        return [outage for outage in self.target(address)['outages']
                if outage['start_monotonic_s'] * episodes.NS < end_ns
                and outage['end_monotonic_s'] * episodes.NS > begin_ns]

    def reading(self, address: str, begin_ns: int, end_ns: int) -> Reading:
        """Return what it says about one true outage.

        :param address: of whom
        :param begin_ns: when it really began
        :param end_ns: when it really ended
        """
        found = self.outages(address, begin_ns, end_ns)
        if not found:
            return Reading(0.0, self.target(address)['resolution_s'])
        longest = max(found, key=lambda outage: outage['duration_s'])
        return Reading(longest['duration_s'], longest['error_bound_s'],
                       longest['kind'])


class Probe:
    """One run of our prober as a process."""

    def __init__(self, addresses: Sequence[str], interval_s: float,
                 tcp_port: int | None = None) -> None:
        """Start it.

        :param addresses: whom to ask
        :param interval_s: time between two requests to each, in seconds
        :param tcp_port: where TCP echo servers listen
        """
        self.interval_s = interval_s
        interval = '%g' % interval_s
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
        """Wait until it tells that it is at work.

        :raises BenchError: it has not told anything
        """
        deadline_s = self._started_s + START_S
        while AT_WORK not in os.pread(self._messages.fileno(), TAIL, 0):
            if time.monotonic() > deadline_s:
                raise errors.BenchError(
                    'the prober was not at work within %g s.' % START_S)
            time.sleep(POLL_S)

    def stop(self) -> Report:
        """End it, and return what it says.

        :raises BenchError: it has failed
        """
        with self._output, self._messages:
            cpu_s = children.interrupt(self._process, END_S)
            wall_s = time.monotonic() - self._started_s
            output, messages = map(
                read_all, (self._output, self._messages))
        # With a code and a report, something was wrong with some address.
        if self._process.returncode and not output:
            raise errors.BenchError('the prober ended with exit code %d: %s'
                                    % (self._process.returncode,
                                       messages[-TAIL:].strip()))
        return parse(output, cpu_s, wall_s)


def read_all(stream: Any) -> str:
    """Return what was written to a temporary file."""
    stream.seek(0)
    return str(stream.read().decode())


def parse(output: str, cpu_s: float = 0.0, wall_s: float = 0.0) -> Report:
    """Return the report that the prober has printed.

    :param output: its standard output
    :param cpu_s: what it has used, in seconds
    :param wall_s: how long it lived, in seconds
    :raises BenchError: it is no report of the kind we know
    """
    try:
        found = json.loads(output)
    except ValueError as exc:
        raise errors.BenchError('the prober prints no JSON (%s): %r' % (
            exc, output[:TAIL])) from exc
    if found.get('schema') != SCHEMA:
        raise errors.BenchError('the prober prints schema %r, not %d.' % (
            found.get('schema'), SCHEMA))
    return Report(found, cpu_s, wall_s)


def start_ns(probes: Iterable[Probe]) -> int:
    """Wait until all are at work; return when outages may begin."""
    for probe in probes:
        probe.wait()
    return time.monotonic_ns() + round(SETTLE_S * episodes.NS)


def check_started(reports: Iterable[Report], first_ns: int) -> None:
    """See to it that all were at work before the first outage.

    :raises BenchError: one was not
    """
    for report in reports:
        if report.started_ns > first_ns:
            raise errors.BenchError(
                'a prober began %.1f s after the first outage.' % (
                    (report.started_ns - first_ns) / episodes.NS))
