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

"""All answers of some guests: their file, and the JSON document of figures.

A file is a zip archive of arrays as numpy.savez_compressed() writes it (the
format of numpy.lib.format). ``header`` is JSON in UTF-8 with everything that
is no array. Times are 64-bit integers in nanoseconds of CLOCK_MONOTONIC, each
as the difference to another time nearby, because small numbers compress
well:

* ``icmp/N/due``: the first, then the distance of each from the one before
* ``icmp/N/sent``: after it was due
* ``icmp/N/sent_error``: unchanged
* ``icmp/N/answered``: after it was sent; -1 if it was not answered
* ``tcp/N/...``: the same, and ``tcp/N/read_error``

where N counts the addresses in the order of the header.
"""

from collections.abc import Mapping
import dataclasses
import datetime
import io
import json
import os
import time
import tokenize
from typing import Any
import zipfile
import zlib

import msgspec
import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import figures
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

FORMAT = 'lm-tempest-plugin probe recording'
VERSION = 1
HEADER = 'header'
# Fields of a recording that the header holds unchanged.
PLAIN = ('ended_ns', 'period_s', 'wall_clock_steps', 'kernel_stamps_refused',
         'answers_dropped', 'cpu_s')

# Raised by numpy, zipfile and this module for a damaged file.
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, EOFError,
           RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)

#: Version of the document. Other programs read it.
SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Clocks:
    """One time by both clocks.

    :ivar monotonic_ns: CLOCK_MONOTONIC
    :ivar wall_ns: CLOCK_REALTIME
    """

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def now(cls) -> 'Clocks':
        """Return the present."""
        return cls(time.monotonic_ns(), time.time_ns())

    def wall_s(self, monotonic_ns: int) -> float:
        """Return the time of day, as if nobody had set the wall clock since.

        :param monotonic_ns: the time, CLOCK_MONOTONIC
        """
        return (self.wall_ns + monotonic_ns - self.monotonic_ns) / schedule.NS


@dataclasses.dataclass(frozen=True)
class ProbeRecording:
    """All answers of some guests.

    :ivar started: begin
    :ivar ended_ns: end, CLOCK_MONOTONIC
    :ivar period_s: time between two ICMP echo requests to one guest
    :ivar icmp: answers to these, by address
    :ivar tcp: TCP streams, by address
    :ivar wall_clock_steps: how often the wall clock was set
    :ivar kernel_stamps_refused: answers without a usable kernel time stamp
    :ivar answers_dropped: packets that the local machine dropped
    :ivar cpu_s: CPU time of this process meanwhile, in seconds
    :ivar calibration: figures of the loopback before; None without them
    """

    started: Clocks
    ended_ns: int
    period_s: float
    icmp: Mapping[str, answers.Answers]
    tcp: Mapping[str, tcp.StreamSeen]
    wall_clock_steps: int
    kernel_stamps_refused: int
    answers_dropped: int
    cpu_s: float
    calibration: quality.Calibration | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.ended_ns - self.started.monotonic_ns) / schedule.NS

    @property
    def quality(self) -> schema.ProberQuality:
        """How well the prober kept its schedule."""
        return quality.measure(
            list(self.icmp.values()), self.period_s, self.wall_clock_steps,
            self.kernel_stamps_refused, self.answers_dropped)


def _fields(source: Any, *names: str) -> dict[str, Any]:
    """Return attributes under their own names."""
    return {name: getattr(source, name) for name in names}


