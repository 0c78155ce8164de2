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

"""Episodes: disturbances of the packets of one address.

The plans of the trials and the scenarios are here as well.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import random
from typing import Any

from bench.precision import testbed

NS = 1_000_000_000
DROP, HOLD, DELAY = 'drop', 'hold', 'delay'
LOSS, REORDER = 'loss', 'reorder'
KINDS = (DROP, HOLD, DELAY, LOSS, REORDER)

# Least lengths of the outages. Each is longer by a random part: an outage of
# a whole number of periods makes a tool that counts lost packets look exact,
# because it cannot be wrong by a part of a period.
LENGTHS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
STRETCH = 0.25

# The peers begin at least so long before the first episode, and end so long
# after the last one, so that late answers still arrive; in seconds.
LEAD_S = 1.0
TAIL_S = 1.2
# They begin up to this much earlier, at random. It is as long as the period
# of the slowest, so that an outage meets each at any phase.
PHASE_S = 0.5

TRIAL = 'trial'
TRIAL_KINDS = (DROP, HOLD)
# Between two trials: the OSIC loop takes its time to end.
REST_S = 0.8

# Addresses of the scenarios, above those of the trials.
FIRST_HOST = 100
RANDOM_LOSS_S, QUICK_RANDOM_LOSS_S = 60.0, 20.0
RANDOM_LOSS, TEN_OUTAGES, DELAY_STEP, REORDERING = (
    'random loss', 'ten outages', 'delay step', 'reordering')


@dataclasses.dataclass(frozen=True)
class Episode:
    """One time span in which an address does not answer as it should.

    :ivar kind: drop: no answers; hold: all answers at the end; delay: each
        answer later by extra_s; loss: no answer to a random part; reorder:
        answers to a random part later by extra_s, so that others overtake
    :ivar begin_ns: CLOCK_MONOTONIC
    :ivar end_ns: CLOCK_MONOTONIC, exclusive
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
            raise ValueError(f'{self.kind!r} is no kind of episode')
        if self.end_ns <= self.begin_ns:
            raise ValueError('the episode ends before it begins')

    def shifted(self, by_ns: int) -> 'Episode':
        """Return the same episode, so much later."""
        return dataclasses.replace(self, begin_ns=self.begin_ns + by_ns,
                                   end_ns=self.end_ns + by_ns)


