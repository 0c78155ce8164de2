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

"""Verdicts of single hosts: can each of them send and receive?

A live migration that fails says that one of its two hosts has a problem, not
which one. Other migrations tell: a host that sends to others without problems
can send. Everything here comes from the stored lines.
"""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import re

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary

#: Verdicts, the worst first.
VERDICTS = PROBLEMS, UNCLEAR, NOT_TRIED, GOOD = (
    'problems', 'unclear', 'not tried', 'good')
#: The directions of a host: it is the source, or the destination.
DIRECTIONS = ('sending', 'receiving')
#: More hosts than this are many: their heat map would be hard to read, and a
#: terminal would scroll for pages. So there is no heat map, and text and
#: Markdown list only those with problems.
MANY = 20

#: Names of the source and of the destination.
HostPair = tuple[str, str]
# With the worst problem.
_Verdict = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class HostDirection:
    """Live migrations from a host, or to it.

    :ivar verdict: ``problems``; ``unclear``: with problems only between this
        host and others that did not work either; ``not tried``; or ``good``
    :ivar migrations: number of live migrations, warm-ups included
    :ivar as_expected: number of them without problems
    :ivar cause: the worst problem, and the other host; empty without any
    """

    verdict: str
    migrations: int
    as_expected: int
    cause: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class HostSummary:
    """Everything that results tell about one host.

    :ivar host: its name
    :ivar sending: live migrations from it
    :ivar receiving: live migrations to it
    :ivar duration_s: median of the durations in both directions; None if
        none is known
    :ivar outage_s: longest outage in both directions; None if none is known
    :ivar versions: of its programs, as in the newest run; empty if they are
        not known
    """

    host: str
    sending: HostDirection
    receiving: HostDirection
    duration_s: float | None
    outage_s: float | None
    versions: str

    @property
    def directions(self) -> tuple[HostDirection, HostDirection]:
        """Sending and receiving."""
        return self.sending, self.receiving

    @property
    def verdict(self) -> str:
        """The worst verdict of both directions."""
        return min((each.verdict for each in self.directions),
                   key=VERDICTS.index)


def judge(results: store.Results) -> tuple[HostSummary, ...]:
    """Return the verdicts of each host of the runs, the worst hosts first."""
    pairs = by_pair(results.migrations)
    problems = _problems(results, pairs)
    known = {host.host: versions(host)
             for run in sorted(results.runs, key=lambda run: run.started_at)
             for host in run.hosts}
    migrations: tuple[dict[str, list[schema.MigrationResult]], ...] = (
        collections.defaultdict(list), collections.defaultdict(list))
    for pair, found in pairs.items():
        for end, host in enumerate(pair):
            migrations[end][host] += found
    names = {*known, *migrations[0], *migrations[1],
             *problems[0], *problems[1]}
    return tuple(sorted((_host(
        host, [migrations[end][host] for end in (0, 1)],
        [problems[end].get(host) for end in (0, 1)], known.get(host, ''))
        for host in names - {''}), key=_order))


def by_pair(migrations: Iterable[schema.MigrationResult]
            ) -> dict[HostPair, list[schema.MigrationResult]]:
    """Return live migrations by their source and destination.

    A name is empty if the host is not known: the scheduler found none.
    """
    found = collections.defaultdict(list)
    for each in migrations:
        found[each.source, each.destination].append(each)
    return dict(found)


def worth_showing(found: Sequence[HostSummary]) -> bool:
    """Return whether the hosts tell more than all migrations together.

    Of two hosts, only a direction that never works does.
    """
    directions = [each for host in found for each in host.directions]
    return len(found) > 2 or (
        any(each.verdict == GOOD for each in directions) and
        any(each.migrations and not each.as_expected for each in directions))


def versions(host: schema.ComputeHost) -> str:
    """Return the versions on a host as a text."""
    return ', '.join(
        f'{name} {version}'.strip() for name, version in (
            (host.hypervisor_type, host.hypervisor_version),
            ('libvirt', host.libvirt_version),
            ('nova', host.nova_version), ('OVN', host.ovn_version))
        if version)


def by_versions(found: Iterable[schema.ComputeHost]) -> str:
    """Return the versions on hosts; hosts with the same share one entry."""
    names: dict[str, list[str]] = {}
    for each in found:
        names.setdefault(versions(each), []).append(each.host)
    return '; '.join(f'{listed(sorted(hosts))}: {text}'
                     for text, hosts in names.items())