def save(recorded: ProbeRecording, path: str) -> None:
    """Write a recording to a file, atomically.

    :param recorded: the recording
    :param path: an existing file is replaced
    :raises ProbeError: the file cannot be written
    """
    arrays: dict[str, Any] = {}
    calibration = None
    if recorded.calibration:
        calibration = msgspec.to_builtins(recorded.calibration)
        # It follows from the other fields, and version 1 does not have it.
        del calibration['quality']['too_busy']
    header = {
        'format': FORMAT,
        'version': VERSION,
        'started': dataclasses.asdict(recorded.started),
        **_fields(recorded, *PLAIN), 'calibration': calibration,
        'icmp': [_put(arrays, f'icmp/{number}', seen)
                 for number, seen in enumerate(recorded.icmp.values())],
        'tcp': [_put_stream(arrays, f'tcp/{number}', seen)
                for number, seen in enumerate(recorded.tcp.values())],
    }
    arrays[HEADER] = numpy.frombuffer(json.dumps(header).encode(), numpy.uint8)
    content = io.BytesIO()
    # The umask can only be read by setting it.
    os.umask(umask := os.umask(0))
    try:
        numpy.savez_compressed(content, **arrays)
        utils.write_atomically(path, content.getvalue(), 0o666 & ~umask)
    except OSError as exc:
        raise errors.ProbeError(
            f'the recording cannot be written to {path}: {exc}') from exc


def _put(arrays: dict[str, Any], name: str,
         seen: answers.Answers) -> dict[str, Any]:
    """Add the times to the arrays; return the other fields."""
    arrays[f'{name}/due'] = numpy.diff(seen.due_ns, prepend=0)
    arrays[f'{name}/sent'] = seen.sent_ns - seen.due_ns
    arrays[f'{name}/sent_error'] = seen.sent_error_ns
    arrays[f'{name}/answered'] = numpy.where(
        seen.answered, seen.answered_ns - seen.sent_ns, answers.UNANSWERED)
    return {field.name: getattr(seen, field.name)
            for field in dataclasses.fields(seen)
            if not field.name.endswith('_ns') or
            field.name == 'period_ns'}


def _put_stream(arrays: dict[str, Any], name: str,
                seen: tcp.StreamSeen) -> dict[str, Any]:
    """Add the times of a stream to the arrays; return the other fields."""
    rest = {field.name: getattr(seen, field.name)
            for field in dataclasses.fields(seen)}
    rest['echoes'] = _put(arrays, name, rest['echoes'])
    arrays[f'{name}/read_error'] = rest.pop('read_error_ns')
    rest['breaks'] = [dataclasses.asdict(one) for one in seen.breaks]
    rest['info'] = dataclasses.asdict(seen.info) if seen.info else None
    return rest


def load(path: str) -> ProbeRecording:
    """Read a recording from a file.

    :param path: a file that save() has written
    :raises ProbeError: it cannot be read, or is no such file
    """
    try:
        # numpy.load() takes any other file for a pickle, and advises to allow
        # that.
        with open(path, 'rb') as stream:
            if not zipfile.is_zipfile(stream):
                raise ValueError('it is not a zip archive')
        with numpy.load(path, allow_pickle=False) as arrays:
            header = json.loads(arrays[HEADER].tobytes())
            if (header['format'], header['version']) != (FORMAT, VERSION):
                raise ValueError(f'it has format {header["format"]!r}, '
                                 f'version {header["version"]!r}')
            icmp = [_get(arrays, f'icmp/{number}', rest)
                    for number, rest in enumerate(header['icmp'])]
            streams = [_get_stream(arrays, f'tcp/{number}', rest)
                       for number, rest in enumerate(header['tcp'])]
        found = header['calibration']
        return ProbeRecording(
            started=Clocks(**header['started']),
            **{name: header[name] for name in PLAIN},
            icmp={seen.target: seen for seen in icmp},
            tcp={seen.echoes.target: seen for seen in streams},
            calibration=quality.Calibration(**{
                **found, 'quality': quality.build(**found['quality'])})
            if found else None)
    except OSError as exc:
        raise errors.ProbeError(
            f'{path} cannot be read: {exc.strerror or exc}') from exc
    except DAMAGES as exc:
        reason = ('it contains Python objects' if 'allow_pickle' in str(exc)
                  else exc)
        raise errors.ProbeError(
            f'{path} is no recording of version {VERSION}: {reason}') from exc


