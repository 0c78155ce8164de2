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

"""Coverage of hosts: which servers have to move to show that each host works.

A host may be able to send servers and unable to receive any: a certificate, a
secret of Ceph, a closed port or a package differs. So each host has to be the
source of a live migration and the destination of another one.

Everything here is data: no function asks the cloud.
"""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum
import functools
import math
import re
from typing import NamedTuple

from lm_tempest_plugin import config
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store

RING, ALL, RELEASE = config.HOST_PAIRS
# nova's messages of DestinationHypervisorTooOld, and of NoValidHost after it.
# The engine has made sure that nothing else stands in the way.
TOO_OLD = 'requires a newer hypervisor version|No valid host was found'
#: Name of the file with the verdicts, beside the results files.
VERDICTS = 'hosts.json'
#: Hosts that a message names.
NAMED = 10


class CoverageError(Exception):
    """No plan is possible; the message is a sentence that says why."""


class Pair(NamedTuple):
    """A live migration between two hosts.

    :ivar source: name of the host that sends
    :ivar destination: name of the host that receives
    """

    source: str
    destination: str

    def __str__(self) -> str:
        return f'{self.source} to {self.destination}'


def age(qemu: str, nova: str, libvirt: str) -> tuple[list[int], ...]:
    """Return a sort key of versions: the oldest first.

    QEMU counts before nova: no guest of a newer QEMU goes to an older one.

    :param qemu: version of QEMU
    :param nova: version of nova-compute; empty if not known
    :param libvirt: version of libvirt; empty if not known
    """
    return tuple([int(number) for number in re.findall(
        # A commit has digits, too.
        r'\d+', each.partition('+')[0])] for each in (qemu, nova, libvirt))


@dataclasses.dataclass(frozen=True)
class Host:
    """A compute host, with the facts that decide where its servers can go.

    :ivar name: its name in nova
    :ivar unusable: why it cannot take part; empty if it can
    :ivar zone: its availability zone
    :ivar member_of: names of its aggregates
    :ivar aggregates: those whose metadata may reserve it for certain
        servers, separated by commas
    :ivar architecture: such as x86_64
    :ivar hypervisor: type of the hypervisor, such as QEMU
    :ivar cpu: vendor and model of its CPU; empty if nova does not tell
    :ivar features: features of its CPU
    :ivar qemu: version of QEMU, or of another hypervisor
    :ivar nova: version of nova-compute; empty if not known
    :ivar libvirt: version of libvirt; empty if not known
    """

    name: str
    unusable: str = ''
    zone: str = ''
    member_of: frozenset[str] = frozenset()
    aggregates: str = ''
    architecture: str = ''
    hypervisor: str = ''
    cpu: str = ''
    features: frozenset[str] = frozenset()
    qemu: str = ''
    nova: str = ''
    libvirt: str = ''

    @functools.cached_property
    def age(self) -> tuple[list[int], ...]:
        """Sort key: the oldest versions first."""
        return age(self.qemu, self.nova, self.libvirt)

    @property
    def versions(self) -> str:
        """The versions of its programs, as a text."""
        return ', '.join(
            f'{name} {version}' for name, version in (
                (self.hypervisor or 'hypervisor', self.qemu),
                ('nova', self.nova), ('libvirt', self.libvirt)) if version)


