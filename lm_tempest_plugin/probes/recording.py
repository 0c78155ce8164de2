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

"""All answers of some guests, and the file format that keeps them.

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
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.probes import tcp_connection
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

FORMAT = 'lm-tempest-plugin probe recording'
VERSION = 1
HEADER = 'header'

# Raised by numpy, zipfile and this module for a damaged file.
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, EOFError,
           RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)


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
        return (self.wall_ns + monotonic_ns -
                self.monotonic_ns) / schedule.NS


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


def save(recorded: ProbeRecording, path: str) -> None:
    """Write a recording to a file, atomically.

    :param recorded: the recording
    :param path: an existing file is replaced
    :raises ProbeError: the file cannot be written
    """
    arrays: dict[str, Any] = {}
    header = {
        'format': FORMAT,
        'version': VERSION,
        'started': dataclasses.asdict(recorded.started),
        'ended_ns': recorded.ended_ns,
        'period_s': recorded.period_s,
        'wall_clock_steps': recorded.wall_clock_steps,
        'kernel_stamps_refused': recorded.kernel_stamps_refused,
        'answers_dropped': recorded.answers_dropped,
        'cpu_s': recorded.cpu_s,
        'calibration': _put_calibration(recorded.calibration),
        'icmp': [_put(arrays, f'icmp/{number}', seen)
                 for number, seen in enumerate(recorded.icmp.values())],
        'tcp': [_put_stream(arrays, f'tcp/{number}', seen)
                for number, seen in enumerate(recorded.tcp.values())],
    }
    arrays[HEADER] = numpy.frombuffer(
        json.dumps(header).encode(), numpy.uint8)
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


def _put_calibration(found: quality.Calibration | None
                     ) -> dict[str, Any] | None:
    if found is None:
        return None
    figures: dict[str, Any] = msgspec.to_builtins(found)
    # It follows from the other fields, and version 1 does not have it.
    del figures['quality']['too_busy']
    return figures


def load(path: str) -> ProbeRecording:
    """Read a recording from a file.

    :param path: a file that save() has written
    :raises ProbeError: it cannot be read, or is no such file
    """
    try:
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
            ended_ns=header['ended_ns'], period_s=header['period_s'],
            icmp={seen.target: seen for seen in icmp},
            tcp={seen.echoes.target: seen for seen in streams},
            wall_clock_steps=header['wall_clock_steps'],
            kernel_stamps_refused=header['kernel_stamps_refused'],
            answers_dropped=header['answers_dropped'],
            cpu_s=header['cpu_s'],
            calibration=quality.Calibration(**{
                **found, 'quality': quality.build(**found['quality'])})
            if found else None)
    except OSError as exc:
        raise errors.ProbeError(f'{path} cannot be read: {exc}') from exc
    except DAMAGES as exc:
        raise errors.ProbeError(
            f'{path} is no recording of version {VERSION}: {exc}') from exc


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
        'info': tcp_connection.TcpInfo(**rest['info'])
        if rest['info'] else None})
