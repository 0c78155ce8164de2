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


"""tempest live-migration-ha probe: how long addresses do not answer."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import math
import os
import signal
import time
import types
from typing import Any
from typing import TextIO

from cliff import lister

from lm_tempest_plugin.commands import arguments
from lm_tempest_plugin.probes import archive
from lm_tempest_plugin.probes import calibration
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import prober as icmp
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import summary
from lm_tempest_plugin.probes import wakefulness
from lm_tempest_plugin.probes import watch

# Below a millisecond, what is around a request takes longer than that; and
# nobody waits for more than a day.
INTERVALS_S = (0.001, 60.0)
DURATIONS_S = (0.1, 86400.0)
TCP_INTERVALS_S = (0.002, 0.05)
CALIBRATIONS_S = (0.0, 60.0)
CALIBRATION_PERIODS = 20
# About 35 bytes are needed for each request when it comes to the figures.
MOST_REQUESTS = 50_000_000

# How often the state is shown, on a terminal and elsewhere, in seconds.
SHOWN_S = 1.0
LOGGED_S = 10.0


def _port(text: str) -> int:
    """Convert a TCP port, for argparse."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(
            '%r is no TCP port (1 to 65535)' % text)
    return int(text)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of what is printed.

    :ivar key: name in all formats but the table
    :ivar heading: name in the table
    :ivar text: what the table shows of a target; None for the value itself
    """

    key: str
    heading: str
    text: Callable[[dict[str, Any]], str] | None = None


def _milliseconds(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda target: '%.2f' % (1000 * target[key])


COLUMNS = (
    Column('address', 'Address'),
    Column('sent', 'Sent'),
    Column('answered', 'Answered'),
    Column('late', 'Late'),
    Column('lost', 'Lost'),
    Column('longest_outage_s', 'Longest outage (s)',
           lambda target: '%.3f +/- %.3f%s' % (
               target['longest_outage_s'], target['error_bound_s'],
               ', not over' if target['longest_outage_open'] else '')),
    Column('longest_outage_start', 'Start (UTC)',
           lambda target: (target['longest_outage_start'] or '-')[:23]),
    Column('outages_sum_s', 'Sum (s)',
           lambda target: '%.3f' % target['outages_sum_s']),
    Column('outages_count', 'Outages'),
    Column('achieved_period_s', 'Period (ms)',
           _milliseconds('achieved_period_s')),
    Column('lateness_p99_s', 'Late sends, p99 (ms)',
           _milliseconds('lateness_p99_s')),
)
# What the table shows together with something else.
MACHINE_COLUMNS = (
    Column('error_bound_s', ''),
    Column('resolution_s', ''),
)
TCP_COLUMNS = (
    Column('longest_stall_s', 'Longest stall (s)',
           lambda tcp: '%.3f%s' % (
               tcp['longest_stall_s'],
               ', not over' if tcp['longest_stall_open'] and
               tcp['messages_outstanding'] else '')),
    Column('resets', 'Resets'),
    Column('reconnects', 'Reconnects'),
    Column('last_sent', 'Last sent'),
    Column('last_echoed', 'Last echoed'),
    Column('retransmissions', 'Sent again'),
)


class Probe(lister.Lister):
    """Measure how long addresses do not answer, and how exact that is.

    ICMP echo requests are sent to every address at a fixed interval. An
    outage is a time in which they are lost, or held and answered late. With
    --tcp, a TCP connection to an echo service is watched besides. Stop with
    Ctrl-C; the figures so far are printed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'addresses', metavar='ADDRESS', nargs='*',
            help='IPv4 or IPv6 address, or name of one')
        parser.add_argument(
            '--interval', metavar='SECONDS', default=0.01,
            type=arguments.seconds(*INTERVALS_S),
            help='time between two ICMP echo requests to one address; an '
                 'outage is known to about one interval, and found if it '
                 'lasts for two or more (default: 0.01)')
        parser.add_argument(
            '--duration', metavar='SECONDS',
            type=arguments.seconds(*DURATIONS_S),
            help='how long to observe (default: until Ctrl-C, at most a '
                 'day, or 50 million requests)')
        parser.add_argument(
            '--tcp', metavar='PORT', type=_port,
            help='also watch a TCP connection to an echo service there')
        parser.add_argument(
            '--tcp-interval', metavar='SECONDS', default=0.05,
            type=arguments.seconds(*TCP_INTERVALS_S),
            help='time between two messages on it (default: 0.05)')
        parser.add_argument(
            '--calibrate', metavar='SECONDS', default=1.0,
            type=arguments.seconds(*CALIBRATIONS_S),
            help='how long to probe the loopback before, to find what this '
                 'machine itself adds (default: 1; 0: not at all)')
        parser.add_argument(
            '--allow-idle', action='store_true',
            help='let this machine\'s CPUs sleep between two requests; they '
                 'wake up late then (without it, and with the permission to '
                 'write to /dev/cpu_dma_latency, they are kept awake '
                 'meanwhile)')
        parser.add_argument(
            '--save', metavar='FILE',
            help='keep every observation in FILE, compactly')
        parser.add_argument(
            '--load', metavar='FILE',
            help='print the figures of a file that --save has written, '
                 'instead of observing anything')
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Return 0 if every address could be observed as it was to be."""
        self._troubles: list[str] = []
        self._rejected: list[dict[str, str]] = []
        self._names: dict[str, str] = {}
        try:
            code = int(super().run(parsed_args) or 0)
        finally:
            for trouble in self._troubles:
                self._say(trouble)
        return code or int(bool(self._troubles))

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Observe, and return the figures as columns and rows.

        :raises ProbeError: nothing can be observed
        """
        if bool(parsed_args.addresses) == bool(parsed_args.load):
            raise errors.ProbeError(
                'give either addresses to probe or --load FILE')
        if parsed_args.save and parsed_args.load:
            raise errors.ProbeError(
                'what --load reads is in a file already: leave out --save')
        interrupted = False
        if parsed_args.load:
            recorded = archive.load(parsed_args.load)
        else:
            recorded, interrupted = self._observe(parsed_args)
        if parsed_args.save:
            self._save(recorded, parsed_args.save)
        self._document = {**summary.document(recorded),
                          'interrupted': interrupted,
                          'names': self._names,
                          'rejected': self._rejected}
        self._troubles += [target['error'] for target in
                           self._document['targets'] if target['error']]
        for remark in self._document['prober']['remarks']:
            self._say(remark)
        return self._rows(parsed_args.formatter == 'table')

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Sequence[str], data: Any) -> int:
        """Print it; JSON has everything, also what needs more than a row."""
        if parsed_args.formatter != 'json':
            return super().produce_output(parsed_args, column_names, data)
        json.dump(self._document, self.app.stdout, indent=2)
        self.app.stdout.write('\n')
        return 0

    def _rows(self, table: bool
              ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return columns and rows, for people or for programs."""
        targets = self._document['targets']
        columns = COLUMNS if table else COLUMNS + MACHINE_COLUMNS
        tcp_columns = TCP_COLUMNS if any(
            target['tcp'] for target in targets) else ()
        names = [column.heading if table else column.key
                 for column in columns + tcp_columns]
        return names, [
            [_cell(column, target, table) for column in columns] +
            [_cell(column, target['tcp'], table) for column in tcp_columns]
            for target in targets]

    def _observe(self, parsed_args: argparse.Namespace
                 ) -> tuple[recording.Recording, bool]:
        """Return what was seen, and whether somebody interrupted it."""
        if parsed_args.save:
            _check_writable(parsed_args.save)
        addresses = self._usable(list(dict.fromkeys(parsed_args.addresses)))
        duration_s = _affordable_s(
            len(addresses), parsed_args.interval, parsed_args.duration)
        if parsed_args.allow_idle:
            return self._watch(addresses, duration_s, parsed_args)
        with wakefulness.awake() as reason:
            self._say('This machine\'s CPUs are kept awake meanwhile.'
                      if not reason else
                      'This machine\'s CPUs may sleep (%s), and wake up late '
                      'then.' % reason)
            return self._watch(addresses, duration_s, parsed_args)

    def _watch(self, addresses: Sequence[str], duration_s: float,
               parsed_args: argparse.Namespace
               ) -> tuple[recording.Recording, bool]:
        """Return what was seen of addresses that can be probed."""
        calibrated = None
        if parsed_args.calibrate:
            calibrated = self._calibrate(
                len(addresses),
                max(INTERVALS_S[0], min(
                    parsed_args.interval,
                    parsed_args.calibrate / CALIBRATION_PERIODS)),
                parsed_args.calibrate)
        echo = None
        if parsed_args.tcp:
            echo = watch.Echo(parsed_args.tcp, parsed_args.tcp_interval)
        watched = watch.Watch(addresses, parsed_args.interval, echo)
        with watched:
            interrupted = self._wait(watched, len(addresses), duration_s)
        return watched.recording(calibrated), interrupted

    def _usable(self, addresses: Sequence[str]) -> list[str]:
        """Return the addresses that can be probed; remember the others.

        :raises ProbeError: there is none
        """
        usable = []
        for address in addresses:
            try:
                numeric = icmp.check(address)
            except errors.ProbeError as exc:
                self._troubles.append(str(exc))
                self._rejected.append(
                    {'address': address, 'error': str(exc)})
            else:
                usable.append(numeric)
                if numeric != address:
                    self._names[numeric] = address
                    self._say('%s is %s' % (address, numeric))
        if not usable:
            reasons, self._troubles = self._troubles, []
            raise errors.ProbeError('; '.join(reasons))
        return list(dict.fromkeys(usable))

    def _calibrate(self, targets: int, period_s: float, duration_s: float
                   ) -> calibration.Calibration | None:
        """Return what is found on the loopback; None if that is not there."""
        try:
            calibrated = calibration.calibrate(targets, period_s, duration_s)
        except errors.ProbeError as exc:
            self._say('No calibration: %s' % exc)
            return None
        self._say(
            'Calibration on the loopback: %d targets, noise floor %.4f s, '
            'sends late by %.4f s (p99)' % (
                targets, calibrated.noise_floor_s,
                calibrated.quality.lateness_p99_s))
        return calibrated

    def _wait(self, watched: watch.Watch, targets: int,
              duration_s: float) -> bool:
        """Wait and show what there is; return whether it was interrupted."""
        stderr = self.app.stderr
        terminal = stderr.isatty()
        step_s = SHOWN_S if terminal else LOGGED_S
        begin_s = time.monotonic()
        try:
            with _interruptible():
                while (passed_s := time.monotonic() - begin_s) < duration_s:
                    time.sleep(min(step_s, duration_s - passed_s))
                    self._progress(
                        '%.0f s: %d of %d answered lately' % (
                            time.monotonic() - begin_s, watched.answering(),
                            targets), stderr, terminal)
        except KeyboardInterrupt:
            self._say('Interrupted; these are the figures so far.')
            return True
        finally:
            if terminal:
                stderr.write('\r\x1b[K')
                stderr.flush()
        return False

    def _progress(self, text: str, stderr: TextIO, terminal: bool) -> None:
        """Show how far it is, unless that is not wanted (--quiet)."""
        if self.app.options.verbose_level < 1:
            return
        stderr.write('\r\x1b[K%s' % text if terminal else text + '\n')
        stderr.flush()

    def _say(self, text: str) -> None:
        """Tell something that is no figure."""
        start = '\r\x1b[K' if self.app.stderr.isatty() else ''
        self.app.stderr.write('%s%s\n' % (start, text))

    def _save(self, recorded: recording.Recording, path: str) -> None:
        """Keep everything; the figures are printed even if that fails."""
        try:
            archive.save(recorded, path)
        except errors.ProbeError as exc:
            self._troubles.append(str(exc))


def _cell(column: Column, figures: dict[str, Any] | None,
          table: bool) -> Any:
    if figures is None:
        return '-' if table else None
    if table and column.text:
        return column.text(figures)
    return figures[column.key]


def _affordable_s(targets: int, interval_s: float,
                  duration_s: float | None) -> float:
    """Return how long to observe.

    :param targets: number of addresses
    :param interval_s: time between two requests to one address
    :param duration_s: as it is asked for; None: as long as possible
    :raises ProbeError: as much would not fit into memory
    """
    most_s = min(DURATIONS_S[1], MOST_REQUESTS * interval_s / targets)
    if duration_s is not None and duration_s > most_s:
        raise errors.ProbeError(
            '%d addresses every %g s for %g s are more than %d requests, '
            'which take too much memory: ask for at most %d s, or for a '
            'longer interval' % (
                targets, interval_s, duration_s, MOST_REQUESTS,
                math.floor(most_s)))
    return duration_s or most_s


def _check_writable(path: str) -> None:
    """Raise before the observation, not after it.

    :raises ProbeError: no file can be written there
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise errors.ProbeError(
            'the observations cannot be written to %s: there is no folder '
            '%s' % (path, folder))
    if os.path.lexists(path) and not os.path.isfile(path):
        raise errors.ProbeError(
            'the observations cannot be written to %s: it is a folder, or '
            'something else that is no file' % path)
    if not os.access(folder, os.W_OK):
        raise errors.ProbeError(
            'the observations cannot be written to %s: nothing may be '
            'written to the folder %s' % (path, folder))


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM end the observation as Ctrl-C does."""
    def interrupt(number: int, frame: types.FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