@dataclasses.dataclass(frozen=True)
class CoveragePlan:
    """Live migrations that cover hosts.

    :ivar groups: hosts among which servers can be expected to move, by the
        facts that they share
    :ivar pairs: the migrations; each comes as early as its hosts allow if
        each host takes part in one at a time
    :ivar left_out: why hosts do not take part, by their names
    """

    groups: Mapping[str, tuple[Host, ...]]
    pairs: tuple[Pair, ...]
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def hosts(self) -> Mapping[str, Host]:
        """The hosts that take part, by name."""
        return {each.name: each for group in self.groups.values()
                for each in group}

    @functools.cached_property
    def _groups(self) -> Mapping[str, tuple[Host, ...]]:
        return {each.name: group for group in self.groups.values()
                for each in group}

    def partners(self, name: str) -> list[str]:
        """Return the names of the other hosts in a host's group.

        :param name: its name
        """
        return [each.name for each in self._groups[name]
                if each.name != name]

    def may_be_refused(self, pair: Pair) -> bool:
        """Return whether nova may refuse because a destination is too old.

        :param pair: two hosts that take part
        """
        return (self.hosts[pair.destination].age[0] <
                self.hosts[pair.source].age[0])

    def rounds(self, at_once: int) -> int:
        """Return how many migrations follow one another at least.

        :param at_once: maximum number of migrations in the cloud at a time;
            each host takes part in one of them at most
        """
        # How often each host takes part.
        parts: dict[str, int] = {}
        for pair in self.pairs:
            for name in pair:
                parts[name] = parts.get(name, 0) + 1
        # Among 5 hosts, there are no more than 2 migrations at a time.
        groups = [
            math.ceil(sum(parts.get(each.name, 0) for each in group) / 2 /
                      (len(group) // 2))
            for group in self.groups.values()]
        return max(math.ceil(len(self.pairs) / at_once), *groups,
                   *parts.values())


def choose(hosts: Iterable[Host], words: Iterable[str]) -> list[Host]:
    """Return the hosts that words stand for.

    :param hosts: all hosts
    :param words: all, names of hosts, aggregate=NAME, az=NAME
    :raises CoverageError: one stands for no host; names those that exist
    """
    hosts = list(hosts)
    found: dict[str, Host] = {}
    for word in words:
        kind, _, name = word.partition('=')
        if word == 'all':
            some, known = hosts, []
        elif kind == 'aggregate':
            some = [each for each in hosts if name in each.member_of]
            known = sorted(frozenset().union(
                *(each.member_of for each in hosts)))
        elif kind == 'az':
            some = [each for each in hosts if each.zone == name]
            known = sorted({each.zone for each in hosts})
        else:
            some = [each for each in hosts if each.name == word]
            known = [each.name for each in hosts]
        if not some:
            names = ', '.join(known[:NAMED]) or 'none'
            raise CoverageError(
                f'no compute host matches {word!r}; there are: {names}' + (
                    f' and {len(known) - NAMED} more'
                    if len(known) > NAMED else ''))
        found |= {each.name: each for each in some}
    return list(found.values())


def plan(hosts: Iterable[Host], kind: str = RING,
         group_by: Collection[str] = config.HOST_FACTS,
         senders: Collection[str] | None = None) -> CoveragePlan:
    """Return the live migrations that cover hosts.

    With ``ring``, each host sends once and receives once, to and from hosts
    with the same QEMU where there are any. With ``all``, each host of a group
    sends to each other one. With ``release``, each host of a version sends to
    a host of the next version in its group, and receives from one.

    :param hosts: the hosts to cover
    :param kind: ring, all or release
    :param group_by: names of the fields in which hosts have to agree
    :param senders: names of the only hosts that have a server to send; None
        if servers can be built on all
    :raises CoverageError: no server can move between any of these hosts
    """
    hosts = sorted(hosts, key=lambda host: (host.age, host.name))
    left_out = {each.name: each.unusable for each in hosts if each.unusable}
    usable = [each for each in hosts if each.name not in left_out]
    found: dict[tuple[str, ...], list[Host]] = {}
    for each in usable:
        found.setdefault(tuple(getattr(each, name) for name in group_by),
                         []).append(each)
    groups = {}
    pairs: list[Pair] = []
    for key, group in sorted(found.items()):
        if len(group) < 2:
            left_out[group[0].name] = _lonely(group[0], usable, group_by)
            continue
        facts = ', '.join(filter(None, key)) or 'all hosts'
        groups[facts] = tuple(group)
        pairs += {RING: _ring, ALL: _all, RELEASE: _release}[kind](group)
    if senders is not None:
        pairs = [pair for pair in pairs if pair.source in senders]
    if not pairs:
        raise CoverageError(_nothing(groups, left_out, kind, senders))
    return CoveragePlan(groups, tuple(_spread(dict.fromkeys(pairs))),
                        left_out)


def _lonely(host: Host, usable: Sequence[Host],
            group_by: Collection[str]) -> str:
    """Return why a host has no partner: the facts that no other one has."""
    others = [each for each in usable if each is not host]
    if not others:
        return 'no partner: there is no other usable host'
    own = [f'{name} {getattr(host, name) or "unknown"}' for name in group_by
           if all(getattr(each, name) != getattr(host, name)
                  for each in others)]
    return 'no partner: no other usable host has ' + (
        ' or '.join(own) if own else
        f'its {", ".join(group_by)} all together')


def _nothing(groups: Mapping[str, Sequence[Host]],
             left_out: Mapping[str, str], kind: str,
             senders: Collection[str] | None) -> str:
    """Return why there is no pair."""
    if not groups:
        reasons = '; '.join(f'{name}: {reason}'
                            for name, reason in sorted(
                                left_out.items())[:NAMED])
        return ('no two hosts can take part in a live migration: '
                f'{reasons or "no host was chosen"}')
    if kind == RELEASE and senders is None:
        return ('--pairs release needs two versions within a group, and all '
                'hosts of each group run the same: ' + '; '.join(
                    group[0].versions for group in groups.values()))
    return 'no host that can take part has a canary'


def _circle(hosts: Sequence[Host], step: int = 1) -> Iterator[Pair]:
    """Yield a pair for each host: it sends to the one so many places on."""
    for number, host in enumerate(hosts):
        yield Pair(host.name, hosts[(number + step) % len(hosts)].name)


def _ring(hosts: Sequence[Host]) -> Iterator[Pair]:
    """Yield one ring for each QEMU, and pairs for a host alone with its own.

    :param hosts: the oldest first
    """
    by_qemu: dict[str, list[Host]] = {}
    for each in hosts:
        by_qemu.setdefault(each.qemu, []).append(each)
    known = list(by_qemu.values())
    for number, same in enumerate(known):
        if len(same) > 1:
            yield from _circle(same)
            continue
        # nova refuses a destination with an older QEMU, so the host receives
        # from an older one and sends to a newer one, where there are any.
        older = known[number - 1 if number else 1]
        newer = known[number + 1 if number + 1 < len(known) else number - 1]
        yield Pair(older[-1].name, same[0].name)
        yield Pair(same[0].name, newer[0].name)


def _all(hosts: Sequence[Host]) -> Iterator[Pair]:
    for step in range(1, len(hosts)):
        yield from _circle(hosts, step)


def _release(hosts: Sequence[Host]) -> Iterator[Pair]:
    """Yield pairs of hosts of a version and the next one, in both directions.

    :param hosts: the oldest first
    """
    by_version: dict[str, list[Host]] = {}
    for each in hosts:
        by_version.setdefault(each.versions, []).append(each)
    known = list(by_version.values())
    for old, new in zip(known, known[1:]):
        for number in range(max(len(old), len(new))):
            one = old[number % len(old)].name
            other = new[number % len(new)].name
            yield Pair(one, other)
            yield Pair(other, one)


def _spread(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs by rounds; no host takes part in one round twice.

    Each pair joins the first round in which both hosts are free.
    """
    taken: dict[str, int] = {}
    rounds: list[list[Pair]] = []
    for pair in pairs:
        # A bit for each round that has one of both hosts.
        both = taken.get(pair.source, 0) | taken.get(pair.destination, 0)
        lowest_free = ~both & (both + 1)
        number = lowest_free.bit_length() - 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(pair)
        for name in pair:
            taken[name] = taken.get(name, 0) | lowest_free
    return [pair for each in rounds for pair in each]


def portions(found: CoveragePlan, pairs: Iterable[Pair],
             size: int) -> Iterator[list[Pair]]:
    """Yield pairs in portions, whose servers exist at the same time.

    In a portion, each host sends at most one server and receives at most
    one, and nova may refuse either all of them or none.

    :param found: the plan
    :param pairs: those of the plan, or some of them, in their order
    :param size: maximum number of pairs in a portion
    """
    waiting = list(pairs)
    while waiting:
        portion: list[Pair] = []
        later: list[Pair] = []
        for number, pair in enumerate(waiting):
            if len(portion) == size:
                later += waiting[number:]
                break
            fits = not portion or not any(
                pair.source == other.source or
                pair.destination == other.destination
                for other in portion) and (
                    found.may_be_refused(pair) ==
                    found.may_be_refused(portion[0]))
            (portion if fits else later).append(pair)
        yield portion
        waiting = later


class Result(enum.StrEnum):
    """The result of one pair.

    * good: the server moved, and no check has found a problem;
    * bad: the migration had a problem;
    * refused: nova refused an older QEMU, as it should.
    """

    GOOD = 'good'
    BAD = 'bad'
    REFUSED = 'refused'


@dataclasses.dataclass(frozen=True)
class PairOutcome:
    """The result of one pair, with its cause.

    :ivar result: the result
    :ivar cause: why; empty if it is good
    """

    result: Result
    cause: str = ''


def outcome(result: schema.MigrationResult) -> PairOutcome:
    """Return the outcome of a judged migration.

    :param result: its stored line
    """
    cause = f'{result.verdict}: {result.cause}' if result.cause else (
        '; '.join(map(str, result.problems)))
    if result.problems:
        return PairOutcome(Result.BAD, cause)
    if result.verdict == schema.COMPLETED:
        return PairOutcome(Result.GOOD)
    said = '; '.join((*result.events, result.cause))
    return PairOutcome(
        Result.REFUSED if re.search(TOO_OLD, said) else Result.BAD, cause)


class Ability(enum.StrEnum):
    """Whether a host can send, or can receive; the worst first.

    These are the verdicts of reports, by the same rules:

    * problems: it cannot, at least with one host that works with others;
    * unclear: it failed, and only with hosts that failed as well;
    * not tried: nobody has tried, or nova has refused;
    * good: it can.
    """

    PROBLEMS = 'problems'
    UNCLEAR = 'unclear'
    NOT_TRIED = 'not tried'
    GOOD = 'good'


@dataclasses.dataclass(frozen=True)
class HostVerdict:
    """The verdict on one host.

    :ivar host: its name
    :ivar sends: whether it can send servers
    :ivar receives: whether it can receive servers
    :ivar cause: why; empty if both are good
    :ivar refused: whether nova has rightly refused all that was not tried
    """

    host: str
    sends: Ability
    receives: Ability
    cause: str = ''
    refused: bool = False

    @property
    def good(self) -> bool:
        """Whether the host can send and receive, as far as nova lets it."""
        return all(
            each == Ability.GOOD or
            each == Ability.NOT_TRIED and self.refused
            for each in (self.sends, self.receives))


#: Roles of a host: places in a Pair.
SENDS, RECEIVES = 0, 1


class Coverage:
    """The outcomes of a plan so far, and the verdicts that rest on them.

    :ivar plan: the plan
    :ivar outcomes: by pair
    :ivar hindered: why hosts that have dropped out cannot send or receive any
        more, by name and role
    """

    def __init__(self, found: CoveragePlan) -> None:
        self.plan = found
        self.outcomes: dict[Pair, PairOutcome] = {}
        self.hindered: dict[tuple[str, int], str] = {}
        # Pairs by the host in each role.
        self._pairs: tuple[dict[str, list[Pair]], ...] = ({}, {})

    def add(self, pair: Pair, outcome: PairOutcome) -> None:
        """Add an outcome; a later one of the same pair replaces an earlier.

        :param pair: the hosts
        :param outcome: its result
        """
        if pair not in self.outcomes:
            for role, name in enumerate(pair):
                self._pairs[role].setdefault(name, []).append(pair)
        self.outcomes[pair] = outcome

    def too_many_failures(self, limit: str) -> bool:
        """Return whether more planned pairs are bad than a limit allows.

        :param limit: a number, or a share of the plan with a percent sign
        """
        bad = sum(pair in self.outcomes and
                  self.outcomes[pair].result == Result.BAD
                  for pair in self.plan.pairs)
        if limit.endswith('%'):
            return bad * 100 > int(limit[:-1]) * len(self.plan.pairs)
        return bad > int(limit)

    def open_pairs(self) -> list[Pair]:
        """Return the planned pairs that can be tried and have no outcome."""
        return [pair for pair in self.plan.pairs if self._can_try(pair)]

    def cross_checks(self) -> list[Pair]:
        """Return further pairs that show which host of a bad pair is at fault.

        A host that has not succeeded yet is tried with one that works. Call
        it again after these pairs have outcomes, until there are none.
        """
        found: dict[Pair, None] = {}
        # Different partners, so that the pairs go side by side.
        chosen = collections.Counter[str]()
        for name in self.plan.hosts:
            for role in (SENDS, RECEIVES):
                if self.ability(name, role) not in (
                        Ability.UNCLEAR, Ability.NOT_TRIED):
                    continue
                candidates = [
                    pair for each in self.plan.partners(name)
                    if self._proven(each, 1 - role) and self._can_try(
                        pair := Pair(name, each) if role == SENDS
                        else Pair(each, name)) and
                    not self.plan.may_be_refused(pair)]
                if candidates:
                    pair = min(candidates, key=lambda each: (
                        chosen[each.source] + chosen[each.destination]))
                    chosen.update(pair)
                    found[pair] = None
        return _spread(found)

    def _can_try(self, pair: Pair) -> bool:
        return pair not in self.outcomes and not any(
            (name, role) in self.hindered for role, name in enumerate(pair))

    def _proven(self, name: str, role: int) -> bool:
        """Return whether a host has succeeded in a role."""
        return any(self.outcomes[pair].result == Result.GOOD
                   for pair in self._pairs[role].get(name, ()))

    def _guilty(self, name: str, role: int) -> list[Pair]:
        """Return the bad pairs whose other host works in its role."""
        return [pair for pair in self._pairs[role].get(name, ())
                if self.outcomes[pair].result == Result.BAD and
                self._proven(pair[1 - role], 1 - role)]

    def ability(self, name: str, role: int) -> Ability:
        """Return whether a host can send, or can receive.

        :param name: name of the host
        :param role: SENDS or RECEIVES
        """
        if self._guilty(name, role):
            return Ability.PROBLEMS
        if self._proven(name, role):
            return Ability.GOOD
        failed = any(self.outcomes[pair].result == Result.BAD
                     for pair in self._pairs[role].get(name, ()))
        return Ability.UNCLEAR if failed else Ability.NOT_TRIED

    def verdicts(self) -> list[HostVerdict]:
        """Return the verdict on each host, also on those left out.

        The worst come first.
        """
        found = list(map(self._verdict, (
            *self.plan.hosts, *self.plan.left_out)))
        order = list(Ability)
        return sorted(found, key=lambda each: (
            *sorted(map(order.index, (each.sends, each.receives))),
            each.host))

    def _verdict(self, name: str) -> HostVerdict:
        roles = SENDS, RECEIVES
        not_tried = [role for role in roles
                     if self.ability(name, role) == Ability.NOT_TRIED]
        return HostVerdict(
            name, self.ability(name, SENDS), self.ability(name, RECEIVES),
            cause='; '.join(filter(None, dict.fromkeys(
                self._cause(name, role) for role in roles))),
            refused=bool(not_tried) and all(
                self._pairs[role].get(name) for role in not_tried))

    def _cause(self, name: str, role: int) -> str:
        """Return why a host is not good in a role; empty if it is."""
        ability = self.ability(name, role)
        if ability == Ability.GOOD:
            return ''
        pairs = self._guilty(name, role) or self._pairs[role].get(name, [])
        if not pairs:
            return (self.plan.left_out.get(name) or
                    self.hindered.get((name, role)) or
                    f'{"sent to" if role == SENDS else "received from"} no '
                    'host')
        return f'{pairs[-1]}: {self.outcomes[pairs[-1]].cause}'


def earlier(found: store.Results, test: str, region: str,
            hosts: Collection[str]) -> Iterator[tuple[Pair, PairOutcome]]:
    """Yield the outcomes that earlier runs have stored.

    :param found: contents of their results files
    :param test: id of the test
    :param region: name of the region; empty if it is not known
    :param hosts: names of the compute hosts of the cloud
    :raises CoverageError: the results are those of another cloud
    """
    for run in found.runs:
        known = {each.host for each in run.hosts}
        if region not in ('', run.region) or not known & set(hosts):
            raise CoverageError(
                f'{found.files[run.run]} is from another cloud: region '
                f'{run.region or "without a name"} with hosts '
                f'{", ".join(sorted(known)[:NAMED])}')
    for result in found.migrations:
        if result.test == test:
            yield Pair(result.source, result.destination), outcome(result)


def table(verdicts: Iterable[HostVerdict]) -> list[str]:
    """Return verdicts as lines of a table.

    :param verdicts: the worst first
    """
    rows = [('Host', 'Sends', 'Receives', 'Cause'), *(
        (each.host, each.sends, each.receives, each.cause)
        for each in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [''.join((*(f'{text:{width + 2}}' for text, width in zip(
        row, widths)), row[3])).rstrip() for row in rows]
