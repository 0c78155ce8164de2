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


"""What a recording says, as one document. All figures come from it alone."""

import datetime
from typing import Any

from lm_tempest_plugin.probes.analysis import figures
from lm_tempest_plugin.probes.analysis import stalls
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import schedule

SCHEMA = 1


def document(recorded: recording.Recording) -> dict[str, Any]:
    """Return every figure of a recording.

    :param recorded: what was seen
    :returns: what JSON can take; the names of times end in their unit
    """
    return {
        'schema': SCHEMA,
        'started': _iso(recorded, recorded.started.monotonic_ns),
        'started_monotonic_s':
            recorded.started.monotonic_ns / schedule.NS,
        'duration_s': recorded.duration_s,
        'interval_s': recorded.period_s,
        'prober': {**recorded.quality.as_dict(), 'cpu_s': recorded.cpu_s},
        'calibration': recorded.calibration.as_dict()
        if recorded.calibration else None,
        'targets': [_target(recorded, address) for address in recorded.icmp],
    }


def _target(recorded: recording.Recording, address: str) -> dict[str, Any]:
    found = figures.whole(
        recorded.icmp[address], recorded.started.monotonic_ns,
        recorded.ended_ns)
    longest = found.longest
    return {
        'address': address,
        'error': _error(recorded, address, found),
        **found.as_dict(),
        'duplicates': recorded.icmp[address].duplicates,
        'strangers': recorded.icmp[address].strangers,
        'longest_outage_start': _iso(recorded, longest.start_ns)
        if longest else None,
        'outages': [
            {'start': _iso(recorded, outage.start_ns), **outage.as_dict()}
            for outage in found.outages],
        'tcp': _tcp(recorded, address),
    }


def _error(recorded: recording.Recording, address: str,
           found: figures.OutageFigures) -> str | None:
    """Return why a guest could not be observed as it was to be."""
    reasons = []
    if found.send_errors:
        reasons.append('%d requests could not be sent to %s: %s' % (
            found.send_errors, address, found.send_error))
    if not found.sent and not found.send_errors:
        reasons.append('%s was never asked: the observation is shorter than '
                       'one interval' % address)
    if found.sent and not found.answered:
        reasons.append(
            '%s never answered an ICMP echo request: its outage lasts for '
            'the whole observation' % address)
    reasons += _tcp_errors(recorded, address)
    return '; '.join(reasons) or None


def _tcp_errors(recorded: recording.Recording, address: str) -> list[str]:
    """Return what is wrong with a guest's echo service."""
    stream = recorded.tcp.get(address)
    if stream is None:
        return []
    reasons = [stream.trouble] if stream.trouble else []
    if stream.corrupt and not stream.error:
        reasons.append(
            'TCP port %d of %s sent back %d lines that it was never sent, '
            'the first: %s' % (
                stream.port, address, stream.corrupt, stream.example))
    return reasons


def _tcp(recorded: recording.Recording,
         address: str) -> dict[str, Any] | None:
    if address not in recorded.tcp:
        return None
    found = stalls.figures(recorded.tcp[address],
                           recorded.started.monotonic_ns, recorded.ended_ns)
    return {
        'port': recorded.tcp[address].port,
        'longest_stall_start_monotonic_s': found.start_ns / schedule.NS,
        'longest_stall_start': _iso(recorded, found.start_ns),
        **{name.removeprefix('tcp_'): value
           for name, value in found.as_dict().items()},
    }


def _iso(recorded: recording.Recording, monotonic_ns: int) -> str:
    """Return the time of day as ISO 8601, in UTC."""
    return datetime.datetime.fromtimestamp(
        recorded.started.wall_s(monotonic_ns),
        datetime.UTC).isoformat(timespec='milliseconds')
