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

"""Numbered lines, and whether they come back as they went."""

import array
import os

from lm_tempest_plugin.probes import observations

TOKEN_BYTES = 8
# Longer than this no line is that we sent.
LINE_BYTES = 4096


class EchoCheck:
    """Looks whether each line that comes back is the next one expected.

    The numbers go on when one connection follows another.

    :ivar expected: the number of the next line that can come back; lines
        below it that have not been answered are lost
    :ivar lost: lines that were left out, or broke off with a connection
    :ivar repeated: lines that had come before
    :ivar corrupt: lines that we never sent
    :ivar example: the first of the corrupt lines
    :ivar proven: whether the first line of the present connection was one
        of ours; None before it has come
    :ivar instead: what came instead of it if it was not
    """

    def __init__(self, log: observations.Log) -> None:
        """Expect line 0.

        :param log: where the lines are noted, and the answers will be
        """
        self.log = log
        self.token = os.urandom(TOKEN_BYTES).hex().encode()
        self.expected = 0
        self.lost = 0
        self.repeated = 0
        self.corrupt = 0
        self.example = ''
        self.proven: bool | None = None
        self.instead = ''
        self.read_error_ns = array.array('q')
        self._buffer = b''

    @property
    def outstanding(self) -> bool:
        """Whether there are lines that can still come back."""
        return self.expected < len(self.log)

    def ask(self, due_ns: int, now_ns: int) -> bytes:
        """Return the next line, which is sent now.

        :param due_ns: when it should have been sent
        :param now_ns: the present
        """
        self.read_error_ns.append(0)
        return self.line(self.log.ask(due_ns, now_ns))

    def line(self, sequence: int) -> bytes:
        """Return the line with this number, as it goes and should return."""
        return b'%s %d\n' % (self.token, sequence)

    def feed(self, data: bytes, now_ns: int, read_error_ns: int = 0) -> None:
        """Take in what came back.

        :param data: any part of the stream, in order
        :param now_ns: when it was read
        :param read_error_ns: how long it may have waited for that
        """
        *lines, self._buffer = (self._buffer + data).split(b'\n')
        for line in lines:
            self._check(line + b'\n', now_ns, read_error_ns)
        if len(self._buffer) > LINE_BYTES:
            self._note_corrupt(self._buffer)
            self._buffer = b''

    def hang_up(self) -> None:
        """Note that the connection is no more: what was under way is lost.

        Where nothing had ever come back on it, there was no connection worth
        the name, and nothing to lose.
        """
        if self.proven:
            self.lost += len(self.log) - self.expected
        self.expected = len(self.log)
        self.proven = None
        self._buffer = b''

    def _check(self, line: bytes, now_ns: int, read_error_ns: int) -> None:
        sequence = self._number(line)
        if sequence is None:
            self._note_corrupt(line)
            return
        if self.proven is None:
            self.proven = True
        if sequence < self.expected:
            self.repeated += 1
            return
        self.lost += sequence - self.expected
        self.expected = sequence + 1
        self.log.answer(sequence, now_ns)
        self.read_error_ns[sequence] = read_error_ns

    def _number(self, line: bytes) -> int | None:
        """Return the number of one of our lines; None if it is not ours."""
        token, _, number = line[:-1].partition(b' ')
        # int() takes up to 4300 digits, and more than we have ever sent.
        if token != self.token or not number.isdigit() or len(number) > 18:
            return None
        sequence = int(number)
        if sequence >= len(self.log) or line != self.line(sequence):
            return None
        return sequence

    def _note_corrupt(self, line: bytes) -> None:
        if self.proven is None:
            self.proven = False
            self.instead = repr(line[:80])
        if not self.corrupt:
            self.example = repr(line[:80])
        self.corrupt += 1
