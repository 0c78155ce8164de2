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

"""Results files: lines are only ever added, and alterations show.

Each line is a JSON object of :mod:`~lm_tempest_plugin.results.schema` with
the SHA-256 of the line before, so a line that was edited, removed, moved or
inserted breaks the chain there. Two alterations cannot be detected: lines
removed at the end of the file, and an edited last line, because no later
line holds a digest of them. The chain reveals mistakes and careless
editing. It is not a signature: a person who rewrites the whole file leaves
no trace.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import sys
from typing import Any
from typing import TypeVar

import msgspec

from lm_tempest_plugin.results import schema

SUFFIX = '.jsonl'
# Time of day of a line whose details are dropped.
NOT_KEPT = schema.Line().written_at

# The same for the quality of probes, on which the checks have decided.
_NO_SENDING = schema.Sending(
    **dict.fromkeys(schema.Sending.__struct_fields__, 0.0))
_NO_QUALITY = msgspec.convert(
    {**dict.fromkeys(schema.ProberQuality.__struct_fields__, 0),
     'too_busy': False}, schema.ProberQuality)

_DECODER = msgspec.json.Decoder(schema.AnyLine)
_Struct = TypeVar('_Struct', bound=msgspec.Struct)


class ResultsError(Exception):
    """Results cannot be written or read; the message names the file."""


class Chain:
    """Lines of one run, kept nowhere: the caller stores them.

    :param run: name of the run
    :ivar run: the same
    :ivar count: number of lines
    :ivar previous: digest of the last line
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.count = 0
        self.previous = schema.NO_DIGEST

    def append(self, line: schema.Line) -> bytes:
        """Add a line and return its JSON, without a line end.

        :param line: its version, previous, run and written_at are filled in
        :raises ValueError: a value is not of the type in the schema, or is
            not a finite number
        """
        complete = msgspec.structs.replace(
            line, version=schema.VERSION, previous=self.previous,
            run=self.run, written_at=datetime.datetime.now(datetime.UTC))
        # msgspec.json would silently write null for NaN.
        text = json.dumps(msgspec.to_builtins(complete), allow_nan=False,
                          separators=(',', ':')).encode()
        # Structs do not check types when they are made; a line that nobody
        # can read must not get into the file.
        _DECODER.decode(text)
        self.previous = _digest(text)
        self.count += 1
        return text

    def close(self) -> None:
        """Do nothing; a Writer closes its file."""

    def discard(self) -> None:
        """Do nothing; a Writer deletes its file."""


class Writer(Chain):
    """Lines of one run, in a new file.

    :param directory: directory of the file; created if it does not exist
    :param run: name of the run and, with the suffix .jsonl, of the file
    :ivar path: the file
    :raises ResultsError: the file cannot be created, or exists already
    """

    def __init__(self, directory: str | os.PathLike[str], run: str) -> None:
        super().__init__(run)
        self.path = pathlib.Path(directory).absolute() / (run + SUFFIX)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND,
                0o644)
        except OSError as exc:
            raise ResultsError(f'results file {self.path} cannot be created: '
                               f'{exc.strerror}') from exc

    def append(self, line: schema.Line) -> bytes:
        """Add a line to the file, down to the disk, and return it.

        :param line: its version, previous, run and written_at are filled in
        :raises ResultsError: the line cannot be written. Its part that was
            written is removed, so that the next line follows the last whole
            one
        :raises ValueError: a value is not of the type in the schema, or is
            not a finite number
        """
        status = os.fstat(self._descriptor)
        if not status.st_nlink:
            raise ResultsError(f'results file {self.path} was deleted during '
                               'the run')
        before = self.count, self.previous
        try:
            text = super().append(line)
            rest = text + b'\n'
            while rest:
                rest = rest[os.write(self._descriptor, rest):]
            os.fsync(self._descriptor)
        except BaseException as exc:
            # Also after a signal: the next line has to follow a whole one.
            self.count, self.previous = before
            os.ftruncate(self._descriptor, status.st_size)
            if not isinstance(exc, OSError):
                raise
            raise ResultsError(f'results file {self.path} cannot be written: '
                               f'{exc.strerror}') from exc
        return text

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def discard(self) -> None:
        """Close the file and delete it."""
        self.close()
        self.path.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Results:
    """Contents of one or more results files.

    :ivar runs: first line of each run, in the order of the files
    :ivar files: path of the file of each run, by the run's name
    :ivar migrations: judged live migrations, in the order of the lines
    :ivar drains: the same for drains
    :ivar unjudged: one text for each server whose live migration was begun
        and never judged
    :ivar failures: tests that failed, in the order of the lines
    :ivar tests: ids of all tests that migrated a server or failed
    :ivar remarks: facts about the files that a reader should know
    """

    runs: list[schema.RunStarted] = dataclasses.field(default_factory=list)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    migrations: list[schema.MigrationResult] = dataclasses.field(
        default_factory=list)
    drains: list[schema.DrainResult] = dataclasses.field(
        default_factory=list)
    unjudged: list[str] = dataclasses.field(default_factory=list)
    failures: list[schema.TestFailure] = dataclasses.field(
        default_factory=list)
    tests: set[str] = dataclasses.field(default_factory=set)
    remarks: list[str] = dataclasses.field(default_factory=list)


