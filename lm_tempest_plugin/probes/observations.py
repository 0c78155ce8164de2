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
import bisect
import dataclasses

# No time stamp is negative, so this marks what was never answered.
UNANSWERED = -1


@dataclasses.dataclass
class Observations:
    """Questions in the order in which they were sent, with their answers.

    The n-th question has sequence number n. All times are CLOCK_MONOTONIC
    in nanoseconds; sixteen bytes are kept for each question.

    :ivar target: the address, as it was handed in
    :ivar period_ns: nominal distance of two questions
    :ivar duplicates: answers to questions that had been answered before
    :ivar strangers: answers to nothing that was asked, or that were altered
    :ivar send_errors: questions that this machine refused to send
    :ivar send_error: what it said the last time
    """

    target: str
    period_ns: int
    sent_ns: 'array.array[int]' = dataclasses.field(
        default_factory=lambda: array.array('q'))
    answered_ns: 'array.array[int]' = dataclasses.field(
        default_factory=lambda: array.array('q'))
    duplicates: int = 0
    strangers: int = 0
    send_errors: int = 0
    send_error: str = ''

    def ask(self, now_ns: int) -> int:
        """Note that a question is sent now; return its sequence number."""
        # In this order, so that copy() in another thread never sees a
        # question without its place for an answer.
        self.answered_ns.append(UNANSWERED)
        self.sent_ns.append(now_ns)
        return len(self.sent_ns) - 1

    def answer(self, sequence: int, now_ns: int) -> bool:
        """Note that a question was answered; return whether it counts.

        :param sequence: the number of the question, as the answer has it
        :param now_ns: when the answer was received
        """
        if not 0 <= sequence < len(self.sent_ns):
            self.strangers += 1
            return False
        if self.answered_ns[sequence] != UNANSWERED:
            self.duplicates += 1
            return False
        self.answered_ns[sequence] = now_ns
        return True

    def copy(self) -> 'Observations':
        """Return a copy that does not change while the prober goes on."""
        return dataclasses.replace(
            self, sent_ns=self.sent_ns[:], answered_ns=self.answered_ns[:])

    def first_sent_at_or_after(self, time_ns: int) -> int:
        """Return the number of the first question sent at or after a time.

        :returns: a sequence number; that of the next question if there is
            none
        """
        return bisect.bisect_left(self.sent_ns, time_ns)
