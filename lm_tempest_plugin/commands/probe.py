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
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import math
import os
import time
from typing import Any

from cliff import lister

from lm_tempest_plugin.commands import common
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin import utils

# Below a millisecond, the work around a request takes longer than that.
INTERVALS_S = (0.001, 60.0)
DURATIONS_S = (0.1, 86400.0)
TCP_INTERVALS_S = (0.002, 0.05)
CALIBRATIONS_S = (0.0, 60.0)
CALIBRATION_PERIODS = 20
# To compute the figures takes about 35 bytes for each request.
MOST_REQUESTS = 50_000_000

# How often the progress is shown, on a terminal and elsewhere, in seconds.
SHOWN_S = 1.0
LOGGED_S = 10.0

# Clears the line of the progress on a terminal.
CLEAR = '\r\x1b[K'


def _port(text: str) -> int:
    """Convert a TCP port, for argparse."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no TCP port (1 to 65535)')
    return int(text)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the output.

    :ivar key: name in all formats but the table
    :ivar heading: name in the table
    :ivar text: returns the table's cell for a target; None for the value
        itself
    """

    key: str
    heading: str
    text: Callable[[dict[str, Any]], str] | None = None


def _milliseconds(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda target: f'{1000 * target[key]:.2f}'


def _outage(target: dict[str, Any]) -> str:
    text = (f'{target["longest_outage_s"]:.3f} +/- '
            f'{target["error_bound_s"]:.3f}')
    return text + (', not over' if target['longest_outage_open'] else '')


def _stall(tcp: dict[str, Any]) -> str:
    is_open = tcp['longest_stall_open'] and tcp['messages_outstanding']
    return (f'{tcp["longest_stall_s"]:.3f}' +
            (', not over' if is_open else ''))


COLUMNS = (
    Column('address', 'Address'),
    Column('sent', 'Sent'),
    Column('answered', 'Answered'),
    Column('late', 'Late'),
    Column('lost', 'Lost'),
    Column('longest_outage_s', 'Longest outage (s)', _outage),
    Column('longest_outage_start', 'Start (UTC)',
           lambda target: (target['longest_outage_start'] or '-')[:23]),
    Column('outages_sum_s', 'Sum (s)',
           lambda target: f'{target["outages_sum_s"]:.3f}'),
    Column('outages_count', 'Outages'),
    Column('achieved_period_s', 'Period (ms)',
           _milliseconds('achieved_period_s')),
    Column('lateness_p99_s', 'Late sends, p99 (ms)',
           _milliseconds('lateness_p99_s')),
)
# In the table, these are parts of other columns.
MACHINE_COLUMNS = (
    Column('error_bound_s', ''),
    Column('resolution_s', ''),
)
TCP_COLUMNS = (
    Column('longest_stall_s', 'Longest stall (s)', _stall),
    Column('resets', 'Resets'),
    Column('reconnects', 'Reconnects'),
    Column('last_sent', 'Last sent'),
    Column('last_echoed', 'Last echoed'),
    Column('retransmissions', 'Sent again'),
)


class Probe(lister.Lister):
    """Measure how long addresses do not answer, with an error bound.

    ICMP echo requests are sent to every address at a fixed interval. An
    outage is a time in which they are lost, or held and answered late. With
    --tcp, a TCP connection to an echo service is measured as well. Stop with
    Ctrl-C; the figures so far are printed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'addresses', metavar='ADDRESS', nargs='*',
            help='IPv4 or IPv6 address, or name of one')
        parser.add_argument(
            '--interval', metavar='SECONDS', default=0.01,
            type=common.seconds(*INTERVALS_S),
            help='time between two ICMP echo requests to one address; '
                 'outages of two intervals or more are found, and measured '
                 'to about one interval (default: 0.01)')
        parser.add_argument(
            '--duration', metavar='SECONDS',
            type=common.seconds(*DURATIONS_S),
            help='how long to measure (default: until Ctrl-C, at most a '
                 'day, or 50 million requests)')
        parser.add_argument(
            '--tcp', metavar='PORT', type=_port,
            help='also measure a TCP connection to an echo service at this '
                 'port')
        parser.add_argument(
            '--tcp-interval', metavar='SECONDS', default=0.05,
            type=common.seconds(*TCP_INTERVALS_S),
            help='time between two messages on the TCP connection (default: '
                 '0.05)')
        parser.add_argument(
            '--calibrate', metavar='SECONDS', default=1.0,
            type=common.seconds(*CALIBRATIONS_S),
            help='seconds to probe the loopback first; this shows the delays '
                 'of this machine (default: 1; 0: not at all)')
        parser.add_argument(
            '--allow-idle', action='store_true',
            help='let this machine\'s CPUs sleep between two requests, so '
                 'that they wake up late (default: keep them awake, if this '
                 'process may write to /dev/cpu_dma_latency)')
        parser.add_argument(
            '--save', metavar='FILE',
            help='save all answers to FILE, in a compact format')
        parser.add_argument(
            '--load', metavar='FILE',
            help='print the figures of a file that --save has written, '
                 'without any measurement')
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Return 0 if every address could be measured as requested."""
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
        """Measure, and return the figures as columns and rows.

        :raises ProbeError: nothing can be measured
        """
        if bool(parsed_args.addresses) == bool(parsed_args.load):
            raise errors.ProbeError(
                'give either addresses to probe or --load FILE')
        if parsed_args.save and parsed_args.load:
            raise errors.ProbeError(
                '--load and --save exclude each other: leave out --save')
        interrupted = False
        if parsed_args.load:
            recorded = recording.load(parsed_args.load)
        else:
            recorded, interrupted = self._measure(parsed_args)
        if parsed_args.save:
            # The figures are printed even if that fails.
            try:
                recording.save(recorded, parsed_args.save)
            except errors.ProbeError as exc:
                self._troubles.append(str(exc))
        self._document = {**recording.document(recorded),
                          'interrupted': interrupted,
                          'names': self._names,
                          'rejected': self._rejected}
        self._troubles += [target['error'] for target in
                           self._document['targets'] if target['error']]
        for remark in self._document['prober']['remarks']:
            self._say(remark)
        table = parsed_args.formatter == 'table'
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

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Sequence[str], data: Any) -> int:
        """Print the rows, or as JSON the whole document."""
        if parsed_args.formatter != 'json':
            return super().produce_output(parsed_args, column_names, data)
        json.dump(self._document, self.app.stdout, indent=2)
        self.app.stdout.write('\n')
        return 0

    def _measure(self, parsed_args: argparse.Namespace
                 ) -> tuple[recording.ProbeRecording, bool]:
        """Return the recording, and whether it was interrupted."""
        if parsed_args.save:
            _check_writable(parsed_args.save)
        addresses = self._usable(list(dict.fromkeys(parsed_args.addresses)))
        interval_s = parsed_args.interval
        duration_s = _affordable_s(
            len(addresses), interval_s, parsed_args.duration)
        echo = None
        if parsed_args.tcp:
            echo = watch.Echo(parsed_args.tcp, parsed_args.tcp_interval)
        with contextlib.ExitStack() as stack:
            if not parsed_args.allow_idle:
                reason = stack.enter_context(quality.awake())
                self._say(f'This machine\'s CPUs may sleep ({reason}), and '
                          'wake up late then.' if reason else
                          'This machine\'s CPUs are kept awake meanwhile.')
            calibrated = None
            if parsed_args.calibrate:
                calibrated = self._calibrate(
                    len(addresses), interval_s, parsed_args.calibrate)
            watched = stack.enter_context(
                watch.Watch(addresses, interval_s, echo))
            interrupted = self._wait(watched, len(addresses), duration_s)
        return watched.recording(calibrated), interrupted

    def _usable(self, addresses: Sequence[str]) -> list[str]:
        """Return the addresses that can be probed; remember the others.

        :raises ProbeError: none can be
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
                    self._say(f'{address} is {numeric}')
        if not usable:
            reasons, self._troubles = self._troubles, []
            raise errors.ProbeError('; '.join(reasons))
        return list(dict.fromkeys(usable))

    def _calibrate(self, targets: int, interval_s: float, duration_s: float
                   ) -> quality.Calibration | None:
        """Return the figures of the loopback; None if it does not answer."""
        period_s = max(INTERVALS_S[0], min(
            interval_s, duration_s / CALIBRATION_PERIODS))
        try:
            calibrated = quality.calibrate(targets, period_s, duration_s)
        except errors.ProbeError as exc:
            self._say(f'No calibration: {exc}')
            return None
        self._say(
            f'Calibration on the loopback: {targets} targets, noise floor '
            f'{calibrated.noise_floor_s:.4f} s, sends late by '
            f'{calibrated.quality.lateness_p99_s:.4f} s (p99)')
        return calibrated

    def _wait(self, watched: watch.Watch, targets: int,
              duration_s: float) -> bool:
        """Wait and show the progress; return whether it was interrupted."""
        stderr = self.app.stderr
        terminal = stderr.isatty()
        step_s = SHOWN_S if terminal else LOGGED_S
        begin_s = time.monotonic()
        signals = utils.SignalHandler(KeyboardInterrupt)
        try:
            with signals, signals.interruptible():
                while (passed_s := time.monotonic() - begin_s) < duration_s:
                    time.sleep(min(step_s, duration_s - passed_s))
                    text = (f'{time.monotonic() - begin_s:.0f} s: '
                            f'{watched.answering()} of {targets} answered '
                            f'lately')
                    # 0 with --quiet.
                    if self.app.options.verbose_level:
                        stderr.write(
                            CLEAR + text if terminal else text + '\n')
                        stderr.flush()
        except KeyboardInterrupt:
            self._say('Interrupted; these are the figures so far.')
            return True
        finally:
            if terminal:
                stderr.write(CLEAR)
                stderr.flush()
        return False

    def _say(self, text: str) -> None:
        """Print a message that is no figure."""
        start = CLEAR if self.app.stderr.isatty() else ''
        self.app.stderr.write(f'{start}{text}\n')


def _cell(column: Column, figures: dict[str, Any] | None,
          table: bool) -> Any:
    if figures is None:
        return '-' if table else None
    if table and column.text:
        return column.text(figures)
    return figures[column.key]


def _affordable_s(targets: int, interval_s: float,
                  duration_s: float | None) -> float:
    """Return how long to measure.

    :param targets: number of addresses
    :param interval_s: time between two requests to one address
    :param duration_s: requested duration; None: as long as possible
    :raises ProbeError: the answers would not fit into memory
    """
    most_s = min(DURATIONS_S[1], MOST_REQUESTS * interval_s / targets)
    if duration_s is not None and duration_s > most_s:
        raise errors.ProbeError(
            f'{targets} addresses every {interval_s:g} s for {duration_s:g} '
            f's are more than {MOST_REQUESTS} requests, which take too much '
            f'memory: ask for at most {math.floor(most_s)} s, or for a '
            f'longer interval')
    return duration_s or most_s


def _check_writable(path: str) -> None:
    """Fail before the measurement instead of after it.

    :raises ProbeError: no file can be written there
    """
    directory = os.path.dirname(os.path.abspath(path))
    reason = ''
    if not os.path.isdir(directory):
        reason = f'there is no directory {directory}'
    elif os.path.lexists(path) and not os.path.isfile(path):
        reason = 'it is a directory, or something else that is no file'
    elif not os.access(directory, os.W_OK):
        reason = f'nothing may be written to the directory {directory}'
    if reason:
        raise errors.ProbeError(
            f'the recording cannot be written to {path}: {reason}')
