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

"""What is to happen to the packets of one address, and when."""

from collections.abc import Iterable
import dataclasses
import random
from typing import Any

NS = 1_000_000_000
DROP, HOLD, DELAY = 'drop', 'hold', 'delay'
LOSS, REORDER = 'loss', 'reorder'
KINDS = (DROP, HOLD, DELAY, LOSS, REORDER)


@dataclasses.dataclass(frozen=True)
class Episode:
    """One time span in which an address does not answer as it should.

    :ivar kind: drop: no answers; hold: all answers at the end; delay: each
        answer later by extra_s; loss: no answer to a random part; reorder:
        answers to a random part later by extra_s, so that others overtake
    :ivar begin_ns: from when on, CLOCK_MONOTONIC
    :ivar end_ns: until when, exclusively
    :ivar fraction: the random part, 0 to 1
    :ivar extra_s: the delay in seconds
    :ivar seed: of the random part
    """

    kind: str
    begin_ns: int
    end_ns: int
    fraction: float = 0.0
    extra_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError('%r is no kind of episode' % self.kind)
        if self.end_ns <= self.begin_ns:
            raise ValueError('the episode ends before it begins')

    def shifted(self, by_ns: int) -> 'Episode':
        """Return the same episode, so much later."""
        return dataclasses.replace(self, begin_ns=self.begin_ns + by_ns,
                                   end_ns=self.end_ns + by_ns)

    def as_dict(self) -> dict[str, Any]:
        """Return what Episode(**...) makes the same episode of."""
        return dataclasses.asdict(self)


class Applied:
    """An episode, what it does to packets, and the truth about it.

    :ivar dropped: packets that got no answer
    :ivar kept: packets that were answered later
    :ivar passed: packets that were answered at once all the same
    :ivar first_ns: when the first packet was dropped or kept
    :ivar last_ns: when the last one was
    :ivar begin_late_ns: how late the responder was awake for the begin
    :ivar end_late_ns: the same for the end
    :ivar released_ns: when the first kept packet was answered
    """

    def __init__(self, address: str, episode: Episode) -> None:
        self.address = address
        self.episode = episode
        self.dropped = self.kept = self.passed = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.begin_late_ns: int | None = None
        self.end_late_ns: int | None = None
        self.released_ns: int | None = None
        self._random: dict[bytes, random.Random] = {}

    def decide(self, now_ns: int, flow: bytes) -> int | None:
        """Return when a packet is to be answered; None is never.

        :param now_ns: when it was read, within the episode
        :param flow: whose packet it is
        """
        episode = self.episode
        if (episode.kind in (LOSS, REORDER)
                and self._dice(flow).random() >= episode.fraction):
            self.passed += 1
            return now_ns
        if self.first_ns is None:
            self.first_ns = now_ns
        self.last_ns = now_ns
        if episode.kind in (DROP, LOSS):
            self.dropped += 1
            return None
        self.kept += 1
        if episode.kind == HOLD:
            return episode.end_ns
        return now_ns + round(episode.extra_s * NS)

    def _dice(self, flow: bytes) -> random.Random:
        """Return the dice of one flow, so that a run can be repeated.

        With one for all flows it would matter in what order packets of
        different flows come.
        """
        if flow not in self._random:
            self._random[flow] = random.Random(
                '%d/%d' % (self.episode.seed, len(self._random)))
        return self._random[flow]

    def edge(self, due_ns: int, now_ns: int) -> None:
        """Note that the responder was awake for the begin or the end."""
        if due_ns == self.episode.begin_ns:
            self.begin_late_ns = now_ns - due_ns
        else:
            self.end_late_ns = now_ns - due_ns

    def truth(self) -> dict[str, Any]:
        """Return what has really happened.

        Drops are decided with the clock just read, so they begin and end as
        planned; a hold ends with the first answer. A packet that waited to
        be read while the responder was late may be on the wrong side of an
        edge: that is the uncertainty. It is None if an edge is still ahead.
        """
        late = (self.begin_late_ns, self.end_late_ns)
        held = self.episode.kind == HOLD and self.released_ns is not None
        return {
            'address': self.address, 'kind': self.episode.kind,
            'planned_begin_ns': self.episode.begin_ns,
            'planned_end_ns': self.episode.end_ns,
            'begin_ns': self.episode.begin_ns,
            'end_ns': self.released_ns if held else self.episode.end_ns,
            'uncertainty_ns': None if None in late else max(
                ns for ns in late if ns is not None),
            'begin_late_ns': self.begin_late_ns,
            'end_late_ns': self.end_late_ns,
            'first_ns': self.first_ns, 'last_ns': self.last_ns,
            'dropped': self.dropped, 'kept': self.kept,
            'passed': self.passed}


class Lane:
    """The episodes of one address, one after the other."""

    def __init__(self, address: str, episodes: Iterable[Episode]) -> None:
        """Put the episodes in order.

        :raises ValueError: two of them overlap
        """
        ordered = sorted(episodes, key=lambda one: one.begin_ns)
        for before, after in zip(ordered, ordered[1:]):
            if after.begin_ns < before.end_ns:
                raise ValueError('episodes of %s overlap' % address)
        self.all = [Applied(address, episode) for episode in ordered]
        self._next = 0

    def at(self, now_ns: int) -> Applied | None:
        """Return the episode that is in force; time must not go back."""
        while (self._next < len(self.all)
               and self.all[self._next].episode.end_ns <= now_ns):
            self._next += 1
        if self._next == len(self.all):
            return None
        found = self.all[self._next]
        return found if found.episode.begin_ns <= now_ns else None
