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

"""The verdict of a gate, from results of live migrations on both sides.

At each look the plugin's own comparison is asked twice:

* Is the change worse than the base?
* Is the change better than a base that is worse by the smallest difference
  worth telling? Then it is no worse: a test of non-inferiority, one side of
  D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987),
  657-680. "No difference found" alone would be no answer: two migrations on
  each side never show one.

Repeated looks find a difference where there is none (P. Armitage,
C. K. McPherson and B. C. Rowe, Journal of the Royal Statistical Society A 132
(1969), 235-244). So the looks are few and fixed before the first, and each
gets an equal share of the error (Bonferroni; S. J. Pocock, Biometrika 64
(1977), 191-199, gains little on it with three looks). Of 100 changes that are
no worse, at most 3 are called different; of 100 changes that are worse by the
smallest difference worth telling or more, at most 5 are called no worse: each
of at most three looks tells the second with 1.5 % on the one side that counts.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import TypeVar

import msgspec

from lab import cli
from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store

NO_WORSE, WORSE, FAILS = 'no worse', 'worse', 'fails'
UNDECIDED = 'undecided'
EXIT_CODES = {NO_WORSE: 0, WORSE: 1, FAILS: 1, UNDECIDED: cli.NO_VERDICT}
#: Numbers of pairs after which the results are looked at. They are even: one
#: pair begins with the base, the next with the change.
LOOKS = (2, 4, 6)
#: Quantities that decide, with their names in a verdict.
QUANTITIES = {'duration_s': 'duration', 'outage_s': 'outage',
              'stall_s': 'stall'}
#: Smallest difference of an outage that is worth telling, in seconds: Linux
#: waits this long before it sends a TCP segment again (TCP_RTO_MIN; RFC 6298,
#: 2.4, asks for 1 s), so a shorter one costs a connection nothing more.
OUTAGE_S = 0.2
#: The same of a stall. TCP sends lost data again after 0.2, 0.6 and 1.4 s, so
#: stalls differ by up to 0.8 s where outages hardly differ.
STALL_S = 1.0
#: The same of a duration, as a part of the base's. With the 17 % by which the
#: durations of single migrations vary on a lab of two cores, this is the
#: smallest difference that two to four pairs exclude.
DURATION_FRACTION = 0.25
_Line = TypeVar('_Line', schema.MigrationResult, schema.DrainResult)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The verdict of a gate, or of one look.

    :ivar outcome: ``no worse``, ``worse``, ``fails`` or ``undecided``
    :ivar text: the verdict in one line, with the figures
    """

    outcome: str
    text: str

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_CODES[self.outcome]


def look(base: store.Results, change: store.Results, looks: int,
         name: str) -> Verdict:
    """Judge the results so far.

    :param base: results of the base
    :param change: results of the change
    :param looks: number of looks that are planned
    :param name: name of the base, for the text
    :returns: ``undecided`` if more results are needed
    """
    base, change = (without_warm_up(side) for side in (base, change))
    try:
        found = judgement.judge(base, change, quantities=QUANTITIES)
        bounded = judgement.judge(made_worse(base), change,
                                  quantities=QUANTITIES)
    except judgement.NotComparable as error:
        return Verdict(UNDECIDED, f'undecided: {error}')
    failed = [each for each in found.failures
              if each.outcome == judgement.WORSE]
    if failed:
        each = failed[0]
        return Verdict(FAILS, (
            f'fails: {first_problem(change)} ({each.after} of {each.of_after} '
            f'{each.subject}; {each.before} of {each.of_before} with {name})'))
    worse = [each for each in found.changes
             if each.outcome == judgement.WORSE and each.p_value is not None
             and each.p_value <= judgement.MIGRATION_LIMIT / looks]
    if worse:
        return Verdict(WORSE, f'worse: {figures(worse)}')
    bounds = {(each.group, each.quantity): each.outcome
              for each in bounded.changes}
    wide = [each for each in found.changes
            if bounds[each.group, each.quantity] != judgement.BETTER]
    if wide:
        return Verdict(UNDECIDED, (
            f'undecided: {figures(wide)}; smallest difference worth telling: '
            f'{smallest(each.quantity for each in wide)}'))
    return Verdict(NO_WORSE, f'no worse than {name}: {figures(found.changes)}')


def without_warm_up(results: store.Results) -> store.Results:
    """Return results in which the first round trip of each run has no figures.

    After a restart, nova-compute starts its helper processes during the first
    migrations. Their problems count.

    :param results: of one side
    """
    def measured(line: _Line) -> _Line:
        return msgspec.structs.replace(line, measured=(
            line.measured and line.round_trip > 1))

    return dataclasses.replace(
        results, migrations=list(map(measured, results.migrations)),
        drains=list(map(measured, results.drains)))


def made_worse(results: store.Results) -> store.Results:
    """Return results that are worse by the smallest differences.

    :param results: of the base
    """
    return dataclasses.replace(results, migrations=[
        msgspec.structs.replace(
            each, duration_s=each.duration_s * (1 + DURATION_FRACTION),
            continuity=each.continuity and _interrupted(each.continuity))
        for each in results.migrations])


def _interrupted(found: schema.Continuity) -> schema.Continuity:
    """Return a continuity with longer outage and stall."""
    return msgspec.structs.replace(
        found, outage=msgspec.structs.replace(
            found.outage, longest_s=found.outage.longest_s + OUTAGE_S),
        stall=found.stall and msgspec.structs.replace(
            found.stall, longest_s=found.stall.longest_s + STALL_S))


def figures(changes: Sequence[judgement.Change]) -> str:
    """Return changes with their 95 % intervals, in one line."""
    return ', '.join(
        f'{QUANTITIES[each.quantity]} '
        f'{document.signed(each.effect.difference.value)} s'
        f'{document.interval(each.effect.difference)}' for each in changes)


def smallest(quantities: Iterable[str] = QUANTITIES) -> str:
    """Return the smallest differences that are worth telling, in one line.

    :param quantities: some of :data:`QUANTITIES`
    """
    texts = {'duration_s': f'{100 * DURATION_FRACTION:g} %',
             'outage_s': f'{OUTAGE_S:g} s', 'stall_s': f'{STALL_S:g} s'}
    return ', '.join(f'{QUANTITIES[each]} {texts[each]}'
                     for each in dict.fromkeys(quantities))


def first_problem(results: store.Results) -> str:
    """Return the first problem in results, with its test.

    :param results: of one side
    :returns: ``TEST: PROBLEM``; empty if all is well
    """
    judged: list[schema.MigrationResult | schema.DrainResult] = [
        *results.migrations, *results.drains]
    for each in judged:
        if each.problems:
            return f'{short(each.test)}: {each.problems[0]}'
    for failure in results.failures:
        return f'{short(failure.test)}: {failure.reason}'
    return f'never judged: {results.unjudged[0]}' if results.unjudged else ''


def short(test: str) -> str:
    """Return the method's name in the id of a test.

    :param test: the id; such as ``tempest.x.TestY.test_z[id-...,slow]``
    """
    return test.partition('[')[0].rpartition('.')[2]
