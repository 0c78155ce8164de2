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


"""What a prober saw of one guest: when it asked, when it was answered."""

import array
import dataclasses
from typing import TypeAlias

import numpy
from numpy import typing as npt

Times: TypeAlias = npt.NDArray[numpy.int64]

# No time stamp is negative, so this marks what was never answered.
UNANSWERED = -1


@dataclasses.dataclass(frozen=True)
class Observations:
    """Questions in the order in which they were sent, with their answers.

    The n-th question has sequence number n. All times are CLOCK_MONOTONIC
    in nanoseconds, in arrays of one length.

    :ivar target: the address, as it was handed in
    :ivar period_ns: nominal distance of two questions
    :ivar due_ns: when each question should have been sent
    :ivar sent_ns: when it was sent
    :ivar sent_error_ns: by how much that may be wrong
    :ivar answered_ns: when it was answered; UNANSWERED if it was not
    :ivar duplicates: answers to questions that had been answered before
    :ivar strangers: answers to nothing that was asked, or that were altered
    :ivar send_errors: questions that this machine refused to send
    :ivar send_error: what it said the last time
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
    def answered(self) -> npt.NDArray[numpy.bool_]:
        """Whether each question was answered."""
        return self.answered_ns != UNANSWERED

    @property
    def last_answered(self) -> int:
        """Number of the last question that was answered; -1 if none was."""
        answered = numpy.flatnonzero(self.answered)
        return int(answered[-1]) if answered.size else -1


class Log:
    """Observations of one guest as they grow, one question at a time.

    :ivar target: the address, as it was handed in
    :ivar period_ns: nominal distance of two questions
    :ivar duplicates: answers to questions that had been answered before
    :ivar strangers: answers to nothing that was asked
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
        """Note that a question is sent now; return its sequence number.

        :param due_ns: when it should have been sent
        :param now_ns: the present
        """
        # In this order, so that snapshot() in another thread never sees a
        # question without the rest.
        self._due_ns.append(due_ns)
        self._answered_ns.append(UNANSWERED)
        self._sent_ns.append(now_ns)
        return len(self._sent_ns) - 1

    def answer(self, sequence: int, now_ns: int) -> bool:
        """Note that a question was answered; return whether it counts.

        :param sequence: the number of the question, as the answer has it
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

    def snapshot(self) -> Observations:
        """Return what was seen up to now; it does not change any more."""
        sent_ns = _copied(self._sent_ns)
        return Observations(
            self.target, self.period_ns,
            due_ns=_copied(self._due_ns)[:sent_ns.size], sent_ns=sent_ns,
            sent_error_ns=numpy.zeros(sent_ns.size, numpy.int64),
            answered_ns=_copied(self._answered_ns)[:sent_ns.size],
            duplicates=self.duplicates, strangers=self.strangers)


def _copied(growing: 'array.array[int]') -> Times:
    """Return a copy of an array to which another thread appends.

    The slice is made while no other thread runs; numpy might let one run
    while it looks at the array itself, which could not grow then.
    """
    return numpy.array(growing[:], numpy.int64)