class Applied:
    """The effect of an episode on packets, and the truth about it.

    :ivar dropped: packets without an answer
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
        """Return when to answer a packet; None for never.

        :param now_ns: when it was read, within the episode
        :param flow: sender of the packet
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
        """Return the random numbers of one flow, so that runs repeat.

        With one generator for all flows, the order in which packets of
        different flows arrive would matter.
        """
        if flow not in self._random:
            self._random[flow] = random.Random(
                f'{self.episode.seed}/{len(self._random)}')
        return self._random[flow]

    def edge(self, due_ns: int, now_ns: int) -> None:
        """Note that the responder was awake for the begin or the end."""
        if due_ns == self.episode.begin_ns:
            self.begin_late_ns = now_ns - due_ns
        else:
            self.end_late_ns = now_ns - due_ns

    def truth(self) -> dict[str, Any]:
        """Return the true times and counts.

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
        """Sort the episodes by time.

        :raises ValueError: two of them overlap
        """
        ordered = sorted(episodes, key=lambda one: one.begin_ns)
        for before, after in zip(ordered, ordered[1:]):
            if after.begin_ns < before.end_ns:
                raise ValueError(f'episodes of {address} overlap')
        self.all = [Applied(address, episode) for episode in ordered]
        self._next = 0

    def at(self, now_ns: int) -> Applied | None:
        """Return the present episode; time must not go back."""
        while (self._next < len(self.all)
               and self.all[self._next].episode.end_ns <= now_ns):
            self._next += 1
        if self._next == len(self.all):
            return None
        found = self.all[self._next]
        return found if found.episode.begin_ns <= now_ns else None


@dataclasses.dataclass(frozen=True)
class Slot:
    """Episodes of one address that the peers measure in one go.

    :ivar name: trial, or name of a scenario
    :ivar address: of the packets
    :ivar start_ns: when the peers begin
    :ivar parts: its episodes; times count from the start of the part
    """

    name: str
    address: str
    start_ns: int
    parts: tuple[Episode, ...]

    @property
    def begin_ns(self) -> int:
        """When the first episode begins."""
        return self.parts[0].begin_ns

    @property
    def end_ns(self) -> int:
        """When the last episode ends."""
        return self.parts[-1].end_ns

    def shifted(self, by_ns: int) -> 'Slot':
        """Return the same slot, so much later."""
        return dataclasses.replace(
            self, start_ns=self.start_ns + by_ns,
            parts=tuple(part.shifted(by_ns) for part in self.parts))


def by_address(slots: Iterable[Slot]) -> dict[str, list[Slot]]:
    """Return the slots of each address, in order of time."""
    lanes: dict[str, list[Slot]] = {}
    for slot in sorted(slots, key=lambda one: one.begin_ns):
        lanes.setdefault(slot.address, []).append(slot)
    return lanes


def draw_length(least_s: float, dice: random.Random) -> float:
    """Return a random length in seconds.

    :param least_s: one of LENGTHS_S
    :param dice: source of the random numbers
    """
    return least_s * dice.uniform(1, 1 + STRETCH)


def least_length(length_s: float) -> float:
    """Return the one of LENGTHS_S from which a length was drawn.

    :param length_s: in seconds; if it is too short, the least of all
    """
    # A length that was planned in ns may be shorter by a rounding error.
    return max((one for one in LENGTHS_S if one <= length_s + 1e-6),
               default=LENGTHS_S[0])


def _episode(kind: str, begin_s: float, length_s: float,
             **more: Any) -> Episode:
    begin_ns = round(begin_s * NS)
    return Episode(kind, begin_ns, begin_ns + round(length_s * NS), **more)


def plan_trials(count: int, lanes: int, dice: random.Random,
                lengths_s: Sequence[float] = LENGTHS_S) -> list[Slot]:
    """Return trials of known length at random times, in random order.

    :param count: trials of each kind and length
    :param lanes: number of addresses; half of them are IPv6 ones
    :param dice: source of the random numbers
    :param lengths_s: least lengths of the outages, in seconds
    """
    todo = [(kind, draw_length(length_s, dice)) for kind in TRIAL_KINDS
            for length_s in lengths_s for _ in range(count)]
    dice.shuffle(todo)
    free_s = [0.0] * lanes
    planned = []
    for kind, length_s in todo:
        lane = free_s.index(min(free_s))
        start_s = free_s[lane]
        begin_s = start_s + LEAD_S + dice.uniform(0, PHASE_S)
        free_s[lane] = begin_s + length_s + TAIL_S + REST_S
        planned.append(Slot(
            TRIAL, testbed.tun_host(lane, six=bool(lane % 2)),
            round(start_s * NS), (_episode(kind, begin_s, length_s),)))
    return planned


def plan_scenarios(dice: random.Random, quick: bool) -> list[Slot]:
    """Return four scenarios side by side, each on an address of its own.

    :param dice: source of the random numbers
    :param quick: whether to shorten the long ones
    """
    begin_s = LEAD_S + dice.uniform(0, PHASE_S)
    loss_s = QUICK_RANDOM_LOSS_S if quick else RANDOM_LOSS_S
    seed = dice.randrange(1 << 32)
    scenarios = {
        RANDOM_LOSS: [
            _episode(LOSS, begin_s, loss_s, fraction=0.01, seed=seed)],
        TEN_OUTAGES: [
            _episode(DROP, begin_s + count + dice.uniform(0, 0.3), 0.2)
            for count in range(10)],
        DELAY_STEP: [_episode(DELAY, begin_s, 2.0, extra_s=0.05)],
        REORDERING: [
            _episode(REORDER, begin_s, loss_s / 2, fraction=0.05,
                     extra_s=0.025, seed=seed)]}
    return [Slot(name, testbed.tun_host(FIRST_HOST + number), 0,
                 tuple(parts))
            for number, (name, parts) in enumerate(scenarios.items())]
