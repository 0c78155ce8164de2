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

"""Probes of one guest and their answers: times only, no figures yet."""

import array
import dataclasses
from typing import Any
from typing import TypeAlias

import numpy
from numpy import typing as npt

# Arrays of nanoseconds, of numbers of probes and guests, of places in other
# arrays, and of marks.
Times: TypeAlias = npt.NDArray[numpy.int64]
Numbers: TypeAlias = npt.NDArray[numpy.int64]
Places: TypeAlias = npt.NDArray[numpy.intp]
Marks: TypeAlias = npt.NDArray[numpy.bool_]
Seconds: TypeAlias = npt.NDArray[numpy.float64]
# Packets: a row of bytes each, or a structure each.
Bytes: TypeAlias = npt.NDArray[numpy.uint8]
Structures: TypeAlias = npt.NDArray[Any]
Unsigned: TypeAlias = npt.NDArray[numpy.unsignedinteger[Any]]

# Marks a probe without an answer. No real time stamp is negative.
UNANSWERED = -1


@dataclasses.dataclass(frozen=True)
class Answers:
    """Probes in the order in which they were sent, with their answers.

    The n-th probe has sequence number n. All times are CLOCK_MONOTONIC in
    nanoseconds, in arrays of the same length.

    :ivar target: address, as the caller gave it
    :ivar period_ns: nominal time between two probes
    :ivar due_ns: when each probe should have been sent
    :ivar sent_ns: when it was sent
    :ivar sent_error_ns: error bound of ``sent_ns``
    :ivar answered_ns: when it was answered; UNANSWERED if it was not
    :ivar duplicates: answers to probes that had been answered before
    :ivar strangers: answers to no probe of ours, or altered ones
    :ivar send_errors: probes that the local machine refused to send
    :ivar send_error: the last error of that kind
    """

    target: str
    period_ns: int
    due_ns: Times
    sent_ns: Times
    sent_error_ns: Times
    answered_ns: Times
    duplicates: int = 0
    strangers: int = 0
    send_errors: int = 0
    send_error: str = ''

    @property
    def answered(self) -> Marks:
        """Whether each probe was answered."""
        return self.answered_ns != UNANSWERED

    @property
    def last_answered(self) -> int:
        """Number of the last probe that was answered; -1 if none was."""
        answered = numpy.flatnonzero(self.answered)
        return int(answered[-1]) if answered.size else -1

    def select(self, chosen: slice | Marks) -> 'Answers':
        """Return a part of the probes; the counters stay."""
        return dataclasses.replace(
            self, due_ns=self.due_ns[chosen], sent_ns=self.sent_ns[chosen],
            sent_error_ns=self.sent_error_ns[chosen],
            answered_ns=self.answered_ns[chosen])


class AnswerLog:
    """Growing answers of one guest, added one probe at a time.

    :ivar target: address, as the caller gave it
    :ivar period_ns: nominal time between two probes
    :ivar duplicates: answers to probes that had been answered before
    :ivar strangers: answers to no probe of ours
    """

    def __init__(self, target: str, period_ns: int) -> None:
        self.target = target
        self.period_ns = period_ns
        self.duplicates = 0
        self.strangers = 0
        self._due_ns = array.array('q')
        self._sent_ns = array.array('q')
        self._answered_ns = array.array('q')

    def __len__(self) -> int:
        return len(self._sent_ns)

    def ask(self, due_ns: int, now_ns: int) -> int:
        """Note that a probe is sent now; return its sequence number.

        :param due_ns: when it should have been sent
        :param now_ns: the present
        """
        # sent_ns comes last: snapshot() takes its length for that of all
        # arrays, and may run in another thread.
        self._due_ns.append(due_ns)
        self._answered_ns.append(UNANSWERED)
        self._sent_ns.append(now_ns)
        return len(self._sent_ns) - 1

    def answer(self, sequence: int, now_ns: int) -> bool:
        """Note an answer; return whether it is the first to its probe.

        :param sequence: number of the probe, as the answer has it
        :param now_ns: when the answer was received
        """
        if not 0 <= sequence < len(self._sent_ns):
            self.strangers += 1
            return False
        if self._answered_ns[sequence] != UNANSWERED:
            self.duplicates += 1
            return False
        self._answered_ns[sequence] = now_ns
        return True

    def snapshot(self) -> Answers:
        """Return a copy of the answers so far."""
        sent_ns = _copied(self._sent_ns)
        return Answers(
            self.target, self.period_ns,
            due_ns=_copied(self._due_ns)[:sent_ns.size], sent_ns=sent_ns,
            sent_error_ns=numpy.zeros(sent_ns.size, numpy.int64),
            answered_ns=_copied(self._answered_ns)[:sent_ns.size],
            duplicates=self.duplicates, strangers=self.strangers)


def _copied(growing: 'array.array[int]') -> Times:
    """Return a copy of an array to which another thread appends.

    The slice is atomic. numpy might release the lock while it reads the
    array itself, and an array that is being read cannot grow.
    """
    return numpy.array(growing[:], numpy.int64)
