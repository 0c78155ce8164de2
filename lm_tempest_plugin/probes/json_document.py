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

"""The JSON document of the probe command: all figures of a recording."""

import datetime
from typing import Any

import msgspec

from lm_tempest_plugin.probes import figures
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.results import schema

#: Version of the document. Other programs read it.
SCHEMA = 1


def document(recorded: recording.ProbeRecording) -> dict[str, Any]:
    """Return every figure of a recording.

    :param recorded: the recording
    :returns: plain values for JSON; the names of times end in their unit
    """
    return {
        'schema': SCHEMA,
        'started': _iso(recorded, recorded.started.monotonic_ns),
        'started_monotonic_s':
            recorded.started.monotonic_ns / schedule.NS,
        'duration_s': recorded.duration_s,
        'interval_s': recorded.period_s,
        'prober': {**msgspec.structs.asdict(recorded.quality),
                   'remarks': quality.remarks(recorded.quality),
                   'cpu_s': recorded.cpu_s},
        'calibration': _calibration(recorded.calibration)
        if recorded.calibration else None,
        'targets': [_target(recorded, address) for address in recorded.icmp],
    }


def _calibration(found: quality.Calibration) -> dict[str, Any]:
    return {
        'targets': found.targets,
        'duration_s': found.duration_s,
        'noise_floor_s': found.noise_floor_s,
        'delay_p50_s': found.delay_p50_s,
        'delay_p99_s': found.delay_p99_s,
        'achieved_period_s': found.quality.achieved_period_s,
        'lateness_p50_s': found.quality.lateness_p50_s,
        'lateness_p99_s': found.quality.lateness_p99_s,
        'lateness_max_s': found.quality.lateness_max_s,
        'too_busy': found.quality.too_busy,
    }


def _target(recorded: recording.ProbeRecording,
            address: str) -> dict[str, Any]:
    seen = recorded.icmp[address]
    stream = recorded.tcp.get(address)
    found = figures.whole(
        seen, recorded.started.monotonic_ns, recorded.ended_ns)
    longest = found.longest
    return {
        'address': address,
        'error': '; '.join(_errors(address, found, stream)) or None,
        'sent': found.sent,
        'answered': found.answered,
        'late': found.late,
        'lost': found.lost,
        'scattered_losses': found.scattered,
        'send_errors': found.send_errors,
        'longest_outage_s': found.longest_s,
        'longest_outage_start_monotonic_s':
            longest.start_ns / schedule.NS if longest else None,
        'error_bound_s': found.error_bound_s,
        'longest_outage_open': bool(longest and longest.open),
        'outages_sum_s': found.sum_s,
        'outages_count': len(found.outages),
        'outages': [_outage(recorded, outage) for outage in found.outages],
        'delay_p50_s': found.delay_p50_s,
        'delay_p99_s': found.delay_p99_s,
        **msgspec.structs.asdict(found.sending),
        'duplicates': seen.duplicates,
        'strangers': seen.strangers,
        'longest_outage_start': _iso(recorded, longest.start_ns)
        if longest else None,
        'tcp': _tcp(recorded, stream) if stream else None,
    }


def _outage(recorded: recording.ProbeRecording,
            outage: schema.Outage) -> dict[str, Any]:
    return {
        'start': _iso(recorded, outage.start_ns),
        'start_monotonic_s': outage.start_ns / schedule.NS,
        'end_monotonic_s': outage.end_ns / schedule.NS,
        'duration_s': outage.duration_s,
        'error_bound_s': outage.error_bound_s,
        'lost': outage.lost,
        'late': outage.late,
        'kind': outage.kind,
        'open': outage.open,
    }


def _errors(address: str, found: schema.OutageFigures,
            stream: tcp.StreamSeen | None) -> list[str]:
    """Return why a guest could not be probed as requested."""
    reasons = []
    if found.send_errors:
        reasons.append(
            f'{found.send_errors} requests could not be sent to {address}: '
            f'{found.send_error}')
    if not found.sent and not found.send_errors:
        reasons.append(f'{address} was never probed: the duration is shorter '
                       f'than one interval')
    if found.sent and not found.answered:
        reasons.append(
            f'{address} never answered an ICMP echo request: its outage '
            f'lasts for the whole duration')
    if stream and stream.trouble:
        reasons.append(stream.trouble)
    if stream and stream.corrupt and not stream.error:
        reasons.append(
            f'TCP port {stream.port} of {address} sent back '
            f'{stream.corrupt} lines that it was never sent, the first: '
            f'{stream.example}')
    return reasons


def _tcp(recorded: recording.ProbeRecording,
         stream: tcp.StreamSeen) -> dict[str, Any]:
    window_ns = recorded.started.monotonic_ns, recorded.ended_ns
    found = figures.stalls(stream, *window_ns)
    return {
        'port': stream.port,
        'longest_stall_start_monotonic_s': found.start_ns / schedule.NS,
        'longest_stall_start': _iso(recorded, found.start_ns),
        'longest_stall_s': found.longest_s,
        'longest_stall_open': found.open,
        'stall_error_bound_s': found.error_bound_s,
        'never_echoed': found.never_echoed,
        'messages_sent': found.sent,
        'messages_outstanding': found.outstanding,
        'messages_lost': found.lost,
        'messages_repeated': found.repeated,
        'messages_corrupt': found.corrupt,
        'messages_corrupt_example': found.example,
        'messages_skipped': found.skipped,
        'last_sent': found.last_sent,
        'last_echoed': found.last_echoed,
        'connection_broken': found.broken,
        'breaks': len(stream.breaks_between(*window_ns)),
        'breaks_total': found.breaks_total,
        'resets': found.resets,
        'closes': found.closes,
        'reconnects': found.reconnects,
        'connect_failures': found.connect_failures,
        'connect_error': found.connect_error,
        'retransmissions': found.retransmissions,
        'error': found.error,
        'trouble': found.trouble,
        'period_s': found.period_s,
        'achieved_period_s': found.achieved_period_s,
    }


def _iso(recorded: recording.ProbeRecording, monotonic_ns: int) -> str:
    """Return the time of day as ISO 8601, in UTC."""
    return datetime.datetime.fromtimestamp(
        recorded.started.wall_s(monotonic_ns),
        datetime.UTC).isoformat(timespec='milliseconds')
