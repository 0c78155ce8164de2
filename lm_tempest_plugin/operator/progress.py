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

"""What a run does, in a line for each thing that happens, from its files.

Records are only looked at here, for a line on a screen; whether a file is
whole is found out when the report reads it.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import json
import pathlib
import re
import time
from typing import Any

from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection

# How `tempest run` tells that a test has ended.
RESULT = re.compile(
    r'\{\d+\} (?P<test>.+?)(?: \[[\d.]+s\])? \.\.\. (?P<how>.+)')


class Tail:
    """The lines that come to a file, each when it is whole.

    :param path: the file; it need not be there yet
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._offset = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines that were added since the last time."""
        try:
            stream = open(self.path, 'rb')
        except FileNotFoundError:
            return
        with stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b'\n'):
                    return
                self._offset += len(line)
                yield line[:-1]


class Progress:
    """Counts what has ended, and says how long the rest may take.

    :param expected: how many live migrations there may be; 0 if nobody
        knows
    :param clock: seconds, from any begin
    :ivar ended: how many live migrations have ended
    :ivar bad: how many were judged bad
    :ivar tests: how many tests have ended, by how
    """

    def __init__(self, expected: int,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.ended = 0
        self.bad = 0
        self.tests: dict[str, int] = {}
        self._expected = expected
        self._clock = clock
        self._began = clock()

    def record(self, line: bytes) -> str:
        """Return what a line of records says; empty for nothing.

        :param line: without its end
        """
        try:
            body = json.loads(line)
            kind = body['kind']
            return {collection.RUN: self._run, collection.ENDED: self._ended,
                    collection.ATTEMPT: self._attempt,
                    collection.DRAIN: self._drain}.get(
                        kind, lambda body: '')(body)
        except (KeyError, TypeError, ValueError) as exc:
            return 'a record that cannot be read: %r' % exc

    def output(self, line: bytes) -> str:
        """Return what a line of `tempest run` says; empty for nothing.

        :param line: without its end
        """
        text = line.decode(errors='replace').strip()
        match = RESULT.fullmatch(text)
        if match is None:
            return ''
        how = match['how']
        word = how.partition(':')[0].partition(' ')[0].lower()
        self.tests[word] = self.tests.get(word, 0) + 1
        test = match['test']
        # That of a class: setUpClass (module.Class).
        name = test if '(' in test else test.rpartition('.')[2]
        return 'test %s: %s' % (name, how)

    def left(self) -> str:
        """Return how much is left, in words."""
        if not self._expected:
            return '%d done' % self.ended
        done = '%d of about %d' % (
            self.ended, max(self._expected, self.ended))
        if not self.ended:
            return done
        if self.ended >= self._expected:
            return '%s, nearly done' % done
        each_s = (self._clock() - self._began) / self.ended
        return '%s, about %s left' % (
            done, duration((self._expected - self.ended) * each_s))

    def _run(self, body: Mapping[str, Any]) -> str:
        cloud = body['cloud']
        return 'run %s: compute API %s, hosts %s' % (
            body['run'], cloud['compute_api'], ', '.join(
                '%s (%s %s)' % (each['host'], each['type'], each['version'])
                for each in cloud['hypervisors']))

    def _ended(self, body: Mapping[str, Any]) -> str:
        self.ended += 1
        return 'server %s, %s to %s: %s after %.1f s (%s)' % (
            body['server_id'], body['source'],
            body['destination'] or '?', body['record_status'] or 'no record',
            body['duration_s'], self.left())

    def _attempt(self, body: Mapping[str, Any]) -> str:
        if not body['violations']:
            return ''
        self.bad += 1
        return 'BAD: server %s, flavor %s: %s' % (
            body['server_name'], body['flavor']['name'],
            '; '.join(body['violations']))

    def _drain(self, body: Mapping[str, Any]) -> str:
        said = 'cell %s; %s; trip %d: %d server%s from %s to %s in %.1f s' % (
            collection.Cell(
                body['cell']['storage'] or '',
                tuple(body['cell']['settings'].items())),
            body['strategy'], body['trip'], body['servers'],
            '' if body['servers'] == 1 else 's',
            body['source'] or 'several hosts', body['destination'] or '?',
            body['wall_s'])
        wrong = [*body['contradictions'], *body['left_over']]
        if wrong:
            self.bad += 1
            return '%s; BAD: %s' % (said, '; '.join(wrong))
        return '%s; %s' % (said, self.left())


class Follower:
    """Reads what a run writes.

    :param results: directory of the records
    :param log: file with the output of `tempest run`
    :param progress: who understands it
    """

    def __init__(self, results: pathlib.Path, log: pathlib.Path,
                 progress: Progress) -> None:
        self._results = results
        self._log = Tail(log)
        self._progress = progress
        self._records: dict[pathlib.Path, Tail] = {}

    def news(self) -> Iterator[str]:
        """Yield what is to be said since the last time."""
        for path in sorted(self._results.glob('*' + chain.SUFFIX)):
            tail = self._records.setdefault(path, Tail(path))
            yield from filter(None, map(self._progress.record, tail))
        yield from filter(None, map(self._progress.output, self._log))


def duration(seconds: float) -> str:
    """Return a length of time as people say it.

    :param seconds: how long
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return '%d s' % round(seconds)
    if minutes < 90:
        return '%d min' % minutes
    return '%d h %02d min' % divmod(minutes, 60)