def read(paths: Iterable[str | os.PathLike[str]],
         keep_details: bool = False) -> Results:
    """Return the contents of results files.

    :param paths: of the files; each holds one run
    :param keep_details: keep everything. By default, the parts of a migration
        that no report needs are dropped, since 100,000 migrations would not
        fit into memory: transitions, progress, events, records, all outages
        but the longest, the quality of probes, figures of libvirt but the
        downtime and the memory that was sent, boot ids, request ids, traces on
        hosts, other instance actions, the time when a line was written, and
        of samples of hosts the memory, the stolen time, the time since the
        sample before, the traffic of disks and of single interfaces, and how
        long the sample took
    :raises ResultsError: a file cannot be used, or two hold the same run;
        names file and line
    """
    results = Results()
    compact = (lambda line: line) if keep_details else _Compactor()
    for path in map(pathlib.Path, paths):
        # Text for each server that is not judged yet, by drain and server.
        pending: dict[tuple[str, str], str] = {}
        for line in map(compact, _lines(path, results.remarks)):
            match line:
                case schema.RunStarted():
                    if line.run in results.files:
                        raise ResultsError(
                            f'{results.files[line.run]} and {path} hold the '
                            f'same run, {line.run}')
                    results.runs.append(line)
                    results.files[line.run] = str(path)
                case schema.DrainStarted():
                    results.tests.add(line.test)
                    pending |= {(line.drain, server_id): (
                        f'server {server_id} from '
                        f'{line.source or "its host"} to '
                        f'{line.destination or "another host"}: its live '
                        f'migration was under way')
                        for server_id in line.server_ids}
                case schema.MigrationEnded():
                    pending[line.drain, line.server_id] = (
                        f'server {line.server_id} from {line.source} to '
                        f'{line.destination}: migration record '
                        f'{line.record_status or "missing"}, server '
                        f'{line.server_status}')
                case schema.MigrationResult():
                    pending.pop((line.drain, line.server_id), None)
                    results.migrations.append(line)
                case schema.DrainResult():
                    results.drains.append(line)
                case schema.TestFailure():
                    results.tests.add(line.test)
                    results.failures.append(line)
        results.unjudged.extend(pending.values())
    return results


def _lines(path: pathlib.Path,
           remarks: list[str]) -> Iterator[schema.AnyLine]:
    """Yield the lines of a file; only one of them is in memory at a time.

    :param path: the file
    :param remarks: takes one if the last line is incomplete, as after a
        crash; that line is left out
    :raises ResultsError: the file cannot be used
    """
    previous, number = schema.NO_DIGEST, 0
    try:
        with open(path, 'rb') as stream:
            for number, raw in enumerate(stream, 1):
                if not raw.endswith(b'\n'):
                    remarks.append(
                        f'{path} ends in the middle of line {number}, as '
                        f'after a crash: that line is left out')
                    number -= 1
                    break
                text = raw[:-1]
                line = _decoded(text, path, number)
                if line.previous != previous:
                    raise ResultsError(
                        f'{path} was altered: line {number - 1} is not the '
                        f'one that was written before line {number}'
                        if number > 1 else
                        f'{path} was altered: lines before line 1 are '
                        f'missing')
                previous = _digest(text)
                yield line
    except OSError as exc:
        raise ResultsError(
            f'results cannot be read: {path}: {exc.strerror}') from exc
    if not number:
        raise ResultsError(f'{path} has no results: it has no complete line')


