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

"""Lines of records as the tests of a cloud write them, for unit tests."""

from collections.abc import Iterable
import datetime
import pathlib
import tempfile
from typing import Any

from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection

BEGAN = datetime.datetime(2026, 11, 25, 8, 0, tzinfo=datetime.UTC)
# CLOCK_MONOTONIC of the machine that ran the tests, at that time.
BEGAN_MONOTONIC_S = 5000.0


def iso(at_s: float) -> str:
    """Return a time of day.

    :param at_s: seconds after BEGAN
    """
    return (BEGAN + datetime.timedelta(seconds=at_s)).isoformat(
        timespec='milliseconds')


def cell(storage: str = 'block', **settings: Any) -> dict[str, Any]:
    """Return a cell, which does not tunnel unless it is told to."""
    return {'storage': storage, 'settings': settings or {'tunnelled': False}}


def run_line(**changes: Any) -> dict[str, Any]:
    """Return the first line of a run."""
    return {
        'started_at': iso(0), 'plugin_version': '1.0.0',
        'cloud': {
            'region': 'RegionOne', 'compute_api': '2.104', 'hypervisors': [
                {'host': name, 'type': 'QEMU', 'version': '10.0.2',
                 'libvirt': '9.0.0'} for name in ('compute1', 'compute2')]},
        **changes}


def outage(length_s: float = 0.25, at_s: float | None = 5003.0,
           error_s: float = 0.015) -> dict[str, Any]:
    """Return what ICMP says, as probes.analysis.figures has it.

    :param at_s: CLOCK_MONOTONIC of its begin
    """
    return {
        'sent': 900, 'answered': 875, 'late': 0, 'lost': 25,
        'scattered_losses': 0, 'send_errors': 0,
        'longest_outage_s': length_s,
        'longest_outage_start_monotonic_s': at_s if length_s else None,
        'error_bound_s': error_s, 'longest_outage_open': False,
        'outages_sum_s': length_s, 'outages_count': int(length_s > 0),
        'outages': [], 'delay_p50_s': 0.001, 'delay_p99_s': 0.004,
        'period_s': 0.01, 'achieved_period_s': 0.01, 'max_gap_s': 0.012,
        'resolution_s': 0.02, 'lateness_p50_s': 0.0001,
        'lateness_p99_s': 0.001, 'lateness_max_s': 0.002}


def stall(length_s: float = 0.4, error_s: float = 0.06) -> dict[str, Any]:
    """Return what TCP says, as probes.analysis.stalls has it."""
    return {
        'longest_stall_s': length_s, 'longest_stall_open': False,
        'stall_error_bound_s': error_s, 'tcp_messages_lost': 0,
        'tcp_messages_repeated': 0, 'tcp_messages_corrupt': 0}


