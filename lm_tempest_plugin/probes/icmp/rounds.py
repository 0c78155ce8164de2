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


"""Observations of many guests that are asked together, round by round.

All guests of a group are asked in one system call, so a round has its times
once, and each guest has no more than the delay of its answer: four bytes for
each question, where the field's probes keep none.
"""

from collections.abc import Mapping

import numpy
from numpy import typing as npt

from lm_tempest_plugin.probes import observations

# Rounds are kept in blocks of so many, for a growing array would have to be
# copied while it is time to send.
BLOCK_ROUNDS = 4096
US = 1000

# What stands for a delay where there is none.
UNANSWERED = -1
REFUSED = -2
LONGEST_US = numpy.iinfo(numpy.int32).max


class _Block:
    """A number of rounds."""

    def __init__(self, guests: int) -> None:
        self.times_ns = numpy.zeros((BLOCK_ROUNDS, 3), numpy.int64)
        self.delays_us = numpy.full(
            (BLOCK_ROUNDS, guests), UNANSWERED, numpy.int32)


class Rounds:
    """What was seen of a group of guests; it grows.

    One thread writes. snapshot() may be called from another one.
    """

    def __init__(self, targets: list[str], period_ns: int) -> None:
        """Begin with nothing.

        :param targets: the addresses, as they were handed in
        :param period_ns: nominal distance of two rounds
        """
        self.targets = targets
        self._period_ns = period_ns
        self._blocks: list[_Block] = []
        self._count = 0
        self._duplicates = numpy.zeros(len(targets), numpy.int64)
        self._strangers = numpy.zeros(len(targets), numpy.int64)
        self._refused = numpy.zeros(len(targets), numpy.int64)
        self._refusals = [''] * len(targets)

    def __len__(self) -> int:
        return self._count

    def ask(self, due_ns: int, before_ns: int, after_ns: int,
            refused: Mapping[int, str]) -> None:
        """Note a round; its sequence number is the number of those before.

        :param due_ns: when it should have been sent
        :param before_ns: the time before it was sent
        :param after_ns: the time when everything was sent
        :param refused: the guests to whom this machine refused to send, by
            number, and why
        """
        row = self._count % BLOCK_ROUNDS
        if not row:
            self._blocks.append(_Block(len(self.targets)))
        block = self._blocks[-1]
        block.times_ns[row] = due_ns, before_ns, after_ns
        for guest, why in refused.items():
            block.delays_us[row, guest] = REFUSED
            self._refused[guest] += 1
            self._refusals[guest] = why
        # Last, so that snapshot() sees whole rounds only.
        self._count += 1

    def stranger(self, guests: npt.NDArray[numpy.int64]) -> None:
        """Note answers to what was not asked.

        :param guests: whose they claim to be, by number
        """
        numpy.add.at(self._strangers, guests, 1)

    def sent_before_ns(self, sequences: npt.NDArray[numpy.int64]
                       ) -> observations.Times:
        """Return the time before which nothing of these rounds was sent."""
        times_ns = numpy.empty(sequences.size, numpy.int64)
        for block, chosen, rows in self._in_blocks(sequences):
            times_ns[chosen] = block.times_ns[rows, 1]
        return times_ns

    def answer(self, guests: npt.NDArray[numpy.int64],
               sequences: npt.NDArray[numpy.int64],
               received_ns: observations.Times) -> None:
        """Note answers; the first to a question counts.

        :param guests: who answers, by number
        :param sequences: which round, below the number of rounds
        :param received_ns: when, CLOCK_MONOTONIC
        """
        again = self._repeated(sequences * len(self.targets) + guests)
        for block, chosen, rows in self._in_blocks(sequences):
            columns = guests[chosen]
            again[chosen] |= block.delays_us[rows, columns] != UNANSWERED
            delays_us = (received_ns[chosen] - block.times_ns[rows, 1]) // US
            # After more than half an hour nobody waits for it any more.
            new = ~again[chosen] & (delays_us <= LONGEST_US)
            block.delays_us[rows[new], columns[new]] = delays_us[new]
        if again.any():
            numpy.add.at(self._duplicates, guests[again], 1)

    def _repeated(self, keys: npt.NDArray[numpy.int64]
                  ) -> npt.NDArray[numpy.bool_]:
        """Return which of some numbers stand there once more.

        An answer that comes twice often does so at once.
        """
        if (keys[1:] > keys[:-1]).all():
            return numpy.zeros(keys.size, numpy.bool_)
        _, first = numpy.unique(keys, return_index=True)
        repeated = numpy.ones(keys.size, numpy.bool_)
        repeated[first] = False
        return repeated

    def _in_blocks(self, sequences: npt.NDArray[numpy.int64]) -> list[tuple[
            _Block, slice | npt.NDArray[numpy.bool_],
            npt.NDArray[numpy.int64]]]:
        """Return for each block the sequences in it, and their rows."""
        numbers = sequences // BLOCK_ROUNDS
        rows = sequences % BLOCK_ROUNDS
        if (numbers == numbers[0]).all():
            return [(self._blocks[numbers[0]], slice(None), rows)]
        return [(self._blocks[number], chosen := numbers == number,
                 rows[chosen]) for number in numpy.unique(numbers)]

    def answering(self, last: int) -> int:
        """Return how many guests have answered one of the last rounds.

        :param last: how many rounds
        """
        seen = numpy.zeros(len(self.targets), numpy.bool_)
        end = self._count
        while end and last > 0:
            number, row = divmod(end - 1, BLOCK_ROUNDS)
            first = max(0, row + 1 - last)
            seen |= (self._blocks[number].delays_us[first:row + 1] >=
                     0).any(axis=0)
            last -= row + 1 - first
            end = number * BLOCK_ROUNDS
        return int(numpy.count_nonzero(seen))

    def snapshot(self, guest: int) -> observations.Observations:
        """Return what was seen of a guest up to now.

        A question that this machine refused to send was not asked.

        :param guest: its number
        """
        count = self._count
        blocks = self._blocks[:]
        if not count:
            blocks = [_Block(len(self.targets))]
        times_ns = numpy.concatenate(
            [block.times_ns for block in blocks])[:count]
        delays_us = numpy.concatenate(
            [block.delays_us[:, guest] for block in blocks])[:count]
        asked = delays_us != REFUSED
        return self._observations(guest, times_ns[asked], delays_us[asked])

    def _observations(self, guest: int, times_ns: observations.Times,
                      delays_us: npt.NDArray[numpy.int32]
                      ) -> observations.Observations:
        due_ns, before_ns, after_ns = times_ns.T
        answered_ns = numpy.where(
            delays_us == UNANSWERED, observations.UNANSWERED,
            before_ns + delays_us.astype(numpy.int64) * US)
        # The kernel sends one after the other.
        sent_ns = before_ns + (after_ns - before_ns) * (
            2 * guest + 1) // (2 * len(self.targets))
        sent_ns = numpy.where(
            delays_us == UNANSWERED, sent_ns,
            numpy.minimum(sent_ns, answered_ns))
        return observations.Observations(
            self.targets[guest], self._period_ns, due_ns=due_ns,
            sent_ns=sent_ns, sent_error_ns=after_ns - before_ns,
            answered_ns=answered_ns,
            duplicates=int(self._duplicates[guest]),
            strangers=int(self._strangers[guest]),
            send_errors=int(self._refused[guest]),
            send_error=self._refusals[guest])
