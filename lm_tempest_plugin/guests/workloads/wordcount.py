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

"""A guest that counts the words of a text that this machine streams to it.

The white paper of 2017 had such guests, and did not compare their counts with
the text. Here each chunk of the text has a number and a known number of words,
so a chunk that a guest loses, counts twice or counts wrong is found.
"""

from collections.abc import Sequence
import contextlib
import functools
import itertools
import random
import select
import socket
import threading
import time

import msgspec

from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import outbound
from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.results import schema

SEED = 2017
# Size of the text, as in the white paper; then it begins again, with numbers
# that go on.
TEXT_BYTES = 6_000_000
VOCABULARY = 2000
# Words in a chunk: so many, or up to twice as many.
CHUNK_WORDS = 200
# Time for the guest to count a chunk. After an outage TCP waits as long as
# the outage lasted before it sends again.
COUNT_S = 60.0
# Time between two looks for whether it has.
LOOK_S = 0.1

# Registered windows after those that were checked before.
_REGISTER = """\
tail -n +{line} "$HOME/lm-wordcount"
"""


@functools.cache
def text() -> tuple[str, ...]:
    """Return the text: chunks of words, the same in every run.

    Chunks differ in their number of words, so that one cannot be taken for
    another.
    """
    chooser = random.Random(SEED)
    syllables = [first + second for first, second in itertools.product(
        'bdfgklmnprstvz', 'aeiou')]
    words = [''.join(chooser.choices(syllables, k=chooser.randint(1, 4)))
             for _ in range(VOCABULARY)]
    chunks = []
    size = 0
    while size < TEXT_BYTES:
        chunks.append(' '.join(chooser.choices(
            words, k=CHUNK_WORDS + chooser.randrange(CHUNK_WORDS))))
        size += len(chunks[-1])
    return tuple(chunks)


def words_in(chunk: int) -> int:
    """Return the number of words of a chunk.

    :param chunk: its number, from 0
    """
    chunks = text()
    return chunks[chunk % len(chunks)].count(' ') + 1


def check(register: Sequence[str], first: int) -> tuple[int, str]:
    """Return the chunk that follows a register, and the first problem in it.

    Each chunk has to be there once, in order, with all its words.

    :param register: lines "UPTIME_S CHUNK:WORDS CHUNK:WORDS ..."
    :param first: number of the chunk that has to come first
    """
    expected = first
    for line in register:
        for entry in line.split()[1:]:
            number, _, words = entry.partition(':')
            if not (number.isdecimal() and words.isdecimal()):
                return expected, (f'the register has {entry!r} where chunk '
                                  f'{expected} has to be')
            if int(number) > expected:
                return expected, (f'chunks {expected} to {int(number) - 1} '
                                  f'were lost: {number} follows '
                                  f'{expected - 1}')
            if int(number) < expected:
                return expected, (f'chunk {number} was counted again after '
                                  f'chunk {expected - 1}')
            if int(words) != words_in(expected):
                return expected, (f'chunk {expected} has '
                                  f'{words_in(expected)} words, and the guest '
                                  f'counted {words}')
            expected += 1
    return expected, ''