def attempt_line(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return an attempt: ten seconds apart, each after two s of queueing.

    :param number: counts attempts from 0
    :param changes: of the line, by the names of its parts
    """
    at_s = 10.0 * number
    monotonic_s = BEGAN_MONOTONIC_S + at_s
    return {
        'attempt': 'attempt-%d' % number, 'drain': 'drain-1',
        'test': 'lm_tempest_plugin.tests.live_migration_ha.test_drain',
        'cell': cell(), 'strategy': 'window of 2', 'trip': 1,
        'measured': True,
        'flavor': {'name': 'lm.small', 'vcpus': 1, 'ram_gib': 0.1875,
                   'disk_gib': 1.0},
        'server_id': 'server-%d' % number,
        'server_name': 'guest-%d' % number,
        'source': 'compute1', 'destination': 'compute2',
        'block_migration': 'auto', 'microversion': '2.104',
        'request_id': 'req-%d' % number, 'refusal': None,
        'requested_at': iso(at_s), 'requested_monotonic_s': monotonic_s,
        'migration_records': [], 'server_status': 'ACTIVE',
        'server_task_state': None, 'server_host': 'compute2',
        'transitions': [], 'progress': [], 'events': [], 'guest': {},
        'verdict': 'completed', 'expected_verdicts': ['completed'],
        'cause': '', 'signature': 0, 'duration_s': 9.0,
        'phases': [
            {'name': name, 'seconds': seconds, 'resolution_s': 0.5,
             'origin': 'polls'} for name, seconds in (
                ('checks', 1.0), ('queued', 2.0), ('setup', 2.0),
                ('copy', 3.0), ('post', 0.5), ('cleanup', 0.5))],
        'service': {'name': 'service', 'seconds': 6.0, 'resolution_s': 0.5,
                    'origin': 'polls'},
        'queue_s': 2.0, 'address': '203.0.113.5',
        'icmp': outage(at_s=monotonic_s + 6),
        'icmp_control': outage(0.0, None), 'tcp': stall(), 'prober': {},
        'job': {'downtime_ms': 180, 'memory_bytes_processed': 200_000_000},
        'max_outage_s': 1.0, 'max_stall_s': 3.0, 'violations': [],
        **changes}


def failed_line(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return an attempt that was rolled back."""
    return attempt_line(number, **{
        'verdict': 'rolled back', 'cause': 'it failed while copying',
        'service': None, 'job': None, 'phases': [],
        'violations': ['the verdict is rolled back: it failed while '
                       'copying; expected: completed'], **changes})


def drain_line(identifier: str = 'drain-1', **changes: Any) -> dict[str, Any]:
    """Return a drain of two servers."""
    return {
        'drain': identifier, 'name': 'drain to compute2, window of 2',
        'cell': cell(), 'strategy': 'window of 2', 'trip': 1,
        'measured': True, 'source': 'compute1', 'destination': 'compute2',
        'servers': 2, 'began_at': iso(0),
        'began_monotonic_s': BEGAN_MONOTONIC_S, 'wall_s': 19.0,
        'observed_concurrency': [
            {'host': 'compute1', 'running': 1, 'queued': 1, 'mean': 1.0,
             'busy_s': 12.0, 'idle_s': 0.5, 'full': 1}],
        'polls': 38, 'poll_errors': 0, 'left_over': [],
        'contradictions': [],
        'hosts': {
            'sockets': {'transport': 'direct', 'qemu_ports': [49152],
                        'libvirt_ports': [], 'samples': 40},
            'samples': [samples('compute1'), samples('compute2')]},
        **changes}


def samples(host: str, count: int = 20) -> dict[str, Any]:
    """Return samples of a host, one a second."""
    return {
        'host': host, 'period_s': 1.0, 'failures': [], 'first_error': '',
        'samples': [
            {'before_ns': int((BEGAN_MONOTONIC_S + second) * 1e9),
             'after_ns': int((BEGAN_MONOTONIC_S + second + 0.01) * 1e9),
             'seconds': 1.0 if second else None,
             'cpu_busy_fraction': 0.4 + 0.02 * second if second else None,
             'cpu_stolen_fraction': 0.0 if second else None,
             'memory_total_bytes': 24 * 2 ** 30,
             'memory_available_bytes': 16 * 2 ** 30,
             'received_bytes_per_s': 1e6 if second else None,
             'sent_bytes_per_s': 5e7 if second else None,
             'read_bytes_per_s': 0.0 if second else None,
             'written_bytes_per_s': 1e6 if second else None,
             'interfaces': {}} for second in range(count)]}


def write(directory: str | pathlib.Path, run: str,
          lines: Iterable[tuple[str, dict[str, Any]]]) -> pathlib.Path:
    """Write a file of records, and return its path.

    :param directory: where
    :param run: the run's name
    :param lines: kind and body of each, after the first
    """
    writer = chain.Writer(directory, run)
    writer.append('run', run_line())
    for kind, body in lines:
        writer.append(kind, body)
    writer.close()
    return writer.path


def read(lines: Iterable[tuple[str, dict[str, Any]]]
         ) -> collection.Collection:
    """Return what a file of records says.

    :param lines: kind and body of each, after the first
    """
    with tempfile.TemporaryDirectory() as directory:
        return collection.read([write(directory, 'run-1', lines)])


def drain_lines(number: int, services_s: Iterable[float],
                attempt: dict[str, Any] | None = None,
                **changes: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the lines of a drain, all requested at once, one at a time.

    :param number: of the drain, from 1
    :param services_s: how long the host worked on each server
    :param attempt: changes of each attempt, by the names of its parts
    :param changes: of the drain and its attempts, by the same names
    """
    lines, waited_s = [], 0.0
    identifier = 'drain-%d' % number
    for place, seconds in enumerate(services_s):
        lines.append(('attempt', attempt_line(place, **{
            'attempt': '%s/%d' % (identifier, place), 'drain': identifier,
            'queue_s': waited_s, 'duration_s': waited_s + seconds,
            'service': {'name': 'service', 'seconds': seconds,
                        'resolution_s': 0.5, 'origin': 'polls'},
            **changes, **(attempt or {})})))
        waited_s += seconds
    lines.append(('drain', drain_line(identifier, **{
        'servers': len(lines), 'wall_s': waited_s, **changes})))
    return lines


def observed(running: int, queued: int = 0) -> dict[str, Any]:
    """Return what was observed of the source, as a part of a drain.

    :param running: how many ran at once, at most
    :param queued: how many waited, at most
    """
    return {'observed_concurrency': [
        {'host': 'compute1', 'running': running, 'queued': queued,
         'mean': float(running), 'busy_s': 12.0, 'idle_s': 0.0,
         'full': running}]}
