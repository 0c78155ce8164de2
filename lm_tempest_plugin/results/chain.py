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

"""A file to which lines are only ever added, and which shows if that is so.

Each line is a JSON object with the digest of the line before. A line that
was changed, taken out or put in breaks the chain there; that lines are
missing at the end is told by a second file, the head, which holds the number
of lines and the digest of the last one. It is written after the line: a run
that is killed in between leaves a head that is one line behind.

This shows what happened to a file by mistake, or by somebody who wants a
figure to look better. It is no signature: who writes the whole file and its
head anew leaves no trace.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import datetime
import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any

VERSION = 1
SUFFIX = '.jsonl'
HEAD_SUFFIX = '.head'
# What the first line has for the digest of the line before.
NOTHING = '0' * 64
# What each line has, whatever it is about.
ENVELOPE = ('schema', 'previous', 'kind', 'run', 'written_at')


class RecordsError(Exception):
    """Records cannot be written, or those that are there cannot be used."""


class Chain:
    """Lines, each with the digest of the one before.

    :param run: what the run is called
    :ivar run: the same
    :ivar count: how many lines there are
    :ivar previous: the digest of the last one
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.count = 0
        self.previous = NOTHING

    def append(self, kind: str, body: Mapping[str, Any]) -> bytes:
        """Add a line and return it, without its end.

        :param kind: what it is about
        :param body: what it says; nothing of it may be called like a part
            of the envelope
        """
        if any(name in body for name in ENVELOPE):
            raise ValueError('a record may have none of: %s' % ', '.join(
                ENVELOPE))
        text = json.dumps({
            'schema': VERSION, 'previous': self.previous, 'kind': kind,
            'run': self.run, 'written_at': now(), **body},
            allow_nan=False).encode()
        self.previous = digest(text)
        self.count += 1
        return text

    def close(self) -> None:
        """Nothing is to be let go of."""


class Writer(Chain):
    """A chain in a file.

    :param directory: where; it is made if it is not there
    :param run: what the run is called, and the file
    :ivar path: the file
    :raises RecordsError: the file cannot be made, or there is one already,
        which is not touched
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
            raise RecordsError('the file of records %s cannot be made: %s' % (
                self.path, exc.strerror)) from exc

    def append(self, kind: str, body: Mapping[str, Any]) -> bytes:
        """Add a line, down to the disk, and return it.

        :raises RecordsError: it cannot be written, or its head. It is taken
            back, so that the next one follows the last whole one
        """
        before = self.count, self.previous, os.fstat(self._descriptor).st_size
        text = super().append(kind, body)
        try:
            self._write(text + b'\n')
            self._write_head()
        except OSError as exc:
            self.count, self.previous, size = before
            os.ftruncate(self._descriptor, size)
            raise RecordsError('a record cannot be added to %s: %s' % (
                self.path, exc.strerror)) from exc
        return text

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _write(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._descriptor, text):]
        os.fsync(self._descriptor)

    def _write_head(self) -> None:
        path = head_path(self.path)
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix='.%s.' % path.name)
        try:
            with os.fdopen(descriptor, 'w') as head:
                json.dump({'lines': self.count, 'digest': self.previous},
                          head)
                os.fchmod(head.fileno(), 0o644)
                head.flush()
                os.fsync(head.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def now() -> str:
    """Return the present as ISO 8601, in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(
        timespec='milliseconds')


def digest(text: bytes) -> str:
    """Return the SHA-256 of a line without its end, in hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()


def head_path(path: pathlib.Path) -> pathlib.Path:
    """Return the path of the head of a file of records."""
    return path.with_name(path.name + HEAD_SUFFIX)


class Reader:
    """Reads a file of records, and looks whether it is whole.

    :param path: the file
    :ivar remarks: what is to be said of a file that can be used none the
        less, once all of it was read
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self.remarks: list[str] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each line; no more than one is kept in memory.

        A line that was cut off in its middle, by a crash, is left out, and
        there is a remark.

        :raises RecordsError: there is no such file, it is empty, was
            altered, is of another version, or is none of records; names
            file and line
        """
        head = self._head()
        digests_from_head = []
        previous, number, last = NOTHING, 0, b''
        try:
            with open(self.path, 'rb') as lines:
                for number, last in enumerate(lines, 1):
                    if not last.endswith(b'\n'):
                        self.remarks.append(
                            '%s ends in the middle of line %d, as after a '
                            'crash: that line is left out' % (
                                self.path, number))
                        number -= 1
                        break
                    text = last[:-1]
                    yield self._line(text, number, previous)
                    previous = digest(text)
                    if head and number >= head['lines']:
                        digests_from_head.append(previous)
        except OSError as exc:
            raise RecordsError('records cannot be read: %s: %s' % (
                self.path, exc.strerror)) from exc
        if not number:
            raise RecordsError('%s has no record' % self.path)
        self._check_end(head, number, digests_from_head)

    def _line(self, text: bytes, number: int,
              previous: str) -> dict[str, Any]:
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or any(
                name not in line for name in ENVELOPE):
            raise RecordsError('line %d of %s is no record' % (
                number, self.path))
        if line['schema'] != VERSION:
            raise RecordsError(
                'line %d of %s has version %s of the schema of records, and '
                'this program knows version %d' % (
                    number, self.path, line['schema'], VERSION))
        if line['previous'] != previous:
            raise RecordsError(
                '%s was altered: what stands before line %d is not what '
                'stood there when that line was written' % (
                    self.path, number))
        return line

    def _head(self) -> dict[str, Any] | None:
        path = head_path(self.path)
        try:
            head = json.loads(path.read_bytes())
            return {'lines': int(head['lines']),
                    'digest': str(head['digest'])}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise RecordsError('the head of the records, %s, cannot be read: '
                               '%s' % (path, exc)) from exc

    def _check_end(self, head: dict[str, Any] | None, number: int,
                   digests: list[str]) -> None:
        """Hold the end of the file against its head.

        :raises RecordsError: lines are missing, or the last was altered
        """
        if head is None:
            self.remarks.append(
                '%s has no head (%s), so nobody can tell whether lines are '
                'missing at its end' % (
                    self.path, head_path(self.path).name))
        elif number < head['lines']:
            raise RecordsError(
                '%s was altered: it has %d lines, and had %d' % (
                    self.path, number, head['lines']))
        elif number > head['lines'] + 1:
            raise RecordsError(
                '%s was altered: it has %d lines, and whoever wrote it had '
                'come to line %d' % (self.path, number, head['lines']))
        elif digests[0] != head['digest']:
            raise RecordsError(
                '%s was altered: line %d is not what was written' % (
                    self.path, head['lines']))
        elif number > head['lines']:
            self.remarks.append(
                '%s has a line more than its head tells, as after a crash '
                'between the two' % self.path)