class TextStream:
    """Sends the text over a connection, and keeps the windows that come back.

    :ivar sent: number of chunks that were sent
    :ivar done: all words that were registered, after each window
    :ivar counted: number of chunks that were registered
    :ivar problem: why the stream has ended; empty while it goes on
    """

    def __init__(self, connection: socket.socket,
                 words_per_s: float) -> None:
        """Start to send.

        :param connection: to the guest
        :param words_per_s: words to send each second
        """
        self.sent = 0
        self.counted = 0
        self.done: list[program.Work] = []
        self.problem = ''
        self._connection = connection
        self._words_per_s = words_per_s
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._run, daemon=True, name='word count stream')
        self._thread.start()

    def close(self) -> None:
        """End the stream, and close the connection."""
        self._closed.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        try:
            self._connection.setblocking(False)
            self._exchange()
        except OSError as exc:
            self.problem = f'the connection broke: {exc}'

    def _exchange(self) -> None:
        """Send chunks when they are due, and read windows."""
        due_s = time.monotonic()
        waiting, received = b'', b''
        while not self._closed.is_set():
            now_s = time.monotonic()
            if not waiting and now_s >= due_s:
                waiting = (f'{self.sent} '
                           f'{text()[self.sent % len(text())]}\n').encode()
                # Time in which TCP took nothing is not made up for.
                due_s = max(due_s, now_s - 1.0) + (
                    words_in(self.sent) / self._words_per_s)
            readable, writable, _ = select.select(
                [self._connection], [self._connection] if waiting else [], [],
                LOOK_S if waiting else min(LOOK_S, max(0.0, due_s - now_s)))
            if writable:
                waiting = waiting[self._connection.send(waiting):]
                self.sent += not waiting
            if readable:
                data = self._connection.recv(65536)
                if not data:
                    self.problem = 'the guest has closed the connection'
                    return
                *lines, received = (received + data).split(b'\n')
                for line in lines:
                    if line != b'alive':
                        self._note(line.decode(errors='replace'))

    def _note(self, window: str) -> None:
        """Note a window that the guest has registered."""
        entries = window.split()[1:]
        total = self.done[-1].total if self.done else 0.0
        for entry in entries:
            with contextlib.suppress(ValueError):
                total += int(entry.partition(':')[2])
        self.counted += len(entries)
        self.done.append(program.Work(time.monotonic_ns(), total))


class WordcountWorkload(program.Program):
    """Counts words in windows of one second, and registers them on disk."""

    name = 'wordcount'
    script = 'wordcount.sh'
    needs = ('awk', 'mkfifo', 'setsid', 'sync')
    on_disk = True
    unit = 'words'

    def __init__(self, asked_per_s: float, address: str) -> None:
        """Prepare the workload.

        :param asked_per_s: words to send each second
        :param address: address of the guest; no other may connect
        """
        super().__init__(asked_per_s)
        self._address = address
        self._stream: TextStream | None = None
        self._lines = 0
        self._next = 0

    def start(self, run: workloads.Run) -> None:
        """Let the guest connect, and stream the text to it."""
        # First of all, because it takes a second.
        text()

        def begin(host: str, port: int) -> str:
            self._start(run, '"$@"', outbound.client(
                host, port, f"skip '{outbound.NO_CLIENT}'"))
            return 'its client'

        connection, _ = outbound.connect(self._address, begin)
        self._stream = TextStream(connection, self.asked_per_s)

    def verify(self, run: workloads.Run) -> str:
        """Return a problem if the guest has lost or doubled a chunk."""
        stream = self._stream
        assert stream is not None, 'start() sets it'
        wanted, begin_s = stream.sent, time.monotonic()
        while stream.counted < wanted and not stream.problem and (
                time.monotonic() < begin_s + COUNT_S):
            time.sleep(LOOK_S)
        # The register tells more than the stream.
        register = self.ask(
            run, _REGISTER.format(line=self._lines + 1)).splitlines()
        self._lines += len(register)
        self._next, problem = check(register, self._next)
        if problem or self._next >= wanted:
            return problem
        return (f'{stream.problem or "the guest does not go on"}: '
                f'{wanted} chunks were sent, and chunk {self._next} was not '
                f'counted within {time.monotonic() - begin_s:.0f} s; '
                f'{super().verify(run)}')

    def progress(self, run: workloads.Run, begin_ns: int,
                 end_ns: int) -> schema.WorkloadFigures:
        """Return the throughput, and the application's stall.

        By the clock of this machine: a pause of the guest counts.
        """
        assert self._stream is not None, 'start() sets it'
        done = list(self._stream.done)
        return msgspec.structs.replace(
            self.figures(done, begin_ns, end_ns),
            application_stall_s=max(
                ((after.at_ns - before.at_ns) / 1e9
                 for before, after in itertools.pairwise(done)
                 if after.at_ns >= begin_ns and before.at_ns <= end_ns),
                default=None))

    def close(self) -> None:
        """End the stream, and close the connection."""
        if self._stream is not None:
            self._stream.close()