def _decoded(text: bytes, path: pathlib.Path, number: int) -> schema.AnyLine:
    try:
        line = _DECODER.decode(text)
        if line.version == schema.VERSION:
            return line
        reason = ''
    except (ValueError, RecursionError) as exc:
        reason = str(exc)
    try:
        found = msgspec.json.decode(text)
        # Version 1 called it schema.
        version = found.get('version', found.get('schema'))
    except (ValueError, AttributeError, RecursionError):
        version = None
    if version is None:
        raise ResultsError(f'line {number} of {path} is not a result: it is '
                           f'not valid JSON, or not an object with a version')
    if version != schema.VERSION:
        raise ResultsError(
            f'{path} has version {version} of the results format (line '
            f'{number}), and this release reads version {schema.VERSION} '
            f'only. Run the tests again with this release, or read the file '
            f'with the release that wrote it')
    raise ResultsError(
        f'line {number} of {path} does not match the schema: {reason}')


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


class _Compactor:
    """Makes lines small: drops details, and shares equal values.

    A migration takes about 10 kB in the file. Of 100,000 of them, hosts,
    settings, flavors and most texts are equal to those of others.
    """

    def __init__(self) -> None:
        self._shared: dict[Any, Any] = {}
        self._texts: dict[type[msgspec.Struct], tuple[str, ...]] = {}
        self._no_interfaces: dict[str, schema.InterfaceRate] = {}

    def __call__(self, line: schema.AnyLine) -> schema.AnyLine:
        changes: dict[str, Any] = {'previous': schema.NO_DIGEST,
                                   'written_at': NOT_KEPT}
        if isinstance(line, schema.MigrationResult):
            changes |= {
                'request_id': '',
                'settings': self._share(line.settings),
                'block_migration': self._share(line.block_migration),
                'flavor': self._share(line.flavor),
                'expected_verdicts': self._share(line.expected_verdicts),
                'phases': tuple(map(self._interned, line.phases)),
                'service': line.service and self._interned(line.service),
                'guest': self._share(msgspec.structs.replace(
                    line.guest, boot_id_before='', boot_id_after='')),
                'records': (), 'transitions': (), 'progress': (),
                'events': (), 'traces': (), 'other_actions': (),
                'continuity': line.continuity and
                self._interned(line.continuity, quality=_NO_QUALITY, **{
                    name: msgspec.structs.replace(
                        figures, sending=_NO_SENDING,
                        outages=figures.longest and (figures.longest,) or ())
                    for name, figures in (
                        ('outage', line.continuity.outage),
                        ('control', line.continuity.control))}),
                'job': line.job and schema.LibvirtJob(
                    downtime_ms=line.job.downtime_ms,
                    memory_bytes_processed=line.job.memory_bytes_processed)}
        elif isinstance(line, schema.DrainResult):
            changes |= {
                'settings': self._share(line.settings),
                'checks': self._share(line.checks),
                'hosts': tuple(self._interned(each, samples=tuple(
                    map(self._sample, each.samples)))
                    for each in line.hosts)}
        return self._interned(line, **changes)

    def _sample(self, each: schema.HostSample) -> schema.HostSample:
        # Samples are half of the memory that results take. One number for
        # both times gives the same time of the sample.
        middle_ns = (each.before_ns + each.after_ns) // 2
        return msgspec.structs.replace(
            each, before_ns=middle_ns, after_ns=middle_ns, seconds=None,
            cpu_stolen_fraction=None, read_bytes_per_s=None,
            written_bytes_per_s=None, interfaces=self._no_interfaces,
            memory_total_bytes=0, memory_available_bytes=0)

    def _share(self, value: Any) -> Any:
        return self._shared.setdefault(value, value)

    def _interned(self, struct: _Struct, **changes: Any) -> _Struct:
        """Return the struct with changes, and each text only once."""
        kind = type(struct)
        if kind not in self._texts:
            self._texts[kind] = tuple(
                field.name for field in msgspec.structs.fields(kind)
                if field.type in (str, str | None) and
                field.name not in ('migration', 'previous'))
        for name in self._texts[kind]:
            value = getattr(struct, name)
            if type(value) is str:
                changes[name] = sys.intern(value)
        return msgspec.structs.replace(struct, **changes)