def _get(arrays: Mapping[str, answers.Times], name: str,
         rest: dict[str, Any]) -> answers.Answers:
    """Return the answers that _put() was given."""
    due_ns = numpy.cumsum(arrays[f'{name}/due'])
    sent_ns = due_ns + arrays[f'{name}/sent']
    delays_ns = arrays[f'{name}/answered']
    return answers.Answers(
        due_ns=due_ns, sent_ns=sent_ns,
        sent_error_ns=arrays[f'{name}/sent_error'],
        answered_ns=numpy.where(
            delays_ns == answers.UNANSWERED, answers.UNANSWERED,
            sent_ns + delays_ns), **rest)


def _get_stream(arrays: Mapping[str, answers.Times], name: str,
                rest: dict[str, Any]) -> tcp.StreamSeen:
    """Return the stream that _put_stream() was given."""
    return tcp.StreamSeen(**{
        **rest,
        'echoes': _get(arrays, name, rest['echoes']),
        'read_error_ns': arrays[f'{name}/read_error'],
        'breaks': tuple(
            tcp.Break(one['at_ns'], one['why'], tcp.BreakKind(one['kind']))
            for one in rest['breaks']),
        'info': tcp.TcpInfo(**rest['info']) if rest['info'] else None})


def document(recorded: ProbeRecording) -> dict[str, Any]:
    """Return every figure of a recording.

    :param recorded: the recording
    :returns: plain values for JSON; the names of times end in their unit
    """
    calibration = recorded.calibration
    return {
        'schema': SCHEMA,
        'started': _iso(recorded, recorded.started.monotonic_ns),
        'started_monotonic_s': recorded.started.monotonic_ns / schedule.NS,
        'duration_s': recorded.duration_s,
        'interval_s': recorded.period_s,
        'prober': {**msgspec.structs.asdict(recorded.quality),
                   'remarks': quality.remarks(recorded.quality),
                   'cpu_s': recorded.cpu_s},
        'calibration': {
            **_fields(calibration, 'targets', 'duration_s', 'noise_floor_s',
                      'delay_p50_s', 'delay_p99_s'),
            **_fields(calibration.quality, 'achieved_period_s',
                      'lateness_p50_s', 'lateness_p99_s', 'lateness_max_s',
                      'too_busy')} if calibration else None,
        'targets': [_target(recorded, address) for address in recorded.icmp],
    }


def _target(recorded: ProbeRecording, address: str) -> dict[str, Any]:
    seen = recorded.icmp[address]
    stream = recorded.tcp.get(address)
    found = figures.whole(
        seen, recorded.started.monotonic_ns, recorded.ended_ns)
    longest = found.longest
    return {
        'address': address,
        'error': '; '.join(_errors(address, found, stream)) or None,
        **_fields(found, 'sent', 'answered', 'late', 'lost'),
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
        **_fields(found, 'delay_p50_s', 'delay_p99_s'),
        **msgspec.structs.asdict(found.sending),
        **_fields(seen, 'duplicates', 'strangers'),
        'longest_outage_start': _iso(recorded, longest.start_ns)
        if longest else None,
        'tcp': _tcp(recorded, stream) if stream else None,
    }


def _outage(recorded: ProbeRecording, outage: schema.Outage) -> dict[str, Any]:
    return {
        'start': _iso(recorded, outage.start_ns),
        'start_monotonic_s': outage.start_ns / schedule.NS,
        'end_monotonic_s': outage.end_ns / schedule.NS,
        **_fields(outage, 'duration_s', 'error_bound_s', 'lost', 'late',
                  'kind', 'open')}


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


def _tcp(recorded: ProbeRecording, stream: tcp.StreamSeen) -> dict[str, Any]:
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
        **_fields(found, 'last_sent', 'last_echoed'),
        'connection_broken': found.broken,
        'breaks': len(stream.breaks_between(*window_ns)),
        **_fields(found, 'breaks_total', 'resets', 'closes', 'reconnects',
                  'connect_failures', 'connect_error', 'retransmissions',
                  'error', 'trouble', 'period_s', 'achieved_period_s'),
    }


def _iso(recorded: ProbeRecording, monotonic_ns: int) -> str:
    """Return the time of day as ISO 8601, in UTC."""
    return datetime.datetime.fromtimestamp(
        recorded.started.wall_s(monotonic_ns),
        datetime.UTC).isoformat(timespec='milliseconds')