def listed(names: Sequence[str]) -> str:
    """Return the names of hosts, or their number if they are many."""
    return ', '.join(names) if len(names) <= MANY else f'{len(names)} hosts'


def counts(found: Sequence[HostSummary]) -> str:
    """Return the number of hosts by their worst verdict."""
    numbers = collections.Counter(each.verdict for each in found)
    text = (f'{numbers[GOOD]} of {document.count(len(found), "host")} sent '
            f'and received without problems')
    if numbers[PROBLEMS]:
        sending, receiving = (
            sum(each.directions[end].verdict == PROBLEMS for each in found)
            for end in (0, 1))
        text += (f'; {numbers[PROBLEMS]} with problems ({sending} sending, '
                 f'{receiving} receiving)')
    if numbers[UNCLEAR]:
        text += f'; {numbers[UNCLEAR]} unclear'
    if numbers[NOT_TRIED]:
        text += f'; {numbers[NOT_TRIED]} not tried in one direction or both'
    return text


def _host(host: str, migrations: Sequence[list[schema.MigrationResult]],
          problems: Sequence[_Verdict | None], programs: str) -> HostSummary:
    """Return the summary of a host from both of its directions."""
    directions = []
    for found, known in zip(migrations, problems):
        # Refused or aborted, as a test asked for, tells nothing.
        verdict, cause = known or (
            GOOD if any(each.completed for each in found) else NOT_TRIED, '')
        directions.append(HostDirection(
            verdict, len(found), sum(not each.problems for each in found),
            cause))
    durations, outages = (
        summary.values([*migrations[0], *migrations[1]], quantity)
        for quantity in ('duration_s', 'outage_s'))
    return HostSummary(
        host, directions[0], directions[1],
        float(numpy.median(durations)) if durations.size else None,
        float(outages.max()) if outages.size else None, programs)


def _problems(results: store.Results,
              pairs: Mapping[HostPair, Sequence[schema.MigrationResult]]
              ) -> tuple[dict[str, _Verdict], dict[str, _Verdict]]:
    """Return verdict and worst problem of sources, and of destinations.

    Problems of a pair belong to a host if the other one works, with any host,
    in its own direction. If neither does, nothing tells which host it is.
    """
    worst = _worst(results, pairs)
    good = [pair for pair, found in pairs.items() if pair not in worst and
            any(each.completed for each in found)]
    works = [{pair[end] for pair in good} for end in (0, 1)]
    found: tuple[dict[str, _Verdict], dict[str, _Verdict]] = ({}, {})
    for pair, text in worst.items():
        for end, other in ((0, 1), (1, 0)):
            host = pair[end]
            # Where the scheduler found no host, there is no other one.
            if pair[other] in works[other] or not pair[other]:
                verdict = PROBLEMS
            elif host not in works[end]:
                verdict = UNCLEAR
            else:
                continue
            known = found[end].get(host)
            if not known or (known[0], verdict) == (UNCLEAR, PROBLEMS):
                found[end][host] = verdict, (
                    f'{("to", "from")[end]} {pair[other] or "any host"}: '
                    f'{text}')
    return found


def _worst(results: store.Results,
           pairs: Mapping[HostPair, Sequence[schema.MigrationResult]]
           ) -> dict[HostPair, str]:
    """Return the worst problem of each pair with any, the worst first.

    A verdict that is not expected is worse than a check that failed, and a
    problem of a whole drain comes last.
    """
    found: dict[HostPair, tuple[int, str]] = {}
    for drain in results.drains:
        # Several sources share the problems of a drain without a source.
        if drain.problems and drain.source:
            found[drain.source, drain.destination] = (
                2, drain.problems[0].text)
    for pair, migrations in pairs.items():
        bad = [each for each in migrations if each.problems]
        if bad:
            each = min(bad, key=lambda each: (
                each.expected, -len(each.problems)))
            # "completed" has no cause, and is not always expected.
            found[pair] = each.expected, (
                f'{each.verdict}: {each.cause}'
                if each.cause and not each.expected
                else each.problems[0].text)
    return {pair: text for pair, (_rank, text) in sorted(
        found.items(), key=lambda item: item[1][0])}


def _order(host: HostSummary) -> tuple[int, int, int, str]:
    """Return a sort key: the worst verdicts first, then many problems."""
    worst, other = sorted(VERDICTS.index(each.verdict)
                          for each in host.directions)
    failed = sum(each.migrations - each.as_expected
                 for each in host.directions)
    # compute2 comes before compute10.
    return worst, other, -failed, re.sub(
        r'\d+', lambda found: found[0].zfill(9), host.host)
