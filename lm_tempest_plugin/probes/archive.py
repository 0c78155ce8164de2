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


"""Recordings in files: raw, compact, and read back as they were.

A file is a zip archive of arrays as numpy.savez_compressed() writes it (the
format of numpy.lib.format). ``header`` is JSON in UTF-8: what there is, and
everything that is no array. Times are 64-bit integers in nanoseconds of
CLOCK_MONOTONIC, each as its difference to what it lies close to, because
small numbers take little room:

* ``icmp/N/due``: the first, then the distance of each from the one before
* ``icmp/N/sent``: after it was due
* ``icmp/N/sent_error``: as it is
* ``icmp/N/answered``: after it was sent; -1 if it was not answered
* ``tcp/N/...``: the same, and ``tcp/N/read_error``

where N counts the addresses in the order of the header.
"""

from collections.abc import Mapping
import contextlib
import dataclasses
import json
import os
import secrets
import tokenize
from typing import Any
import zipfile
import zlib

import numpy

from lm_tempest_plugin.probes.analysis import quality
from lm_tempest_plugin.probes import calibration
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes.tcp import kernel
from lm_tempest_plugin.probes.tcp import streams

FORMAT = 'lm-tempest-plugin probe recording'
VERSION = 1
HEADER = 'header'

# What numpy, zipfile and we ourselves raise on what is no such file.
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, EOFError,
           RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)


def save(recorded: recording.Recording, path: str) -> None:
    """Write a recording to a file, at once or not at all.

    :param recorded: what is written
    :param path: a file that is there is replaced
    :raises ProbeError: the file cannot be written
    """
    arrays: dict[str, observations.Times] = {}
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
        'calibration': dataclasses.asdict(recorded.calibration)
        if recorded.calibration else None,
        'icmp': [_put(arrays, 'icmp/%d' % number, seen)
                 for number, seen in enumerate(recorded.icmp.values())],
        'tcp': [_put_stream(arrays, 'tcp/%d' % number, seen)
                for number, seen in enumerate(recorded.tcp.values())],
    }
    _write(path, {HEADER: numpy.frombuffer(
        json.dumps(header).encode(), numpy.uint8), **arrays})


def _put(arrays: dict[str, observations.Times], name: str,
         seen: observations.Observations) -> dict[str, Any]:
    """Put observations among the arrays; return the rest of them."""
    arrays[name + '/due'] = numpy.diff(seen.due_ns, prepend=0)
    arrays[name + '/sent'] = seen.sent_ns - seen.due_ns
    arrays[name + '/sent_error'] = seen.sent_error_ns
    arrays[name + '/answered'] = numpy.where(
        seen.answered, seen.answered_ns - seen.sent_ns,
        observations.UNANSWERED)
    return {field.name: getattr(seen, field.name)
            for field in dataclasses.fields(seen)
            if not field.name.endswith('_ns') or
            field.name == 'period_ns'}


def _put_stream(arrays: dict[str, observations.Times], name: str,
                seen: streams.StreamSeen) -> dict[str, Any]:
    """Put what was seen of a connection among the arrays, like _put()."""
    rest = {field.name: getattr(seen, field.name)
            for field in dataclasses.fields(seen)}
    rest['echoes'] = _put(arrays, name, rest['echoes'])
    arrays[name + '/read_error'] = rest.pop('read_error_ns')
    rest['breaks'] = [dataclasses.asdict(one) for one in seen.breaks]
    rest['info'] = dataclasses.asdict(seen.info) if seen.info else None
    return rest


def _write(path: str, arrays: Mapping[str, Any]) -> None:
    scratch = '%s.%s.part' % (path, secrets.token_hex(4))
    try:
        handle = os.open(
            scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(os.unlink, scratch)
            with open(handle, 'wb') as stream:
                numpy.savez_compressed(stream, **arrays)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(scratch, path)
            on_failure.pop_all()
    except OSError as exc:
        raise errors.ProbeError('the observations cannot be written to %s: '
                                '%s' % (path, exc)) from exc


def load(path: str) -> recording.Recording:
    """Read a recording back.

    :param path: a file that save() has written
    :raises ProbeError: it cannot be read, or is no such file
    """
    try:
        with numpy.load(path, allow_pickle=False) as arrays:
            header = json.loads(arrays[HEADER].tobytes())
            if (header['format'], header['version']) != (FORMAT, VERSION):
                raise ValueError('it has format %r, version %r' % (
                    header['format'], header['version']))
            return _recording(header, arrays)
    except OSError as exc:
        raise errors.ProbeError('%s cannot be read: %s' % (
            path, exc)) from exc
    except DAMAGES as exc:
        raise errors.ProbeError(
            '%s is no recording of version %d: %s' % (
                path, VERSION, exc)) from exc


def _recording(header: dict[str, Any],
               arrays: Mapping[str, observations.Times]
               ) -> recording.Recording:
    icmp = [_get(arrays, 'icmp/%d' % number, rest)
            for number, rest in enumerate(header['icmp'])]
    tcp = [_get_stream(arrays, 'tcp/%d' % number, rest)
           for number, rest in enumerate(header['tcp'])]
    found = header['calibration']
    return recording.Recording(
        started=recording.Clocks(**header['started']),
        ended_ns=header['ended_ns'], period_s=header['period_s'],
        icmp={seen.target: seen for seen in icmp},
        tcp={seen.echoes.target: seen for seen in tcp},
        wall_clock_steps=header['wall_clock_steps'],
        kernel_stamps_refused=header['kernel_stamps_refused'],
        answers_dropped=header['answers_dropped'], cpu_s=header['cpu_s'],
        calibration=calibration.Calibration(**{
            **found, 'quality': quality.Quality(**found['quality'])})
        if found else None)


def _get(arrays: Mapping[str, observations.Times], name: str,
         rest: dict[str, Any]) -> observations.Observations:
    """Return what _put() was given."""
    due_ns = numpy.cumsum(arrays[name + '/due'])
    sent_ns = due_ns + arrays[name + '/sent']
    delays_ns = arrays[name + '/answered']
    return observations.Observations(
        due_ns=due_ns, sent_ns=sent_ns,
        sent_error_ns=arrays[name + '/sent_error'],
        answered_ns=numpy.where(
            delays_ns == observations.UNANSWERED, observations.UNANSWERED,
            sent_ns + delays_ns), **rest)


def _get_stream(arrays: Mapping[str, observations.Times], name: str,
                rest: dict[str, Any]) -> streams.StreamSeen:
    """Return what _put_stream() was given."""
    return streams.StreamSeen(**{
        **rest,
        'echoes': _get(arrays, name, rest['echoes']),
        'read_error_ns': arrays[name + '/read_error'],
        'breaks': tuple(
            streams.Break(one['at_ns'], one['why'],
                          streams.BreakKind(one['kind']))
            for one in rest['breaks']),
        'info': kernel.TcpInfo(**rest['info']) if rest['info'] else None})
